"""What a manual activity asks, worked out before it waits: the request shown, the values that the decision is about, and who is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from processes.blueprint import Activity, Approval, Requirement
from processes.durations import parse_duration
from processes.expressions import condition, render
from processes.silence import first_after
from releases.flows import compiled
from releases.form_secrets import context_of
from releases.models import ActivityRun, Release, RunPerson, Task
from releases.names import names_of, names_of_step
from relorch.lib import secrets
from relorch.lib.canonical import sha256_of
from relorch.lib.sealing import seal


@dataclass(frozen=True, slots=True)
class Request:
    """One question to people: `shown` is the author's text with its values filled in, `bound` the values that the decision is about (S17)."""

    shown: Mapping[str, Any]
    bound: Mapping[str, Any]
    bound_hash: str
    people: tuple[tuple[str, int, str], ...]
    """(role, line, `user:…` or `group:…`)"""
    due: int | None
    notice: float | None
    """Seconds until the first reminder or escalation."""


def owners_of(release: Release, key: str) -> tuple[str, ...]:
    """Who is responsible: the activity's owners, else its phase's, else the process's; a release may name others for its phases and itself."""
    flow = compiled(release.version_id).flow
    phase = flow.phase_of[key]
    return flow.steps[key].owners or tuple(release.phase_owners.get(phase, ())) or flow.phases[phase].owners or tuple(release.owners) or flow.blueprint.owners


def owners_declared(release: Release, key: str) -> tuple[str, ...]:
    """Who is responsible by the process alone: the default of who decides, which whoever prepares a release cannot change."""
    flow = compiled(release.version_id).flow
    return flow.steps[key].owners or flow.phases[flow.phase_of[key]].owners or flow.blueprint.owners


def request_for(release: Release, key: str) -> Request:
    """The request of this activity as things are now. Raises ExpressionError."""
    flow = compiled(release.version_id).flow
    activity = flow.steps[key]
    approval = activity.approval or Approval()
    shown_template = _shown(activity)
    wanted = {task.id: task.required for task in activity.tasks}
    names = names_of_step(release, key, shown_template, conditions=[text for text in wanted.values() if isinstance(text, str)])
    shown = render(shown_template, names)
    for task in shown["tasks"]:
        required = wanted[task["id"]]
        task["required"] = condition(required, names) if isinstance(required, str) else required
    owners = owners_of(release, key)
    default = owners_declared(release, key)
    lines = [line if line.of else Requirement(count=line.count, of=default) for line in approval.requires or (Requirement(count=1, of=default),)]
    shown |= {
        "lines": [{"count": line.count, "of": list(line.of)} for line in lines],
        "owners": list(owners),
        "order": approval.order,
        "comment": approval.comment,
    }
    bound = bound_values(release, key)
    people = [("owner", 0, owner) for owner in owners] + [("decider", n, who) for n, line in enumerate(lines) for who in line.of]
    return Request(shown, bound, hash_of(bound), tuple(dict.fromkeys(people)), approval.due, first_after(approval))


def _shown(activity: Activity) -> dict[str, Any]:
    return {
        "title": activity.label,
        "description": activity.description,
        "instructions": activity.instructions,
        "fields": {name: field.model_dump(by_alias=True, exclude_defaults=True, mode="json") for name, field in activity.fields.items()},
        "tasks": [task.model_dump(by_alias=True, exclude_defaults=True, exclude={"required"}, mode="json") for task in activity.tasks],
    }


def bound_values(release: Release, key: str) -> dict[str, Any]:
    """The values that `binds` names; by default inputs, variables and the outputs of everything upstream. A secret is a keyed digest."""
    flow = compiled(release.version_id).flow
    approval = flow.steps[key].approval or Approval()
    binds = approval.binds
    if binds is None:
        binds = ("inputs", "variables", *(f"activities.{step}.outputs" for step in sorted(flow.upstream_of_step(key))))
    return values_at(release, key, binds)


def values_at(release: Release, key: str, places: Sequence[str], *, readable: bool = True) -> dict[str, Any]:
    """The values at these places as an activity sees them; without those that are not there.

    A secret is a keyed digest, the same in every release; without `readable` only the mark that there is one. Raises SecretUnreadable.
    """
    flow = compiled(release.version_id).flow
    phase, step = flow.phase_of.get(key, ""), key if key in flow.steps else ""
    known = _known(release, places)
    paths = [tuple(place.split(".")) for place in known]
    hidden = names_of(release, paths, phase=phase, step=step)
    if readable:
        hidden = _digests(hidden, names_of(release, paths, phase=phase, step=step, reveal=True))
    found = {}
    for place, path in zip(known, paths, strict=True):
        value: Any = hidden
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and value != {}:
            found[place] = value
    return found


def with_digests(values: Mapping[str, Any], root: int) -> Any:
    """These stored values of a release of this tree as they are bound; a secret that cannot be read any more is only marked as one."""
    hidden = secrets.hide(values)
    try:
        return _digests(hidden, secrets.opened(values, context_of(root)))
    except secrets.SecretUnreadable:
        return hidden


def _known(release: Release, places: Sequence[str]) -> list[str]:
    """Those whose activity or phase this release's version has."""
    flow = compiled(release.version_id).flow
    there: dict[str, Mapping[str, Any]] = {"activities": flow.steps, "phases": flow.phases}
    return [place for place in places if (parts := place.split("."))[0] not in there or len(parts) == 1 or parts[1] in there[parts[0]]]


def _digests(hidden: Any, revealed: Any) -> Any:
    if secrets.is_hidden(hidden):
        return {"$digest": seal("bound secret", revealed)[:32]}
    if isinstance(hidden, Mapping):
        return {key: _digests(value, revealed[key]) for key, value in hidden.items()}
    if isinstance(hidden, list):
        return [_digests(value, revealed[n]) for n, value in enumerate(hidden)]
    return hidden


def hash_of(value: Any) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces, UTF-8), as hex."""
    return sha256_of(value).hex()


def people_rows(run_id: int, release_id: int, people: Sequence[tuple[str, int, str]]) -> list[RunPerson]:
    """Rows for those among `people` that exist; a name that nobody bears any more is left out (the verdict then says `impossible`)."""
    return _rows(release_id, [(run_id, *person) for person in people])


def task_rows(attempt_id: int, release_id: int, shown: Mapping[str, Any]) -> list[Task]:
    """The checklist of an attempt as it begins."""
    return [
        Task(
            attempt_id=attempt_id,
            release_id=release_id,
            key=task["id"],
            position=n,
            name=(task.get("name") or task["id"])[:200],
            description=task.get("description", ""),
            required=task["required"],
            owners=list(task.get("owners", ())),
            expected=parse_duration(task["expected"]) if "expected" in task else None,
        )
        for n, task in enumerate(shown["tasks"])
    ]


def owner_rows(release: Release) -> list[RunPerson]:
    """Rows for the owners that phases and activities name: they see the release from its start (section 4). The process's owners see it anyway."""
    flow = compiled(release.version_id).flow
    own, of_phase = tuple(release.owners), release.phase_owners
    owners = {
        key: step.owners or tuple(of_phase.get(flow.phase_of[key], ())) or flow.phases[flow.phase_of[key]].owners or own for key, step in flow.steps.items()
    }
    owners = {key: names for key, names in owners.items() if names}
    if not owners:
        return []
    runs = dict(ActivityRun.objects.filter(release=release, key__in=owners).values_list("key", "id"))
    return _rows(release.pk, [(runs[key], RunPerson.OWNER, 0, name) for key, names in owners.items() for name in names])


def _rows(release_id: int, people: Sequence[tuple[int, str, int, str]]) -> list[RunPerson]:
    emails = {who.removeprefix("user:").lower() for *_, who in people if who.startswith("user:")}
    groups = {who.removeprefix("group:") for *_, who in people if who.startswith("group:")}
    users = {user.email.lower(): user for user in get_user_model().objects.filter(email__in=emails)} if emails else {}
    known = {group.name: group for group in Group.objects.filter(name__in=groups)} if groups else {}
    rows = []
    for run_id, role, line, who in people:
        user, group = users.get(who.removeprefix("user:").lower()), known.get(who.removeprefix("group:"))
        if who.startswith("user:") and user:
            rows.append(RunPerson(run_id=run_id, release_id=release_id, role=role, line=line, user=user))
        elif who.startswith("group:") and group:
            rows.append(RunPerson(run_id=run_id, release_id=release_id, role=role, line=line, group=group))
    return rows
