"""What people do to a running release (semantics, section 4): one verb each, under the lock, with its event and its reason.

Permission is asked at the door (`releases/access.py`); whether the state fits is asked here, under the lock. Every verb takes `preview`: it
is then done and rolled back, and the moves it would have made are returned.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from processes.problems import Problem
from releases import children, form_secrets
from releases.aborting import abort_children, abort_tree, below, end_attempts
from releases.downstream import outputs_needed
from releases.engine import Actor, End, Move, Ref, Work, locked
from releases.models import Release
from releases.recounting import recount
from releases.sealing import seal_of
from releases.states import LIVE, REOPENABLE, Run, Skipped
from releases.states import Release as State
from releases.values import of_json
from relorch.lib import faults
from relorch.lib.errors import Conflict, Invalid

Moves = list[Move]
_SAY_WHY = "Say why: the reason is kept in the audit trail."


def hold(*, release: int, actor: Actor, reason: str, preview: bool = False) -> Moves:
    """Put a running release and its children on hold: nothing more is claimed; what runs goes on (S12a)."""
    with locked(release, actor=actor, preview=preview) as work:
        _must(work, release, {State.RUNNING}, "put on hold")
        need_reason(reason)
        work.cursor.execute(
            "UPDATE releases_release SET state = 'held', held_by_id = %s, held_at = %s, reason = %s WHERE id = ANY(%s) AND state = 'running' RETURNING id",
            (release, work.at, reason, below(work, release)),
        )
        for (held,) in sorted(work.cursor.fetchall()):
            work.moves.append(Move(held, "", State.RUNNING, State.HELD))
            work.say("release.held", held, reason=reason)
    return work.moves


def resume(*, release: int, actor: Actor, reason: str = "", preview: bool = False) -> Moves:
    """Go on where hold was put; due dates of people and of signals move by the time held (S12a)."""
    with locked(release, actor=actor, preview=preview) as work:
        _must(work, release, {State.HELD}, "resumed")
        work.cursor.execute("SELECT held_by_id, held_at FROM releases_release WHERE id = %s", (release,))
        held_by, held_at = work.cursor.fetchone()
        if held_by != release:
            raise Conflict("held_elsewhere", f"Hold was put on release {held_by}: resume it there.", state=State.HELD, release=held_by)
        above = _held_above(work, release)
        if above:
            raise Conflict("held_elsewhere", f"Release {above[0]} above this one is held too: resume it first.", state=State.HELD, release=above[0])
        work.cursor.execute(
            "UPDATE releases_release SET state = 'running', held_by_id = NULL, held_at = NULL, reason = '' WHERE held_by_id = %s RETURNING id", (release,)
        )
        resumed = sorted(row[0] for row in work.cursor.fetchall())
        work.cursor.execute(
            """
            UPDATE releases_attempt a SET due_at = a.due_at + (%(now)s - %(held)s), notice_at = a.notice_at + (%(now)s - %(held)s)
            FROM releases_activityrun run
            WHERE a.release_id = ANY(%(releases)s) AND a.state = 'waiting' AND coalesce(a.due_at, a.notice_at) IS NOT NULL
                AND run.id = a.run_id AND run.type = 'manual'
            """,
            {"now": work.at, "held": held_at, "releases": resumed},
        )
        work.cursor.execute(
            """
            UPDATE releases_attempt a SET reference = jsonb_set(a.reference::jsonb, '{due}',
                to_jsonb(to_char(((a.reference ->> 'due')::timestamptz + (%(now)s - %(held)s)) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))::json
            WHERE a.release_id = ANY(%(releases)s) AND a.state = 'waiting' AND (a.reference ->> 'due') IS NOT NULL
            """,
            {"now": work.at, "held": held_at, "releases": resumed},
        )
        work.cursor.execute("SELECT lane, count(*) FROM releases_attempt WHERE release_id = ANY(%s) AND state = 'queued' GROUP BY lane", (resumed,))
        work.rings.update(dict(work.cursor.fetchall()))
        for one in resumed:
            work.forget(one)
            work.moves.append(Move(one, "", State.HELD, State.RUNNING))
            work.say("release.resumed", one, reason=reason)
        work.stir(work.release(release).root)
    return work.moves


def _held_above(work: Work, release: int) -> tuple[int, Any] | None:
    """Where the release that this one is a child of is held, and since when; None when it is not."""
    parent_run = work.release(release).parent_run
    if parent_run is None:
        return None
    work.cursor.execute(
        "SELECT r.held_by_id, r.held_at FROM releases_release r JOIN releases_activityrun run ON run.release_id = r.id WHERE run.id = %s AND r.state = 'held'",
        (parent_run,),
    )
    found: tuple[int, Any] | None = work.cursor.fetchone()
    return found


def abort(*, release: int, actor: Actor, reason: str, preview: bool = False) -> Moves:
    """End everything that is open, children too. Running attempts are told to stop after the commit."""
    with locked(release, actor=actor, preview=preview) as work:
        _must(work, release, LIVE, "aborted")
        need_reason(reason)
        abort_tree(work, release, reason)
    return work.moves


def stop(*, release: int, activity: str, actor: Actor, reason: str, preview: bool = False) -> Moves:
    """Tell the running attempt to end: it fails with `stopped`, then `on_failure`; policy grants no other attempt."""
    with locked(release, actor=actor, preview=preview) as work:
        ref, state, _ = _run(work, release, activity, {Run.RUNNING}, "stopped")
        need_reason(reason)
        attempt = _attempt(work, ref)
        work.cursor.execute("UPDATE releases_attempt SET stop_asked_at = %s WHERE id = %s", (work.at, attempt["id"]))
        work.say("activity.stopped", release, activity, reason=reason)
        work.finish([End(attempt["id"], ref, Run.FAILED, attempt["fence"], state, code="stopped", message=reason, number=attempt["number"], final=True)])
    return work.moves


def retry(
    *, release: int, activity: str, actor: Actor, reason: str, inputs: Mapping[str, Any] | None = None, process: str = "", preview: bool = False
) -> Moves:
    """A new attempt; what was skipped because of the old one becomes pending again (S11), a finished release reopens.

    With `process` the new attempt is a release of that process, for a subprocess from now on, for a machine's activity this once. Raises Conflict naming
    the state; Invalid without a reason, for a decision (no process replaces people), and for a process that cannot run there (S12).
    """
    wrong = children.unfit(Release.objects.get(pk=release), process) if process else []
    fits = {Run.ON_HOLD, Run.INTERRUPTED, Run.FAILED, Run.REJECTED, Run.EXPIRED}
    with locked(release, actor=actor, preview=preview) as work:
        ref, state, kind = _run(work, release, activity, fits, "retried", over=True)
        need_reason(reason)
        if process and kind == "manual":
            said = "People decide here: a process cannot take their place."
            raise Invalid("asks_people", said, [Problem("asks_people", said, "/process")])
        if wrong:
            raise Invalid(wrong[0].code, wrong[0].message, wrong)
        reopen(work, release)
        _change(work, ref, kind, inputs or {}, process)
        work.say("activity.retried", release, activity, reason=reason, inputs=sorted(inputs or {}), process=process)
        _pending_again(work, release, activity)
        work.cursor.execute("SELECT attempt_count FROM releases_activityrun WHERE id = %s", (ref.id,))
        if work.cursor.fetchone()[0]:
            # it counts as open before its new attempt is queued, or its phase would be counted down twice
            recount(work, release, reopened=ref.id)
            faults.point("retry.before")
            work.queue(ref, was=state)
        else:
            _to_pending(work, ref, state)
            recount(work, release)
    return work.moves


def _change(work: Work, ref: Ref, kind: str, inputs: Mapping[str, Any], process: str) -> None:
    """What the new attempt is given: inputs over the earlier ones, and the process that it runs."""
    work.cursor.execute("SELECT changes, attempt_count FROM releases_activityrun WHERE id = %s", (ref.id,))
    changes, tried = work.cursor.fetchone()
    earlier = of_json(changes)
    if kind != "subprocess" and earlier.get("process", "") != process:
        earlier = {}  # what was given to a process means nothing to the machine, nor the other way round
    after = {**earlier, "inputs": {**earlier.get("inputs", {}), **inputs}, **({"process": process} if process else {})}
    if not after["inputs"] and not process:
        after.pop("inputs")
    if after != of_json(changes):
        work.cursor.execute("UPDATE releases_activityrun SET changes = %s::json WHERE id = %s", (json.dumps(after), ref.id))
    if process and kind != "subprocess":
        if not tried:
            said = "It has not been tried yet: retry it first, without another process."
            raise Invalid("not_tried", said, [Problem("not_tried", said, "/process")])
        work.by_process.add(ref.id)


def _to_pending(work: Work, ref: Ref, state: Run) -> None:
    work.cursor.execute(
        "UPDATE releases_activityrun SET state = 'pending', outcome = '', code = '', message = '', finished_at = NULL WHERE id = %s AND state = %s",
        (ref.id, state),
    )
    work.moved(ref, state, Run.PENDING)
    work.cursor.execute("UPDATE releases_phaserun SET error = '', decided = '', opened_at = NULL, closed_at = NULL WHERE id = %s AND error <> ''", (ref.phase,))
    work.stir(ref.root)


def _pending_again(work: Work, release: int, cause: str) -> None:
    """S11: what was skipped (or, by fail_fast, aborted) because of this cause; phases first."""
    work.cursor.execute(
        """
        UPDATE releases_phaserun SET decided = '', skipped_because = '', met = '{}', opened_at = NULL, closed_at = NULL
        WHERE release_id = %s AND decided = 'skipped' AND skipped_because = 'bad_end' AND met ? %s
        """,
        (release, cause),
    )
    work.cursor.execute(
        """
        UPDATE releases_activityrun run SET state = 'pending', skipped_because = '', met = '{}', finished_at = NULL
        FROM (
            SELECT id, state FROM releases_activityrun
            WHERE release_id = %s AND state IN ('skipped', 'aborted') AND skipped_because = 'bad_end' AND met ? %s
        ) old
        WHERE run.id = old.id RETURNING run.id, run.release_id, run.root_id, run.phase_run_id, run.key, old.state
        """,
        (release, cause),
    )
    for *place, was in work.cursor.fetchall():
        ref = Ref(*place)
        work.moved(ref, was, Run.PENDING)
        work.say("activity.pending_again", release, ref.key, cause=cause)


def reopen(work: Work, release: int, states: Collection[State] = REOPENABLE) -> None:
    """A release that is over in one of these states runs again; the run that waits for it in the parent waits again (section 4, retry).

    Raises Conflict when it is over in another state, or when its parent has gone on without it.
    """
    row = work.release(release)
    if row.state in LIVE:
        return
    if row.state not in states:
        raise Conflict("wrong_state", f"This release is {row.state}: it cannot be reopened.", state=row.state)
    if row.parent_run is not None:
        _parent_waits_again(work, row.parent_run, release)
    work.cursor.execute("UPDATE releases_release SET state = 'running', finished_at = NULL, outputs = NULL, reason = '' WHERE id = %s", (release,))
    work.moves.append(Move(release, "", row.state, State.RUNNING))
    work.say("release.reopened", release)
    above = _held_above(work, release)
    if above:
        work.cursor.execute("UPDATE releases_release SET state = 'held', held_by_id = %s, held_at = %s WHERE id = %s", (above[0], work.at, release))
        work.moves.append(Move(release, "", State.RUNNING, State.HELD))
        work.say("release.held", release, reason="The release above it is held.")
    work.forget(release)


def _parent_waits_again(work: Work, run: int, child: int) -> None:
    work.cursor.execute(
        """
        SELECT run.id, run.release_id, run.root_id, run.phase_run_id, run.key, run.state, a.id, (a.reference ->> 'release')::bigint
        FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count WHERE run.id = %s
        """,
        (run,),
    )
    *place, state, attempt, newest = work.cursor.fetchone()
    ref = Ref(*place)
    if newest == child and state == Run.WAITING:
        return  # its end has not been told yet
    if newest != child or state not in (Run.ON_HOLD, Run.FAILED):
        raise Conflict("parent_moved_on", "The parent has gone on without this child: retry its activity there.", state=state, release=ref.release)
    reopen(work, ref.release)
    work.cursor.execute(
        """
        INSERT INTO releases_attempt (run_id, release_id, root_id, number, state, lane, key, fence, worker, lost, effect, queued_at, started_at, reference,
            due_at, code, message, bound_hash, seal)
        SELECT run_id, release_id, root_id, number + 1, 'queued', lane, gen_random_uuid(), 0, '', 0, effect, %(at)s, %(at)s, reference,
            %(at)s + %(timeout)s * interval '1 second', '', '', '', ''
        FROM releases_attempt WHERE id = %(attempt)s RETURNING id
        """,
        {"at": work.at, "attempt": attempt, "timeout": work.compiled(ref.release).steps[ref.key].activity.timeout},
    )
    again = work.cursor.fetchone()[0]
    work.cursor.execute(
        "UPDATE releases_activityrun SET state = 'queued', outcome = '', code = '', message = '', finished_at = NULL, attempt_count = attempt_count + 1"
        " WHERE id = %s",
        (ref.id,),
    )
    work.cursor.execute("UPDATE releases_activityrun SET state = 'waiting' WHERE id = %s", (ref.id,))
    work.cursor.execute("UPDATE releases_attempt SET state = 'waiting' WHERE id = %s", (again,))
    work.moved(ref, state, Run.WAITING)
    work.say("activity.waits_again", ref.release, ref.key, child=child)
    _pending_again(work, ref.release, ref.key)
    recount(work, ref.release)


def ignore(*, release: int, activity: str, actor: Actor, reason: str, outputs: Mapping[str, Any] | None = None, preview: bool = False) -> Moves:
    """It ended badly and that does not matter: satisfied, with substitute outputs if given."""
    with locked(release, actor=actor, preview=preview) as work:
        ref, state, _ = _run(work, release, activity, {Run.ON_HOLD, Run.INTERRUPTED}, "ignored")
        need_reason(reason)
        missing = _read_downstream(work, ref, outputs or {})
        if missing:
            raise Invalid("outputs_needed", "Later activities read these outputs: give a value for each.", missing)
        _close_by_hand(work, ref, state, Run.IGNORED, reason, outputs=outputs or {})
    return work.moves


def fail(*, release: int, activity: str, actor: Actor, reason: str, preview: bool = False) -> Moves:
    """Accept the bad end: the run ends in its outcome (an interrupted one as failed)."""
    with locked(release, actor=actor, preview=preview) as work:
        ref, state, _ = _run(work, release, activity, {Run.ON_HOLD, Run.INTERRUPTED}, "failed")
        need_reason(reason)
        work.cursor.execute("SELECT outcome FROM releases_activityrun WHERE id = %s", (ref.id,))
        outcome = Run(work.cursor.fetchone()[0] or Run.FAILED)
        _close_by_hand(work, ref, state, outcome, reason)
    return work.moves


def skip(*, release: int, activity: str, actor: Actor, reason: str, preview: bool = False) -> Moves:
    """It will not run; satisfied. A child that it waits for is aborted, its request to people closed."""
    with locked(release, actor=actor, preview=preview) as work:
        ref, state, _ = _run(work, release, activity, {Run.PENDING, Run.QUEUED, Run.WAITING}, "skipped")
        need_reason(reason)
        _leave_waiting(work, ref, Run.SKIPPED, reason)
        work.cursor.execute(
            "UPDATE releases_activityrun SET state = 'skipped', skipped_because = %s, message = %s, finished_at = %s WHERE id = %s AND state = %s",
            (Skipped.PERSON, reason, work.at, ref.id, state),
        )
        work.moved(ref, state, Run.SKIPPED)
        work.say("activity.skipped", release, activity, reason=reason, because="person")
        work.close(ref, Run.SKIPPED)
    return work.moves


def succeed(*, release: int, activity: str, actor: Actor, reason: str, outputs: Mapping[str, Any] | None = None, preview: bool = False) -> Moves:
    """Break the glass: it counts as succeeded though nobody decided or nothing ran; marked for ever."""
    with locked(release, actor=actor, preview=preview) as work:
        ref, state, _ = _run(work, release, activity, {Run.ON_HOLD, Run.WAITING, Run.INTERRUPTED}, "overridden")
        need_reason(reason)
        _leave_waiting(work, ref, Run.SKIPPED, reason)
        work.cursor.execute("UPDATE releases_activityrun SET overridden = true WHERE id = %s", (ref.id,))
        work.cursor.execute("SELECT id FROM releases_attempt WHERE run_id = %s ORDER BY number DESC LIMIT 1", (ref.id,))
        attempt = (work.cursor.fetchone() or _attempt_to_bear_the_seal(work, ref))[0]
        decision = {"override": actor.name, "reason": reason}
        work.cursor.execute(
            "UPDATE releases_attempt SET decision = %s::json, seal = %s WHERE id = %s", (json.dumps(decision), seal_of(attempt, decision), attempt)
        )
        _close_by_hand(work, ref, state, Run.SUCCEEDED, reason, outputs=outputs or {}, verb="activity.overridden")
    return work.moves


def _attempt_to_bear_the_seal(work: Work, ref: Ref) -> tuple[int]:
    """A run whose `if` could not be evaluated has had no attempt; who succeeds it by hand is kept on one that was skipped."""
    step = work.compiled(ref.release).steps[ref.key]
    work.cursor.execute(
        """
        INSERT INTO releases_attempt (run_id, release_id, root_id, number, state, lane, key, fence, worker, lost, effect, queued_at, finished_at,
            code, message, bound_hash, seal)
        VALUES (%s, %s, %s, 1, 'skipped', %s, gen_random_uuid(), 0, '', 0, %s, %s, %s, '', '', '', '') RETURNING id
        """,
        (ref.id, ref.release, ref.root, step.lane, step.effect, work.at, work.at),
    )
    made: tuple[int] = work.cursor.fetchone()
    work.cursor.execute("UPDATE releases_activityrun SET attempt_count = 1 WHERE id = %s", (ref.id,))
    return made


def _leave_waiting(work: Work, ref: Ref, state: Run, reason: str) -> None:
    abort_children(work, ref, reason)
    end_attempts(work, "a.run_id = %(run)s", state, run=ref.id)


def _close_by_hand(work: Work, ref: Ref, was: Run, state: Run, reason: str, *, outputs: Mapping[str, Any] | None = None, verb: str = "") -> None:
    if outputs is not None:
        outputs = form_secrets.stored(work.compiled(ref.release).flow.steps[ref.key], outputs, work.release(ref.release).root)
    work.cursor.execute(
        """
        UPDATE releases_activityrun SET state = %s, outcome = '', finished_at = %s, outputs = coalesce(%s::json, outputs) WHERE id = %s AND state = %s
        """,
        (state, work.at, None if outputs is None else json.dumps(dict(outputs)), ref.id, was),
    )
    work.moved(ref, was, state)
    work.say(verb or f"activity.{state}", ref.release, ref.key, reason=reason, by_hand=True)
    work.close(ref, state)


def _read_downstream(work: Work, ref: Ref, outputs: Mapping[str, Any]) -> list[Any]:
    return outputs_needed(work.compiled(ref.release).flow.blueprint, ref.key, outputs)


def _must(work: Work, release: int, states: frozenset[State] | set[State], what: str) -> None:
    state = work.release(release).state
    if state not in states:
        raise Conflict("wrong_state", f"This release is {state}: it cannot be {what}.", state=state)


def _run(work: Work, release: int, key: str, fits: set[Run], what: str, *, over: bool = False) -> tuple[Ref, Run, str]:
    """The run, if its state fits and its release is open (`over`: or finished). Raises LookupError, Conflict naming the state."""
    row = work.release(release)
    work.cursor.execute(
        "SELECT id, release_id, root_id, phase_run_id, key, state, type FROM releases_activityrun WHERE release_id = %s AND key = %s", (release, key)
    )
    found = work.cursor.fetchone()
    if found is None:
        raise LookupError(key)
    *place, state, kind = found
    if state not in fits:
        raise Conflict("wrong_state", f"This activity is {state}: it cannot be {what}.", state=state)
    if row.state not in LIVE and not (over and row.state in REOPENABLE):
        raise Conflict("wrong_state", f"This release is {row.state}: its activities cannot be {what}.", state=row.state)
    return Ref(*place), Run(state), kind


def _attempt(work: Work, ref: Ref) -> dict[str, Any]:
    work.cursor.execute("SELECT id, fence, number FROM releases_attempt WHERE run_id = %s ORDER BY number DESC LIMIT 1", (ref.id,))
    return dict(zip(("id", "fence", "number"), work.cursor.fetchone(), strict=True))


def need_reason(reason: str) -> None:
    """Raises Invalid when no reason is given."""
    # asked after the state: who cannot do it at all need not say why (409 comes before 422)
    if not reason.strip():
        raise Invalid("reason_needed", _SAY_WHY, [Problem("required", _SAY_WHY, "/reason")])
