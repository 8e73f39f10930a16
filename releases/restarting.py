"""Starting a release again from a phase (semantics, section 4: restart_from).

That phase and everything that depends on it through any edge runs afresh; earlier work and attempts are kept, inputs and the process's variables are
not computed again. What is open of it is stopped first: its children are aborted, its attempts told to end, and the phase does not open before their
workers have confirmed it (or have been silent for a minute).
"""

from __future__ import annotations

from collections.abc import Iterable

from processes.problems import Problem, did_you_mean
from releases.aborting import abort_children, end_attempts
from releases.afresh import Afresh, afresh, earliest
from releases.engine import Actor, Move, Ref, Work, locked
from releases.operating import need_reason, reopen
from releases.recounting import recount
from releases.scheduler import Answer, Fact, decide_phase, phase_state
from releases.states import CLOSED, FINISHED, LIVE, Run, Skipped
from releases.states import Release as State
from releases.values import of_json
from relorch.lib.errors import Conflict, Invalid

RESTARTABLE = LIVE | FINISHED


def restart_from(*, release: int, phase: str, actor: Actor, reason: str, preview: bool = False) -> list[Move]:
    """Run a phase and everything that depends on it again.

    Raises Conflict naming the state when the release has not begun or its parent has gone on, and naming the earliest phase that one can start from
    when something upstream is not satisfied; Invalid for a phase that is not there and without a reason.
    """
    with locked(release, actor=actor, preview=preview) as work:
        state = work.release(release).state
        if state not in RESTARTABLE:
            raise Conflict("wrong_state", f"This release is {state}: it has not run, and cannot be started again from a phase.", state=state)
        flow = work.compiled(release).flow
        if phase not in flow.phases:
            said = f'There is no phase "{phase}".{did_you_mean(phase, flow.phases)}' if phase else "Say from which phase: its id."
            raise Invalid("unknown_phase", said, [Problem("unknown_phase" if phase else "required", said, "/phase")])
        now = _Standing(work, release)
        now.check(phase)
        need_reason(reason)
        work.say("release.restarted", release, f"phase:{phase}", reason=reason, was=state)
        reopen(work, release, RESTARTABLE)
        if state is State.ABORTED:
            work.trouble(release)  # what was aborted beside it counts from now on
        _start_again(work, release, phase, now.taken(phase), reason)
    return work.moves


class _Standing:
    """The release as it is under the lock: its phases, its runs, and which causes they met."""

    def __init__(self, work: Work, release: int) -> None:
        self.release, self.state = release, work.release(release).state
        self.flow = work.compiled(release).flow
        work.cursor.execute("SELECT key, decided <> '', closed_at IS NOT NULL, skipped_because, met FROM releases_phaserun WHERE release_id = %s", (release,))
        self.phases = {key: (decided, closed, because, of_json(met)) for key, decided, closed, because, met in work.cursor.fetchall()}
        work.cursor.execute("SELECT key, state, skipped_because, met, attempt_count, recovers FROM releases_activityrun WHERE release_id = %s", (release,))
        rows = work.cursor.fetchall()
        self.facts = {key: Fact(Run(state), because, of_json(met), attempt) for key, state, because, met, attempt, _ in rows}
        self.answers = [
            Answer(key, {**self.phases[self.flow.phase_of[key]][3], **of_json(met)})
            for key, state, _, met, _, recovers in rows
            if recovers and state == Run.SUCCEEDED
        ]

    def check(self, phase: str) -> None:
        """Raises Conflict when what comes before the phase is not satisfied."""
        if self._can_start(phase):
            return
        unsatisfied = [key for key in self.phases if self._phase_state(key) not in ("satisfied", "skipped")]
        first = earliest(self.flow, phase, unsatisfied, self._can_start)
        label = self.flow.phases[first].label if first else ""
        said = f"Something before {self.flow.phases[phase].label} is not satisfied: the earliest phase that this can start again from is {label} ({first})."
        raise Conflict("upstream_not_satisfied", said, state=self.state, phase=first)

    def taken(self, phase: str) -> Afresh:
        """What runs again."""
        met = {key: fact.met for key, fact in self.facts.items() if fact.because == Skipped.BAD_END}
        by_phases = {key: row[3] for key, row in self.phases.items() if row[2] == Skipped.BAD_END}
        return afresh(self.flow, phase, met, by_phases)

    def _can_start(self, phase: str) -> bool:
        """Whether all before it is closed, and it would run and not be skipped for a bad end."""
        if not all(self.phases[other][1] for other in self.flow.phases[phase].depends_on):
            return False
        return decide_phase(self.flow, phase, self.facts, self.answers).because != Skipped.BAD_END

    def _phase_state(self, key: str) -> str:
        decided, closed, _, _ = self.phases[key]
        mine = {step.id: self.facts[step.id] for step in self.flow.phases[key].activities}
        return phase_state(self.flow, key, decided=decided, closed=closed, facts=mine, answers=self.answers)


def _start_again(work: Work, release: int, phase: str, taken: Afresh, reason: str) -> None:
    work.cursor.execute(
        "SELECT id, release_id, root_id, phase_run_id, key, state FROM releases_activityrun WHERE release_id = %s AND key = ANY(%s) ORDER BY position",
        (release, sorted(taken.steps)),
    )
    rows = [(Ref(*place), Run(state)) for *place, state in work.cursor.fetchall()]
    stopping = _stop(work, release, [ref for ref, state in rows if state not in CLOSED], reason)
    work.cursor.execute(
        """
        UPDATE releases_phaserun SET decided = '', skipped_because = '', met = '{}', variables = '{}', outputs = NULL, error = '', opened_at = NULL,
            closed_at = NULL, stopping = CASE WHEN key = %s THEN %s::bigint[] ELSE '{}' END
        WHERE release_id = %s AND key = ANY(%s)
        """,
        (phase, stopping, release, sorted(taken.decided)),
    )
    work.cursor.execute(
        "UPDATE releases_phaserun SET outputs = NULL, closed_at = NULL WHERE release_id = %s AND key = ANY(%s)", (release, sorted(taken.closed))
    )
    work.cursor.execute(
        """
        UPDATE releases_activityrun SET state = 'pending', outcome = '', skipped_because = '', met = '{}', outputs = '{}', code = '', message = '',
            overridden = false, finished_at = NULL,
            changes = CASE WHEN type <> 'subprocess' AND changes ->> 'process' IS NOT NULL THEN '{}'::json ELSE changes END
        WHERE id = ANY(%s) AND state <> 'pending'
        """,
        ([ref.id for ref, _ in rows],),
    )
    for ref, state in rows:
        if state is not Run.PENDING:
            work.moved(ref, state, Run.PENDING)
            work.say("activity.pending_again", ref.release, ref.key, because="restart_from", phase=phase, was=state)
    recount(work, release)


def _stop(work: Work, release: int, open_runs: Iterable[Ref], reason: str) -> list[int]:
    """End what is open; the attempts that a worker is still busy with, so that the phase waits for their end."""
    refs = {ref.id: ref for ref in open_runs}
    work.cursor.execute("SELECT DISTINCT parent_run_id FROM releases_release WHERE parent_run_id = ANY(%s) AND state IN ('running', 'held')", (list(refs),))
    for (parent,) in work.cursor.fetchall():
        abort_children(work, refs[parent], reason)
    end_attempts(work, "a.run_id = ANY(%(runs)s)", Run.ABORTED, runs=list(refs))
    # a worker that was told to end, now or a moment ago, and has not said that it has
    work.cursor.execute(
        """
        SELECT id FROM releases_attempt WHERE root_id = %s AND stop_asked_at > %s - interval '60 seconds' AND stop_confirmed_at IS NULL
            AND worker <> '' AND reference IS NULL
        """,
        (work.release(release).root, work.at),
    )
    return [row[0] for row in work.cursor.fetchall()]
