"""What the engine leaves marked: evaluated here outside the lock, then handed back to it with the values, each under its guard.

Conditions, variables and outputs of phases, requests to people, children, outputs of processes. Evaluating has no effect, so that two
workers may do it at once: the first to come back wins, the other's answer no longer fits and is dropped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from processes.blueprint import Activity, ActivityType
from processes.expressions import ExpressionError, condition, render
from processes.problems import errors
from processes.variables import resolve_variables
from releases import children, locking, rebinding
from releases.asking import people_rows, request_for, task_rows
from releases.engine import End, Ref, Work, locked
from releases.flows import compiled
from releases.models import Release, RunPerson, Task
from releases.names import names_of, names_of_step, paths_of, with_result
from releases.scheduler import Decision
from releases.sealing import alarm, broken_guards, broken_within
from releases.states import Run, Skipped
from releases.values import of_json
from relorch.lib import faults
from relorch.lib.errors import Invalid

log = logging.getLogger(__name__)

MOST_ROUNDS = 50
MOST_AT_ONCE = 500

# Each kind of chore, as rows of one tree. `%(root)s` and `%(most)s` bound them; what cannot go on (held, no `if` yet) is not listed.
_CHORES = {
    "decide_phase": """
        SELECT p.id, p.release_id, p.key FROM releases_phaserun p JOIN releases_release r ON r.id = p.release_id
        WHERE p.root_id = %(root)s AND p.decided = '' AND p.unmet = 0 AND p.error = '' AND r.state = 'running' AND NOT EXISTS (
            SELECT FROM releases_attempt a WHERE a.id = ANY(p.stopping) AND a.stop_confirmed_at IS NULL
                AND a.stop_asked_at > clock_timestamp() - interval '60 seconds') LIMIT %(most)s""",
    "close_phase": """
        SELECT p.id, p.release_id, p.key FROM releases_phaserun p JOIN releases_release r ON r.id = p.release_id
        WHERE p.root_id = %(root)s AND p.closed_at IS NULL AND p.remaining = 0 AND p.decided <> '' AND r.state IN ('running', 'held') LIMIT %(most)s""",
    "decide_run": """
        SELECT run.id, run.release_id, run.key, run.phase_run_id FROM releases_activityrun run JOIN releases_release r ON r.id = run.release_id
        WHERE run.root_id = %(root)s AND run.state = 'pending' AND run.unmet = 0 AND r.state = 'running' LIMIT %(most)s""",
    "prepare": """
        SELECT a.id, a.release_id, run.key, run.id, run.phase_run_id, a.fence, a.number
        FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id JOIN releases_release r ON r.id = a.release_id
        WHERE a.root_id = %(root)s AND a.state = 'queued' AND a.lane = 'prepare' AND (a.next_at IS NULL OR a.next_at <= clock_timestamp())
            AND r.state = 'running' LIMIT %(most)s""",
    "reword": """
        SELECT a.id, a.release_id, run.key FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.state = 'waiting'
        JOIN releases_release r ON r.id = run.release_id
        WHERE run.root_id = %(root)s AND run.type = 'manual' AND run.state = 'waiting' AND r.troubled AND r.state IN ('running', 'held')
            AND a.worded_for <> '' AND a.worded_for <> a.bound_hash LIMIT %(most)s""",
    "child_ended": """
        SELECT a.id, a.release_id, run.key, run.id, run.phase_run_id, a.fence, a.number, child.id
        FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.state = 'waiting'
        JOIN releases_release child ON child.parent_run_id = run.id AND child.id = (a.reference ->> 'release')::bigint
        JOIN releases_release r ON r.id = run.release_id
        WHERE run.root_id = %(root)s AND run.type <> 'manual' AND a.lane = 'prepare' AND run.state = 'waiting' AND r.state IN ('running', 'held')
            AND child.state IN ('succeeded', 'partially_succeeded', 'failed', 'aborted', 'cancelled') LIMIT %(most)s""",
    "finish_release": """
        SELECT r.id, r.id, '' FROM releases_release r WHERE r.root_id = %(root)s AND r.state = 'running' AND r.open_phases = 0 LIMIT %(most)s""",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A chore with what came of its evaluation; `apply` gives it to the engine, under the guards of its row."""

    apply: Callable[[Work], None]


def settle(root: int) -> int:
    """Do all that is to be evaluated in this tree, until nothing is left; the number of chores done."""
    done = 0
    for _ in range(MOST_ROUNDS):
        findings = look(root)
        faults.point("evaluated")
        with locked(root) as work:
            for finding in findings:
                finding.apply(work)
            work.settle()
            done += len(findings)
            is_clear = not _chores(work.cursor, root, 1)
            if is_clear:
                work.cursor.execute("UPDATE releases_release SET stirred_at = NULL WHERE id = %s", (root,))
                work.stirred.discard(root)
        if is_clear:
            return done
    return done


def _chores(cursor: Any, root: int, most: int) -> list[tuple[str, tuple[Any, ...]]]:
    found = []
    for kind, text in _CHORES.items():
        cursor.execute(text, {"root": root, "most": most})
        found += [(kind, row) for row in cursor.fetchall()]
    return found


def look(root: int) -> list[Finding]:
    """Evaluate every chore of the tree as things are now, outside the lock."""
    with connection.cursor() as cursor:
        chores = _chores(cursor, root, MOST_AT_ONCE)
    releases = Release.objects.select_related("version", "process", "starter").in_bulk({row[1] for _, row in chores})
    return [_EVALUATE[kind](releases[row[1]], row) for kind, row in chores]


# --- phases -----------------------------------------------------------------------------------------------------------------------------


def _decide_phase(release: Release, row: tuple[Any, ...]) -> Finding:
    phase_run, _, key = row
    phase = compiled(release.version_id).flow.phases[key]
    runs, variables, error, lock = True, {}, "", ""
    try:
        names = names_of(release, paths_of(phase.variables, phase.lock, conditions=[phase.condition]))
        if phase.condition:
            runs = condition(phase.condition, names)
        if runs and phase.variables:
            variables = resolve_variables(phase.variables, names)
        if runs and phase.lock is not None:
            lock = _lock_name(phase.lock, {**names, "variables": {**names["variables"], **variables}})
    except ExpressionError as problem:
        error = _text_of(problem)

    def apply(work: Work) -> None:
        decision = work.decision_of_phase(release.pk, key)
        if not decision.runs:
            work.decide_phases({phase_run: (decision, {})})
        elif error:
            _phase_cannot_open(work, phase_run, error)
        elif not runs:
            work.decide_phases({phase_run: (Decision(False, Skipped.CONDITION), {})})
        else:
            if lock:
                locking.name_phase(work, release.pk, phase_run, lock, gives_way=phase.lock_while_waiting == "release")
            work.decide_phases({phase_run: (decision, variables)})

    return Finding(apply)


def _lock_name(template: str, names: Mapping[str, Any]) -> str:
    """The name that a lock's text gives (S9a). Raises ExpressionError when it gives none."""
    value = render(template, names)
    said = value if isinstance(value, str) else str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
    if not said.strip() or len(said) > locking.LONGEST_NAME:
        raise ExpressionError(template, f"A lock has a name of 1 to {locking.LONGEST_NAME} characters.")
    return said.strip()


def _phase_cannot_open(work: Work, phase_run: int, error: str) -> None:
    """S1: every activity of it that depends on none inside it fails so; the others stay pending until one of them is retried."""
    work.cursor.execute(
        "UPDATE releases_phaserun SET error = %s WHERE id = %s AND decided = '' AND unmet = 0 AND error = '' RETURNING release_id, key", (error, phase_run)
    )
    for release, key in work.cursor.fetchall():
        flow = work.compiled(release).flow
        inside = {step.id for step in flow.phases[key].activities}
        first = [step.id for step in flow.phases[key].activities if not inside.intersection(step.depends_on)]
        work.say("phase.not_decided", release, f"phase:{key}", message=error)
        fail_undecided(work, release, first, error)


def fail_undecided(work: Work, release: int, keys: list[str], error: str) -> None:
    """End pending runs whose `if` (or whose phase's) cannot be evaluated, by their `on_failure`; they have had no attempt."""
    steps = work.compiled(release).steps
    work.cursor.execute(
        """
        UPDATE releases_activityrun run SET state = d.state, outcome = CASE WHEN d.state = 'on_hold' THEN 'failed' ELSE '' END,
            code = 'expression_error', message = %(message)s, finished_at = CASE WHEN d.state <> 'on_hold' THEN %(at)s END
        FROM unnest(%(keys)s::text[], %(states)s::text[]) AS d(key, state)
        WHERE run.release_id = %(release)s AND run.key = d.key AND run.state = 'pending'
        RETURNING run.id, run.release_id, run.root_id, run.phase_run_id, run.key, run.state
        """,
        {
            "message": error,
            "at": work.at,
            "release": release,
            "keys": keys,
            "states": [{"hold": "on_hold", "fail": "failed", "ignore": "ignored"}[steps[key].activity.on_failure] for key in keys],
        },
    )
    for *place, state in work.cursor.fetchall():
        ref = Ref(*place)
        work.moved(ref, Run.PENDING, state)
        work.say(f"activity.{state}", ref.release, ref.key, code="expression_error", message=error)
        if state != Run.ON_HOLD:
            work.close(ref, Run(state))


def _close_phase(release: Release, row: tuple[Any, ...]) -> Finding:
    phase_run, _, key = row
    outputs, missing = _outputs(release, compiled(release.version_id).flow.phases[key].outputs, phase=key)

    def apply(work: Work) -> None:
        if missing:
            work.say("phase.outputs_missing", release.pk, f"phase:{key}", problems=missing)
        work.close_phases({phase_run: outputs})

    return Finding(apply)


def _outputs(release: Release, templates: Mapping[str, Any], *, phase: str = "") -> tuple[dict[str, Any], list[str]]:
    """The outputs that resolve, and the problems of those that do not: these are absent and reported (S1)."""
    if not templates:
        return {}, []
    names = names_of(release, paths_of(dict(templates)), phase=phase)
    found, missing = {}, []
    for name, template in templates.items():
        try:
            found[name] = render(template, names)
        except ExpressionError as problem:
            missing.append(f"{name}: {_text_of(problem)}")
    return found, missing


# --- runs -------------------------------------------------------------------------------------------------------------------------------


def _decide_run(release: Release, row: tuple[Any, ...]) -> Finding:
    run, _, key, phase_run = row
    flow = compiled(release.version_id).flow
    activity = flow.steps[key]
    ref = Ref(run, release.pk, release.root_id, phase_run, key)
    runs, error, lock = True, "", ""
    if activity.condition or activity.lock is not None:
        try:
            if activity.condition:
                runs = condition(
                    activity.condition, names_of(release, paths_of(conditions=[activity.condition]), phase=flow.phase_of[key], step=key, reveal=True)
                )
            if runs and activity.lock is not None:
                lock = _lock_name(activity.lock, names_of(release, paths_of(activity.lock), phase=flow.phase_of[key], step=key))
        except ExpressionError as problem:
            error = _text_of(problem)

    def apply(work: Work) -> None:
        phase = _phase_decision(work, run)
        if phase is None:
            return
        decision = work.decision_of_run(ref, phase)
        if not decision.runs:
            work.skip({run: (ref, decision)})
        elif error:
            fail_undecided(work, release.pk, [key], error)
        elif not runs:
            work.skip({run: (ref, Decision(False, Skipped.CONDITION))})
        elif work.release(release.pk).state == "running":
            if lock:
                locking.name_run(work, ref, lock, gives_way=activity.lock_while_waiting == "release")
            work.queue(ref, decision.met)

    return Finding(apply)


def _phase_decision(work: Work, run: int) -> Decision | None:
    """How the run's phase was decided; None when the run is not to be decided (any more): a person's retry may have reopened what it waits for."""
    work.cursor.execute(
        """
        SELECT phase.decided, phase.skipped_because, phase.met FROM releases_activityrun run JOIN releases_phaserun phase ON phase.id = run.phase_run_id
        WHERE run.id = %s AND run.state = 'pending' AND run.unmet = 0 AND phase.decided <> ''
        """,
        (run,),
    )
    found = work.cursor.fetchone()
    if found is None:
        return None
    decided, because, met = found
    return Decision(decided == "open", because, of_json(met))


def _prepare(release: Release, row: tuple[Any, ...]) -> Finding:
    attempt, _, key, run, phase_run, fence, number = row
    ref = Ref(run, release.pk, release.root_id, phase_run, key)
    activity = compiled(release.version_id).flow.steps[key]
    final = _is_recovery(activity)
    try:
        ask = _question(release, activity, ref, attempt) if activity.type is ActivityType.MANUAL else children.prepare(release, activity, ref, attempt, number)
    except ExpressionError as problem:
        return _failed(End(attempt, ref, Run.FAILED, fence, Run.QUEUED, code=problem.code, message=_text_of(problem), number=number, final=final))
    except Invalid as problem:
        said = "; ".join(item.message for item in errors(problem.problems)) or problem.message
        return _failed(End(attempt, ref, Run.FAILED, fence, Run.QUEUED, code=problem.code, message=said, number=number, final=final))

    def apply(work: Work) -> None:
        if work.release(release.pk).state != "running":
            return
        broken = broken_guards(work, [ref])
        if broken:
            work.finish([End(attempt, ref, Run.FAILED, fence, Run.QUEUED, code="approval_broken", message=broken[run], number=number, final=True)])
        else:
            ask(work)

    return Finding(apply)


def _is_recovery(activity: Activity) -> bool:
    """Whether its child is a process that a person ran in place of the activity: policy does not run that again."""
    return activity.type is ActivityType.AUTOMATED


def _failed(end: End) -> Finding:
    def apply(work: Work) -> None:
        work.finish([end])

    return Finding(apply)


_ASK = """
WITH asked AS (
    UPDATE releases_attempt SET state = 'waiting', started_at = %(at)s, asked_at = %(at)s, due_at = %(at)s + %(due)s * interval '1 second',
        notice_at = %(at)s + %(notice)s * interval '1 second', notices = 0, excludes_starter = %(excludes)s, bound = %(bound)s::json,
        bound_hash = %(hash)s, worded_for = %(hash)s, request = %(request)s::json
    WHERE id = %(attempt)s AND state = 'queued' RETURNING run_id
)
UPDATE releases_activityrun run SET state = 'waiting', started_at = coalesce(run.started_at, %(at)s)
FROM asked WHERE run.id = asked.run_id AND run.state = 'queued' RETURNING run.id
"""


def _question(release: Release, activity: Activity, ref: Ref, attempt: int) -> Callable[[Work], None]:
    request = request_for(release, activity.id)
    rows = people_rows(ref.id, release.pk, request.people)
    tasks = task_rows(attempt, release.pk, request.shown)

    def ask(work: Work) -> None:
        work.cursor.execute(
            _ASK,
            {
                "at": work.at,
                "due": request.due,
                "notice": request.notice,
                "excludes": "starter" in (activity.approval.exclude if activity.approval else ()),
                "bound": json.dumps(dict(request.bound)),
                "hash": request.bound_hash,
                "request": json.dumps(dict(request.shown)),
                "attempt": attempt,
            },
        )
        if work.cursor.fetchone():
            faults.point("asked.written")
            RunPerson.objects.filter(run_id=ref.id).delete()
            RunPerson.objects.bulk_create(rows)
            Task.objects.bulk_create(tasks)
            work.moved(ref, Run.QUEUED, Run.WAITING)
            work.say("activity.asked", release.pk, ref.key, of=[who for role, _, who in request.people if role == "decider"], bound=request.bound_hash)

    return ask


def _reword(release: Release, row: tuple[Any, ...]) -> Finding:
    attempt, _, key = row
    try:
        return Finding(rebinding.reword(release, key, attempt))
    except ExpressionError as problem:
        said = _text_of(problem)

    def apply(work: Work) -> None:
        # The text stays as it was; what is decided on is shown beside it as it is.
        work.cursor.execute("UPDATE releases_attempt SET worded_for = bound_hash WHERE id = %s", (attempt,))
        work.say("activity.not_reworded", release.pk, key, message=said)

    return Finding(apply)


def _child_ended(release: Release, row: tuple[Any, ...]) -> Finding:
    attempt, _, key, run, phase_run, fence, number, child_id = row
    ref = Ref(run, release.pk, release.root_id, phase_run, key)
    child = Release.objects.get(pk=child_id)
    activity = compiled(release.version_id).flow.steps[key]
    final = _is_recovery(activity)
    if child.state in ("succeeded", "partially_succeeded"):
        try:
            outputs = mapped_outputs(release, activity, key, child.outputs or {})
        except ExpressionError as problem:
            return _failed(End(attempt, ref, Run.FAILED, fence, Run.WAITING, code=problem.code, message=_text_of(problem), number=number, final=final))
        return _handed_up(End(attempt, ref, Run.SUCCEEDED, fence, Run.WAITING, outputs=outputs, number=number), child_id)
    code = "child_failed" if child.state == "failed" else "child_aborted"
    said = f'The release "{child.name}" {"failed" if child.state == "failed" else f"was {child.state}"}.'
    return _failed(End(attempt, ref, Run.FAILED, fence, Run.WAITING, code=code, message=said, number=number, final=final))


def _handed_up(end: End, child: int) -> Finding:
    def apply(work: Work) -> None:
        forged = broken_within(work, child)
        if forged:
            alarm(work, end.run.release, end.run.key, approvals=forged, child=child)
            said = f"The approval of {', '.join(forged)} in release {child} is not sealed: it was not given by the people it needs."
            work.finish([End(end.attempt, end.run, Run.FAILED, end.fence, end.was, code="approval_broken", message=said, number=end.number, final=True)])
        else:
            work.finish([end])

    return Finding(apply)


def mapped_outputs(release: Release, activity: Activity, key: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of an activity: exactly its declared map, or the result's as they are (S22). Raises ExpressionError."""
    if activity.outputs is None:
        return dict(result)
    if not activity.outputs:
        return {}
    return dict(render(activity.outputs, with_result(names_of_step(release, key, activity.outputs), result)))


def _finish_release(release: Release, row: tuple[Any, ...]) -> Finding:
    outputs, missing = _outputs(release, compiled(release.version_id).flow.blueprint.outputs)

    def apply(work: Work) -> None:
        work.finish_release(row[0], outputs, missing)

    return Finding(apply)


def _text_of(problem: ExpressionError) -> str:
    return f"{problem.message} In: {problem.expression}"


_EVALUATE: Mapping[str, Callable[[Release, tuple[Any, ...]], Finding]] = {
    "decide_phase": _decide_phase,
    "close_phase": _close_phase,
    "decide_run": _decide_run,
    "prepare": _prepare,
    "reword": _reword,
    "child_ended": _child_ended,
    "finish_release": _finish_release,
}
