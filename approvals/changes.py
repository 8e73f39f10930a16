"""What is different between two things that people decide on: two packets of one question, or two releases of one process. Pure.

Only differences, each with before and after, the largest risk first: a weakened control, a secret that was replaced, what will be rolled out (digests, images,
commits), what is gone, other results, inputs, variables, the rest of the process. A reader who stops after the first line has read the most important one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["added", "removed", "changed"]
Risk = Literal["high", "medium", "low"]
LONGEST = 200
_ARTIFACTS = frozenset(
    {
        "image",
        "images",
        "digest",
        "digests",
        "sha",
        "sha1",
        "sha256",
        "checksum",
        "commit",
        "revision",
        "artifact",
        "artifacts",
        "build",
        "package",
        "tag",
        "ref",
    }
)
_DIGEST = re.compile(r"(?:sha(?:1|256|512):)?[0-9a-f]{40,128}|.+@sha256:[0-9a-f]{6,64}|sha256:[0-9a-f]{6,64}")
_EVIDENCE = frozenset({"name", "size", "hash", "link"})
_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `place` is where the value is (`inputs.version`), `rank` its risk: 0 is the largest."""

    place: str
    kind: Kind
    before: str
    after: str
    rank: int
    secret: bool = False
    name: str = ""
    """What people call the place; without it the place."""

    @property
    def risk(self) -> Risk:
        """In one word."""
        return "high" if self.rank <= _SECRET else "medium" if self.rank <= _RESULT else "low"

    @property
    def text(self) -> str:
        """One line for plain text: `inputs.version: 1.2 → 1.3`."""
        if self.secret:
            return f"{self.place}: replaced by another secret"
        if self.kind == "added":
            return f"{self.place}: new, {self.after}"
        if self.kind == "removed":
            return f"{self.place}: gone, was {self.before}"
        return f"{self.place}: {self.before} → {self.after}"

    def as_dict(self) -> dict[str, Any]:
        """Its shape in the API."""
        return {"kind": self.kind, "place": self.place, "before": self.before or None, "after": self.after or None, "risk": self.risk, "text": self.text}


_CONTROL, _SECRET, _ARTIFACT, _GONE, _RESULT, _INPUT, _VARIABLE, _OTHER = range(8)
_RANKS = dict.fromkeys(("activities", "phases", "form", "tasks"), _RESULT) | {"lines": _CONTROL, "inputs": _INPUT, "variables": _VARIABLE}


def of_values(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Differences of values by origin (`inputs`, `variables`, `activities.<id>.outputs` …), the largest risk first."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    found = [_change(place, old.get(place, _ABSENT), new.get(place, _ABSENT)) for place in dict.fromkeys((*new, *old)) if _differs(old, new, place)]
    return in_order(found)


def of_process(changes: Iterable[Any]) -> list[Change]:
    """Changes of the process's definition (of `processes.diffing`); one that weakens a control comes first of all."""
    return [Change(f"process: {change.text}", "changed", "", "", _CONTROL if change.weakens else _OTHER) for change in changes]


def of_packets(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What is different for somebody who has decided on `before` and is asked again about `after`."""
    return of_values(_of_packet(before), _of_packet(after))


def named(changes: Iterable[Change], steps: Mapping[str, str]) -> list[Change]:
    """With names for people: `steps` are those of activities by id."""
    return [replace(change, name=_name(change.place, steps)) for change in changes]


def in_order(changes: Sequence[Change]) -> list[Change]:
    """The largest risk first; else as they came."""
    return sorted(changes, key=lambda change: change.rank)


def _name(place: str, steps: Mapping[str, str]) -> str:
    origin, _, rest = place.partition(".")
    step, _, inner = rest.partition(".")
    if origin == "activities" and step in steps:
        return f"{steps[step]}: {inner.removeprefix('outputs.') or 'results'}"
    said = {"inputs": "Input", "variables": "Variable", "form": "Form", "tasks": "Task", "lines": "Who decides, line", "text": "Text"}.get(origin)
    return f"{said} {rest}" if said and rest else place


def _of_packet(packet: Mapping[str, Any]) -> dict[str, Any]:
    shown = packet.get("shown", {})
    return {
        **packet.get("bound", {}),
        "form": packet.get("filled", {}),
        "tasks": {task["key"]: {name: value for name, value in task.items() if name != "key"} for task in packet.get("tasks", ())},
        "text": {name: shown[name] for name in ("title", "description", "instructions") if shown.get(name)},
        "lines": {str(n + 1): f"{line['count']} of {', '.join(line['of'])}" for n, line in enumerate(shown.get("lines", ()))},
    }


def _leaves(value: Any, place: str = "") -> Iterable[tuple[str, Any]]:
    """Every value that is compared as one, with its place."""
    if not isinstance(value, Mapping) or not value or _is_secret(value) or set(value) >= _EVIDENCE:
        if place:
            yield place, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{place}.{key}" if place else str(key))


def _is_secret(value: Any) -> bool:
    return isinstance(value, Mapping) and ("$digest" in value or "$secret" in value)


def _differs(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> bool:
    before, after = old.get(place, _ABSENT), new.get(place, _ABSENT)
    if before is _ABSENT or after is _ABSENT:
        # an empty group on one side is no value
        return bool((before if after is _ABSENT else after) != {})
    return type(before) is not type(after) or bool(before != after)


def _change(place: str, before: Any, after: Any) -> Change:
    kind: Kind = "added" if before is _ABSENT else "removed" if after is _ABSENT else "changed"
    secret = _is_secret(before) or _is_secret(after)
    return Change(place, kind, _said(before), _said(after), _rank(place, kind, before, after), secret and kind == "changed")


def _rank(place: str, kind: Kind, before: Any, after: Any) -> int:
    if _is_secret(before) or _is_secret(after):
        return _SECRET
    words = place.rpartition(".")[2].lower().split("_")
    if not _ARTIFACTS.isdisjoint(words) or any(isinstance(value, str) and _DIGEST.fullmatch(value) for value in (before, after)):
        return _ARTIFACT
    if kind == "removed":
        return _GONE
    return _RANKS.get(place.partition(".")[0], _OTHER)


def _said(value: Any) -> str:
    if value is _ABSENT:
        return ""
    if _is_secret(value):
        return "a secret"
    if isinstance(value, Mapping) and set(value) >= _EVIDENCE:
        return f"{value['name']} (SHA-256 {str(value['hash'])[:12]}…)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not text:
        return "empty"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
