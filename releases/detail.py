"""A release as it is shown: everything of it in a number of queries that does not depend on its size. Secrets never come out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db.models import BooleanField, Count, ExpressionWrapper, Q

from releases.access import may_operate, starters_of
from releases.asking import owners_of
from releases.flows import compiled
from releases.forecasting import forecast
from releases.models import ActivityRun, Attempt, PhaseRun, Release
from releases.scheduler import Answer, Fact, phase_state
from releases.signals import CONNECTOR, address_of
from releases.states import BAD, LIVE, UNDECIDED, Run, Skipped
from releases.waiting import waiting_for
from releases.wording import WAITS_FOR_LOCK
from relorch.audit.chain import instant
from relorch.lib import secrets

MOST_CAUSES = 20
_OF_AN_ATTEMPT = (
    *("id", "run_id", "number", "state", "queued_at", "next_at", "started_at", "finished_at", "asked_at", "due_at"),
    *("effect", "lost", "worker", "inputs", "outputs", "code", "message", "stop_asked_at", "stop_confirmed_at", "decision"),
)


def summaries(releases: Iterable[Release]) -> list[dict[str, Any]]:
    """What a list says of each release; one query for all their counts. Wants `process`, `version` and `starter` selected."""
    rows = list(releases)
    counts: dict[int, dict[str, int]] = {row.pk: {} for row in rows}
    asked: dict[int, int] = {}
    if rows:
        asks = ExpressionWrapper(Q(state=Run.WAITING, type="manual") & ~Q(code=WAITS_FOR_LOCK), BooleanField())
        found = ActivityRun.objects.filter(release__in=list(counts)).order_by().annotate(asks=asks).values_list("release_id", "state", "asks")
        for release, state, is_asking, number in found.annotate(number=Count("pk")):
            counts[release][state] = counts[release].get(state, 0) + number
            if is_asking:
                asked[release] = asked.get(release, 0) + number
    return [summary_of(row, counts[row.pk], asked.get(row.pk, 0)) for row in rows]


def summary_of(release: Release, counts: dict[str, int], asked: int) -> dict[str, Any]:
    """The head of a release: what it is, how it stands, and what it needs of people."""
    is_live = release.state in LIVE
    return {
        "id": release.pk,
        "name": release.name,
        "process": release.process.identifier,
        "version": release.version.number if release.version else None,
        "kind": release.version.kind,
        "source": release.source,
        "state": release.state,
        "reason": release.reason,
        "starter": release.starter.email,
        "root": release.root_id,
        "level": release.level,
        "created_at": said(release.created_at),
        "identifier": release.identifier,
        "tags": release.tags,
        "release_version": release.release_version,
        "colour": release.colour,
        "scheduled_for": said(release.scheduled_for),
        "expected_end": said(release.expected_end),
        "auto_start": release.auto_start,
        "due_since": said(release.due_since),
        "version_pinned": release.version_pinned,
        "started_at": said(release.started_at),
        "finished_at": said(release.finished_at),
        "held_at": said(release.held_at),
        "held_by": release.held_by_id,
        "counts": dict(sorted(counts.items())),
        "needs_attention": is_live and any(counts.get(state) for state in UNDECIDED),
        "waiting_for_people": asked if is_live else 0,
    }


def detail_of(release: Release, viewer: Any = None) -> dict[str, Any]:
    """The whole release: head, values, phases, activities with all their attempts, and what it waits for."""
    runs = list(ActivityRun.objects.filter(release=release).select_related("phase_run"))
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.state] = counts.get(run.state, 0) + 1
    asked = sum(run.type == "manual" and run.state == Run.WAITING and run.code != WAITS_FOR_LOCK for run in runs)
    shown = summary_of(release, counts, asked) | {
        "parent": _parent(release),
        "failure": failure_in(runs),
        "description": release.description,
        "links": release.links,
        "owners": release.owners,
        "phase_owners": release.phase_owners,
        "prepared_by": sorted(starters_of(release)),
        "inputs": secrets.hide(release.inputs),
        "variables": secrets.hide(release.variables),
        "outputs": secrets.hide(release.outputs or {}),
    }
    if not runs:
        return shown | _not_started(release) | {"waiting_for": waiting_for(release, viewer)}
    return (
        shown
        | {"phases": _phases(release, runs), "activities": _activities(release, runs, viewer), "waiting_for": waiting_for(release, viewer)}
        | {"forecast": forecast(release, runs, _asked_attempts(release)).shown()}
    )


def _asked_attempts(release: Release) -> dict[int, Attempt]:
    """The questions that are open, for what is late."""
    if release.state not in LIVE:
        return {}
    rows = Attempt.objects.filter(release=release, state=Run.WAITING, asked_at__isnull=False)
    return {row.run_id: row for row in rows.only("run_id", "asked_at", "due_at")}


def failure_in(runs: Iterable[ActivityRun]) -> dict[str, Any] | None:
    """The first failure among these runs that still stands: what ended badly or needs a decision, with its code and text."""
    bad = [run for run in runs if run.state in UNDECIDED or (run.state in BAD and run.skipped_because != Skipped.BAD_END)]
    bad.sort(key=lambda run: (run.state == Run.ABORTED, run.finished_at or datetime.max.replace(tzinfo=UTC), run.position))
    if not bad:
        return None
    first = bad[0]
    return {"activity": first.key, "state": first.outcome or first.state, "code": first.code, "message": first.message, "number": len(bad)}


def said(at: datetime | None) -> str | None:
    """A time in the one spelling."""
    return instant(at) if at else None


def _parent(release: Release) -> dict[str, Any] | None:
    run = release.parent_run
    return {"release": run.release_id, "activity": run.key} if run else None


def _phases(release: Release, runs: list[ActivityRun]) -> list[dict[str, Any]]:
    flow = compiled(release.version_id).flow
    rows: dict[int, PhaseRun] = {run.phase_run_id: run.phase_run for run in runs}
    facts: dict[int, dict[str, Fact]] = {}
    inside: dict[int, list[ActivityRun]] = {}
    for run in runs:
        inside.setdefault(run.phase_run_id, []).append(run)
        facts.setdefault(run.phase_run_id, {})[run.key] = Fact(Run(run.state), run.skipped_because, run.met, run.attempt_count)
    answers = [Answer(run.key, {**run.phase_run.met, **run.met}) for run in runs if run.recovers and run.state == Run.SUCCEEDED]
    found = []
    for row in sorted(rows.values(), key=lambda row: row.position):
        phase = flow.phases[row.key]
        found.append(
            {
                "id": row.key,
                "name": phase.name or row.key,
                "state": phase_state(flow, row.key, decided=bool(row.decided), closed=row.closed_at is not None, facts=facts[row.pk], answers=answers),
                "skipped_because": row.skipped_because or None,
                "causes": sorted(row.met)[:MOST_CAUSES],
                "depends_on": list(phase.depends_on),
                "owners": list(phase.owners),
                "started_at": said(row.opened_at),
                "finished_at": said(row.closed_at),
                "outputs": secrets.hide(row.outputs or {}),
                "message": row.error,
                "failure": failure_in(inside[row.pk]),
                "done": row.total - row.remaining,
                "total": row.total,
            }
        )
    return found


def _activities(release: Release, runs: list[ActivityRun], viewer: Any = None) -> list[dict[str, Any]]:
    flow = compiled(release.version_id).flow
    attempts: dict[int, list[dict[str, Any]]] = {run.pk: [] for run in runs}
    for attempt in Attempt.objects.filter(release=release).only(*_OF_AN_ATTEMPT).order_by("run_id", "number"):
        attempts[attempt.run_id].append(_attempt(attempt))
    signals = {key for key, step in flow.steps.items() if step.connector == CONNECTOR}
    if signals and not (viewer is not None and may_operate(viewer, release)):
        signals = set()
    children: dict[int, list[int]] = {}
    if any(run.type == "subprocess" for run in runs):
        for parent, child in Release.objects.filter(parent_run__release=release).order_by("pk").values_list("parent_run_id", "pk"):
            children.setdefault(parent, []).append(child)
    return [
        {
            "id": run.key,
            "phase": flow.phase_of[run.key],
            "name": flow.steps[run.key].label,
            "type": run.type,
            "connector": flow.steps[run.key].connector,
            "depends_on": list(flow.steps[run.key].depends_on),
            "owners": list(owners_of(release, run.key)),
            "state": run.state,
            "outcome": run.outcome or None,
            "skipped_because": run.skipped_because or None,
            "causes": sorted(run.met)[:MOST_CAUSES],
            "cause_count": len(run.met),
            "overridden": run.overridden,
            "started_at": said(run.started_at),
            "finished_at": said(run.finished_at),
            "code": run.code,
            "message": run.message,
            "outputs": secrets.hide(run.outputs or {}),
            "attempts": attempts[run.pk],
            "children": children.get(run.pk, []),
            **({"signal": address_of(release.pk, run.key)} if run.key in signals else {}),
        }
        for run in runs
    ]


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "state": attempt.state,
        "queued_at": said(attempt.queued_at),
        "next_at": said(attempt.next_at),
        "started_at": said(attempt.started_at),
        "finished_at": said(attempt.finished_at),
        "asked_at": said(attempt.asked_at),
        "due_at": said(attempt.due_at),
        "code": attempt.code,
        "message": attempt.message,
        "inputs": secrets.hide(attempt.inputs),
        "outputs": secrets.hide(attempt.outputs or {}),
        "effect": attempt.effect,
        "lost": attempt.lost,
        "worker": attempt.worker,
        "override": attempt.override,
        # told to stop and not confirmed: it may still run
        "may_still_run": attempt.stop_asked_at is not None and attempt.stop_confirmed_at is None,
    }


def _not_started(release: Release) -> dict[str, Any]:
    """The phases and activities that a draft would have; nothing of them is there yet."""
    flow = compiled(release.version_id).flow
    nothing: dict[str, Any] = {"state": "pending", "skipped_because": None, "causes": [], "started_at": None, "finished_at": None, "outputs": {}, "message": ""}
    phases = [
        {"id": phase.id, "name": phase.name or phase.id, "depends_on": list(phase.depends_on), "owners": list(phase.owners), **nothing}
        | {"failure": None, "done": 0, "total": len(phase.activities)}
        for phase in flow.phases.values()
    ]
    activities = [
        {
            "id": step.id,
            "phase": flow.phase_of[step.id],
            "name": step.label,
            "type": str(step.type),
            "connector": step.connector,
            "depends_on": list(step.depends_on),
            "owners": list(owners_of(release, step.id)),
            "outcome": None,
            "cause_count": 0,
            "overridden": False,
            "code": "",
            "attempts": [],
            "children": [],
            **nothing,
        }
        for step in flow.steps.values()
    ]
    return {"phases": phases, "activities": activities}
