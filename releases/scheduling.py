"""Releases that start later: scheduled from a draft or at once, rescheduled, cancelled; started or missed by the clock (semantics, sections 3 and 4).

The clock is the database's. Whatever it does is done under the lock of the tree and guarded by the state as it is there, so that however many sweeps
find the same release, each thing happens once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from processes.models import Process, ProcessVersion
from processes.problems import Problem, errors
from releases import planning
from releases.engine import ENGINE, Actor, Move, Work, locked
from releases.form_secrets import context_of
from releases.models import Release
from releases.operating import need_reason
from releases.states import Release as State
from relorch.audit.chain import instant
from relorch.lib import secrets
from relorch.lib.errors import Conflict, DomainError, Invalid

log = logging.getLogger(__name__)

USUAL_LENGTH = timedelta(weeks=1)
"""How long after its start a release is expected to end, unless said otherwise; a scheduled one that has not started by then is missed."""


def save_scheduled(
    *,
    process: Process,
    given: Mapping[str, Any],
    actor: Actor,
    starter: Any,
    scheduled_for: datetime,
    expected_end: datetime | None = None,
    auto_start: bool = False,
    version: ProcessVersion | None = None,
    name: str = "",
    details: Mapping[str, Any] | None = None,
    form: bool = False,
) -> Release:
    """A new release that starts later; its inputs are checked now and locked.

    Raises Invalid with every problem, Conflict (archived, never published, identifier taken).
    """
    release = planning.fresh(process, version or planning.newest_version(process), starter, name)
    at = release.created_at
    problems = [*planning.describe(release, details or {}), *problems_of_times(at, scheduled_for, expected_end)]
    planning.checked(release, given, problems, form=form)
    planning.pins_of(release.version)
    release.inputs = planning.kept(release, planning.from_form(release, given)[0] if form else given)
    release.state, release.started_at, release.version_pinned = State.SCHEDULED, None, version is not None
    release.scheduled_for, release.expected_end, release.auto_start = scheduled_for, expected_end or scheduled_for + USUAL_LENGTH, auto_start
    with planning.inserted(release, actor) as work:
        work.say("release.scheduled", release.pk, **_times(release))
    return release


def schedule(
    *,
    release: Release,
    actor: Actor,
    scheduled_for: datetime,
    expected_end: datetime | None = None,
    auto_start: bool = False,
    seen: Callable[[Release], None] | None = None,
    preview: bool = False,
) -> list[Move]:
    """A draft is to start later: its inputs are checked and from now on locked.

    Raises Conflict naming the state, Invalid with every problem of its inputs and times.
    """
    if release.state == State.DRAFT:
        if release.process.archived_at:
            raise Conflict("archived", f"{release.process} is archived.", state="archived")
        _, at = planning.next_id()
        given = secrets.opened(release.inputs, context_of(release.root_id))
        planning.checked(release, given, problems_of_times(at, scheduled_for, expected_end))
        planning.pins_of(release.version)
    with locked(release.pk, actor=actor, preview=preview) as work:
        now = Release.objects.get(pk=release.pk)
        if seen is not None:
            seen(now)
        if now.state != State.DRAFT:
            raise Conflict("wrong_state", f"This release is {now.state}: only a draft can be scheduled.", state=now.state)
        if (now.inputs, now.version_id) != (release.inputs, release.version_id):
            raise Conflict("changed", "Somebody has changed this release meanwhile: look at it again.", state=now.state)
        _move(work, now, scheduled_for, expected_end or scheduled_for + USUAL_LENGTH, auto_start, actor)
        work.say("release.scheduled", now.pk, **_times(now))
    return work.moves


def reschedule(
    *,
    release: int,
    actor: Actor,
    reason: str,
    scheduled_for: datetime | None = None,
    expected_end: datetime | None = None,
    auto_start: bool | None = None,
    preview: bool = False,
) -> list[Move]:
    """Another time for a scheduled release, or for one that was missed; without an expected end it keeps its length.

    Raises Conflict naming the state, Invalid without a reason or with times that make no sense.
    """
    with locked(release, actor=actor, preview=preview) as work:
        now = Release.objects.get(pk=release)
        if now.state not in (State.SCHEDULED, State.MISSED):
            raise Conflict("wrong_state", f"This release is {now.state}: only a scheduled or missed one can be rescheduled.", state=now.state)
        need_reason(reason)
        if scheduled_for is None:
            raise Invalid("invalid", "Say when it is to start.", [Problem("required", "Say when it is to start.", "/scheduled_for")])
        if problems := problems_of_times(work.at, scheduled_for, expected_end):
            raise Invalid("invalid", "It cannot be scheduled so.", problems)
        before, length = _times(now), (now.expected_end or scheduled_for) - (now.scheduled_for or scheduled_for)
        _move(work, now, scheduled_for, expected_end or scheduled_for + length, now.auto_start if auto_start is None else auto_start, actor)
        work.say("release.rescheduled", release, reason=reason, before=before, **_times(now))
    return work.moves


def cancel(*, release: int, actor: Actor, reason: str, preview: bool = False) -> list[Move]:
    """A scheduled release will not start. Raises Conflict naming the state, Invalid without a reason."""
    with locked(release, actor=actor, preview=preview) as work:
        state = work.release(release).state
        if state is not State.SCHEDULED:
            hint = "abort it instead" if state in (State.RUNNING, State.HELD) else "only a scheduled one can be cancelled"
            raise Conflict("wrong_state", f"This release is {state}: {hint}.", state=state)
        need_reason(reason)
        _leave(work, release, State.CANCELLED, reason)
        work.say("release.cancelled", release, reason=reason)
    return work.moves


def problems_of_times(at: datetime, scheduled_for: datetime, expected_end: datetime | None) -> list[Problem]:
    """What is wrong with these times, seen from `at`."""
    found = planning.far_away(at, {"scheduled_for": max(scheduled_for, at), "expected_end": max(expected_end or at, at)})
    if scheduled_for <= at:
        found.append(Problem("in_the_past", "That time has passed.", "/scheduled_for"))
    if expected_end is not None and expected_end <= scheduled_for:
        found.append(Problem("ends_before_start", "It is to end after it starts.", "/expected_end"))
    return found


def _times(release: Release) -> dict[str, Any]:
    times = {"scheduled_for": release.scheduled_for, "expected_end": release.expected_end}
    return {name: instant(at) for name, at in times.items() if at} | {"auto_start": release.auto_start}


def _move(work: Work, now: Release, scheduled_for: datetime, expected_end: datetime, auto_start: bool, actor: Actor) -> None:
    work.moves.append(Move(now.pk, "", now.state, State.SCHEDULED))
    now.state, now.scheduled_for, now.expected_end, now.auto_start, now.due_since, now.reason = (
        State.SCHEDULED,
        scheduled_for,
        expected_end,
        auto_start,
        None,
        "",
    )
    now.prepared_by = planning.joined(now.prepared_by, actor)
    now.save(update_fields=["state", "scheduled_for", "expected_end", "auto_start", "due_since", "reason", "prepared_by"])
    work.forget(now.pk)


def _leave(work: Work, release: int, state: State, reason: str) -> None:
    work.cursor.execute("UPDATE releases_release SET state = %s, reason = %s, due_since = NULL WHERE id = %s AND state = 'scheduled'", (state, reason, release))
    work.forget(release)
    work.moves.append(Move(release, "", State.SCHEDULED, state))


# --- the clock ----------------------------------------------------------------------------------------------------------------------------

DUE = """
SELECT id FROM releases_release WHERE state = 'scheduled'
    AND (expected_end <= clock_timestamp() OR (scheduled_for <= clock_timestamp() AND (auto_start OR due_since IS NULL)))
ORDER BY scheduled_for LIMIT %s
"""
"""Scheduled releases for which the clock has something to do."""


def come_due(release: int) -> None:
    """Its time has come: it starts by itself, waits for a person, or, when even its expected end has passed, is missed."""
    row = Release.objects.select_related("process", "version", "starter").get(pk=release)
    with locked(release) as work:
        if not _wait_or_miss(work, Release.objects.select_related("starter").get(pk=release)):
            return
    try:
        planning.moves_of_start(release=row, actor=ENGINE, by_clock=True)
    except Conflict as refusal:
        if refusal.code not in ("wrong_state", "changed"):
            _cannot_start(release, refusal)
    except DomainError as refusal:
        _cannot_start(release, refusal)


def _wait_or_miss(work: Work, now: Release) -> bool:
    """Whether it is to start by itself; else what the clock does instead is done."""
    if now.state != State.SCHEDULED or now.scheduled_for is None or now.expected_end is None:
        return False
    if now.expected_end <= work.at:
        _leave(work, now.pk, State.MISSED, "Its expected end passed and nobody had started it.")
        work.say("release.missed", now.pk, to=[now.starter.email], **_times(now))
        return False
    if now.scheduled_for > work.at or now.auto_start:
        return now.scheduled_for <= work.at
    work.cursor.execute("UPDATE releases_release SET due_since = %s WHERE id = %s AND state = 'scheduled' AND due_since IS NULL", (work.at, now.pk))
    if work.cursor.rowcount:
        work.say("release.due", now.pk, to=[now.starter.email], **_times(now))
    return False


def _cannot_start(release: int, refusal: DomainError) -> None:
    """It stands there for a person, with what is wrong; the clock does not try again."""
    said = "; ".join(problem.message for problem in errors(refusal.problems)) if isinstance(refusal, Invalid) else ""
    with locked(release) as work:
        work.cursor.execute(
            "UPDATE releases_release SET auto_start = false, due_since = %s, reason = %s WHERE id = %s AND state = 'scheduled' AND auto_start",
            (work.at, said or refusal.message, release),
        )
        if work.cursor.rowcount:
            to = list(Release.objects.filter(pk=release).values_list("starter__email", flat=True))
            work.say("release.start_failed", release, code=refusal.code, message=said or refusal.message, to=to)
