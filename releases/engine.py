"""The one door to a release's state.

`locked` opens the transaction, locks the row of the root release and gives a `Work`: everything that changes in that tree goes through it,
in sets, each change with its event in the same transaction. Nothing is evaluated and nothing outside is called in here: what needs an
expression (an `if`, outputs, a person's request) is left marked and the tree is *stirred*; `releases/evaluating.py` does it outside the lock
and comes back with values.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from processes.blueprint import OnFailure, Retry
from releases import aborting, doorbell, locking, rebinding, scheduler, stepping
from releases import statements as sql
from releases.flows import PREPARE, Compiled, Step, compiled
from releases.retrying import delay_before
from releases.roots import lock_roots, raw_cursor, root_of, sent_together
from releases.scheduler import Answer, Decision, Fact
from releases.states import BAD, CLOSED, Run, Skipped
from releases.states import Release as State
from releases.stepping import Counted, Try, Unblock
from releases.values import ENGINE, Actor, Claim, End, Move, Ref, ReleaseRow, Tree, of_json
from relorch.audit import chain
from relorch.audit.chain import Happening
from relorch.lib import faults

__all__ = ["ENGINE", "LEASE", "Actor", "Claim", "End", "Move", "Ref", "Work", "created", "lock_roots", "locked", "raw_cursor", "sent_together"]

LEASE = timedelta(seconds=settings.RELORCH_LEASE)


class Work:
    """One transaction over locked trees. Use it only inside `locked` or `locked_free`."""

    def __init__(
        self, cursor: Any, at: datetime, trees: dict[int, Tree], actor: Actor = ENGINE, *, worker: str = "", appetite: Mapping[str, int] | None = None
    ) -> None:
        self.cursor = cursor
        self.at = at
        self.trees = trees
        self.actor = actor
        self.worker = worker
        self.appetite = dict(appetite or {})
        self.claims: list[Claim] = []
        self.moves: list[Move] = []
        self.rings: Counter[str] = Counter()
        self.stirred: set[int] = set()
        self._releases: dict[int, ReleaseRow] = {tree.root: tree.release for tree in trees.values()}
        self._happenings: list[Happening] = []
        self._closed: list[Ref] = []
        self._ready_runs: list[tuple[Ref, Decision]] = []
        self._ready_phases: list[tuple[int, int, int, str]] = []
        self._to_close: list[tuple[int, int, int, str]] = []
        self.by_process: set[int] = set()
        """Runs whose next attempt is a release of another process, whatever they are."""
        self._to_queue: list[tuple[Ref, Run, Mapping[str, int], float]] = []
        self.gated: list[locking.Gated] = []
        self._tended = 0
        self._facts: dict[int, tuple[dict[str, Fact], list[Answer]]] = {}
        self._changed: defaultdict[int, set[str]] = defaultdict(set)

    # --- what is there ------------------------------------------------------------------------------------------------------------

    def release(self, release_id: int) -> ReleaseRow:
        """The release, read under the lock."""
        self.load([release_id])
        return self._releases[release_id]

    def load(self, ids: Iterable[int]) -> None:
        """Read the releases that are not known yet, in one statement."""
        missing = [i for i in set(ids) if i not in self._releases]
        if missing:
            self.cursor.execute(sql.RELEASES, (missing,))
            for row in self.cursor.fetchall():
                self._releases[row[0]] = ReleaseRow.of(row)

    def forget(self, release_id: int) -> None:
        """Read it again: a verb has changed it."""
        self._releases.pop(release_id, None)
        self._facts.pop(release_id, None)

    def compiled(self, release_id: int) -> Compiled:
        """The compiled graph that this release follows."""
        return compiled(self.release(release_id).version)

    def say(self, verb: str, release: int, subject: str = "", reason: str = "", **data: Any) -> None:
        """Add an event to the tree's stream; it is written with the change, at the end of the transaction."""
        root = self.release(release).root
        self._happenings.append(Happening(f"release:{root}", verb, subject, self.actor.id, self.actor.name, self.actor.door, reason, release, data))

    def moved(self, run: Ref, before: str, after: str) -> None:
        """Remember a change of state for a preview."""
        self.moves.append(Move(run.release, run.key, before, after))

    def stir(self, root: int) -> None:
        """Something in this tree must be evaluated outside the lock."""
        self.stirred.add(root)

    def begin(self, release_id: int) -> None:
        """Give a release that has just started its phases and runs, and decide what depends on nothing."""
        row = self.release(release_id)
        flow = self.compiled(release_id).flow
        phases = list(flow.phases.values())
        self.cursor.execute(
            sql.INSERT_PHASES,
            {
                "release": release_id,
                "root": row.root,
                "keys": [phase.id for phase in phases],
                "unmet": [flow.unmet_of_phase(phase.id) for phase in phases],
                "totals": [len(phase.activities) for phase in phases],
            },
        )
        ids = {key: phase for phase, key in self.cursor.fetchall()}
        faults.point("begin.phases_written")
        steps = list(flow.steps.values())
        self.cursor.execute(
            sql.INSERT_RUNS,
            {
                "release": release_id,
                "root": row.root,
                "phases": [ids[flow.phase_of[step.id]] for step in steps],
                "keys": [step.id for step in steps],
                "types": [step.type for step in steps],
                "recovers": [step.recovers for step in steps],
                "unmet": [flow.unmet_of_step(step.id) for step in steps],
            },
        )
        self._ready_phases += [(ids[phase.id], release_id, row.root, phase.id) for phase in phases if not phase.depends_on]

    # --- ends ---------------------------------------------------------------------------------------------------------------------

    def finish(self, ends: Sequence[End]) -> list[End]:
        """Record the ends of attempts and go on with what they made ready. Returns those that came too late; nothing of them is kept but an event."""
        if not ends:
            return []
        self.load(end.run.release for end in ends)
        endings = list(map(self._ending, ends, stepping.tried_before(self, ends)))
        unblocks = stepping.unblocked(self, ends, [ending for ending, _ in endings])
        self.cursor.execute(
            sql.STEP,
            {
                "at": self.at,
                "worker": self.worker,
                "lease": LEASE,
                "ends": json.dumps([stepping.end_as_row(end, ending) for end, (ending, _) in zip(ends, endings, strict=True)]),
                "unblocks": json.dumps([unblock.as_row() for unblock in unblocks]),
            },
        )
        stepped = stepping.sorted_rows(self.cursor.fetchall())
        late = []
        for end, (ending, delay) in zip(ends, endings, strict=True):
            taken = stepped.ends.get(end.attempt)
            if taken is None:
                late.append(end)
                self.say("attempt.late_result_refused", end.run.release, end.run.key, fence=end.fence, result=end.state)
            else:
                self._ended(end, *taken, ending, delay)
        for phase in stepped.phases:
            self._note_phase(*phase)
        self._go_on(unblocks, stepped.runs)
        if late:
            # whoever still answers under the fence that was ended has come to its end
            self.cursor.execute(
                """
                UPDATE releases_attempt a SET stop_confirmed_at = %s FROM unnest(%s::bigint[], %s::int[]) AS d(id, fence)
                WHERE a.id = d.id AND a.fence = d.fence + 1 AND a.stop_asked_at IS NOT NULL AND a.stop_confirmed_at IS NULL
                """,
                (self.at, [end.attempt for end in late], [end.fence for end in late]),
            )
        return late

    def _ended(self, end: End, ref: Ref, number: int, ending: Run, delay: float | None) -> None:
        """Say it, and go on with what has not been counted with it: all but what succeeded."""
        self.moved(ref, end.was, ending)
        said: dict[str, Any] = {"attempt": number}
        if end.state is not Run.SUCCEEDED:
            said |= {"code": end.code, "message": end.message[:500]}
        self.say(f"activity.{end.state}", ref.release, ref.key, **said)
        if delay is not None:
            self._to_queue.append((ref, Run.QUEUED, {}, delay))
        elif ending is Run.SUCCEEDED:
            self._facts.pop(ref.release, None)  # it may be an answer
            if self._releases[ref.release].troubled:
                self._changed[ref.release].add(ref.key)
        elif ending in CLOSED:
            self._close_run(ref, ending)
        else:
            self.say(f"activity.{ending}", ref.release, ref.key, **said)

    def _go_on(self, unblocks: Sequence[Unblock], counted: Mapping[tuple[int, str], Counted]) -> None:
        for unblock in {(one.release, one.key): one for one in unblocks}.values():
            found = counted.get((unblock.release, unblock.key))
            if found is not None and found.attempt is not None:
                self._began(found.ref, Run.PENDING, unblock.step, found.attempt, lane=unblock.step.lane, is_claimed=unblock.goes is Run.RUNNING)
                continue
            if unblock.goes is Run.RUNNING:
                self.appetite[unblock.step.lane] += 1
            if found is not None:
                self._note_ready([found.waiting])

    def _ending(self, end: End, before: int) -> tuple[Run, float | None]:
        """The state of the run after this end of its attempt, and the delay of the next attempt when policy grants one."""
        if end.state is Run.SUCCEEDED:
            return Run.SUCCEEDED, None
        if end.code == "approval_broken":  # whatever `on_failure` says: nothing goes past a forged approval (S17)
            return Run.ON_HOLD, None
        activity = self.compiled(end.run.release).steps[end.run.key].activity
        if end.state is Run.FAILED:
            delay = None if end.final else delay_before(activity.retry or Retry(), end.number - before + 1)
            if delay is not None:
                return Run.QUEUED, delay
            return {OnFailure.HOLD: Run.ON_HOLD, OnFailure.FAIL: Run.FAILED, OnFailure.IGNORE: Run.IGNORED}[activity.on_failure], None
        approval = activity.approval
        if end.state is Run.EXPIRED and activity.connector:  # a signal that did not come (S26)
            return {OnFailure.HOLD: Run.ON_HOLD, OnFailure.FAIL: Run.EXPIRED, OnFailure.IGNORE: Run.IGNORED}[activity.on_failure], None
        if end.state is Run.REJECTED:
            return (Run.REJECTED if approval and approval.on_reject == "fail" else Run.ON_HOLD), None
        return (Run.EXPIRED if approval and approval.on_expiry == "reject" else Run.ON_HOLD), None

    def _close_run(self, ref: Ref, state: Run) -> None:
        self._closed.append(ref)
        # A bad end is a cause and a good one may be an answer: what was read before in this transaction is out of date.
        self._facts.pop(ref.release, None)
        if state in BAD:
            self.trouble(ref.release)
            flow = self.compiled(ref.release).flow
            if flow.blueprint.fail_fast and not flow.steps[ref.key].optional:
                aborting.fail_fast(self, ref)

    def trouble(self, release_id: int) -> None:
        """From now on causes and answers (S6) count in this release."""
        row = self.release(release_id)
        self._facts.pop(release_id, None)
        if not row.troubled:
            row.troubled = True
            self.cursor.execute("UPDATE releases_release SET troubled = true WHERE id = %s", (release_id,))

    def close(self, ref: Ref, state: Run) -> None:
        """A verb has closed this run by its own statement: count it and go on."""
        self._close_run(ref, state)

    def count(self, ref: Ref) -> None:
        """This run has been closed and is no cause: what waits for it is counted down."""
        self._closed.append(ref)

    # --- what becomes ready -------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Go on until nothing more can be decided under the lock, then queue what is ready."""
        while self._closed or self._to_close or self._ready_phases or self._ready_runs:
            if self._closed:
                self._count_down()
            if self._to_close:
                self._close_phases()
            if self._ready_phases:
                self._decide_phases()
            if self._ready_runs:
                self._decide_runs()
        if self._changed:
            changed, self._changed = self._changed, defaultdict(set)
            rebinding.rebind(self, changed)
        self._queue()
        if self._tend_locks():
            self.settle()

    def _tend_locks(self) -> bool:
        """S9a, in trees whose processes name locks, if anything has moved; whether there is more to settle."""
        if self._tended == len(self._happenings) and not self.gated:
            return False
        releases = [row.id for row in self._releases.values() if compiled(row.version).has_locks]
        if releases:
            locking.tend(self, releases)
        self._tended = len(self._happenings)
        return bool(self._closed or self._to_queue)

    def _count_down(self) -> None:
        faults.point("count_down.before")
        closed, self._closed = self._closed, []
        self.load(ref.release for ref in closed)
        for ref in closed:
            if self._releases[ref.release].troubled:
                self._changed[ref.release].add(ref.key)
        steps: Counter[tuple[int, str]] = Counter()
        phases: Counter[int] = Counter()
        for ref in closed:
            phases[ref.phase] += 1
            for key in self.compiled(ref.release).flow.next_steps[ref.key]:
                steps[ref.release, key] += 1
        if steps:
            self.cursor.execute(sql.COUNT_DOWN_RUNS, ([r for r, _ in steps], [k for _, k in steps], list(steps.values())))
            self._note_ready(self.cursor.fetchall())
        self.cursor.execute(sql.COUNT_DOWN_PHASES, (list(phases), list(phases.values())))
        for row in self.cursor.fetchall():
            self._note_phase(*row)

    def _note_phase(self, phase: int, release: int, root: int, key: str, remaining: int, decided: str, is_closed: bool, is_broken: bool) -> None:
        """Close it if nothing of it is left."""
        if remaining or is_closed or not (decided or is_broken):
            return
        if not decided:
            # its `if` could never be evaluated, and people or policy have closed all of it: nothing is left to open it for
            self.cursor.execute("UPDATE releases_phaserun SET decided = 'open', opened_at = %s WHERE id = %s", (self.at, phase))
        self._to_close.append((phase, release, root, key))

    def _note_ready(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for *place, unmet, decided, because, met in rows:
            if unmet == 0 and decided:
                self._ready_runs.append((Ref(*place), scheduler.PLAIN_RUN if decided == "open" else Decision(False, because, of_json(met))))

    def _close_phases(self) -> None:
        phases, self._to_close = self._to_close, []
        plain = []
        for phase in phases:
            if self.compiled(phase[1]).flow.phases[phase[3]].outputs:
                self.stir(phase[2])
            else:
                plain.append(phase)
        if plain:
            self.close_phases({phase[0]: {} for phase in plain})

    def close_phases(self, outputs: Mapping[int, Mapping[str, Any]]) -> None:
        """Close phases whose runs are all closed, with their outputs, and count down what waits for them."""
        self.cursor.execute(sql.CLOSE_PHASES, {"at": self.at, "ids": list(outputs), "outputs": [json.dumps(value) for value in outputs.values()]})
        rows = self.cursor.fetchall()
        self.load(row[1] for row in rows)
        waiting: Counter[tuple[int, str]] = Counter()
        releases: Counter[int] = Counter()
        faults.point("phases.closed")
        for _, release, _, key in rows:
            self.say("phase.closed", release, f"phase:{key}")
            releases[release] += 1
            if self._releases[release].troubled:
                self._changed[release].add(f"phase:{key}")
            for later in self.compiled(release).flow.next_phases[key]:
                waiting[release, later] += 1
        if waiting:
            self.cursor.execute(sql.COUNT_DOWN_NEXT_PHASES, ([r for r, _ in waiting], [k for _, k in waiting], list(waiting.values())))
            self._ready_phases += [row[:4] for row in self.cursor.fetchall() if row[4] == 0]
        if releases:
            self.cursor.execute(sql.COUNT_DOWN_RELEASES, (list(releases), list(releases.values())))
            for release, left in self.cursor.fetchall():
                if left == 0:
                    self._release_done(release)

    def _release_done(self, release_id: int) -> None:
        row = self.release(release_id)
        if row.state is State.RUNNING and not self.compiled(release_id).flow.blueprint.outputs:
            self.finish_release(release_id, {})
        else:
            self.stir(row.root)

    def finish_release(self, release_id: int, outputs: Mapping[str, Any], missing: Sequence[str] = ()) -> None:
        """Give a release whose phases are all closed its result (S9). A held one stays open until it is resumed (S12a)."""
        row = self.release(release_id)
        if row.state is not State.RUNNING:
            return
        facts, answers = self.facts(release_id) if row.troubled else ({}, [])
        self.cursor.execute("SELECT EXISTS (SELECT FROM releases_activityrun WHERE release_id = %s AND state = 'ignored')", (release_id,))
        if self.cursor.fetchone()[0]:
            facts = {**facts, "": Fact(Run.IGNORED)}
        result = scheduler.outcome(self.compiled(release_id).flow, facts, answers)
        self.cursor.execute(
            "UPDATE releases_release SET state = %s, finished_at = %s, outputs = %s::json WHERE id = %s AND state = 'running' AND open_phases = 0",
            (result, self.at, json.dumps(outputs), release_id),
        )
        faults.point("release.ended")
        if self.cursor.rowcount:
            row.state = result
            self.moves.append(Move(release_id, "", State.RUNNING, result))
            self.say(f"release.{result}", release_id, missing_outputs=list(missing)) if missing else self.say(f"release.{result}", release_id)
            if row.parent_run is not None:
                self.stir(row.root)

    def facts(self, release_id: int) -> tuple[dict[str, Fact], list[Answer]]:
        """What carries causes in this release, and what answers them (S6)."""
        known = self._facts.get(release_id)
        if known is None:
            self.cursor.execute(sql.CAUSES, ([release_id],))
            facts = {key: Fact(Run(state), because, of_json(met), attempt) for _, key, state, because, met, attempt in self.cursor.fetchall()}
            self.cursor.execute(sql.ANSWERS, ([release_id],))
            answers = [Answer(key, {**of_json(phase_met), **of_json(met)}) for _, key, met, phase_met in self.cursor.fetchall()]
            known = self._facts[release_id] = facts, answers
        return known

    def _decide_phases(self) -> None:
        phases, self._ready_phases = self._ready_phases, []
        self.load(phase[1] for phase in phases)
        decided: dict[int, tuple[Decision, Mapping[str, Any]]] = {}
        for phase, release, root, key in phases:
            decision = self.decision_of_phase(release, key)
            declared = self.compiled(release).flow.phases[key]
            if decision.runs and (declared.condition or declared.variables or declared.lock is not None):
                self.stir(root)
            else:
                decided[phase] = decision, {}
        self.decide_phases(decided)

    def decision_of_phase(self, release_id: int, key: str) -> Decision:
        """By `run_when` alone (S7); an `if` is asked by whoever evaluates."""
        facts, answers = self.facts(release_id) if self.release(release_id).troubled else ({}, [])
        return scheduler.decide_phase(self.compiled(release_id).flow, key, facts, answers)

    def decision_of_run(self, ref: Ref, phase: Decision) -> Decision:
        """By its phase and `run_when` (S5, S7)."""
        facts, answers = self.facts(ref.release) if self.release(ref.release).troubled else ({}, [])
        return scheduler.decide_step(self.compiled(ref.release).flow, ref.key, phase, facts, answers)

    def decide_phases(self, decided: Mapping[int, tuple[Decision, Mapping[str, Any]]]) -> None:
        """Open or skip phases whose dependencies are closed; their runs are counted down."""
        if not decided:
            return
        self.cursor.execute(
            sql.DECIDE_PHASES,
            {
                "at": self.at,
                "ids": list(decided),
                "decided": ["open" if decision.runs else "skipped" for decision, _ in decided.values()],
                "because": [decision.because for decision, _ in decided.values()],
                "met": [json.dumps(dict(decision.met)) for decision, _ in decided.values()],
                "variables": [json.dumps(variables) for _, variables in decided.values()],
            },
        )
        rows = self.cursor.fetchall()
        faults.point("phases.decided")
        for phase, release, root, key, remaining in rows:
            decision, _ = decided[phase]
            if decision.runs:
                self.say("phase.opened", release, f"phase:{key}")
            else:
                self.say("phase.skipped", release, f"phase:{key}", because=decision.because, causes=sorted(decision.met)[:20], number=len(decision.met))
            if remaining == 0:
                self._to_close.append((phase, release, root, key))
        self.cursor.execute(sql.OPEN_RUNS, ([row[0] for row in rows],))
        self._note_ready(self.cursor.fetchall())

    def _decide_runs(self) -> None:
        ready, self._ready_runs = self._ready_runs, []
        self.load(ref.release for ref, _ in ready)
        skipped: dict[int, tuple[Ref, Decision]] = {}
        for ref, phase in ready:
            row = self._releases[ref.release]
            step = self.compiled(ref.release).steps[ref.key]
            decision = self.decision_of_run(ref, phase)
            if not decision.runs:
                skipped[ref.id] = ref, decision
            elif step.activity.condition or step.activity.lock is not None:
                self.stir(ref.root)
            elif row.state is State.RUNNING:
                self.queue(ref, decision.met)
        self.skip(skipped)

    def skip(self, skipped: Mapping[int, tuple[Ref, Decision]]) -> None:
        """Close pending runs that will not run, saying why."""
        if not skipped:
            return
        decisions = [decision for _, decision in skipped.values()]
        self.cursor.execute(
            sql.SKIP,
            {
                "at": self.at,
                "ids": list(skipped),
                "because": [decision.because for decision in decisions],
                "met": [json.dumps(dict(decision.met)) for decision in decisions],
            },
        )
        faults.point("skip.written")
        for place in self.cursor.fetchall():
            ref, decision = Ref(*place), skipped[place[0]][1]
            self.moved(ref, Run.PENDING, Run.SKIPPED)
            said: dict[str, Any] = {"causes": sorted(decision.met)[:20], "number": len(decision.met)} if decision.met else {}
            self.say("activity.skipped", ref.release, ref.key, because=decision.because, **said)
            if decision.because == Skipped.BAD_END:
                self._facts.pop(ref.release, None)
            self._closed.append(ref)

    def queue(self, ref: Ref, met: Mapping[str, int] | None = None, *, was: Run = Run.PENDING, delay: float = 0) -> None:
        """Give the run a new attempt when this work is settled; at once when nothing else is to be done first."""
        self._to_queue.append((ref, was, met or {}, delay))

    def _queue(self) -> None:
        queue, self._to_queue = self._to_queue, []
        if not queue:
            return
        faults.point("queue.before")
        self.load(ref.release for ref, *_ in queue)
        steps = [self.compiled(ref.release).steps[ref.key] for ref, *_ in queue]
        lanes = [PREPARE if ref.id in self.by_process else step.lane for (ref, *_), step in zip(queue, steps, strict=True)]
        claims = []
        for (ref, _, _, delay), step, lane in zip(queue, steps, lanes, strict=True):
            claim = delay == 0 and self.appetite.get(lane, 0) > 0 and not (step.guards or step.locks) and self._releases[ref.release].state is State.RUNNING
            if claim:
                self.appetite[lane] -= 1
            claims.append(claim)
        self.cursor.execute(
            sql.QUEUE,
            {
                "at": self.at,
                "worker": self.worker,
                "lease": LEASE,
                "runs": json.dumps(
                    [
                        {"id": ref.id, "was": was, "lane": lane, "effect": step.effect, "met": dict(met), "claim": claim, "delay": delay}
                        for (ref, was, met, delay), step, lane, claim in zip(queue, steps, lanes, claims, strict=True)
                    ]
                ),
            },
        )
        queued = {run: Try(attempt, number, str(key)) for attempt, run, number, key in self.cursor.fetchall()}
        faults.point("queue.written")
        for (ref, was, _, delay), step, lane, claim in zip(queue, steps, lanes, claims, strict=True):
            if ref.id in queued:
                self._began(ref, was, step, queued[ref.id], lane=lane, is_claimed=claim, delay=delay)

    def _began(self, ref: Ref, was: Run, step: Step, attempt: Try, *, lane: str, is_claimed: bool, delay: float = 0) -> None:
        """A run has a new attempt: ours, or to be rung for."""
        self.moved(ref, was, Run.RUNNING if is_claimed else Run.QUEUED)
        if is_claimed:
            self.claims.append(Claim(attempt.id, ref, 1, attempt.number, attempt.key, step.effect))
            self.say("activity.started", ref.release, ref.key, attempt=attempt.number)
        elif step.locks:
            self.gated.append(locking.Gated(ref, attempt.id, attempt.number, delay=delay))
        else:
            self.handed_out(ref, lane, delay)
        if delay:
            self.say("activity.retry_scheduled", ref.release, ref.key, attempt=attempt.number, delay=delay)

    def handed_out(self, ref: Ref, lane: str, delay: float = 0) -> None:
        """An attempt is queued: somebody is to hear of it."""
        if lane == PREPARE:
            self.stir(ref.root)
        elif not delay:
            self.rings[lane] += 1

    # --- the end of the transaction -----------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Events, heads and the mark of stirred trees: the last statements before the commit."""
        faults.point("audit.before")
        if self._happenings:
            chain.append(self.cursor, {f"release:{tree.root}": tree.head for tree in self.trees.values()}, self._happenings, self.at)
            self._happenings = []
        if self.stirred:
            self.cursor.execute("UPDATE releases_release SET stirred_at = %s WHERE id = ANY(%s) AND stirred_at IS NULL", (self.at, sorted(self.stirred)))


@contextmanager
def locked(release_id: int, *, actor: Actor = ENGINE, preview: bool = False) -> Iterator[Work]:
    """The tree of this release, locked, with one time for the whole transaction; settled and written at the end, then the doorbell rings.

    With `preview` everything is done and rolled back: `moves` tells what would have happened. Raises LookupError when there is no release.
    """
    root = root_of(release_id)
    with _transaction(lambda: root, actor, preview) as work:
        yield work


@contextmanager
def created(insert: Callable[[], int], *, actor: Actor) -> Iterator[Work]:
    """As `locked`, for a root release that `insert` makes in the same transaction; it returns the id."""
    with _transaction(insert, actor, preview=False, is_new=True) as work:
        yield work


@contextmanager
def _transaction(root: Callable[[], int], actor: Actor, preview: bool, *, is_new: bool = False) -> Iterator[Work]:
    with transaction.atomic(durable=not preview):
        release_id = root()
        cursor = raw_cursor()
        if is_new:
            chain.begin(cursor, f"release:{release_id}")
        trees, at = lock_roots(cursor, [release_id])
        if at is None:
            raise LookupError(release_id)
        work = Work(cursor, at, trees, actor)
        faults.point("verb.locked")
        yield work
        faults.point("verb.done")
        work.settle()
        work.write()
        faults.point("verb.before_commit")
        if preview:
            transaction.set_rollback(True)
    if not preview:
        faults.point("verb.committed")
        doorbell.ring_for(work.rings, stirred=bool(work.stirred))
