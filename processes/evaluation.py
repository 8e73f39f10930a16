"""One expression, checked and compiled once, evaluated often. Pure.

Around the CEL library (Rust) stand the bounds that it has not: an evaluation there cannot be interrupted, holds the interpreter and builds
the lists of `map` and `filter` in quadratic time (57 s for two nested over a thousand). So the names are cut down to what the expression
reads, every macro asks `__each` before it walks, and `__each` charges `Work` for what the walk will cost with these very values.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import math
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from processes.functions import LARGEST, OURS, TooMuch, Work, elements, plain, weigh
from processes.problems import did_you_mean
from processes.scanning import Reference, Scan, scan

_LIBRARYS = frozenset({"int", "double", "contains", "startsWith", "endsWith"})
"""Functions that stay the library's own; `int` with ours for the types that it leaves out."""
_COLLECTING = frozenset({"map", "filter"})
_SYNTAX = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
_TYPES = {"int": "integer", "uint": "integer", "float": "number", "double": "number", "bool": "boolean", "map": "object"}
_UNEXPECTED = re.compile(r"(?:extraneous|mismatched|no viable alternative at) input '(.*?)'(?: expecting|$)")


def _library() -> Any:
    """The library's native module. Imported by itself: its package also imports a command line, half a second and 20 MB for nothing."""
    if "cel.cel" not in sys.modules:
        package = importlib.util.find_spec("cel")
        spec = importlib.machinery.PathFinder.find_spec("cel.cel", package.submodule_search_locations if package else None)
        if spec is None or spec.loader is None:
            raise ImportError("common-expression-language is not installed")
        module = importlib.util.module_from_spec(spec)
        sys.modules["cel.cel"] = module
        spec.loader.exec_module(module)
    return sys.modules["cel.cel"]


cel = _library()
_matcher = cel.compile("text.matches(pattern)")


class ExpressionError(Exception):
    """An expression that cannot be read or evaluated (S1). `column` counts from 1 in the text as it was given."""

    code = "expression_error"

    def __init__(self, expression: str, message: str, column: int | None = None) -> None:
        super().__init__(expression, message, column)
        self.expression = expression
        self.message = message
        self.column = column

    def __str__(self) -> str:
        where = f" (column {self.column})" if self.column else ""
        return f'{self.message} In the expression "{self.expression}"{where}.'

    def moved(self, offset: int) -> ExpressionError:
        """The same error in a text in which the expression begins at `offset`."""
        return ExpressionError(self.expression, self.message, self.column + offset if self.column else None)


def matches(text: str, pattern: str) -> bool:
    """Does `pattern` occur in `text`? In time linear in the text (no backtracking). Raises ValueError when it is not a pattern."""
    try:
        return bool(_matcher.execute({"text": text, "pattern": pattern}))
    except Exception as error:
        detail = re.split(r"error:\s|\n", str(error))[-1].removesuffix(". Check function arguments and their types.").strip().rstrip(".")
        if "size limit" in detail:
            detail = "it is too large"
        raise ValueError(f"{pattern[:100]!r} is not a pattern: {detail}") from None


class Compiled:
    """An expression ready to run. Immutable, shared between threads."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.scan, self.program = checked(text)
        self.paths = self.scan.references
        if not self.scan.is_path:
            self.needed = _tree(self.paths)
            self.own = {call.name if call.name in _LIBRARYS else f"__{call.name}": call.name for call in self.scan.calls if call.name in OURS}
            self.bodies = [_Body(number, self.scan) for number in range(len(self.scan.macros))]

    def value(self, names: Mapping[str, Any]) -> Any:
        """The plain JSON value for these names. Raises ExpressionError."""
        if self.scan.is_path:
            return self._resolved(self.paths[0], names)
        context = _pruned(self.needed, names)
        try:
            weights = [weigh(_at(reference.path, context)) for reference in self.paths]
            if sum(weights) > 4 * LARGEST:
                raise TooMuch("the values are too large to compute with")
        except TooMuch as error:
            raise self._error(_sentence(str(error))) from None
        work = Work(matches)
        for name, function in self.own.items():
            context[name] = work.function(function)
        if self.bodies:
            walk = _Walk(work, self.bodies, weights)
            if not walk.count([_at(reference.path, context) for reference in self.paths]):
                raise self._error(_sentence(work.problem))
            context["__each"] = walk.each
            context["__flat"] = walk.flat
        try:
            result = self.program.execute(context)
        except Exception as error:
            if work.problem:
                raise self._error(_sentence(work.problem)) from None
            raise self._explained(error, names) from None
        except BaseException as error:
            raise _panic(error, self.text) from None
        if work.problem:
            raise self._error(_sentence(work.problem))
        try:
            weigh(result, longest=None)
            return plain(result)
        except ValueError as error:
            raise self._error(_sentence(str(error))) from None

    def _error(self, message: str, offset: int | None = None) -> ExpressionError:
        return ExpressionError(self.text, message, None if offset is None else offset + 1)

    def _resolved(self, reference: Reference, names: Mapping[str, Any]) -> Any:
        """What a path alone names: handed on as it is, in its own type."""
        value: Any = names
        for position, part in enumerate(reference.path):
            if type(part) is str and isinstance(value, Mapping):
                if part not in value:
                    raise self._missing(reference, position, names)
                value = value[part]
            elif type(part) is int and isinstance(value, list):
                if part >= len(value):
                    raise self._error(f"The list has {len(value)} elements and no [{part}].", reference.starts[position])
                value = value[part]
            else:
                kind = {list: "a list", str: "a text", type(None): "null"}.get(type(value), "a value")
                raise self._error(f"{_written(reference.path[:position])} is {kind} and has no {part}.", reference.starts[position])
        try:
            weigh(value, longest=None)
        except TooMuch as error:
            raise self._error(_sentence(str(error))) from None
        return dict(value) if isinstance(value, Mapping) and not isinstance(value, dict) else value

    def _missing(self, reference: Reference, position: int, names: Mapping[str, Any]) -> ExpressionError:
        path, word = reference.path, reference.path[position]
        known: list[str] = list(_at(path[:position], names) or ())
        near = did_you_mean(str(word), known)
        if position == 0:
            message = f'There is no name "{word}" here.{near or " There are " + ", ".join(sorted(known)) + "." if known else ""}'
        elif position == 1 and path[0] in {"activities", "phases"}:
            message = f'There is no {"activity" if path[0] == "activities" else "phase"} "{word}" here.{near}'
        elif position == 3 and path[2] == "outputs" and path[0] in {"activities", "phases"}:
            state = _at((*path[:2], "state"), names)
            message = f"{_written(path[:2])} has no output named {word}.{near or (f' It is {state}.' if state and not known else '')}"
        elif position == 1 and path[0] == "inputs":
            message = f'There is no input "{word}", or it was not given.{near}'
        else:
            message = f'{_written(path[:position])} has no "{word}".{near}'
        return self._error(message, reference.starts[position])

    def _explained(self, error: Exception, names: Mapping[str, Any]) -> ExpressionError:
        """The library's error in words that help; for a missing name with its place."""
        text = str(error)
        undefined = re.match(r"Undefined variable or function: '(.*?)'", text)
        key = undefined[1] if undefined else error.args[0] if isinstance(error, KeyError) and error.args else None
        if key is not None:
            for reference in self.paths:
                depth = _depth(reference.path[:-1] if reference.tested else reference.path, names)
                if depth is not None and reference.path[depth] == key:
                    return self._missing(reference, depth, names)
            if undefined:
                return self._error(f"{key.removeprefix('__')}() cannot take these values.")
            return self._error(f'There is no "{key}" in the value.')
        if isinstance(error, ZeroDivisionError):
            return self._error("Division by zero.")
        if isinstance(error, OverflowError):
            return self._error("A number or time is out of range.")
        if isinstance(error, IndexError):
            return self._error(f"The list has no such element: {text}.")
        if isinstance(error, TypeError):
            detail = re.match(r"Unsupported operation: (\S+ \S+ \S+?)[. ]", text)
            what = f"{_in_our_words(detail[1])} cannot be computed." if detail else "An operation does not fit the types of its values."
            return self._error(f"{what} Types are never converted by themselves: write int(…), double(…) or string(…).")
        if found := re.match(r"Function '(\w+)' error: (.*?)(?:\. Check function arguments.*)?$", text, re.DOTALL):
            return self._error(f"{found[1]}(): {found[2]}.")
        return self._error("The expression cannot be evaluated with these values.")


def checked(text: str) -> tuple[Scan, Any]:
    """What an expression is made of, and its program. Raises ExpressionError with the first thing that is wrong."""
    found = scan(text)
    for message, offset in found.problems:
        raise ExpressionError(text[:200], message, offset + 1)
    return found, program_of(found)


def program_of(found: Scan) -> Any:
    """The library's program for an expression that was scanned without problems; none for a path alone. Raises ExpressionError."""
    text = found.text
    if found.is_path:
        return None
    try:
        program = cel.compile(text)
    except Exception as error:
        message, column = _syntax(text, str(error))
        raise ExpressionError(text, message, column) from None
    except BaseException as error:
        raise _panic(error, text) from None
    runs = _instrumented(found)
    try:
        return program if runs == text else cel.compile(runs)
    except Exception:
        # Something was taken for the beginning of a value that is none, as in `-0.map(…)`.
        raise ExpressionError(text, "The expression is ambiguous; put the value before .map, .filter, .all or .exists in brackets.", None) from None


def _panic(error: BaseException, text: str) -> BaseException:
    """A panic of the library is a BaseException; anything else of that kind goes on as it is."""
    if type(error).__module__ == "pyo3_runtime":
        return ExpressionError(text, "The expression cannot be read or evaluated.")
    return error


@lru_cache(maxsize=4096)
def compiled(text: str) -> Compiled:
    """The expression, from the cache when it was seen lately. Raises ExpressionError."""
    return Compiled(text)


def _syntax(text: str, report: str) -> tuple[str, int | None]:
    found = _SYNTAX.search(report)
    if not found:
        return "The expression cannot be read.", None
    lines = text.split("\n")
    column = sum(len(line) + 1 for line in lines[: int(found[1]) - 1]) + int(found[2])
    unexpected = _UNEXPECTED.match(found[3])
    if (unexpected and unexpected[1] == "<EOF>") or "Incomplete" in found[3]:
        return "The expression is not complete.", column
    if unexpected:
        return f'"{unexpected[1]}" cannot stand here.', column
    return f"{found[3][:1].upper()}{found[3][1:].rstrip('!. ')}.", column


def _instrumented(found: Scan) -> str:
    """The text that really runs: our functions in place of the library's, and `__each` around what macros walk.

    `list.map(x, body)` becomes `__flat(__each(0, list).map(__part, __part.map(x, body)))`, the parts being about the square root long:
    the library copies its result once per element.
    """
    inserted: dict[int, list[str]] = {}
    for call in found.calls:
        if call.name not in _LIBRARYS:
            inserted.setdefault(call.start, []).append("__")
    opening: dict[int, list[str]] = {}
    for number, macro in enumerate(found.macros):
        if _counted(number, found) is not None:
            continue
        collects = macro.name in _COLLECTING
        opening.setdefault(macro.target, []).append(f"{'__flat(' if collects else ''}__each({number}, ")
        inserted.setdefault(macro.dot, []).append(").map(__part, __part" if collects else ")")
        if collects:
            inserted.setdefault(macro.end + 1, []).append("))")
    for offset, texts in opening.items():
        # Of chained macros with the same beginning, the last one is the outermost.
        inserted[offset] = [*reversed(texts), *inserted.get(offset, [])]
    pieces = []
    last = 0
    for offset in sorted(inserted):
        pieces += [found.text[last:offset], *inserted[offset]]
        last = offset
    return "".join([*pieces, found.text[last:]])


class _Body:
    """What one macro's body reads: the numbers of the references and of the macros' variables in it, and the length of its text.

    `counted` is the reference that the macro walks when its cost is known before the evaluation: a test (`all`, `exists`, `exists_one`)
    of a list among the names, inside nothing but such. It needs no `__each`, which would convert the list at every walk.
    """

    __slots__ = ("collects", "counted", "length", "outer", "references", "variables")

    def __init__(self, number: int, found: Scan) -> None:
        macro = found.macros[number]
        self.collects = macro.name in _COLLECTING
        self.counted = _counted(number, found)
        self.length = macro.end - macro.body
        self.outer = macro.outer
        walked = {_counted(other, found) for other in range(len(found.macros))}
        self.references = tuple(index for index, reference in enumerate(found.references) if number in reference.macros and index not in walked)
        self.variables = tuple(macro.uses)


def _counted(number: int, found: Scan) -> int | None:
    macro = found.macros[number]
    if macro.name in _COLLECTING or any(_counted(outer, found) is None for outer in macro.outer):
        return None
    for index, reference in enumerate(found.references):
        if reference.starts[0] == macro.target and reference.end == macro.dot and all(type(part) is str for part in reference.path):
            return index
    return None


class _Walk:
    """The macros of one evaluation: each walk is charged before it begins."""

    def __init__(self, work: Work, bodies: list[_Body], weights: list[int]) -> None:
        self.work = work
        self.bodies = bodies
        self.weights = weights
        self.widest = [8] * len(bodies)

    def count(self, values: list[Any]) -> bool:
        """Charge the walks that are known beforehand; False when they are too much. `values` are those of the references."""
        steps: list[int] = []
        for number, body in enumerate(self.bodies):
            value = values[body.counted] if body.counted is not None else None
            size = len(value) if isinstance(value, list | dict) else 0
            around = math.prod(steps[outer] for outer in body.outer)
            steps.append(size)
            if body.counted is not None and size:
                self.widest[number] = self.weights[body.counted] // size + 8
                step = body.length + sum(self.weights[index] for index in body.references) + sum(self.widest[index] for index in body.variables)
                if not self.work.spend(around * size * (100 + step) // 200):
                    return False
        return True

    def each(self, number: int, value: Any) -> Any:
        """What macro `number` is to walk: the items, for `map` and `filter` in parts; nothing when it would be too much."""
        body = self.bodies[number]
        if not isinstance(value, list | dict):
            self.work.fail("all, exists, exists_one, map and filter go over a list or an object")
            return []
        try:
            weight = weigh(value)
        except TooMuch as error:
            self.work.fail(str(error))
            return []
        items = elements(value)
        # The widest item so far: a body may build this much of every variable that it reads, at every step.
        self.widest[number] = max(self.widest[number], max((weigh(item) for item in items), default=8))
        step = body.length + sum(self.weights[index] for index in body.references) + sum(self.widest[index] for index in body.variables)
        cost = weight // 5 + len(items) * (1 + step // (4 if body.collects else 200))
        if not self.work.spend(cost):
            return []
        if not body.collects:
            return items
        size = max(1, math.isqrt(len(items)))
        return [items[start : start + size] for start in range(0, len(items), size)]

    def flat(self, parts: Any) -> Any:
        """The results of the parts as one list."""
        if not isinstance(parts, list):
            return []
        found = [item for part in parts for item in part]
        try:
            self.work.spend(weigh(found) // 5)
        except TooMuch as error:
            self.work.fail(str(error))
            return []
        return found


def _tree(references: list[Reference]) -> dict[str, Any]:
    """What must be handed over: nested names, `None` where all below is needed."""
    tree: dict[str, Any] = {}
    for reference in references:
        node = tree
        fields = reference.fields
        for part in fields[:-1]:
            if node.get(part, {}) is None:
                break
            node = node.setdefault(part, {})
        else:
            node[fields[-1]] = None
    return tree


def _pruned(tree: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, below in tree.items():
        if name not in values:
            continue
        value = values[name]
        if isinstance(value, Mapping) and (below is not None or not isinstance(value, dict)):
            value = _pruned(dict.fromkeys(value) if below is None else below, value)
        found[name] = value
    return found


def _at(path: tuple[str | int, ...], names: Any) -> Any:
    """The value at a path, as far as it consists of fields; None where there is none."""
    value = names
    for part in path:
        if type(part) is not str or not isinstance(value, Mapping):
            return value if type(part) is not str else None
        value = value.get(part)
    return value


def _depth(path: tuple[str | int, ...], names: Mapping[str, Any]) -> int | None:
    """The position of the first part of `path` that is missing."""
    value: Any = names
    for position, part in enumerate(path):
        if type(part) is not str or not isinstance(value, Mapping):
            return None
        if part not in value:
            return position
        value = value[part]
    return None


def _sentence(text: str) -> str:
    """A problem as a sentence; a name of a function keeps its case."""
    return f"{text if re.match(r'[A-Za-z]+[(]', text) else text[0].upper() + text[1:]}."


def _in_our_words(operation: str) -> str:
    return re.sub(r"\b(?:int|uint|float|double|bool|map)\b", lambda found: _TYPES[found[0]], operation)


def _written(path: tuple[str | int, ...]) -> str:
    text = str(path[0])
    for part in path[1:]:
        text += f"[{part}]" if type(part) is int else f".{part}"
    return text
