"""Again, and when: the retry policy as a function of values. Pure."""

from __future__ import annotations

from processes.blueprint import Retry

DEFAULT_TIMEOUT = 6 * 3_600
"""Seconds that an attempt of a machine may take, unless its author says otherwise."""


def delay_before(retry: Retry, attempt: int) -> float | None:
    """Seconds to wait before attempt number `attempt` (2 is the first repetition), or None when policy grants no such attempt."""
    if attempt > retry.attempts:
        return None
    return float(min(retry.delay * retry.backoff ** (attempt - 2), retry.max_delay))
