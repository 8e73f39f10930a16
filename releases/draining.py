"""What a woken worker does: claim a batch, work, record it, and go on with what that made ready, bounded in count and time."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime

from releases import doorbell, evaluating
from releases.attempts import Wait, exchange
from releases.engine import Claim, End
from releases.flows import version_of
from releases.models import Attempt
from releases.running import perform

BATCH = {Attempt.ENGINE: 100, Attempt.SLOW: 1}
MOST_SECONDS = 5.0
"""Then the worker rings for the rest, so that every tree and every other worker gets its share."""


def worker_name(number: int = 0) -> str:
    """This process, or the one of that number, for people who look for it."""
    return f"{platform.node()}:{number or os.getpid()}"


def drain(lane: str, *, seconds: float = MOST_SECONDS) -> int:
    """Work in this lane until nothing is ready or the time is up; the number of attempts that were worked on."""
    worker, batch = worker_name(), BATCH[lane]
    until = time.monotonic() + seconds
    ends: list[End] = []
    waits: list[Wait] = []
    done, more = 0, False
    while True:
        is_over = time.monotonic() > until
        if is_over and not (ends or waits):
            doorbell.ring(lane, doorbell.QUEUES[lane])
            return done
        # A chain would look in vain each time: what is queued is searched with ends only while there was more of it than fits.
        search = not is_over and (more or not (ends or waits))
        got = exchange(worker, lane, 0 if is_over else batch, ends, waits, search=search)
        had, ends, waits, more = bool(ends or waits), [], [], got.more
        for answer in work_on(got.claims, got.at):
            (ends if isinstance(answer, End) else waits).append(answer)  # type: ignore[arg-type]
        done += len(got.claims)
        for root in got.stirred:
            evaluating.settle(root)
        if not (ends or waits or had):
            return done


def work_on(claims: list[Claim], at: datetime | None) -> list[End | Wait]:
    """Perform the claims one after the other."""
    now = at or datetime.now(UTC)
    return [perform(claim, now, version=version_of(claim.run.release)) for claim in claims]
