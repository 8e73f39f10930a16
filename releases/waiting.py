"""Whom or what a release waits for (semantics, section 7): one entry for each open run of it and of its children, with who can move it and how.

The number of queries does not depend on how many runs are open. Who can still decide is known above, by the approvals, which provide it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from django.contrib.auth import get_user_model
from django.db.models import F

from releases.asking import owners_of
from releases.flows import compiled
from releases.models import ActivityRun, Attempt, Release
from releases.states import LIVE, UNDECIDED, Run
from relorch.audit.chain import instant
from relorch.audit.models import Event

Deciders: TypeAlias = Callable[[Sequence[int]], Mapping[int, Sequence[str]]]
"""Attempts that wait for people -> the e-mail addresses of those who can decide now."""
SHOWN = (Run.QUEUED, Run.RUNNING, Run.WAITING, *sorted(UNDECIDED))
_AFTER_BAD_END = ("retry", "ignore", "fail", "succeed")
_deciders: list[Deciders] = []


def provide_deciders(ask: Deciders) -> None:
    """Called once, by the app that knows who may decide."""
    _deciders[:] = [ask]


def waiting_for(release: Release) -> list[dict[str, Any]]:
    """`[{activity, release, kind, who, verb, verbs, since}]`, in the order of the process, children after what waits for them."""
    if release.state not in LIVE:
        return []
    runs = _open_runs(release)
    attempts = {a.run_id: a for a in _last_attempts(runs)}
    asked = [attempts[run.pk].pk for run in runs if run.type == "manual" and run.state == Run.WAITING and run.pk in attempts]
    people = _deciders[0](asked) if asked and _deciders else {}
    owners = _owners(run for run in runs if run.state in UNDECIDED)
    found = [_hold(release)] if release.state == "held" else []
    children = {run.release.parent_run_id: run.release_id for run in runs if run.release.parent_run_id}
    for run in runs:
        attempt = attempts.get(run.pk)
        entry = _of(run, attempt)
        if run.state in UNDECIDED:
            entry["who"] = owners.get(run.pk, [])
        elif entry["verb"] == "sign_off" and attempt is not None:
            entry["who"] = list(people.get(attempt.pk, ()))
        elif entry["kind"] == "child":
            entry["child"] = children.get(run.pk) or ((attempt.reference or {}).get("release") if attempt else None)
        found.append(entry)
    return found


def _open_runs(release: Release) -> list[ActivityRun]:
    """Those of the release and of everything below it, in one query over the tree."""
    rows = ActivityRun.objects.filter(root_id=release.root_id, state__in=SHOWN).select_related("release").order_by("release_id", "position")
    in_release: dict[int, list[ActivityRun]] = {}
    below: dict[int, list[int]] = {}
    for run in rows.defer("outputs", "met", "changes", "release__inputs", "release__variables", "release__outputs", "release__pins"):
        if run.release_id not in in_release and run.release.parent_run_id:
            below.setdefault(run.release.parent_run_id, []).append(run.release_id)
        in_release.setdefault(run.release_id, []).append(run)
    found: list[ActivityRun] = []
    left = [release.pk]
    for one in left:
        here = in_release.get(one, [])
        found += here
        left += [child for run in here for child in below.get(run.pk, ())]
    return found


def _last_attempts(runs: Sequence[ActivityRun]) -> list[Attempt]:
    if not runs:
        return []
    rows = Attempt.objects.filter(run__in=[run.pk for run in runs], number=F("run__attempt_count"))
    return list(rows.only("run_id", "number", "state", "queued_at", "next_at", "started_at", "finished_at", "asked_at", "due_at", "poll_at", "reference"))


def _of(run: ActivityRun, attempt: Attempt | None) -> dict[str, Any]:
    verbs: tuple[str, ...] = ()
    kind, verb, since = "machine", "run", run.started_at or (attempt and attempt.queued_at) or run.release.started_at
    until = None
    if run.state in UNDECIDED:
        kind, verb, verbs = "person", "retry", _AFTER_BAD_END
        since = (attempt and attempt.finished_at) or since
    elif attempt is None:
        pass
    elif run.type == "manual":
        # not asked yet: its question is still being worked out
        kind, verb, since = ("person", "sign_off", attempt.asked_at) if run.state == Run.WAITING else ("machine", "run", attempt.queued_at)
        verbs = ("sign_off",) if run.state == Run.WAITING else ()
        until = attempt.due_at
    elif run.type == "subprocess" and run.state == Run.WAITING:
        kind, verb, since = "child", "finish", attempt.started_at
    elif run.state == Run.QUEUED and attempt.next_at is not None:
        kind, verb, since, until = "time", "retry", attempt.queued_at, attempt.next_at
    elif run.state == Run.WAITING:
        kind, verb = ("time", "wait") if compiled(run.release.version_id).steps[run.key].activity.connector == "timer" else ("machine", "poll")
        since, until = attempt.started_at, attempt.due_at or attempt.poll_at
    return {
        "activity": run.key,
        "release": run.release_id,
        "kind": kind,
        "who": [],
        "verb": verb,
        "verbs": list(verbs),
        "since": _said(since),
        "until": _said(until),
    }


def _hold(release: Release) -> dict[str, Any]:
    events = Event.objects.filter(stream=f"release:{release.root_id}", verb="release.held", release_id=release.held_by_id)
    by = events.order_by("-sequence").values_list("actor__email", flat=True).first()
    return {
        "activity": "",
        "release": release.held_by_id or release.pk,
        "kind": "hold",
        "who": [by] if by else [],
        "verb": "resume",
        "verbs": ["resume"],
        "since": _said(release.held_at),
        "until": None,
    }


def _owners(runs: Iterable[ActivityRun]) -> dict[int, list[str]]:
    """Who is responsible for each of these runs, as e-mail addresses; groups are asked for their members once for all."""
    declared = {run.pk: owners_of(run.release, run.key) for run in runs}
    groups = {name.removeprefix("group:") for owners in declared.values() for name in owners if name.startswith("group:")}
    members: dict[str, list[str]] = {}
    if groups:
        rows = get_user_model().objects.filter(is_active=True, groups__name__in=groups).order_by("email")
        for group, email in rows.values_list("groups__name", "email"):
            members.setdefault(group, []).append(email)
    return {
        run: list(
            dict.fromkeys(
                email
                for name in owners
                for email in (members.get(name.removeprefix("group:"), []) if name.startswith("group:") else [name.removeprefix("user:")])
            )
        )
        for run, owners in declared.items()
    }


def _said(at: Any) -> str | None:
    return instant(at) if at else None
