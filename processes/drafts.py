"""A draft as rows and as the file's document: the same thing in two coats, key by key in the file's order.

What the admin lists, searches and sorts has a column; every other key of a phase or activity lies in the row's `more` as it is written in the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from processes.blueprint import API_VERSION, Activity, Blueprint, Part, Phase
from processes.models import DraftActivity, DraftPhase, Process
from processes.models.draft import DraftItem
from processes.shapes import keys_of

ITEM_COLUMNS = {
    "id": "identifier",
    "name": "name",
    "description": "description",
    "owners": "owners",
    "depends_on": "depends_on",
    "if": "condition",
    "run_when": "run_when",
}
"""Key of a phase or activity in the file -> column."""
ACTIVITY_COLUMNS = ITEM_COLUMNS | {"type": "type"}
PROCESS_COLUMNS = {key: key for key in ("name", "description", "category", "owners", "fail_fast", "inputs", "rules", "variables", "outputs")}


def document_of(process: Process) -> dict[str, Any]:
    """The file's document from the rows: two queries. What is as by default is left out."""
    activities: dict[int, list[dict[str, Any]]] = {}
    for row in process.draft_activities.order_by("position", "id"):
        activities.setdefault(row.phase_id, []).append(item_of(row, ACTIVITY_COLUMNS, Activity))
    phases = []
    for phase_row in process.draft_phases.order_by("position", "id"):
        phase = item_of(phase_row, ITEM_COLUMNS, Phase)
        if phase_row.pk in activities:
            phase["activities"] = activities[phase_row.pk]
        phases.append(phase)
    return head_of(process) | ({"phases": phases} if phases else {}) | ({"outputs": process.outputs} if process.outputs else {})


def head_of(process: Process) -> dict[str, Any]:
    """What is said once for the whole, but the outputs, which stand last."""
    head: dict[str, Any] = {"apiVersion": API_VERSION, "kind": "Process", "id": process.identifier}
    head |= {key: getattr(process, column) for key, column in PROCESS_COLUMNS.items() if key != "outputs"}
    if head["category"] == _default(process, "category"):
        del head["category"]
    return {key: head[key] for key in keys_of(Blueprint) if head.get(key) not in ("", [], {}, False, None)}


def digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of a document as it is written, key order included: two drafts are the same when these are."""
    return hashlib.sha256(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def fill(process: Process, document: Mapping[str, Any]) -> None:
    """Put a readable document into the process and its rows. The caller holds the process's row, and saves it; rows of items that stay keep their number."""
    for key, column in PROCESS_COLUMNS.items():
        setattr(process, column, document.get(key, _default(process, column)))
    phases: list[Mapping[str, Any]] = list(document.get("phases") or ())
    old_phases = {row.identifier: row for row in process.draft_phases.all()}
    old_activities = {row.identifier: row for row in process.draft_activities.all()}
    rows = []
    for position, phase in enumerate(phases):
        row = old_phases.pop(phase["id"], None) or DraftPhase(process=process)
        rows.append(_set(row, phase, ITEM_COLUMNS, position, without="activities"))
    _save(DraftPhase, rows, [*ITEM_COLUMNS.values(), "position", "more"])
    inside = []
    for phase, row in zip(phases, rows, strict=True):
        for position, activity in enumerate(phase.get("activities") or ()):
            found: Any = old_activities.pop(activity["id"], None) or DraftActivity(process=process)
            if found.phase_id != row.pk:
                found.phase, found.changed = row, True
            inside.append(_set(found, activity, ACTIVITY_COLUMNS, position))
    _save(DraftActivity, inside, [*ACTIVITY_COLUMNS.values(), "position", "more", "phase"])
    # After the activities have moved: with its phase would be deleted what no longer belongs to it.
    DraftActivity.objects.filter(pk__in=[row.pk for row in old_activities.values()]).delete()
    DraftPhase.objects.filter(pk__in=[row.pk for row in old_phases.values()]).delete()


def _set(row: Any, item: Mapping[str, Any], columns: Mapping[str, str], position: int, without: str = "") -> Any:
    values = {column: item.get(key, _default(row, column)) for key, column in columns.items()}
    more = {key: value for key, value in item.items() if key != without and (key not in columns or value == _default(row, columns[key]))}
    for column, value in (values | {"position": position, "more": more}).items():
        # As text, because equal values may be written in another order, and True is not 1.
        if json.dumps(getattr(row, column)) != json.dumps(value):
            setattr(row, column, value)
            row.changed = True
    return row


def _save(model: type[Any], rows: list[Any], columns: list[str]) -> None:
    new = [row for row in rows if row.pk is None]
    changed = [row for row in rows if row.pk is not None and row.__dict__.pop("changed", False)]
    model.objects.bulk_create(new)
    # Written over by number: Django's bulk_update takes milliseconds a row.
    model.objects.bulk_create(changed, update_conflicts=True, unique_fields=["pk"], update_fields=columns)


def item_of(row: DraftItem, columns: Mapping[str, str], part: type[Part]) -> dict[str, Any]:
    """One row as its mapping in the document; of a phase without its activities."""
    values = {key: getattr(row, column) for key, column in columns.items()}
    # A column's default says nothing, unless `more` says it: beside `uses` it overrides what the store says (S2a).
    written = row.more | {key: value for key, value in values.items() if value != _default(row, columns[key])}
    known = keys_of(part)
    return {key: written[key] for key in known if key in written} | {key: value for key, value in written.items() if key not in known}


def _default(row: DraftItem | Process, column: str) -> Any:
    field: Any = row._meta.get_field(column)
    return field.get_default()
