"""`${{ … }}` in texts: what it reads, and what it becomes (semantics section 1, S1). Pure.

Names are plain JSON values. Only what an expression reads of them is handed to it, so a large tree of names costs nothing; give it as lazily
as you like (any Mapping).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from processes.evaluation import ExpressionError, compiled, program_of
from processes.functions import LARGEST, number_text, type_name
from processes.scanning import OPEN, Code, Unclosed, scan, split

__all__ = [
    "ExpressionError",
    "condition",
    "evaluate",
    "examine",
    "examine_condition",
    "has_expression",
    "references",
    "references_of_condition",
    "render",
    "syntax_problems",
    "texts",
]

Path = tuple[str, ...]


class Found(NamedTuple):
    """What stands in one text of a template: where it is (keys and indexes), the paths read, problems as (message, column), and the columns of the paths."""

    place: tuple[str | int, ...]
    paths: tuple[Path, ...]
    problems: tuple[tuple[str, int | None], ...]
    columns: tuple[int, ...] = ()


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """The plain JSON value of one CEL expression (times as RFC 3339, durations as text). Raises ExpressionError."""
    code = _bare(text)
    return _value(code, names)


def condition(text: str, names: Mapping[str, Any]) -> bool:
    """An `if` or `check`, with or without braces. Raises ExpressionError, also for anything but true or false."""
    code = _bare(text)
    value = _value(code, names)
    if not isinstance(value, bool):
        # The type and not the value, which may be a secret.
        raise ExpressionError(code.text.strip(), f"A condition must be true or false, and this is of type {type_name(value)}.", None)
    return value


def render(template: Any, names: Mapping[str, Any]) -> Any:
    """`template` with every expression in its texts evaluated; a text that is one expression becomes its value in its type. Raises ExpressionError."""
    if isinstance(template, str):
        return _rendered(template, names) if OPEN in template else template
    if isinstance(template, Mapping):
        return {key: render(value, names) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [render(item, names) for item in template]
    return template


def has_expression(value: Any) -> bool:
    """Does any text in `value` hold a `${{ … }}`? One that is not closed counts; the literal `$${{` does not."""
    return any(OPEN in text and OPEN in text.replace("$" + OPEN, "") for _, text in texts(value))


def references(template: Any) -> frozenset[Path]:
    """The dotted paths that the expressions in `template` read; a text index counts as a field, a macro's variable does not. Unreadable ones name nothing."""
    return frozenset(path for found in examine(template) for path in found.paths)


def references_of_condition(text: str) -> frozenset[Path]:
    """The dotted paths that an `if` or `check` reads."""
    return frozenset(examine_condition(text).paths)


def examine(template: Any) -> list[Found]:
    """Each text in `template` that holds expressions, with what they read and what is wrong with them."""
    found = []
    for place, text in texts(template):
        if OPEN not in text:
            continue
        try:
            codes = [_stripped(part) for part in split(text) if isinstance(part, Code)]
        except Unclosed as error:
            found.append(Found(place, (), ((str(error), error.start + 1),)))
            continue
        seen = [(code.start, *_examined(code.text)) for code in codes]
        paths = tuple(path for _, paths, _ in seen for path in paths)
        columns = tuple(offset + start + 1 for start, paths, _ in seen for offset in paths.values())
        problems = tuple((message, column and column + start) for start, _, problems in seen for message, column in problems)
        if codes:
            found.append(Found(place, paths, problems, columns))
    return found


def examine_condition(text: str) -> Found:
    """The same of an `if` or `check`, with or without braces."""
    try:
        code = _stripped(_bare(text))
    except ExpressionError as error:
        return Found((), (), ((error.message, error.column),))
    paths, problems = _examined(code.text)
    columns = tuple(offset + code.start + 1 for offset in paths.values())
    return Found((), tuple(paths), tuple((message, column and column + code.start) for message, column in problems), columns)


def syntax_problems(text: str) -> list[tuple[str, int | None]]:
    """What is wrong with one expression, with or without braces: messages and columns."""
    return list(examine_condition(text).problems)


def texts(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text in a JSON value, with the keys and indexes that lead to it."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*place, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from texts(item, (*place, index))


@lru_cache(maxsize=4096)
def _examined(text: str) -> tuple[Mapping[Path, int], tuple[tuple[str, int | None], ...]]:
    """The paths that one expression reads, in its order, each with the offset where it begins first, and what is wrong with it."""
    found = scan(text)
    if found.problems:
        return {}, tuple((message, offset + 1) for message, offset in found.problems)
    try:
        program_of(found)
    except ExpressionError as error:
        return {}, ((error.message, error.column),)
    paths: dict[Path, int] = {}
    for reference in found.references:
        paths.setdefault(reference.fields, reference.starts[0])
    return paths, ()


def _bare(text: str) -> Code:
    """The one expression that a condition's text is, with or without braces."""
    if not text.lstrip().startswith(OPEN):
        return Code(text, 0)
    try:
        parts = split(text.strip())
    except Unclosed as error:
        raise ExpressionError(error.text, str(error), error.start + 1) from None
    if len(parts) != 1 or not isinstance(parts[0], Code):
        raise ExpressionError(text[:200], "A condition is one expression.", 1)
    return Code(parts[0].text, parts[0].start + len(text) - len(text.lstrip()))


def _stripped(code: Code) -> Code:
    return Code(code.text.strip(), code.start + len(code.text) - len(code.text.lstrip()))


def _value(code: Code, names: Mapping[str, Any]) -> Any:
    code = _stripped(code)
    try:
        return compiled(code.text).value(names)
    except ExpressionError as error:
        raise error.moved(code.start) from None


def _rendered(text: str, names: Mapping[str, Any]) -> Any:
    try:
        parts = split(text)
    except Unclosed as error:
        raise ExpressionError(error.text, str(error), error.start + 1) from None
    if len(parts) == 1 and isinstance(parts[0], Code):
        return _value(parts[0], names)
    pieces = []
    left = LARGEST
    for part in parts:
        piece = part if isinstance(part, str) else _joined(part, _value(part, names))
        left -= len(piece)
        if left < 0:
            raise ExpressionError(text[:200], f"The text becomes longer than {LARGEST:,} characters.", None)
        pieces.append(piece)
    return "".join(pieces)


def _joined(code: Code, value: Any) -> str:
    """A value inside a text. Lists and objects are JSON, as a script or service on the other side can read; null is refused, because an
    empty place in a command or an address would be the silent default that S1 forbids."""
    if isinstance(value, str):
        return value
    if value is None:
        raise ExpressionError(code.text.strip(), "The value is null and cannot stand in a text.", code.start + 1)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
