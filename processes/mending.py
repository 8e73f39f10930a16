"""One-click mends for warnings: a document in, the mended document out. Pure. Nothing is saved by it; whoever asked looks at it first."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

from processes.problems import Problem

_ALSO_MANUAL = (
    "id",
    "name",
    "description",
    "owners",
    "depends_on",
    "if",
    "run_when",
    "optional",
    "recovers",
    "respects_freeze",
    "variables",
    "lock",
    "expected",
)
_RESULT = re.compile(r"\bresult\.outputs\.([A-Za-z_]\w*)")


def offered(problem: Problem, document: dict[str, Any]) -> str:
    """What a click would do about it, in words; empty when there is nothing to offer."""
    if problem.code not in _MENDS:
        return ""
    label, mend = _MENDS[problem.code]
    return label if mend(copy.deepcopy(document), problem.place) is not None else ""


def mended(code: str, place: str, document: dict[str, Any]) -> dict[str, Any] | None:
    """The document with it mended; None when that cannot be."""
    return _MENDS[code][1](copy.deepcopy(document), place) if code in _MENDS else None


def _in_order(document: dict[str, Any], place: str) -> dict[str, Any] | None:
    """Phases that name nothing start after each other, as they stand."""
    before = ""
    changed = False
    for phase in document.get("phases", ()):
        if phase.get("depends_on"):
            continue
        if before:
            phase["depends_on"] = [before]
            changed = True
        before = phase["id"]
    return document if changed else None


def _by_a_person(document: dict[str, Any], place: str) -> dict[str, Any] | None:
    """A script that may not run becomes a step that a person does: the script is the instruction, what it would put out is asked in a form."""
    found = _activity_at(document, place)
    if found is None:
        return None
    activities, number = found
    script = activities[number]
    if script.get("connector") != "script" or "uses" in script:
        return None
    run = str((script.get("with") or {}).get("run", "")).rstrip("\n")
    names = _RESULT.findall(json.dumps(script["outputs"])) if script.get("outputs") else _read_of(document, script["id"])
    step = {key: script[key] for key in _ALSO_MANUAL if key in script} | {"type": "manual"}
    fence = "```" if "```" not in run else "~~~~"
    step["instructions"] = f"Do by hand what this script does:\n\n{fence}\n{run}\n{fence}\n"
    if names:
        step["fields"] = {name: {"type": "string", "required": True} for name in dict.fromkeys(names)}
    if script.get("outputs"):
        step["outputs"] = script["outputs"]
    activities[number] = step
    return document


def _fewer(document: dict[str, Any], place: str) -> dict[str, Any] | None:
    """One person fewer in the line that asks for the most; where each asks for one, the process's owners may decide too."""
    found = _activity_at(document, place)
    if found is None:
        return None
    activities, number = found
    lines = (activities[number].get("approval") or {}).get("requires") or []
    most = max(lines, key=lambda line: line.get("count", 1), default=None)
    if most is None:
        return None
    if most.get("count", 1) > 1:
        most["count"] -= 1
        return document
    owners = document.get("owners") or []
    narrow = [line for line in lines if line.get("of") and not set(owners) <= set(line["of"])]
    if not owners or not narrow:
        return None
    for line in narrow:
        line["of"] = [*line["of"], *(owner for owner in owners if owner not in line["of"])]
    return document


def _activity_at(document: dict[str, Any], place: str) -> tuple[list[dict[str, Any]], int] | None:
    match = re.match(r"/phases/(\d{1,6})/activities/(\d{1,6})(?:/|$)", place)
    if match is None:
        return None
    phases = document.get("phases") or []
    activities = phases[int(match[1])].get("activities") or [] if int(match[1]) < len(phases) else []
    return (activities, int(match[2])) if int(match[2]) < len(activities) else None


def _read_of(document: dict[str, Any], activity: str) -> list[str]:
    """The outputs of an activity that something reads."""
    return re.findall(rf"\bactivities\.{re.escape(activity)}\.outputs\.([A-Za-z_]\w*)", json.dumps(document))


_MENDS: dict[str, tuple[str, Callable[[dict[str, Any], str], dict[str, Any] | None]]] = {
    "phases_start_together": ("Put them in order", _in_order),
    "scripts_disabled": ("Let a person do it", _by_a_person),
    "approval_needs_everybody": ("Ask fewer, or the owners too (weakens the control)", _fewer),
}
