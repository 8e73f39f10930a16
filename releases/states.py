"""The states of releases, runs and attempts and the moves between them: one table each. Pure.

`docs/lifecycle.md` shows these tables and a test compares them; the database refuses every other move by a trigger made from them.
"""

from __future__ import annotations

from enum import StrEnum


class Run(StrEnum):
    """States of an activity run (semantics, section 3)."""

    PENDING = "pending"  # not decided yet, or ready in a release that is held
    QUEUED = "queued"  # an attempt waits for a worker, perhaps until `next_at`
    RUNNING = "running"  # a worker has claimed the attempt
    WAITING = "waiting"  # for a person, a signal, a time or a child; no worker is held
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"  # `skipped_because` says why
    IGNORED = "ignored"  # ended badly, and policy or a person said that it does not matter
    FAILED = "failed"
    REJECTED = "rejected"  # a person said no
    EXPIRED = "expired"  # a person or a signal did not answer in time
    ABORTED = "aborted"
    ON_HOLD = "on_hold"  # ended badly (`outcome` says how) and a person must choose
    INTERRUPTED = "interrupted"  # nobody knows whether it happened; a person must choose


class Release(StrEnum):
    """States of a release (semantics, section 3)."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    HELD = "held"  # on purpose, with a reason
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    ABORTED = "aborted"
    CANCELLED = "cancelled"  # never started
    MISSED = "missed"  # its time passed unstarted


class Skipped(StrEnum):
    """Why a phase or run did not run (S5). The first three satisfy what depends on it."""

    CONDITION = "condition"
    NOT_NEEDED = "not_needed"
    PERSON = "person"
    BAD_END = "bad_end"


BAD = frozenset({Run.FAILED, Run.REJECTED, Run.EXPIRED, Run.ABORTED})
"""Ends that make a run a cause (S6)."""
CLOSED = BAD | {Run.SUCCEEDED, Run.SKIPPED, Run.IGNORED}
OPEN = frozenset(Run) - CLOSED
UNDECIDED = frozenset({Run.ON_HOLD, Run.INTERRUPTED})
"""A person must choose."""

LIVE = frozenset({Release.RUNNING, Release.HELD})
FINISHED = frozenset({Release.SUCCEEDED, Release.PARTIALLY_SUCCEEDED, Release.FAILED, Release.ABORTED})
ENDED = FINISHED | {Release.CANCELLED, Release.MISSED}
REOPENABLE = frozenset({Release.FAILED, Release.PARTIALLY_SUCCEEDED})

_ENDS = frozenset({Run.SUCCEEDED, Run.IGNORED, Run.FAILED, Run.REJECTED, Run.EXPIRED, Run.ABORTED})

RUN_MOVES: dict[Run, frozenset[Run]] = {
    # straight to running: claimed in the very transaction that made it ready; to an end: its `if` cannot be evaluated, or the release is aborted
    Run.PENDING: frozenset({Run.QUEUED, Run.RUNNING, Run.SKIPPED, Run.ON_HOLD, Run.FAILED, Run.IGNORED, Run.ABORTED}),
    Run.QUEUED: frozenset({Run.RUNNING, Run.WAITING, Run.PENDING, Run.SKIPPED, Run.ON_HOLD, Run.FAILED, Run.IGNORED, Run.ABORTED}),
    # back to queued: the next attempt by policy, or the same one after its worker was lost; to pending: restart_from
    Run.RUNNING: (_ENDS - {Run.REJECTED, Run.EXPIRED}) | {Run.QUEUED, Run.WAITING, Run.ON_HOLD, Run.INTERRUPTED, Run.PENDING},
    Run.WAITING: _ENDS | {Run.QUEUED, Run.RUNNING, Run.SKIPPED, Run.ON_HOLD, Run.INTERRUPTED, Run.PENDING},
    Run.ON_HOLD: _ENDS | {Run.QUEUED, Run.PENDING},
    Run.INTERRUPTED: (_ENDS - {Run.REJECTED, Run.EXPIRED}) | {Run.QUEUED, Run.PENDING},
    # closed runs come back only by a person's retry or restart_from
    Run.SUCCEEDED: frozenset({Run.PENDING}),
    Run.IGNORED: frozenset({Run.PENDING}),
    Run.SKIPPED: frozenset({Run.PENDING}),
    Run.FAILED: frozenset({Run.QUEUED, Run.PENDING}),
    Run.REJECTED: frozenset({Run.QUEUED, Run.PENDING}),
    Run.EXPIRED: frozenset({Run.QUEUED, Run.PENDING}),
    Run.ABORTED: frozenset({Run.PENDING}),
}

RELEASE_MOVES: dict[Release, frozenset[Release]] = {
    Release.DRAFT: frozenset({Release.SCHEDULED, Release.RUNNING}),
    Release.SCHEDULED: frozenset({Release.RUNNING, Release.CANCELLED, Release.MISSED, Release.ABORTED}),
    Release.RUNNING: frozenset({Release.HELD}) | FINISHED,
    Release.HELD: frozenset({Release.RUNNING, Release.ABORTED}),
    Release.FAILED: frozenset({Release.RUNNING}),
    Release.PARTIALLY_SUCCEEDED: frozenset({Release.RUNNING}),
    Release.SUCCEEDED: frozenset({Release.RUNNING}),
    Release.ABORTED: frozenset({Release.RUNNING}),
    Release.CANCELLED: frozenset(),
    Release.MISSED: frozenset({Release.SCHEDULED, Release.RUNNING}),
}

ATTEMPT_MOVES: dict[Run, frozenset[Run]] = {
    Run.QUEUED: frozenset({Run.RUNNING, Run.WAITING, Run.FAILED, Run.ABORTED, Run.SKIPPED}),
    Run.RUNNING: frozenset({Run.QUEUED, Run.WAITING, Run.SUCCEEDED, Run.FAILED, Run.ABORTED, Run.INTERRUPTED}),
    # back to queued: the lock that it waited for is its own now
    Run.WAITING: frozenset({Run.QUEUED, Run.RUNNING, Run.SUCCEEDED, Run.FAILED, Run.REJECTED, Run.EXPIRED, Run.ABORTED, Run.SKIPPED, Run.INTERRUPTED}),
    Run.SUCCEEDED: frozenset(),
    Run.FAILED: frozenset(),
    Run.REJECTED: frozenset(),
    Run.EXPIRED: frozenset(),
    Run.ABORTED: frozenset(),
    Run.SKIPPED: frozenset(),
    Run.INTERRUPTED: frozenset({Run.SUCCEEDED, Run.FAILED, Run.ABORTED}),
}
