"""Ringing for workers. A ring carries nothing and may be lost, doubled or late: the sweep finds what it missed."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from celery import current_app

from relorch.lib import faults

log = logging.getLogger(__name__)

QUEUES = {"engine": "engine", "slow": "scripts"}
LOCKS = "locks"
"""Not a lane: releases of other trees have been given a lock."""
MOST_RINGS = 8
"""For one transaction and lane: more workers than that are not there to hear it."""

SILENCE = 5.0
"""Seconds without ringing after the broker did not answer."""
_silent_until = 0.0


def ring_for(rings: Mapping[str, int], *, stirred: bool = False) -> None:
    """After a commit: wake workers for the attempts that it queued in each lane, and one for a stirred tree."""
    for lane, queue in QUEUES.items():
        count = min(rings.get(lane, 0), MOST_RINGS)
        if lane == "engine":
            count = 1 if count or stirred else 0
        for _ in range(count):
            ring(lane, queue)
    if rings.get(LOCKS):
        ring(LOCKS, QUEUES["engine"])


def ring(lane: str, queue: str) -> None:
    """One message; a broker that does not answer costs latency and nothing else, and is then left alone for a while, because requests wait for it."""
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        faults.point("doorbell.before")
        if lane == LOCKS:
            current_app.send_task("releases.tasks.take_up_locks", queue=queue, ignore_result=True)
        else:
            current_app.send_task("releases.tasks.drain", args=[lane], queue=queue, ignore_result=True)
    except Exception as error:
        _silent_until = time.monotonic() + SILENCE
        log.warning("doorbell not rung, nor for the next %.0f s: %s", SILENCE, error)
