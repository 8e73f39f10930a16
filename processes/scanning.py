"""Where expressions stand in a text, and what one expression is made of: tokens, paths, macros, functions. Pure.

The CEL library gives no syntax tree, so what must be known before an expression runs (which names it reads, how deep its macros are
nested, which functions it calls) is read off its tokens. The library parses afterwards: what slips through here is still its syntax error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile

from processes.problems import did_you_mean

LONGEST_TEXT = 2_000
DEEPEST_MACROS = 2
MOST_MACROS = 10
DEEPEST_BRACKETS = 24
"""The parser recurses: deeper nesting would end a process with a small stack instead of raising."""

OPEN = "${{"
LITERAL_OPEN = "$${{"

MACROS = {"all": (2,), "exists": (2,), "exists_one": (2,), "filter": (2,), "map": (2, 3)}
FUNCTIONS: dict[str, tuple[int, ...]] = {
    "size": (1,),
    "int": (1,),
    "double": (1,),
    "string": (1,),
    "bool": (1,),
    "timestamp": (1,),
    "duration": (1,),
    "matches": (2,),
}
"""Called as `name(…)`, with the numbers of arguments that they take."""
_PART_OF_A_TIME = ("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "Hours", "Minutes", "Seconds", "Milliseconds")
METHODS: dict[str, tuple[int, ...]] = {
    "size": (0,), "contains": (1,), "startsWith": (1,), "endsWith": (1,), "matches": (1,),
    "lowerAscii": (0,), "upperAscii": (0,), "trim": (0,), "split": (1, 2), "join": (0, 1), "replace": (2, 3), "substring": (1, 2),
    "charAt": (1,), "indexOf": (1, 2), "lastIndexOf": (1,),
} | {f"get{part}": (0, 1) for part in _PART_OF_A_TIME}  # fmt: skip
"""Called as `value.name(…)`: those of CEL's standard, and of its strings extension what people need for names and versions."""

_TOKEN = re.compile(
    r"""
      (?P<space>(?:\s|//[^\n]*)+)
    | (?P<string>
          (?:[rR][bB]?|[bB][rR])(?:\"{3}(?s:.)*?\"{3}|'{3}(?s:.)*?'{3}|"[^"\r\n]*"|'[^'\r\n]*')
        | [bB]?(?:\"{3}(?:[^\\]|\\(?s:.))*?\"{3}|'{3}(?:[^\\]|\\(?s:.))*?'{3}|"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*'))
    | (?P<number>0[xX][0-9a-fA-F]+[uU]?|\d+\.\d+(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+[uU]?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])
    | (?P<bad>(?s:.))
    """,
    re.VERBOSE,
)
_WORDS = frozenset({"true", "false", "null", "in"})
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `kind` is string, number, name, mark or bad; `start` and `end` are offsets."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Code:
    """One `${{ … }}` of a text: the expression without its braces and the offset where it begins."""

    text: str
    start: int


class Unclosed(ValueError):
    """A `${{` at offset `start` without its `}}`."""

    def __init__(self, text: str, start: int) -> None:
        super().__init__("This expression is not closed: }} is missing.")
        self.text = text
        self.start = start


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """The tokens of `text` from offset `start`; comments and space are left out."""
    for match in _TOKEN.finditer(text, start):
        kind = match.lastgroup or ""
        if kind != "space":
            yield Token(kind, match.group(), match.start(), match.end())


def split(text: str) -> tuple[str | Code, ...]:
    """`text` as literal parts and expressions. The end of an expression is found by its tokens, so `}}` in a string or a map is none.

    Raises Unclosed.
    """
    if OPEN not in text:
        return (text,) if text else ()
    return _split_cached(text) if len(text) <= 2 * LONGEST_TEXT else _split(text)


def _split(text: str) -> tuple[str | Code, ...]:
    parts: list[str | Code] = []
    literal = ""
    at = 0
    while (found := text.find(OPEN, at)) >= 0:
        literal += text[at:found]
        if found > at and text[found - 1] == "$":
            literal = literal[:-1] + OPEN
            at = found + len(OPEN)
            continue
        if literal:
            parts.append(literal)
            literal = ""
        end = _end(text, found)
        parts.append(Code(text[found + len(OPEN) : end], found + len(OPEN)))
        at = end + 2
    literal += text[at:]
    if literal:
        parts.append(literal)
    return tuple(parts)


_split_cached = lru_cache(maxsize=4096)(_split)


def _end(text: str, opened: int) -> int:
    """The offset of the `}}` that closes the expression opened at `opened`."""
    depth = 0
    for token in tokens(text, opened + len(OPEN)):
        if token.text == "{":
            depth += 1
        elif token.text == "}":
            if depth:
                depth -= 1
            elif text.startswith("}}", token.start):
                return token.start
    raise Unclosed(text[opened:][:LONGEST_TEXT], opened)


@dataclass(frozen=True, slots=True)
class Reference:
    """A path that is read, from a name on: `path` by fields, string indexes and number indexes; `starts` are the offsets of its parts, `end` its own.

    `tested` says that the last part stands in `has(…)`; `macros` are the numbers of the macros whose bodies it stands in.
    """

    path: tuple[str | int, ...]
    starts: tuple[int, ...]
    end: int
    tested: bool
    macros: tuple[int, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The path as far as it consists of fields."""
        return tuple(takewhile(lambda part: isinstance(part, str), self.path))  # type: ignore[arg-type] # that is what is asked


@dataclass(frozen=True, slots=True)
class Macro:
    """One use of a macro: offsets of the value it walks (`target`), of its body, and of its end; `outer` are the macros around it.

    `uses` are the numbers of macros whose variable its body reads, once per occurrence.
    """

    name: str
    target: int
    dot: int
    body: int
    end: int
    outer: tuple[int, ...]
    uses: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Call:
    """A function or method called: offsets of its name."""

    name: str
    start: int


@dataclass(slots=True)
class Scan:
    """What an expression is made of. `problems` are (message, offset); the rest is only complete when there are none."""

    text: str
    references: list[Reference] = field(default_factory=list)
    macros: list[Macro] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    problems: list[tuple[str, int]] = field(default_factory=list)
    is_path: bool = False


def scan(text: str) -> Scan:
    """Read one expression without braces: everything that is known to be wrong with it, or what it uses."""
    found = Scan(text)
    if len(text) > LONGEST_TEXT:
        found.problems.append((f"The expression has {len(text):,} characters; {LONGEST_TEXT:,} are allowed.", LONGEST_TEXT))
    elif not text.strip():
        found.problems.append(("The expression is empty.", 0))
    else:
        _Scanner(found).run()
    return found


class _Scanner:
    def __init__(self, found: Scan) -> None:
        self.found = found
        self.tokens = list(tokens(found.text))
        self.match: dict[int, int] = {}
        self.regions: list[tuple[str, int, int]] = []  # variable of the macro, first and last token of its body

    def run(self) -> None:
        if not self._bad_tokens() and self._brackets():
            self._macros()
            self._names()

    def problem(self, message: str, index: int) -> None:
        start = self.tokens[index].start if index < len(self.tokens) else len(self.found.text)
        self.found.problems.append((message, start))

    def text(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) else ""

    def kind(self, index: int) -> str:
        return self.tokens[index].kind if 0 <= index < len(self.tokens) else ""

    def _bad_tokens(self) -> bool:
        for index, token in enumerate(self.tokens):
            if token.kind == "bad":
                quoted = token.text in {'"', "'"}
                self.problem("This string is not closed." if quoted else f"{token.text!r} cannot stand in an expression.", index)
                return True
        return False

    def _brackets(self) -> bool:
        opened: list[int] = []
        for index, token in enumerate(self.tokens):
            if token.kind != "mark":
                continue
            if token.text in "([{":
                opened.append(index)
                if len(opened) > DEEPEST_BRACKETS:
                    self.problem(f"Brackets are nested more than {DEEPEST_BRACKETS} deep.", index)
                    return False
            elif token.text in _PAIRS:
                if not opened or self.text(opened[-1]) != _PAIRS[token.text]:
                    self.problem(f'This "{token.text}" closes nothing.', index)
                    return False
                first = opened.pop()
                self.match[first], self.match[index] = index, first
        if opened:
            self.problem(f'This "{self.text(opened[-1])}" is not closed.', opened[-1])
            return False
        return True

    def _arguments(self, opened: int) -> list[tuple[int, int]]:
        """First and last token of each argument of the call whose bracket is at `opened`."""
        closed = self.match[opened]
        spans = []
        first = index = opened + 1
        while index < closed:
            if self.text(index) in {"(", "[", "{"} and self.kind(index) == "mark":
                index = self.match[index]
            elif self.text(index) == "," and self.kind(index) == "mark":
                spans.append((first, index - 1))
                first = index + 1
            index += 1
        if first < closed:
            spans.append((first, closed - 1))
        return spans

    def _target(self, dot: int) -> int:
        """The first token of the value before the dot at `dot`."""
        index = dot - 1
        while index >= 0:
            if self.text(index) in _PAIRS and self.kind(index) == "mark":
                index = self.match[index]
                called = self.text(index) == "(" and self.kind(index - 1) == "name" and self.text(index - 1) not in _WORDS
                if called or (self.text(index) == "[" and self._ends_value(index - 1)):
                    index -= 1
                    continue
            if self.kind(index) == "name" and self.text(index - 1) == ".":
                index -= 2
                continue
            break
        return max(index, 0)

    def _macros(self) -> None:
        for dot in range(len(self.tokens)):
            name = self.text(dot + 1)
            if self.text(dot) != "." or name not in MACROS or self.text(dot + 2) != "(":
                continue
            spans = self._arguments(dot + 2)
            if len(spans) not in MACROS[name] or spans[0][0] != spans[0][1] or self.kind(spans[0][0]) != "name":
                self.problem(f"{name} is written value.{name}(x, expression over x).", dot + 1)
                continue
            variable = self.text(spans[0][0])
            if variable.startswith("__") or variable in _WORDS:
                self.problem(f"{variable} cannot be the name of a variable.", spans[0][0])
                continue
            outer = tuple(number for number, (_, first, last) in enumerate(self.regions) if first <= dot <= last)
            if len(outer) >= DEEPEST_MACROS:
                self.problem(f"Macros are nested more than {DEEPEST_MACROS} deep.", dot + 1)
            last = self.match[dot + 2]
            self.regions.append((variable, spans[0][0], last - 1))
            at = self.tokens
            self.found.macros.append(Macro(name, at[self._target(dot)].start, at[dot].start, at[spans[1][0]].start, at[last].start, outer))
        if len(self.regions) > MOST_MACROS:
            self.problem(f"More than {MOST_MACROS} macros stand in one expression.", 0)

    def _names(self) -> None:
        tested = -1
        index = 0
        while index < len(self.tokens):
            text = self.text(index)
            after_dot = self.text(index - 1) == "." and self.kind(index - 1) == "mark"
            if self.kind(index) == "mark" and text == "." and not self._ends_value(index - 1):
                self.problem('A path cannot begin with ".".', index)
            if self.kind(index) != "name" or text in _WORDS:
                index += 1
            elif self.text(index + 1) == "(":
                if text == "has" and not after_dot:
                    tested = self.match[index + 1]
                elif not (after_dot and text in MACROS):
                    self._call(index, METHODS if after_dot else FUNCTIONS)
                index += 1
            elif after_dot:
                index += 1
            elif self.text(index + 1) == "{":
                self.problem(f"{text}{{…}} is not known here; a map is written {{'key': value}}.", index)
                index += 1
            else:
                index = self._path(index, tested)

    def _ends_value(self, index: int) -> bool:
        return (self.kind(index) in {"name", "string", "number"} and self.text(index) != "in") or self.text(index) in {")", "]", "}"}

    def _call(self, index: int, known: dict[str, tuple[int, ...]]) -> None:
        name = self.text(index)
        if name not in known:
            kind = "method" if known is METHODS else "function"
            others = [*known, *(MACROS if known is METHODS else ("has",))]
            self.problem(f'There is no {kind} "{name}".{did_you_mean(name, others)}', index)
        elif (count := len(self._arguments(index + 1))) not in known[name]:
            wanted = " or ".join(map(str, known[name]))
            self.problem(f"{name} takes {wanted} argument{'s' if known[name] != (1,) else ''}, not {count}.", index)
        else:
            self.found.calls.append(Call(name, self.tokens[index].start))

    def _path(self, index: int, tested: int) -> int:
        """Read the path that begins with the name at `index`; the index of the first token after it."""
        first = index
        path: list[str | int] = [self.text(index)]
        starts = [self.tokens[index].start]
        index += 1
        while True:
            if self.text(index) == "." and self.kind(index + 1) == "name" and self.text(index + 1) not in _WORDS and self.text(index + 2) != "(":
                path.append(self.text(index + 1))
                starts.append(self.tokens[index + 1].start)
                index += 2
            elif self.text(index) == "[" and self.text(index + 2) == "]" and (key := self._index(index + 1)) is not None:
                path.append(key)
                starts.append(self.tokens[index + 1].start)
                index += 3
            else:
                break
        inside = tuple(number for number, (_, start, last) in enumerate(self.regions) if start <= first <= last)
        bound = [number for number in inside if self.regions[number][0] == path[0]]
        if bound:
            if self.regions[bound[-1]][1] != first:
                for number in inside[inside.index(bound[-1]) :]:
                    self.found.macros[number].uses.append(bound[-1])
        else:
            self.found.references.append(Reference(tuple(path), tuple(starts), self.tokens[index - 1].end, first < tested, inside))
            self.found.is_path = first == 0 and index == len(self.tokens)
        return index

    def _index(self, index: int) -> str | int | None:
        """A literal index that belongs to the path: plain strings and numbers; anything else ends it."""
        text = self.text(index)
        if self.kind(index) == "number":
            return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
        if self.kind(index) == "string" and text[0] in "'\"" and "\\" not in text and not text.startswith(("'''", '"""')):
            return text[1:-1]
        return None
