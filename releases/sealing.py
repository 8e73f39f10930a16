"""The last gate (S17): what follows an approval starts only if the verdict bears our seal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relorch.lib import sealing

if TYPE_CHECKING:
    from releases.engine import Ref, Work

PURPOSE = "verdict"

_VERDICTS = """
SELECT run.release_id, run.key, a.id, a.decision, a.seal
FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count
WHERE run.release_id = ANY(%s) AND run.key = ANY(%s) AND run.state = 'succeeded' AND run.type = 'manual'
"""


def seal_of(attempt: int, decision: Mapping[str, Any]) -> str:
    """The seal over an attempt and what its verdict rested on: packet hash and votes, or the override."""
    return sealing.seal(PURPOSE, {"attempt": attempt, "decision": dict(decision)})


def broken_guards(work: Work, runs: Sequence[Ref]) -> dict[int, str]:
    """Of these runs, those that directly succeed an approval marked succeeded without a valid seal: {run: which one}."""
    guarded = {run.id: (run, guards) for run in runs if (guards := work.compiled(run.release).steps[run.key].guards)}
    if not guarded:
        return {}
    releases = {run.release for run, _ in guarded.values()}
    keys = {key for _, guards in guarded.values() for key in guards}
    work.cursor.execute(_VERDICTS, (list(releases), list(keys)))
    forged = {
        (release, key)
        for release, key, attempt, decision, seal in work.cursor.fetchall()
        if not (decision and sealing.is_sealed(seal, PURPOSE, {"attempt": attempt, "decision": decision}))
    }
    broken = {}
    for run, guards in guarded.values():
        bad = [key for key in guards if (run.release, key) in forged]
        if bad:
            broken[run.id] = f"The approval of {', '.join(bad)} is not sealed: it was not given by the people it needs."
            work.say("approval.broken", run.release, run.key, approvals=bad)
    return broken
