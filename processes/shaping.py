"""Plain values into the types of the process file: what fits is kept, and for all that does not one plain sentence says what would. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from processes.blueprint import RESERVED_IDS, Activity, Blueprint, Part, StoreActivity
from processes.plain_text import LEFT_OUT, MAX_PROBLEMS
from processes.problems import Problem, pointer
from processes.sentences import empty_key, sentence
from processes.shapes import FREE, Shape, part_shape, shape_at

Path = tuple[str | int, ...]

PLACEHOLDER: Final = "unnamed"
"""The id of a document that has no readable one, so that the rest can be checked; such a document is never stored."""

NOT_IN_STORE: Final = ("id", "uses", "depends_on")
"""Keys that belong to the step of a process, not to the activity of the store that it uses."""


@dataclass(slots=True)
class Shaped:
    """`document` without what could not be read, `whole` its Blueprint or StoreActivity (inside one: Activity).

    `kept` has, for each list that lost items, the old indexes of those that stayed.
    """

    document: dict[str, Any]
    whole: Any
    problems: list[Problem]
    kept: dict[Path, list[int]] = field(default_factory=dict)


def shaped(document: Mapping[str, Any]) -> Shaped:
    """Fit a document to its types. Items of lists that are LEFT_OUT are passed over. Places of problems are those of `document`."""
    kind = _kind(document)
    body = {key: value for key, value in document.items() if value is not LEFT_OUT}
    fitting = _Fitting(StoreActivity if kind == "Activity" else Blueprint, body)
    inner = _check_store_activity(fitting, body.get("activity")) if kind == "Activity" else {}
    fitting.fit()
    for path, other in _duplicates(body):
        fitting.problems.append(Problem("duplicate_id", f'"{_at(body, path)}" is there twice; the first is at {pointer(*other)}.', pointer(*path)))
        fitting.leave_out(path[:-1])
    if (identifier := body.get("id")) in list(RESERVED_IDS):  # whatever stands there, perhaps a list
        fitting.problems.append(Problem("reserved_id", f'"{identifier}" is part of an address and cannot be an id.', "/id"))
    found = fitting.result()
    if inner and isinstance(found.whole, StoreActivity):
        found.whole = found.whole.model_copy(update={"activity": inner})
    return found


class _Fitting:
    """Repeats validation without what did not fit, until the rest does; only the first round speaks, the others follow from it."""

    def __init__(self, part: type[Part], document: dict[str, Any]) -> None:
        self.part = part
        self.document = document
        self.out: set[Path] = set()
        self.problems: list[Problem] = []
        self.whole: Any = None
        self.left: dict[str, Any] = {}
        self.kept: dict[Path, list[int]] = {}
        self.tried: set[Path] | None = None

    def leave_out(self, path: Path) -> None:
        self.out.add(path)

    def fit(self) -> None:
        for path in _empty_keys(self.document, part_shape(self.part)):
            self.problems.append(Problem("wrong_type", empty_key(str(path[-1])), pointer(*path)))
            self.leave_out(path)
        self.say(self.misfits())

    def misfits(self) -> list[tuple[Path, dict[str, Any]]]:
        """Where validation of what is left does not fit, in the document's own places; sets `whole` when all fits."""
        self.tried = set(self.out)
        self.whole = None
        kept = self.kept = dict[Path, list[int]]()
        self.left = document = _without(self.document, (), self.out, kept)
        if "id" not in document:
            document = document | {"id": PLACEHOLDER}
            missing: list[tuple[Path, dict[str, Any]]] = [] if ("id",) in self.out else [(("id",), {"type": "missing", "ctx": {}})]
        else:
            missing = []
        try:
            self.whole = self.part.model_validate_json(json.dumps(document), strict=True, by_alias=True, by_name=False)
        except ValidationError as error:
            found = []
            for detail in error.errors(include_url=False, include_input=False):
                location: Path = detail["loc"]
                if location[-1] == "[key]" and detail["type"] == "string_pattern_mismatch":
                    location = location[:-1]
                _, length = shape_at(part_shape(self.part), location)
                found.append((_original(location[:length], kept), dict(detail)))
            return missing + found
        return missing

    def say(self, misfits: Iterable[tuple[Path, dict[str, Any]]]) -> None:
        by_place: dict[Path, list[dict[str, Any]]] = {}
        for path, detail in misfits:
            by_place.setdefault(path, []).append(detail)
        for path, details in by_place.items():
            if len(self.problems) <= MAX_PROBLEMS:  # one more than are told; guessing what each was meant to be takes time
                shape, _ = shape_at(part_shape(self.part), path[:-1])
                self.problems.append(sentence(path, details, _at(self.document, path), shape.part))
            self.leave_out(path if details[0]["type"] != "missing" else _container(path))

    def result(self) -> Shaped:
        while self.tried != self.out:  # ends: each round leaves out more, or fits
            for path, detail in self.misfits():
                self.leave_out(path if detail["type"] != "missing" else _container(path))
        return Shaped(self.left, self.whole, self.problems, self.kept)


def _kind(document: Mapping[str, Any]) -> str:
    kind = document.get("kind", "Process")
    if kind in ("Process", "Activity"):
        return str(kind)
    return "Activity" if "activity" in document and "phases" not in document else "Process"


def _check_store_activity(fitting: _Fitting, body: Any) -> dict[str, Any]:
    """The `activity` mapping has the keys of an activity, but for those that place it in a process. Returns it in its canonical form."""
    if not isinstance(body, dict):
        return {}
    for key in NOT_IN_STORE:
        if key in body:
            fitting.problems.append(Problem("unknown_key", f'"{key}" belongs to the step of a process that uses this activity.', pointer("activity", key)))
            fitting.leave_out(("activity", key))
    inner = _Fitting(Activity, {"id": PLACEHOLDER} | {key: value for key, value in body.items() if key not in NOT_IN_STORE})
    inner.fit()
    for path, other in _duplicate_tasks(body, ("activity",)):
        fitting.problems.append(Problem("duplicate_id", f'"{_at(body, path[1:])}" is there twice; the first is at {pointer(*other)}.', pointer(*path)))
        inner.leave_out(path[1:-1])
    fitting.problems += [Problem(problem.code, problem.message, "/activity" + problem.place) for problem in inner.problems]
    activity = inner.result().whole
    fitting.out |= {("activity", *path) for path in inner.out}
    canonical = activity.model_dump(mode="json", by_alias=True, exclude_defaults=True) if activity else {}
    return {key: value for key, value in canonical.items() if key != "id"}


def _duplicates(document: Mapping[str, Any]) -> list[tuple[Path, Path]]:
    """Where an id is said again, and where it was first: phases, activities of the whole process, tasks of one checklist."""
    found: list[tuple[Path, Path]] = []
    phases: dict[str, Path] = {}
    activities: dict[str, Path] = {}
    for path, phase in _items(document, "phases", ()):
        found += _again(phase, path, phases)
        for inner, activity in _items(phase, "activities", path):
            found += _again(activity, inner, activities)
            found += _duplicate_tasks(activity, inner)
    return found


def _duplicate_tasks(activity: Mapping[str, Any], path: Path) -> list[tuple[Path, Path]]:
    tasks: dict[str, Path] = {}
    return [again for inner, task in _items(activity, "tasks", path) for again in _again(task, inner, tasks)]


def _again(item: Mapping[str, Any], path: Path, first: dict[str, Path]) -> list[tuple[Path, Path]]:
    identifier = item.get("id")
    here = (*path, "id")
    if not isinstance(identifier, str) or first.setdefault(identifier, here) == here:
        return []
    return [(here, first[identifier])]


def _items(mapping: Mapping[str, Any], key: str, path: Path) -> list[tuple[Path, dict[str, Any]]]:
    items = mapping.get(key)
    return [((*path, key, index), item) for index, item in enumerate(items) if isinstance(item, dict)] if isinstance(items, list) else []


def _empty_keys(value: Any, shape: Shape, path: Path = ()) -> list[Path]:
    """Keys of the format with nothing after them: `depends_on:` left empty is a slip, and must not mean "on nothing"."""
    if isinstance(value, dict) and shape.kind in ("part", "map"):
        found: list[Path] = []
        for key, inside in value.items():
            inner = shape.inside(key)
            if inner is not None and inner is not FREE:
                found += [(*path, key)] if inside is None else _empty_keys(inside, inner, (*path, key))
        return found
    if isinstance(value, list) and shape.item is not None and shape.item.kind != "leaf":
        return [found for index, item in enumerate(value) for found in _empty_keys(item, shape.item, (*path, index))]
    return []


def _without(value: Any, path: Path, out: set[Path], kept: dict[Path, list[int]]) -> Any:
    """`value` as a copy without the places in `out` and the items that are LEFT_OUT; `kept` gets the old indexes of shortened lists."""
    if isinstance(value, dict):
        return {key: _without(inside, (*path, key), out, kept) for key, inside in value.items() if inside is not LEFT_OUT and (*path, key) not in out}
    if isinstance(value, list):
        stays = [index for index, item in enumerate(value) if item is not LEFT_OUT and (*path, index) not in out]
        if len(stays) < len(value):
            kept[path] = stays
        return [_without(value[index], (*path, index), out, kept) for index in stays]
    return value


def _original(path: Sequence[str | int], kept: Mapping[Path, list[int]]) -> Path:
    """The place in the document as written of a place in the document as left; `kept` is by places as written."""
    found: Path = ()
    for step in path:
        found = (*found, kept[found][step] if isinstance(step, int) and found in kept else step)
    return found


def original_place(place: str, kept: Mapping[Path, list[int]]) -> str:
    """The JSON Pointer into the document as written of one into the document as left."""
    if not kept:
        return place
    found: Path = ()
    for text in place.split("/")[1:]:
        step: str | int = text.replace("~1", "/").replace("~0", "~")
        if found in kept and re.fullmatch("[0-9]{1,6}", text) and int(text) < len(kept[found]):
            step = kept[found][int(text)]
        elif re.fullmatch("[0-9]{1,6}", text):
            step = int(text)
        found = (*found, step)
    return pointer(*found)


def _container(path: Path) -> Path:
    """What must go when a key is missing in it: the item of a list, or the key that holds the mapping."""
    return path[:-1] or path


def _at(document: Any, path: Path) -> Any:
    """The value at a place, or LEFT_OUT when there is none."""
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return LEFT_OUT
    return document
