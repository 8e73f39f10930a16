"""Verbs of the machine: claim attempts, record how they ended, keep their leases, and give up those whose worker is gone.

`exchange` is the heart of a worker: in one transaction it records the ends of a batch and claims what they made ready, so that a chain costs
one commit a step. Each claim is committed before its work begins, each end after; nothing is held in between but a lease.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from releases import doorbell
from releases import statements as sql
from releases.engine import ENGINE, LEASE, Claim, End, Ref, Work, lock_roots, locked, raw_cursor, sent_together
from releases.models import Attempt
from releases.sealing import broken_guards
from releases.states import Run
from relorch.lib import faults

POLL_AGAIN = timedelta(seconds=10)
CONFIRMED_WITHIN = timedelta(seconds=60)
"""What was told to stop and is not known to have ended after this is said to be possibly still running (semantics, abort)."""
MOST_LOST = 5
"""S22: a lost `keyed` attempt is repeated at most this often, then a person decides."""


@dataclass(slots=True)
class Exchanged:
    """What a worker got for its ends: claims to work on, ends that came too late, trees that wait to be evaluated; whether more may be queued."""

    claims: list[Claim] = field(default_factory=list)
    late: list[End] = field(default_factory=list)
    stirred: set[int] = field(default_factory=set)
    at: datetime | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """A claimed attempt that now waits as a row for a time or an outside system."""

    claim: Claim
    reference: Mapping[str, Any] = field(default_factory=dict)
    poll_at: datetime | None = None
    due_at: datetime | None = None
    message: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    was: Run = Run.RUNNING


def exchange(worker: str, lane: str, limit: int, ends: Sequence[End] = (), waits: Sequence[Wait] = (), *, search: bool = True) -> Exchanged:
    """Record `ends` and `waits`, claim up to `limit` attempts of the lane: first what the ends made ready, then (with `search`) what is queued.

    Trees that the ends belong to are waited for, in the order of their ids; trees of queued attempts that somebody else holds are left out.
    """
    owed = {end.run.root for end in ends} | {wait.claim.run.root for wait in waits}
    with ExitStack() as after, transaction.atomic(durable=True):
        cursor = raw_cursor()
        trees, at = lock_roots(cursor, owed, ours=True) if owed else ({}, None)
        queued: list[tuple[int, int]] = []
        if search and limit > 0:
            cursor.execute(sql.QUEUED, (lane, limit))
            queued = cursor.fetchall()
            others = {root for _, root in queued} - owed
            if others:
                more, later = lock_roots(cursor, others, free_only=True)
                trees |= more
                at = max(filter(None, (at, later)), default=None)
        if at is None:
            return Exchanged()
        work = Work(cursor, at, trees, ENGINE, worker=worker, appetite={lane: limit})
        faults.point("exchange.locked")
        late = work.finish(ends)
        faults.point("exchange.ends_written")
        _wait(work, waits)
        faults.point("exchange.waits_written")
        work.settle()
        faults.point("exchange.settled")
        wanted = [attempt for attempt, root in queued if root in trees][: work.appetite[lane]]
        if wanted:
            faults.point("claim.before")
            _claim(work, wanted)
            faults.point("claim.written")
            work.settle()
        after.enter_context(sent_together())  # the events and the commit
        work.write()
        faults.point("exchange.before_commit")
    faults.point("exchange.committed")
    doorbell.ring_for(work.rings, stirred=False)
    return Exchanged(work.claims, late, work.stirred, at, len(queued) == limit > 0)


def _claim(work: Work, attempts: Sequence[int]) -> None:
    """Claim queued attempts; one that follows an approval whose seal does not fit goes on hold instead (S17)."""
    work.cursor.execute(sql.CLAIM, {"ids": list(attempts), "worker": work.worker, "at": work.at, "lease": LEASE})
    claims = [
        Claim(attempt, Ref(run, release, root, phase, key), fence, number, str(token), effect, lost)
        for attempt, run, release, root, phase, key, fence, number, token, lost, effect in work.cursor.fetchall()
    ]
    work.load(claim.run.release for claim in claims)
    broken = broken_guards(work, [claim.run for claim in claims])
    for claim in claims:
        if claim.run.id in broken:
            continue
        work.moved(claim.run, Run.QUEUED, Run.RUNNING)
        work.say("activity.started", claim.run.release, claim.run.key, attempt=claim.number)
        work.claims.append(claim)
    work.finish(
        [
            End(c.attempt, c.run, Run.FAILED, c.fence, code="approval_broken", message=broken[c.run.id], number=c.number, final=True)
            for c in claims
            if c.run.id in broken
        ]
    )


_WAIT = """
WITH waits AS (
    UPDATE releases_attempt a SET state = 'waiting', reference = d.reference::json, poll_at = d.poll_at, due_at = coalesce(d.due_at, a.due_at),
        message = d.message, lease_until = NULL, outputs = d.outputs::json
    FROM unnest(%(attempts)s::bigint[], %(fences)s::int[], %(references)s::text[], %(polls)s::timestamptz[], %(dues)s::timestamptz[], %(messages)s::text[],
        %(outputs)s::text[], %(was)s::text[]) AS d(id, fence, reference, poll_at, due_at, message, outputs, was)
    WHERE a.id = d.id AND a.fence = d.fence AND a.state = d.was
    RETURNING a.id, a.run_id, d.was
)
UPDATE releases_activityrun run SET state = 'waiting' FROM waits WHERE run.id = waits.run_id AND run.state = waits.was RETURNING waits.id
"""


def _wait(work: Work, waits: Sequence[Wait]) -> None:
    if not waits:
        return
    work.cursor.execute(
        _WAIT,
        {
            "attempts": [wait.claim.attempt for wait in waits],
            "fences": [wait.claim.fence for wait in waits],
            "references": [json.dumps(dict(wait.reference)) for wait in waits],
            "polls": [wait.poll_at for wait in waits],
            "dues": [wait.due_at for wait in waits],
            "messages": [wait.message for wait in waits],
            "outputs": [json.dumps(dict(wait.outputs)) for wait in waits],
            "was": [wait.was for wait in waits],
        },
    )
    taken = {row[0] for row in work.cursor.fetchall()}
    for wait in waits:
        if wait.claim.attempt in taken and wait.was is Run.RUNNING:
            run = wait.claim.run
            work.moved(run, Run.RUNNING, Run.WAITING)
            work.say("activity.waiting", run.release, run.key, message=wait.message)


def renew(claim: Claim) -> str:
    """Prolong the lease of a claim. Answers `ours`, `stop` (a person asked for its end) or `lost` (it is not ours any more)."""
    with transaction.atomic(), raw_cursor() as cursor:
        cursor.execute(
            "UPDATE releases_attempt SET lease_until = clock_timestamp() + %s WHERE id = %s AND fence = %s AND state = 'running' RETURNING stop_asked_at",
            (LEASE, claim.attempt, claim.fence),
        )
        row = cursor.fetchone()
    faults.point("lease.renewed")
    if row is None:
        return "lost"
    return "stop" if row[0] else "ours"


def confirm_stopped(claim: Claim) -> None:
    """The worker of an aborted attempt has ended what it had started."""
    with transaction.atomic(), raw_cursor() as cursor:
        cursor.execute(
            "UPDATE releases_attempt SET stop_confirmed_at = clock_timestamp() WHERE id = %s AND stop_asked_at IS NOT NULL AND stop_confirmed_at IS NULL",
            (claim.attempt,),
        )


def note_unconfirmed(root: int) -> int:
    """Attempts of this tree that were told to stop a minute ago and whose end nobody has confirmed: said once, as an event; they may still run."""
    with locked(root) as work:
        work.cursor.execute(
            """
            UPDATE releases_attempt a SET stop_noted_at = %s FROM releases_activityrun run
            WHERE a.root_id = %s AND a.stop_asked_at < %s AND a.stop_confirmed_at IS NULL AND a.stop_noted_at IS NULL AND run.id = a.run_id
            RETURNING a.release_id, run.key, a.number
            """,
            (work.at, root, work.at - CONFIRMED_WITHIN),
        )
        found = work.cursor.fetchall()
        for release, key, number in found:
            work.say("attempt.stop_not_confirmed", release, key, attempt=number)
    return len(found)


_LOST = """
SELECT a.id, a.run_id, a.release_id, a.root_id, run.phase_run_id, run.key, a.fence, a.number, a.effect, a.lost
FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id
WHERE a.root_id = %s AND a.state = 'running' AND a.lease_until < %s
"""


def give_up_lost(root: int) -> int:
    """Attempts of this tree whose lease has run out: a `keyed` one is queued again with its key, a `once` one is interrupted (S22)."""
    with locked(root) as work:
        work.cursor.execute(_LOST, (root, work.at))
        lost = work.cursor.fetchall()
        for attempt, run, release, tree, phase, key, fence, number, effect, times in lost:
            ref = Ref(run, release, tree, phase, key)
            again = effect == "keyed" and times < MOST_LOST
            after = Run.QUEUED if again else Run.INTERRUPTED
            work.cursor.execute(
                """
                UPDATE releases_attempt SET state = %s, lost = lost + 1, lease_until = NULL, fence = fence + 1, finished_at = %s, code = %s, message = %s
                WHERE id = %s AND fence = %s AND state = 'running' AND lease_until < %s
                """,
                (after, None if again else work.at, "" if again else "worker_lost", "" if again else _UNKNOWN, attempt, fence, work.at),
            )
            if not work.cursor.rowcount:
                continue  # its worker has renewed the lease, which needs no lock of the tree
            work.cursor.execute(
                "UPDATE releases_activityrun SET state = %s, code = %s, message = %s WHERE id = %s AND state = 'running'",
                (after, "" if again else "worker_lost", "" if again else _UNKNOWN, run),
            )
            faults.point("lost.written")
            work.moved(ref, Run.RUNNING, after)
            work.say("attempt.worker_lost", release, key, attempt=number, fence=fence)
            if again:
                work.rings[work.compiled(release).steps[key].lane] += 1
            else:
                work.say("activity.interrupted", release, key, attempt=number)
    return len(lost)


_UNKNOWN = "The worker was lost while this ran: nobody knows whether it happened. Look at the other side, then retry, ignore or fail it."


def claim_of(attempt: Attempt) -> Claim:
    """A waiting attempt as a claim, so that its end is recorded like any other; its guard is that it still waits under the same fence."""
    run = attempt.run
    ref = Ref(run.pk, run.release_id, run.root_id, run.phase_run_id, run.key)
    return Claim(attempt.pk, ref, attempt.fence, attempt.number, str(attempt.key), attempt.effect, attempt.lost)
