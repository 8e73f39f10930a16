"""What happened to a process, in words, from its own record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from processes.models import Process
from relorch.audit.models import Event

MOST_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """When, who, and what in words; `by` is the door it came through."""

    at: Any
    who: str
    said: str
    by: str
    reason: str


def history_of(process: Process) -> list[Entry]:
    """The newest first."""
    rows = Event.objects.filter(stream=f"process:{process.pk}").select_related("actor").order_by("-sequence")[:MOST_EVENTS]
    return [_entry(event) for event in rows]


def _entry(event: Event) -> Entry:
    record = json.loads(event.record)
    data = record.get("data") or {}
    what = (
        event.verb.partition(".")[2].replace("_", " ").capitalize()
        if event.verb.startswith("process.")
        else event.verb.replace(".", " ").replace("_", " ").capitalize()
    )
    number = f" as version {data['number']}" if "number" in data else f", revision {data['revision']}" if "revision" in data else ""
    note = f": {data['note']}" if data.get("note") else ""
    return Entry(
        event.at,
        event.actor.display_name if event.actor else record.get("actor", "relorch"),
        f"{what}{number}{note}",
        record.get("door", ""),
        record.get("reason", ""),
    )
