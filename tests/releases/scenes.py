"""Small processes and short words for tests of the engine: a scene is set, a verb is called, and the states are read."""

from __future__ import annotations

import itertools
from typing import Any

from django.db import connection

from processes.blueprint import Blueprint
from releases import evaluating
from releases.attempts import exchange
from releases.engine import Actor, Claim, End
from releases.models import ActivityRun, Attempt, Release
from releases.states import Run
from relorch.audit.models import Event
from tests import factories
from tests.releases.driving import published, run_on, started

_numbers = itertools.count(1)
ACTOR = Actor(None, "olga@example.com", "page")


def noop(key: str, *depends_on: str, **keys: Any) -> dict[str, Any]:
    """An automated activity that ends as its `with` says."""
    return {"id": key, "type": "automated", "connector": "noop", "depends_on": list(depends_on), **keys}


def bad(key: str, *depends_on: str, **keys: Any) -> dict[str, Any]:
    """One that fails; `on_failure` is hold unless given."""
    return noop(key, *depends_on, **{"with": {"outcome": "failed"}, **keys})


def script(key: str, *depends_on: str, **keys: Any) -> dict[str, Any]:
    """An activity of the slow lane whose effect is `once`; tests claim it and never run it."""
    return {"id": key, "type": "automated", "connector": "script", "depends_on": list(depends_on), "with": {"run": "true"}, **keys}


def sub(key: str, process: str, *depends_on: str, **keys: Any) -> dict[str, Any]:
    """A subprocess."""
    return {"id": key, "type": "subprocess", "process": process, "depends_on": list(depends_on), **keys}


def manual(key: str, *depends_on: str, of: tuple[str, ...] = (), **keys: Any) -> dict[str, Any]:
    """A sign-off by one of these; without them by the owners."""
    approval = {"requires": [{"count": 1, "of": list(of)}]} if of else {}
    return {"id": key, "type": "manual", "depends_on": list(depends_on), "approval": {**approval, **keys.pop("approval", {})}, **keys}


def phase(key: str, *activities: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """A phase of these activities."""
    return {"id": key, "activities": list(activities), **keys}


def blueprint(*phases: dict[str, Any], **keys: Any) -> Blueprint:
    """A process of these phases; activities alone make one phase."""
    if phases and "activities" not in phases[0]:
        phases = (phase("work", *phases),)
    return Blueprint.model_validate({"id": f"scene_{next(_numbers)}", "phases": list(phases), **keys})


def running(*phases: dict[str, Any], starter: Any = None, given: dict[str, Any] | None = None, go: bool = True, **keys: Any) -> Release:
    """A release of such a process, moved (`go`) to where it stands."""
    release = started(published(blueprint(*phases, **keys)), starter or factories.person(), **(given or {}))
    if go:
        run_on(release)
    return fresh(release)


def fresh(release: Release) -> Release:
    """The row as it is now."""
    return Release.objects.get(pk=release.pk)


def states(release: Release) -> dict[str, str]:
    """The state of each run."""
    return dict(ActivityRun.objects.filter(release=release).values_list("key", "state"))


def run(release: Release, key: str) -> ActivityRun:
    """One run."""
    return ActivityRun.objects.get(release=release, key=key)


def attempts(release: Release, key: str) -> list[str]:
    """The states of its attempts, in order."""
    return list(Attempt.objects.filter(run__release=release, run__key=key).order_by("number").values_list("state", flat=True))


def child_of(release: Release, key: str) -> Release:
    """The newest child of this run."""
    return Release.objects.filter(parent_run__release=release, parent_run__key=key).latest("id")


def claimed(lane: str = "engine", limit: int = 100) -> dict[str, Claim]:
    """Claim what is queued, as one worker does."""
    return {claim.run.key: claim for claim in exchange("test:1", lane, limit).claims}


def end(claim: Claim, state: Run = Run.SUCCEEDED, *, settle: bool = True, **keys: Any) -> list[End]:
    """Record an end and evaluate; the ends that came too late."""
    late = exchange("test:1", "engine", 0, [End(claim.attempt, claim.run, state, claim.fence, number=claim.number, **keys)], search=False).late
    if settle:
        evaluating.settle(claim.run.root)
    return late


def events(release: Release, verb: str = "") -> list[str]:
    """The verbs of its tree's events, in order; with `verb` the subjects of those."""
    found = Event.objects.filter(stream=f"release:{release.root_id}").order_by("sequence")
    return list(found.filter(verb=verb).values_list("subject", flat=True)) if verb else list(found.values_list("verb", flat=True))


def later(release: Release, seconds: float) -> None:
    """As if this much time had passed for what the tree's attempts wait for."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE releases_attempt SET lease_until = lease_until - %(s)s * interval '1 second', next_at = next_at - %(s)s * interval '1 second',
                due_at = due_at - %(s)s * interval '1 second', poll_at = poll_at - %(s)s * interval '1 second'
            WHERE root_id = %(root)s AND state IN ('queued', 'running', 'waiting')
            """,
            {"s": seconds, "root": release.root_id},
        )
