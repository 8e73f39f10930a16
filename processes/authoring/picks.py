"""What the fields of a draft's page offer. What of it is sound where, the page finds out: it knows what is not saved yet (picks.js)."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group

from processes.models import ActivityTemplate, Process, ProcessVersion, TemplateVersion
from relorch.accounts.models import User

MOST_PICKS = 500


def picks_of(process: Process, user: Any) -> dict[str, Any]:
    """People and groups, the draft's phases and activities in their order, processes and activities of the store with what they are given."""
    return {
        "people": _people(),
        "phases": {row.identifier: row.depends_on for row in process.draft_phases.all()} if process.pk else {},
        "activities": _activities(process) if process.pk else {},
        "names": {"inputs": list(process.inputs), "variables": list(process.variables)},
        "processes": _processes(user, process),
        "templates": _templates(user),
    }


def _people() -> list[str]:
    """A group without members can decide nothing and is no owner, so it is not offered."""
    active = User.objects.filter(is_active=True)
    groups = Group.objects.filter(user__in=active).distinct().order_by("name").values_list("name", flat=True)
    return [f"group:{name}" for name in groups[:MOST_PICKS]] + [
        f"user:{email}" for email in active.order_by("email").values_list("email", flat=True)[:MOST_PICKS]
    ]


def _activities(process: Process) -> dict[str, Any]:
    rows = process.draft_activities.select_related("phase").order_by("phase__position", "phase", "position", "id")
    return {row.identifier: {"phase": row.phase.identifier, "on": row.depends_on, "outputs": list(row.more.get("outputs") or ())} for row in rows}


def _processes(user: Any, process: Process) -> dict[str, Any]:
    """Id -> inputs of the newest version: name -> whether it must be given. A process is no subprocess of itself."""
    rows = ProcessVersion.objects.filter(process__in=Process.objects.visible_to(user).filter(archived_at=None)).exclude(process=process.pk)
    newest = rows.order_by("process__identifier", "-number").distinct("process__identifier").values_list("process__identifier", "document__inputs")[:MOST_PICKS]
    return {identifier: _asked(inputs) for identifier, inputs in newest}


def _templates(user: Any) -> dict[str, Any]:
    """`id` and each `id@n` -> inputs of that version; the newest first."""
    rows = TemplateVersion.objects.filter(template__in=ActivityTemplate.objects.visible_to(user).filter(archived_at=None))
    found: dict[str, Any] = {}
    for identifier, number, inputs in rows.order_by("template__identifier", "-number").values_list("template__identifier", "number", "document__inputs")[
        :MOST_PICKS
    ]:
        asked = _asked(inputs)
        found.setdefault(identifier, asked)
        found[f"{identifier}@{number}"] = asked
    return found


def _asked(inputs: Any) -> dict[str, bool]:
    return {name: bool(said.get("required")) for name, said in (inputs or {}).items()}
