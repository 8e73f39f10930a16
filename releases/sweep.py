"""Finding what the doorbell missed and what time has made due. Alone it would do: slower, and as correctly."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.db import connection

from releases import doorbell, evaluating, locking, scheduling
from releases.aborting import abort_children
from releases.attempts import CONFIRMED_WITHIN, Wait, claim_of, exchange, give_up_lost, note_unconfirmed
from releases.draining import worker_name
from releases.engine import End, locked
from releases.models import Attempt
from releases.running import finish_waiting
from releases.states import Run
from relorch.lib import clock, faults

log = logging.getLogger(__name__)

MOST = 200
_LOCK = 0x72656C6F  # one sweep at a time in the whole installation

_LOST = "SELECT DISTINCT root_id FROM releases_attempt WHERE state = 'running' AND lease_until < clock_timestamp() LIMIT %s"
_UNCONFIRMED = """
SELECT DISTINCT root_id FROM releases_attempt
WHERE stop_asked_at < clock_timestamp() - %s AND stop_confirmed_at IS NULL AND stop_noted_at IS NULL LIMIT %s
"""
_STIRRED = """
(SELECT id FROM releases_release WHERE stirred_at < clock_timestamp() - interval '500 milliseconds' ORDER BY stirred_at LIMIT %(most)s)
UNION
(SELECT a.root_id FROM releases_attempt a JOIN releases_release r ON r.id = a.release_id
 WHERE a.state = 'queued' AND a.lane = 'prepare' AND a.next_at <= clock_timestamp() AND r.state = 'running' LIMIT %(most)s)
UNION
(SELECT p.root_id FROM releases_phaserun p JOIN releases_release r ON r.id = p.release_id
 WHERE p.stopping <> '{}' AND p.decided = '' AND p.unmet = 0 AND r.state = 'running' LIMIT %(most)s)
"""
_DUE = """
SELECT a.id FROM releases_attempt a JOIN releases_release r ON r.id = a.release_id
WHERE a.state = 'waiting' AND (a.due_at <= clock_timestamp() OR a.poll_at <= clock_timestamp()) AND r.state = 'running' LIMIT %s
"""
_UNHEARD = """
SELECT a.lane, count(*) FROM releases_attempt a JOIN releases_release r ON r.id = a.release_id
WHERE a.state = 'queued' AND a.lane <> 'prepare' AND coalesce(a.next_at, a.queued_at) < clock_timestamp() - interval '300 milliseconds'
    AND r.state = 'running' GROUP BY a.lane
"""


def sweep() -> int:
    """One round over everything that may have been missed; the number of things found. Skipped while another sweep runs."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,))
        if not cursor.fetchone()[0]:
            return 0
    try:
        faults.point("sweep.begun")
        found = each(_rows(_LOST, (MOST,)), give_up_lost)
        found += each(_rows(_UNCONFIRMED, (CONFIRMED_WITHIN, MOST)), note_unconfirmed)
        found += each(_rows(_DUE, (MOST,)), come_due)
        found += each(_rows(scheduling.DUE, (MOST,)), scheduling.come_due)
        found += take_up_locks()
        found += each(_rows(_STIRRED, {"most": MOST}), evaluating.settle)
        with connection.cursor() as cursor:
            cursor.execute(_UNHEARD)
            unheard = dict(cursor.fetchall())
        doorbell.ring_for(unheard)
        return found + sum(unheard.values())
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def take_up_locks() -> int:
    """Releases that were given a lock by the transaction of another tree go on with it; a name that nobody holds goes to the next in line."""
    return each(locking.trees_in_line(MOST), _take_up)


def _take_up(root: int) -> None:
    if locking.take_up(root):
        evaluating.settle(root)


def _rows(query: str, params: Any) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return [row[0] for row in cursor.fetchall()]


def each(things: Iterable[int], do: Callable[[int], Any]) -> int:
    """Do it for each; one that fails is logged and does not keep the others waiting."""
    count = 0
    for thing in things:
        count += 1
        try:
            do(thing)
        except Exception:
            log.exception("sweep: %s(%s) failed", do.__name__, thing)
    return count


def come_due(attempt_id: int) -> None:
    """Something waited for has come, or its time is over: people `expired`, a child `timeout`, machines are asked."""
    attempt = Attempt.objects.select_related("run__release__version", "run__release__process", "run__release__starter").get(pk=attempt_id)
    run = attempt.run
    if run.type == "automated" and attempt.lane != Attempt.PREPARE:
        _answer(attempt, clock.now())
        return
    with locked(run.release_id) as work:
        # as it is under the lock: it may have ended, or its date may have moved by the time held
        attempt = Attempt.objects.select_related("run").get(pk=attempt_id)
        claim = claim_of(attempt)
        if attempt.state != Run.WAITING or attempt.due_at is None or attempt.due_at > work.at or work.release(run.release_id).state != "running":
            return
        if run.type == "manual":
            end = End(claim.attempt, claim.run, Run.EXPIRED, claim.fence, Run.WAITING, code="no_answer", message="Nobody decided in time.", number=claim.number)
        else:
            abort_children(work, claim.run, "timeout")
            end = End(
                claim.attempt,
                claim.run,
                Run.FAILED,
                claim.fence,
                Run.WAITING,
                code="timeout",
                message="It took too long.",
                number=claim.number,
                final=run.type != "subprocess",  # a process in place of a machine is tried this once
            )
        work.finish([end])


def _answer(attempt: Attempt, at: datetime) -> None:
    answer = finish_waiting(attempt, at)
    faults.point("sweep.answered")
    if isinstance(answer, Wait):
        exchange(worker_name(), Attempt.ENGINE, 0, waits=[answer], search=False)
    else:
        exchange(worker_name(), Attempt.ENGINE, 0, ends=[answer], search=False)
