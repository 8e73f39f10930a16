"""The difference between two versions as the page shows it: by phase, each change with what was and what is."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from processes import diffing
from processes.blueprint import Blueprint, Phase
from processes.diffing import Change

_LONGEST = 160
_WORDS = {
    "with": "argument",
    "depends_on": "runs after",
    "if": "condition",
    "timeout": "time limit",
    "requires": "",
    "tasks": "task",
    "fields": "field",
    "count": "people needed",
    "of": "who may approve",
    "exclude": "leaves out",
    "due": "due within",
}
SIGNS = {"added": ("+", "ok", "Added"), "removed": ("−", "failed", "Removed"), "changed": ("~", "info", "Changed")}


@dataclass(frozen=True, slots=True)
class Row:
    """One change: its sign, the thing it happened to, in words; `was` and `now` beside each other, or `lines` of a longer text."""

    change: Change
    name: str
    what: str
    was: str
    now: str
    lines: tuple[tuple[str, str], ...] = ()

    @property
    def sign(self) -> str:
        """+, − or ~."""
        return SIGNS[self.change.kind][0]

    @property
    def state(self) -> str:
        """The colour."""
        return SIGNS[self.change.kind][1]

    @property
    def said(self) -> str:
        """The sign in a word."""
        return SIGNS[self.change.kind][2]


@dataclass(slots=True)
class Section:
    """The changes of one phase, or of the process's head."""

    title: str
    rows: list[Row] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """`1 added, 2 changed`."""
        return summary(row.change for row in self.rows)


@dataclass(frozen=True, slots=True)
class Difference:
    """All of it."""

    sections: list[Section]
    counts: dict[str, int]
    weakening: int

    @property
    def total(self) -> int:
        """How many changes."""
        return sum(self.counts.values())


def difference(before: Blueprint, after: Blueprint) -> Difference:
    """What changed, phase by phase in the order of the new version; phases that are gone come last."""
    changes = diffing.changes(before, after)
    sections: dict[str, Section] = {}
    for change in changes:
        phase, name, title, rest = _where(change, before, after)
        key = phase.id if phase else title
        section = sections.setdefault(key, Section(phase.label if phase else title))
        section.rows.append(_row(change, name, rest))
    order = [*(phase.id for phase in after.phases), *(phase.id for phase in before.phases)]
    found = sorted(sections.items(), key=lambda item: order.index(item[0]) if item[0] in order else -1)
    counts = Counter[str](change.kind for change in changes)
    return Difference([section for _, section in found], dict(counts), sum(change.weakens for change in changes))


def summary(changes: Any) -> str:
    """Numbers by kind, in words."""
    counts = Counter(change.kind for change in changes)
    return ", ".join(f"{counts[kind]} {kind}" for kind in SIGNS if counts[kind])


def _where(change: Change, before: Blueprint, after: Blueprint) -> tuple[Phase | None, str, str, list[str]]:
    """The phase, what it happened to, the heading when it belongs to no phase, and the rest of the place."""
    parts = change.place.strip("/").split("/")
    if parts[0] != "phases":
        return None, *_in_head(parts)
    if len(parts) == 1:
        return None, "Phases", "Process", ["order"]
    side = before if change.kind == "removed" else after
    phase = _nth(side.phases, parts[1])
    if phase is not None and len(parts) > 3 and parts[2] == "activities":
        activity = _nth(phase.activities, parts[3])
        if activity is None or (activity.label not in change.text and activity.id not in (change.before, change.after)):
            # What an activity has lost (a line of its approval) is placed in the new document.
            phase = _nth(after.phases, parts[1]) or phase
            activity = _nth(phase.activities, parts[3])
        return phase, activity.label if activity else parts[3], "", parts[4:]
    return phase, "This phase", "", ["order"] if parts[2:] == ["activities"] else parts[2:]


def _in_head(parts: list[str]) -> tuple[str, str, list[str]]:
    if parts[0] in ("inputs", "variables", "outputs") and len(parts) > 1:
        return parts[1], "Inputs and rules" if parts[0] == "inputs" else "Variables and outputs", parts[2:]
    if parts[0] == "rules":
        return "Rule", "Inputs and rules", parts[2:]
    return "Process", "Process", parts


def _nth(items: Any, number: str) -> Any:
    return items[int(number)] if number.isdigit() and int(number) < len(items) else None


def _row(change: Change, name: str, rest: list[str]) -> Row:
    was, now, what = change.before, change.after, _what(change, rest)
    if isinstance(was, str) and isinstance(now, str) and ("\n" in was or "\n" in now):
        return Row(change, name, what, "", "", _lines(was, now))
    if not rest and change.kind != "changed" and isinstance(was or now, str):
        return Row(change, name, what, "", "")  # the value is its id
    return Row(change, name, what, _said(was), _said(now))


def _what(change: Change, rest: list[str]) -> str:
    """Which key it is, in words."""
    said = [_WORDS.get(part, part.replace("_", " ")) for part in rest if not part.isdigit()]
    text = " ".join(word for word in said if word) or SIGNS[change.kind][2]
    return text[:1].upper() + text[1:]


def _lines(was: str, now: str) -> tuple[tuple[str, str], ...]:
    found = []
    for line in difflib.unified_diff(was.splitlines(), now.splitlines(), lineterm="", n=2):
        if line.startswith(("---", "+++")):
            continue
        kind = "added" if line.startswith("+") else "removed" if line.startswith("-") else ""
        found.append((kind, "…" if line.startswith("@@") else f"{line[:1]} {line[1:]}"))
    return tuple(found[1:] if found and found[0][1] == "…" else found)


def _said(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "none"
    if isinstance(value, dict) and set(value) == {"count", "of"}:
        return f"{value['count']} of {', '.join(value['of']) or 'nobody'}"
    if isinstance(value, dict) and "type" in value:
        return f"{value['type'].replace('_', ' ')}{', required' if value.get('required') else ''}"
    if isinstance(value, dict) and (value.get("check") or value.get("name") or value.get("id")):
        return str(value.get("check") or value.get("name") or value.get("id"))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
