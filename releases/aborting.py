"""Ending what is open: attempts, and whole trees below a release or below a run that waits for a child (S12)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from processes.blueprint import ActivityType
from releases import engine
from releases.states import CLOSED, Run
from releases.states import Release as State
from releases.values import Ref
from relorch.lib import faults

if TYPE_CHECKING:
    from releases.engine import Work

_BELOW = """
WITH RECURSIVE below AS (
    SELECT id FROM releases_release WHERE id = %s
    UNION ALL
    SELECT child.id FROM releases_release child JOIN releases_activityrun run ON run.id = child.parent_run_id JOIN below ON below.id = run.release_id
)
SELECT id FROM below
"""


def below(work: Work, release: int) -> list[int]:
    """This release and all below it."""
    work.cursor.execute(_BELOW, (release,))
    return [row[0] for row in work.cursor.fetchall()]


def abort_tree(work: Work, release: int, reason: str) -> None:
    """Everything open in this release and below it becomes aborted, at once."""
    work.cursor.execute("SELECT id, state FROM releases_release WHERE id = ANY(%s) AND state IN ('running', 'held')", (below(work, release),))
    before = dict(work.cursor.fetchall())
    end_attempts(work, "a.release_id = ANY(%(ids)s)", Run.ABORTED, ids=list(before))
    faults.point("abort.attempts_ended")
    work.cursor.execute(
        """
        UPDATE releases_activityrun run SET state = 'aborted', outcome = '', finished_at = %(at)s, message = %(reason)s
        FROM (SELECT id, state FROM releases_activityrun WHERE release_id = ANY(%(ids)s) AND NOT state = ANY(%(closed)s)) old
        WHERE run.id = old.id RETURNING run.id, run.release_id, run.root_id, run.phase_run_id, run.key, old.state
        """,
        {"at": work.at, "reason": reason, "ids": list(before), "closed": sorted(CLOSED)},
    )
    for *place, was in work.cursor.fetchall():
        ref = Ref(*place)
        work.moved(ref, was, Run.ABORTED)
        work.say("activity.aborted", ref.release, ref.key)
    work.cursor.execute(
        "UPDATE releases_release SET state = 'aborted', finished_at = %s, reason = %s, held_by_id = NULL, held_at = NULL WHERE id = ANY(%s)",
        (work.at, reason, list(before)),
    )
    for one, was in sorted(before.items()):
        work.forget(one)
        work.moves.append(engine.Move(one, "", was, State.ABORTED))
        work.say("release.aborted", one, reason=reason)
    work.stir(work.release(release).root)


def end_attempts(work: Work, where: str, state: Run, **params: Any) -> None:
    """Close open attempts; the fence moves on, so that what a worker still answers is refused. Only a worker can say that it has stopped."""
    work.cursor.execute(
        f"""
        UPDATE releases_attempt a SET state = %(state)s, finished_at = %(at)s, lease_until = NULL, poll_at = NULL, fence = a.fence + 1,
            stop_asked_at = CASE WHEN a.state = 'running' THEN %(at)s END
        WHERE {where} AND a.state IN ('queued', 'running', 'waiting')
        """,  # noqa: S608 - `where` is one of the texts in this module
        {"state": state, "at": work.at, **params},
    )


def abort_children(work: Work, ref: Ref, reason: str) -> None:
    """What ends a run that waits for a child ends the child first (S12)."""
    work.cursor.execute("SELECT id FROM releases_release WHERE parent_run_id = %s AND state IN ('running', 'held')", (ref.id,))
    for (child,) in work.cursor.fetchall():
        abort_tree(work, child, reason)


def fail_fast(work: Work, cause: Ref) -> None:
    """S8: everything not yet closed outside the failure paths meets the cause, once."""
    flow = work.compiled(cause.release).flow
    spared = [*flow.failure_paths, cause.key]
    work.cursor.execute("SELECT attempt_count FROM releases_activityrun WHERE id = %s", (cause.id,))
    met = json.dumps({cause.key: work.cursor.fetchone()[0]})
    others = "a.run_id IN (SELECT id FROM releases_activityrun WHERE release_id = %(release)s AND NOT key = ANY(%(spared)s))"
    end_attempts(work, others, Run.ABORTED, release=cause.release, spared=spared)
    work.cursor.execute(
        """
        UPDATE releases_activityrun run SET state = CASE WHEN old.state = 'pending' THEN 'skipped' ELSE 'aborted' END,
            skipped_because = 'bad_end', met = %(met)s::jsonb, finished_at = %(at)s, outcome = ''
        FROM (SELECT id, state FROM releases_activityrun WHERE release_id = %(release)s AND NOT state = ANY(%(closed)s) AND NOT key = ANY(%(spared)s)) old
        WHERE run.id = old.id RETURNING run.id, run.release_id, run.root_id, run.phase_run_id, run.key, old.state, run.state
        """,
        {"met": met, "at": work.at, "release": cause.release, "spared": spared, "closed": sorted(CLOSED)},
    )
    for *place, before, after in work.cursor.fetchall():
        ref = Ref(*place)
        work.moved(ref, before, after)
        work.say(f"activity.{after}", ref.release, ref.key, because="bad_end", causes=[cause.key])
        work.count(ref)
        if before == Run.WAITING and flow.steps[ref.key].type is not ActivityType.MANUAL:
            abort_children(work, ref, f"{cause.key} failed, and the release is to stop at its first failure.")
