"""Whatever is written, an expression gives a plain value or an ExpressionError, and soon (reliability X-05)."""

from __future__ import annotations

import json
import os
import random
import re
import time
from typing import Any

import pytest

from processes.expressions import ExpressionError, evaluate, has_expression, references, render, syntax_problems


def _items(text: str) -> list[str]:
    """Those of a list written with three spaces between them."""
    return [item for item in re.split(r" {3,}|\n", text) if item]


EXAMPLES = int(os.environ.get("RELORCH_EXAMPLES", "5000"))
NAMES: dict[str, Any] = {
    "inputs": {"a": "x", "n": 3, "f": 1.5, "b": True, "l": [3, 1, 2], "o": {"k": "v", "ä": None}, "t": "2026-03-01T10:00:00Z", "d": "1d12h", "s": ["q", "ü"]},
    "activities": {"one": {"state": "succeeded", "outputs": {"image": "i:1"}}},
    "release": {"id": 1},
}
PIECES = [
    *_items(
        r"""
inputs.a   inputs.n   inputs.f   inputs.l   inputs.o   inputs.s   inputs.t   inputs.d   activities.one.outputs.image   activities   x   y   inputs.nope
1   0   -1   1.0   9223372036854775807   18446744073709551615u   1e308   'a'   "}}"   r'\'   '''x'''   b'\xff'   null   true   false   []   {}   [1, 2]
{'a': 1}   '\U0001F600'   timestamp(inputs.t)   duration(inputs.d)   duration('9999999h')   timestamp('9999-12-31T23:59:59Z')   double('nan')   (   )
[   ]   {   }   }}   ${{   $${{   ,   :   ?   .   ..   //   \   '   "   '''   ä   @   `   #   in   has(inputs.a)   has(   __each(0, [])   __part
"""
    ),
    "\n",
    "\0",
    "\ud800",
]
OPERATORS = [" + ", " - ", " * ", " / ", " % ", " == ", " != ", " < ", " >= ", " && ", " || ", " in ", " ? 1 : ", ".", ", ", " "]
AFTER = _items(
    r"""
.map(x, x)   .filter(x, x != y)   .all(x, x > 0)   .exists(y, y == x)   .exists_one(x, true)   .map(x, inputs.l.map(y, [x, y]))   .map(x, x > 1, x * 2)
.size()   .k   [0]   ['k']   [inputs.n]   .split('')   .join(',')   .replace('', 'xx')   .matches('(a+)+$')   .matches('(')   .substring(1)
.substring(-1, 99)   .charAt(9)   .indexOf('a', -3)   .lastIndexOf('')   .trim()   .upperAscii()   .getHours('Europe/Berlin')   .getMonth()
.getDayOfYear('x')   .startsWith('a')   .contains(1)   .nope()   .__size()
"""
)
AROUND = _items(
    r"""
size({})   string({})   int({})   double({})   bool({})   timestamp({})   duration({})   ({})   [{}]   {{'a': {}}}   !{}   -{}   has({})
matches({}, 'a')   {} ? {} : {}
"""
)
ESCAPES = _items(
    r"""
__import__('os').system('id')   ''.__class__.__mro__[1].__subclasses__()   inputs.__class__   inputs['__class__']   inputs.a.__len__()
inputs.__dict__   ().__class__.__base__   globals()   locals()   eval('1')   exec('1')   open('/etc/passwd')   getattr(inputs, 'a')   lambda: 1
[x for x in inputs]   import os   print(1)   help()   exit()   {{7*7}}   {% import os %}   #{7*7}   ${7*7}   <%= 7*7 %>
T(java.lang.Runtime).getRuntime()   #this.getClass()   @bean.run()   new Date()   this.constructor.constructor('x')()   process.env   require('fs')
inputs.constructor   inputs.a.constructor()   Object.keys(inputs)   `id`   $(id)   ; id   | id   && id   %s%n%x   {0.__class__}
'{0.__class__}'.format(1)   inputs.a.format(1)   'a' % 1   f'{inputs}'   __each(0, inputs)   __flat([[1]])   __size(inputs.a)   __builtins__
cel.bind(x, 1, x)   google.protobuf.Any{}   type(inputs)   dyn(inputs.a)   optional.of(1)   proto.getExt(inputs, a)   inputs.?a   inputs[?'a']
.inputs.a   '\x00'.size()   inputs.a.matches('(?P<x>.)(?P=x)')   'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('^(a+)+$')
[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]   'a'.replace('a', 'b', 9223372036854775807)
"""
)


def settle(function: Any, text: Any) -> Any:
    started = time.thread_time()
    try:
        value = function(text, NAMES)
    except ExpressionError as error:
        value = None
        problem: ExpressionError | None = error
    else:
        problem = None
    assert problem is None or (problem.message and (problem.column is None or problem.column > 0))
    assert time.thread_time() - started < 3
    json.dumps(value, allow_nan=False)
    return value


def grown(random_: random.Random) -> str:
    text = random_.choice(PIECES)
    for _ in range(random_.randint(0, 6)):
        match random_.randint(0, 4):
            case 0:
                text = random_.choice(AROUND).replace("{}", text, 1).replace("{}", "1").replace("{{", "{").replace("}}", "}")
            case 1 | 2:
                text += random_.choice(AFTER)
            case _:
                text += random_.choice(OPERATORS) + random_.choice(PIECES)
    if random_.random() < 0.1:
        at = random_.randrange(len(text) + 1)
        text = text[:at] + chr(random_.choice([random_.randrange(32, 127), random_.randrange(0, 0x3000)])) + text[at:]
    return text


def test_generated_expressions() -> None:
    seed = int(os.environ.get("RELORCH_SEED", random.randrange(10**9)))
    print(f"RELORCH_SEED={seed}")
    random_ = random.Random(seed)
    values = 0
    for _ in range(EXAMPLES):
        text = grown(random_)
        values += settle(evaluate, text) is not None
        template = f"a {text} ${{{{ {text} }}}} b" if random_.random() < 0.5 else f"${{{{{text}}}}}"
        settle(render, template)
        references(template)
        has_expression(template)
    assert values > EXAMPLES / 50


@pytest.mark.parametrize("text", ESCAPES)
def test_escapes_reach_nothing(text: str) -> None:
    value = settle(evaluate, text)
    settle(render, f"${{{{ {text} }}}}")
    assert value in (None, True, False, 1) or value == "b"


def test_syntax_problems_and_evaluation_agree() -> None:
    random_ = random.Random(7)
    for _ in range(EXAMPLES // 10):
        text = grown(random_).replace("${{", "")
        problems = syntax_problems(text)
        if problems:
            with pytest.raises(ExpressionError) as caught:
                evaluate(text, NAMES)
            assert (caught.value.message, caught.value.column) == problems[0]
