"""The process file read: YAML or JSON in, a typed blueprint and every problem at once out (S27). Pure.

Unreadable is what holds an error here; whether a readable blueprint makes sense is the question of `processes.soundness`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from processes.blueprint import Blueprint, StoreActivity
from processes.json_text import read_json
from processes.plain_text import LEFT_OUT, MAX_DEPTH, MAX_PROBLEMS, Text, Unreadable, number_message, plain_number
from processes.problems import Problem, errors
from processes.schema import json_schema
from processes.shaping import Path, original_place, shaped
from processes.writing import canonical, digest, document, to_yaml
from processes.yaml_text import read_yaml

__all__ = ["Reading", "canonical", "digest", "document", "json_schema", "parse", "read", "to_yaml"]


@dataclass(frozen=True)
class Reading:
    """What could be read of a text or document.

    `blueprint` is made of what fits, so that all of it can be checked even when something did not; it is None only when there is no
    mapping to read. Whoever stores it asks `unreadable` first. Places of `problems` are those of the text.
    """

    document: dict[str, Any]
    blueprint: Blueprint | StoreActivity | None
    problems: list[Problem]
    source: str = ""
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    kept: Mapping[Path, list[int]] = field(default_factory=dict, repr=False)

    @property
    def unreadable(self) -> bool:
        """Whether something could not be read, so that nothing of it is stored."""
        return bool(errors(self.problems))

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """Problems found in `document` or `blueprint`, with their place in the text as written and its line."""
        return [_with_line(replace(problem, place=original_place(problem.place, self.kept)), self.lines) for problem in problems]


def read(text: str | bytes) -> Reading:
    """Read one process or store activity from YAML or JSON text. Never raises; limits on its size in bytes are the caller's (1 MiB)."""
    source, problems = _decoded(text)
    found = _values(source)
    return _reading(found.value, found.lines, problems + found.problems, source)


def parse(document: object, lines: Mapping[str, int] | None = None) -> Reading:
    """Read one process or store activity from JSON values. `lines` gives lines of a text by JSON Pointer, where there is one."""
    found = Text()
    try:
        found.value = _plain(document, "", 1, found)
    except Unreadable as stop:
        found.problems.append(stop.problem)
    return _reading(found.value, lines or {}, [replace(problem, line=None) for problem in found.problems], "")


def _reading(value: Any, lines: Mapping[str, int], problems: list[Problem], source: str) -> Reading:
    if value is LEFT_OUT:
        return Reading({}, None, _finished(problems, lines), source, lines)
    if not isinstance(value, dict):
        seen = "empty" if value is None else "a list" if isinstance(value, list) else "a single value"
        missing = Problem("not_a_mapping", f"A process file is a mapping that starts with keys such as id, name and phases; this one is {seen}.", line=1)
        return Reading({}, None, _finished([*problems, missing], lines), source, lines)
    result = shaped(value)
    return Reading(result.document, result.whole, _finished(problems + result.problems, lines), source, lines, result.kept)


def _finished(problems: Iterable[Problem], lines: Mapping[str, int]) -> list[Problem]:
    """Each with its line, in the order of the text, and not endless."""
    found = sorted((_with_line(problem, lines) for problem in problems), key=lambda problem: (problem.line or 0, problem.place, problem.code))
    if len(found) > MAX_PROBLEMS:
        more = Problem("too_many_problems", "There are more problems than these.", line=found[MAX_PROBLEMS - 1].line)
        found = [*found[:MAX_PROBLEMS], more]
    return found


def _with_line(problem: Problem, lines: Mapping[str, int]) -> Problem:
    """The line of the place, or of the nearest thing around it that has one."""
    if problem.line is not None or not lines:
        return problem
    place = problem.place
    while place not in lines and place:
        place = place.rpartition("/")[0]
    return replace(problem, line=lines.get(place))


def _decoded(text: str | bytes) -> tuple[str, list[Problem]]:
    if isinstance(text, str):
        return text.removeprefix("\ufeff"), []
    try:
        return text.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        problem = Problem("bad_encoding", f"The file is not UTF-8: byte {text[error.start]:#04x} fits no character; save it as UTF-8.", line=line)
        return text.decode("utf-8-sig", errors="replace"), [problem]


def _values(source: str) -> Text:
    """JSON where it is JSON; else YAML, of which `{…}` is a form too."""
    if not source.lstrip(" \t\r\n").startswith("{"):
        return read_yaml(source)
    as_json = read_json(source)
    if as_json.value is not LEFT_OUT:
        return as_json
    as_yaml = read_yaml(source)
    return as_json if as_yaml.value is LEFT_OUT else as_yaml


def _plain(value: Any, place: str, depth: int, found: Text) -> Any:
    """A copy of `value` that holds only what JSON, jsonb and CEL keep as it is."""
    found.counted(place, 0)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return found.text(value, place, 0)
    if isinstance(value, (int, float)):
        number = plain_number(value)
        if number is None:
            found.add("bad_number", number_message(str(value)), place, 0)
        return LEFT_OUT if number is None else number
    if not isinstance(value, (dict, list, tuple)):
        found.add("wrong_type", f"A value of type {type(value).__name__} has no place in a process file.", place, 0)
        return LEFT_OUT
    if depth > MAX_DEPTH:
        return found.too_deep(place, 0)
    if not isinstance(value, dict):
        return [_plain(item, f"{place}/{index}", depth + 1, found) for index, item in enumerate(value)]
    values: dict[str, Any] = {}
    for key, item in value.items():
        text = key if isinstance(key, str) else json.dumps(key, default=str)
        inner, counts = found.key(text, values, place, 0)
        if counts:
            values[text] = _plain(item, inner, depth + 1, found)
    return values
