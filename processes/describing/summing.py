"""A draft in a sentence or two. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processes.describing.wording import asks_approval


def summary(document: Mapping[str, Any]) -> str:
    """What the process does, by counts and names of phases."""
    activities = [activity for phase in document["phases"] for activity in phase["activities"]]
    approvals = sum("approval" in item or asks_approval(item["name"]) for item in activities if item["type"] == "manual")
    manual = sum(item["type"] == "manual" for item in activities) - approvals
    counted = {
        "automated": sum(item["type"] == "automated" for item in activities),
        "done by people": manual,
        "approvals" if approvals > 1 else "approval": approvals,
        "run as other processes": sum(item["type"] == "subprocess" for item in activities),
    }
    if not activities:
        return "No steps were found."
    phases = document["phases"]
    names = ", ".join(phase["name"] for phase in phases[:6]) + (f" and {len(phases) - 6} more" if len(phases) > 6 else "")
    parts = ", ".join(f"{count} {word}" for word, count in counted.items() if count)
    together = sum(len([item for item in phase["activities"] if not item.get("depends_on")]) > 1 for phase in phases)
    said = f"{_of(len(phases), 'phase', 'phases')} ({names}) with {_of(len(activities), 'activity', 'activities')}: {parts}."
    return said + (f" In {_of(together, 'phase', 'phases')} several start together." if together else "")


def _of(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
