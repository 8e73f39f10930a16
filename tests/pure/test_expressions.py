"""`${{ … }}`: reading, evaluating, joining, and what they answer when something is wrong (semantics section 1, S1)."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from processes import expressions
from processes.expressions import (
    ExpressionError,
    condition,
    evaluate,
    examine,
    has_expression,
    references,
    references_of_condition,
    render,
    syntax_problems,
)

NAMES: dict[str, Any] = {
    "inputs": {
        "region": "eu",
        "version": "1.4.2",
        "count": 3,
        "ratio": 1.0,
        "tags": ["b", "a"],
        "services": [{"name": "web", "ok": True}, {"name": "api", "ok": False}],
        "by_name": {"z": 1, "a": 2},
        "at": "2026-03-01T10:00:00+02:00",
        "wait": "1d12h",
        "umlaut": "äöü",
    },
    "variables": {"image": "shop:1"},
    "activities": {"compile": {"state": "succeeded", "outputs": {"image": "shop:1", "size": 7}}, "lint": {"state": "skipped", "outputs": {}}},
    "phases": {"build": {"state": "satisfied", "outputs": {"image": "shop:1"}}},
    "release": {"id": 7, "name": "June"},
}


def problem(function: Any, text: Any, names: Mapping[str, Any] = NAMES) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        function(text, names)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("inputs.region == 'eu'", True),
        ("inputs.region", "eu"),
        ("inputs['region']", "eu"),
        ('inputs["re" + "gion"]', "eu"),
        ("inputs.tags[1]", "a"),
        ("inputs.services[1].name", "api"),
        ("inputs.services[1].name + '!'", "api!"),
        ("activities.compile.outputs", {"image": "shop:1", "size": 7}),
        ("has(inputs.nothing)", False),
        ("has(inputs.region) && has(activities.lint.outputs)", True),
        ("has(activities.lint.outputs.report) ? activities.lint.outputs.report : 'none'", "none"),
        ("activities.lint.state == 'skipped' ? 1 : 2", 1),
        ("'region' in inputs", True),
        ("inputs.count > 2 && inputs.count <= 3 || false", True),
        ("-inputs.count + 2 * 5 % 3", -2),
        ("7 / 2", 3),
        ("7.0 / 2.0", 3.5),
        ("[1, 2] + [3]", [1, 2, 3]),
        ("{'b': 1, 'a': [true, null]}", {"a": [True, None], "b": 1}),
        ("1 + 1 // a comment", 2),
        ('r\'\\d\' + \'\\n\' + """a"b"""', '\\d\na"b'),
        # macros
        ("inputs.tags.map(t, t + '!')", ["b!", "a!"]),
        ("inputs.services.filter(s, s.ok).map(s, s.name)", ["web"]),
        ("[1, 2, 3].map(n, n > 1, n * 2)", [4, 6]),
        ("inputs.tags.all(t, t != 'c') && inputs.tags.exists(t, t == 'a') && inputs.tags.exists_one(t, t == 'b')", True),
        ("inputs.tags.all(t, inputs.services.exists(s, s.name != t))", True),
        ("inputs.tags.map(t, inputs.services.map(s, s.name + t))", [["webb", "apib"], ["weba", "apia"]]),
        ("inputs.by_name.map(k, k)", ["a", "z"]),
        ("inputs.by_name.all(k, inputs.by_name[k] > 0)", True),
        ("(inputs.tags + ['c']).filter(t, t != 'b').size()", 2),
        ("inputs.services.map(inputs, inputs.name)", ["web", "api"]),
        ("[].map(x, x)", []),
        ("inputs.tags.map(x, x).filter(y, y == 'a').exists(z, z == 'a')", True),
        # functions
        ("size(inputs.umlaut)", 3),
        ("inputs.umlaut.size() + size([1]) + size({'a': 1})", 5),
        ("inputs.version.startsWith('1.') && inputs.version.endsWith('2') && inputs.version.contains('.4.')", True),
        ("inputs.version.matches('^[0-9]+[.]') && matches('abc', 'b')", True),
        ("inputs.version.split('.')[0]", "1"),
        ("inputs.version.split('.', 2).join('|')", "1|4.2"),
        ("inputs.version.replace('.', '-')", "1-4-2"),
        ("' Ab '.trim().lowerAscii() + 'x'.upperAscii()", "abX"),
        ("'abc'.substring(1) + 'abc'.substring(0, 1) + 'abc'.charAt(1)", "bcab"),
        ("'abcabc'.indexOf('c') + 'abcabc'.lastIndexOf('c')", 7),
        ("int('3') + int(3.7) + int(double('2'))", 8),
        ("double(inputs.count) * 0.5", 1.5),
        ("string(1) + string(1.0) + string(0.5) + string(true) + string('a')", "110.5truea"),
        ("bool('true')", True),
        # times and durations
        ("timestamp(inputs.at)", "2026-03-01T08:00:00Z"),
        ("timestamp(inputs.at) + duration(inputs.wait)", "2026-03-02T20:00:00Z"),
        ("timestamp(inputs.at) - timestamp('2026-03-01T07:30:00Z')", "30m"),
        ("duration('90m')", "1h30m"),
        ("duration('1.5s')", "1.5s"),
        ("duration('PT30M') < duration('2d')", True),
        ("timestamp(inputs.at).getHours() + timestamp(inputs.at).getHours('Europe/Berlin')", 17),
        ("timestamp(inputs.at).getDayOfWeek('+02:00')", 0),
        ("duration(inputs.wait).getHours()", 36),
        ("int(timestamp('1970-01-01T00:01:00Z')) + int(timestamp(5))", 65),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = evaluate(text, NAMES)
    assert found == value
    assert type(found) is type(value)


def test_integers_and_numbers_stay_apart() -> None:
    assert [type(evaluate(text, NAMES)) for text in ("inputs.count", "inputs.ratio", "inputs.count + 1", "inputs.ratio + 1.0", "1", "1.0")] == [
        int,
        float,
        int,
        float,
        int,
        float,
    ]
    assert "number + integer" in problem(evaluate, "inputs.ratio + 1").message
    assert evaluate("inputs.ratio == 1", NAMES) is True  # comparing is allowed across the two, as CEL says


def test_names_may_be_lazy() -> None:
    asked: list[str] = []

    class Lazy(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            asked.append(key)
            return {"state": "succeeded", "outputs": {"n": 2}}

        def __contains__(self, key: object) -> bool:
            return True

        def __iter__(self) -> Iterator[str]:
            return iter(("a", "b"))

        def __len__(self) -> int:
            return 2

    assert evaluate("activities.a.outputs.n + 1", {"activities": Lazy()}) == 3
    assert evaluate("activities.a.outputs.n", {"activities": Lazy()}) == 2
    assert set(asked) == {"a"}
    assert evaluate("activities.all(k, activities[k].state == 'succeeded')", {"activities": Lazy()}) is True


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${{ inputs.count }}", 3),
        ("${{inputs.services[0]}}", {"name": "web", "ok": True}),
        ("plain", "plain"),
        ("v${{ inputs.version }}-${{ inputs.count }}", "v1.4.2-3"),
        (" ${{ inputs.count }}", " 3"),
        ("${{ inputs.ratio }}|${{ 0.1 }}|${{ 1e21 }}|${{ 2.50 }}", "1|0.1|1e+21|2.5"),
        ("${{ true }} ${{ false }}", "true false"),
        ("${{ inputs.tags }} ${{ inputs.by_name }} ${{ inputs.umlaut }}", '["b", "a"] {"a": 2, "z": 1} äöü'),
        ('${{ "}}" }}', "}}"),
        ("${{ '}}' + \"}}\" + '''}}''' + r'\\}}' }}!", "}}}}}}\\}}!"),
        ("${{ {'a': {'b': 1}}}}", {"a": {"b": 1}}),
        ("${{ {'a': {'b': 1}}.a.b }}x", "1x"),
        ("$${{ inputs.x }}", "${{ inputs.x }}"),
        ("$${{ a }} ${{ inputs.count }} $${{ b }}", "${{ a }} 3 ${{ b }}"),
        ("$ { $$ ${ }} $${{", "$ { $$ ${ }} ${{"),
        ({"a": ["${{ inputs.count }}", 1, None], "b": {"c": "x${{ inputs.region }}"}}, {"a": [3, 1, None], "b": {"c": "xeu"}}),
        ([], []),
        (True, True),
    ],
)
def test_render(template: Any, value: Any) -> None:
    found = render(template, NAMES)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "words", "column"),
    [
        ("activities.compile.outputs.imge", 'activities.compile has no output named imge. Did you mean "image"?', 28),
        ("activities.compile.outputs.imge == ''", 'activities.compile has no output named imge. Did you mean "image"?', 28),
        ("activities.lint.outputs.report", "activities.lint has no output named report. It is skipped.", 25),
        ("true && activities.compil.state == 'x'", 'There is no activity "compil" here. Did you mean "compile"?', 20),
        ("phases.built.outputs", 'There is no phase "built" here. Did you mean "build"?', 8),
        ("has(activities.compil.outputs.image)", 'There is no activity "compil" here.', 16),
        ("input.region", 'There is no name "input" here. Did you mean "inputs"?', 1),
        ("1 + count", 'There is no name "count" here. There are activities, inputs, phases, release, variables.', 5),
        ("inputs.regio == ''", 'There is no input "regio", or it was not given. Did you mean "region"?', 8),
        ("variables.images", 'variables has no "images". Did you mean "image"?', 11),
        ("inputs.tags[9]", "The list has 2 elements and no [9].", 13),
        ("inputs.region.x", "inputs.region is a text and has no x.", 15),
        ("inputs.services.map(s, s.nme)", 'There is no "nme" in the value.', None),
        ("1 / 0", "Division by zero.", None),
        ("9223372036854775807 + 1", "out of range", None),
        ("1.0 / 0.0", "The result is not a number.", None),
        ("'a' + 1", "string + integer cannot be computed.", None),
        ("size(1)", "size() cannot take integer.", None),
        ("'a'.startsWith(1)", "startsWith() cannot take these values.", None),
        ("'abc'.substring(2, 1)", "substring(): 2 to 1 does not lie", None),
        ("int('x')", "int(): ", None),
        ("timestamp('2026-03-01')", "timestamp(): a time is written with its zone", None),
        ("timestamp('2026-02-30T00:00:00Z')", "timestamp(): ", None),
        ("timestamp('2026-03-01T00:00:00Z').getHours('Mars/North')", "there is no time zone", None),
        ("timestamp('9999-12-31T00:00:00Z') + duration('9d')", "out of range", None),
        ("duration('99999d')", "duration(): ", None),
        ("duration('soon')", "duration(): a duration is written", None),
        ("'a'.matches('(')", "is not a pattern: unclosed group", None),
        ("'a'.matches('(a{1000}){1000}')", "is not a pattern: it is too large", None),
        ("1.map(x, x)", "go over a list or an object", None),
        ("[1, 2][inputs.count]", "The list has no such element", None),
        ("b'a'", "cannot be handed on", None),
        ("{1: 2}", "keys of an object must be texts", None),
        ("18446744073709551615u", "out of range", None),
        ("false || bool('x')", "bool(): the text is neither true nor false.", None),
        ("true || bool('x')", "", None),
    ],
)
def test_errors_help(text: str, words: str, column: int | None) -> None:
    if not words:
        assert evaluate(text, NAMES) is True
        return
    found = problem(evaluate, text)
    assert words in found.message
    assert (found.column, found.expression, found.code) == (column, text, "expression_error")
    assert text in str(found)


@pytest.mark.parametrize(
    ("text", "words", "column"),
    [
        ("", "The expression is empty.", 1),
        ("   ", "The expression is empty.", 4),
        ("1 +", "The expression is not complete.", 4),
        ("a ? b", "The expression is not complete.", 1),
        ("'äöü' + 'abc", "This string is not closed.", 9),
        ("(1", 'This "(" is not closed.', 1),
        ("[1)", 'This ")" closes nothing.', 3),
        ("1 + 'a' 'b'", "\"'b'\" cannot stand here.", 9),
        ("1 +\n *", '"*" cannot stand here.', 6),
        ("a @ b", "'@' cannot stand in an expression.", 3),
        (".a.b", 'A path cannot begin with "."', 1),
        ("for + 1", "Reserved identifier: for.", 1),
        ("foo(1)", 'There is no function "foo".', 1),
        ("sise(inputs)", 'There is no function "sise". Did you mean "size"?', 1),
        ("'a'.startWith('b')", 'There is no method "startWith". Did you mean "startsWith"?', 5),
        ("size(1, 2)", "size takes 1 argument, not 2.", 1),
        ("'a'.split()", "split takes 1 or 2 arguments, not 0.", 5),
        ("Foo{a: 1}", "Foo{…} is not known here", 1),
        ("type(1)", 'There is no function "type"', 1),
        ("__size('a')", 'There is no function "__size"', 1),
        ("optional.of(1)", 'There is no method "of"', 10),
        ("a.?b", "cannot begin", None),
        ("[1].map(x)", "map is written value.map(x, expression over x).", 5),
        ("[1].map(a.b, 1)", "map is written", 5),
        ("[1].map(__part, 1)", "__part cannot be the name of a variable.", 9),
        ("[1].map(a, [1].map(b, [1].all(c, true)))", "Macros are nested more than 2 deep.", 27),
        ("(" * 25 + "1" + ")" * 25, "Brackets are nested more than 24 deep.", 25),
        ("[1]" + ".map(x, x)" * 11, "More than 10 macros", 1),
        ("'" + "x" * 2_000 + "'", "The expression has 2,002 characters; 2,000 are allowed.", 2001),
        ("9223372036854775808", "Invalid int literal", 1),
        ("has(a)", "Invalid argument to has() macro", 5),
    ],
)
def test_syntax_problems(text: str, words: str, column: int | None) -> None:
    found = syntax_problems(text)
    assert found
    message, at = found[0]
    if text != "a.?b":
        assert words in message
        assert at == column
    assert problem(evaluate, text).message == message


def test_columns_count_in_the_text_as_written() -> None:
    assert problem(render, "ab ${{  inputs.nope }}").column == 16
    assert problem(render, {"a": ["x ${{ 1 + }}"]}).column == 10
    assert problem(render, "ab ${{ inputs").column == 4
    assert problem(condition, "  ${{ inputs.nope }}").column == 14
    assert problem(condition, "  inputs.nope ").column == 10
    found = examine({"a": ["ok ${{ inputs.a }}", "x ${{ 1 + }} ${{ foo() }}"], "b": "${{ 'a", "c": "$${{ literal"})
    assert [(each.place, each.paths, each.problems) for each in found] == [
        (("a", 0), (("inputs", "a"),), ()),
        (("a", 1), (), (("The expression is not complete.", 10), ('There is no function "foo".', 18))),
        (("b",), (), (("This expression is not closed: }} is missing.", 1),)),
    ]


def test_null_in_a_text_is_refused() -> None:
    assert "null" in problem(render, "a${{ null }}").message
    assert render("${{ null }}", NAMES) is None


@pytest.mark.parametrize("text", ["inputs.region == 'eu'", "${{ inputs.region == 'eu' }}", " ${{inputs.count == 3}} ", "true"])
def test_condition_with_and_without_braces(text: str) -> None:
    assert condition(text, NAMES) is True


@pytest.mark.parametrize("text", ["inputs.count", "'true'", "${{ null }}", "${{ true }} ${{ true }}", "x ${{ true }}", "${{ true"])
def test_condition_is_true_or_false(text: str) -> None:
    problem(condition, text)


def test_references() -> None:
    template = {
        "a": "x ${{ activities.a.outputs['b'].c + inputs.l[0].x + phases.p[inputs.k].q }}",
        "b": ["${{ inputs.l.map(x, x.a + y.b) }} ${{ 'not.me' + r'nor.me' }} $${{ nor.this }}"],
        "c": "${{ has(activities.z.outputs.w) || release.name.startsWith('x') }} ${{ {'k': variables.v}.k }}",
    }
    assert references(template) == {
        ("activities", "a", "outputs", "b", "c"),
        ("inputs", "l"),
        ("phases", "p"),
        ("inputs", "k"),
        ("y", "b"),
        ("activities", "z", "outputs", "w"),
        ("release", "name"),
        ("variables", "v"),
    }
    assert references_of_condition("inputs.a == 'x' && [1].all(i, i > inputs.b)") == {("inputs", "a"), ("inputs", "b")}
    assert references_of_condition("${{ inputs.a }}") == {("inputs", "a")}
    assert references("no expression") == references_of_condition("1 +") == frozenset()


def test_has_expression() -> None:
    assert has_expression({"a": ["x", {"b": "a ${{ 1 }}"}]})
    assert has_expression("${{ not closed")
    assert not has_expression(["$${{ literal }}", 1, None, "${ a }"])


def test_lists_have_a_thousand_elements() -> None:
    names = {"inputs": {"fits": list(range(1_000)), "long": list(range(1_001))}}
    assert evaluate("inputs.fits.all(x, x >= 0) && size(inputs.fits) == 1000", names) is True
    assert len(evaluate("inputs.fits.map(x, x * 2)", names)) == 1_000
    assert evaluate("inputs.fits.map(x, x * 2)", names)[997:] == [1_994, 1_996, 1_998]
    for text in ("inputs.long.all(x, x >= 0)", "size(inputs.long) > 1", "1 in inputs.long", "(inputs.fits + inputs.fits).map(x, x)"):
        assert "is too long; 1,000 are allowed" in problem(evaluate, text, names).message
    assert evaluate("inputs.long", names) == names["inputs"]["long"]  # handed on, not computed with


@pytest.mark.parametrize(
    "text",
    [
        "inputs.l.map(x, inputs.l.map(y, [y, y, y]))",
        "inputs.l.map(x, inputs.big + inputs.big)",
        "inputs.l.map(x, inputs.l)",
        "inputs.s.map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x)",
        "+".join(["inputs.big"] * 100),
        "inputs.big.replace('x', inputs.big)",
        "inputs.l.filter(x, inputs.s.filter(y, y.matches('^\\\\w{1,300}$')).size() > 0)",
        "inputs.l.map(x, string(x).matches('\\\\w{100}'))",
        "inputs.deep == inputs.deep",
    ],
)
def test_too_much_work_ends_by_itself(text: str) -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    names = {"inputs": {"l": list(range(1_000)), "s": [str(n) * 10 for n in range(1_000)], "big": "x" * 100_000, "deep": deep}}
    started = time.thread_time()
    problem(evaluate, text, names)
    assert time.thread_time() - started < 3


def test_two_nested_over_a_thousand() -> None:
    names = {"inputs": {"l": list(range(1_000))}}
    assert evaluate("inputs.l.all(x, inputs.l.exists(y, x == y))", names) is True


def test_threads_share_what_is_compiled() -> None:
    wrong: list[object] = []

    def run(number: int) -> None:
        for _ in range(200):
            value = evaluate("inputs.n.map(x, x + inputs.n[0]).size() + inputs.n[0]", {"inputs": {"n": [number] * 5}})
            if value != number + 5:
                wrong.append(value)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_deepest_allowed_fits_a_small_stack() -> None:
    nested = [f"{'(' * 24}1{' + 1' * 400}{')' * 24}", "size([{1: (" * 6 + "1" + ")}])" * 6, "[1].all(x, " * 2 + "(" * 20 + "true" + ")" * 22, "a" + ".b" * 450]
    found: list[Any] = []

    def run() -> None:
        for text in nested:
            try:
                found.append(evaluate(text, {"a": {}}))
            except ExpressionError as error:
                found.append(error)

    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert found[0] == 401
    assert len(found) == len(nested)


def test_an_error_travels() -> None:
    error = pickle.loads(pickle.dumps(problem(evaluate, "inputs.nope")))
    assert (error.expression, error.column) == ("inputs.nope", 8)


def test_speed_does_not_depend_on_the_names() -> None:
    """Only what is read is handed over: 300 activities cost nothing. Generous, against a slow machine."""
    names = {"inputs": {"region": "eu"}, "activities": {f"a{n}": {"state": "succeeded", "outputs": {"n": n}} for n in range(300)}}
    evaluate("activities.a7.outputs.n == 7 && inputs.region == 'eu'", names)
    started = time.thread_time()
    for _ in range(500):
        evaluate("activities.a7.outputs.n == 7 && inputs.region == 'eu'", names)
    assert (time.thread_time() - started) / 500 < 0.000_3


def test_the_module_says_what_it_gives() -> None:
    assert all(hasattr(expressions, name) for name in expressions.__all__)
