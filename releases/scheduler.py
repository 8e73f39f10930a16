"""What may start, what is skipped and why, and how a release ends (S3 to S9). Pure: the specification that the engine is held to.

`Flow` is the graph of a blueprint, compiled once per version. The functions decide one item from the facts about what it depends on, so
that the engine asks with only those rows in hand. A cause (S6) is written as `{key of the run: number of its attempt}`: an answer is to
one attempt, so a retried cause is a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from processes.blueprint import Activity, Blueprint, Phase, RunWhen
from releases.states import BAD, Release, Run, Skipped

Causes: TypeAlias = Mapping[str, int]
NONE: Causes = {}
_FAILURE_PATHS = frozenset({RunWhen.FAILED, RunWhen.ALWAYS})


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of one run: its state, why it was skipped, the causes it met and the number of its last attempt."""

    state: Run
    because: str = ""
    met: Causes = field(default_factory=dict)
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A run with `recovers` that succeeded, and the causes that it and its phase had met."""

    key: str
    causes: Causes


@dataclass(frozen=True, slots=True)
class Decision:
    """To run, or to be skipped `because`; `met` are the causes met either way. An `if` is asked only when `runs`."""

    runs: bool
    because: str = ""
    met: Causes = field(default_factory=dict)


PLAIN_RUN = Decision(runs=True)


class Flow:
    """The graph of one blueprint: who waits for whom, among activities and among phases."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self.phases: dict[str, Phase] = {phase.id: phase for phase in blueprint.phases}
        self.steps: dict[str, Activity] = {}
        self.phase_of: dict[str, str] = {}
        for phase in blueprint.phases:
            for step in phase.activities:
                self.steps[step.id] = step
                self.phase_of[step.id] = phase.id
        self.next_steps: dict[str, tuple[str, ...]] = _reversed(self.steps, {key: step.depends_on for key, step in self.steps.items()})
        self.next_phases: dict[str, tuple[str, ...]] = _reversed(self.phases, {key: phase.depends_on for key, phase in self.phases.items()})

    def unmet_of_step(self, key: str) -> int:
        """What an activity waits for at the start: what it depends on, and the decision of its phase."""
        return len(set(self.steps[key].depends_on)) + 1

    def unmet_of_phase(self, key: str) -> int:
        """What a phase waits for at the start."""
        return len(set(self.phases[key].depends_on))

    def upstream_of_step(self, key: str) -> frozenset[str]:
        """Every activity that is closed before this one is decided: what it depends on, what its phase depends on, and so on back."""
        return self.upstream_of(self.steps[key].depends_on, self.phases[self.phase_of[key]].depends_on)

    def upstream_of_phase(self, key: str) -> frozenset[str]:
        """Every activity that is closed before this phase is decided."""
        return self.upstream_of(phases=self.phases[key].depends_on)

    def upstream_of(self, steps: Iterable[str] = (), phases: Iterable[str] = ()) -> frozenset[str]:
        """These activities, those of these phases, and everything that is closed before any of them is decided."""
        found: set[str] = set()
        seen_phases: set[str] = set()
        steps_left, phases_left = list(steps), list(phases)
        while steps_left or phases_left:
            if phases_left:
                phase = phases_left.pop()
                if phase not in seen_phases:
                    seen_phases.add(phase)
                    phases_left += self.phases[phase].depends_on
                    steps_left += [step.id for step in self.phases[phase].activities]
            else:
                step = steps_left.pop()
                if step not in found:
                    found.add(step)
                    steps_left += self.steps[step].depends_on
                    phases_left += self.phases[self.phase_of[step]].depends_on
        return frozenset(found)

    @cached_property
    def failure_paths(self) -> frozenset[str]:
        """Activities that `fail_fast` leaves alone (S8): on a path that is there for failures, or depending only on such."""
        phases = {key for key, phase in self.phases.items() if phase.run_when in _FAILURE_PATHS}
        found = {key for key, step in self.steps.items() if step.run_when in _FAILURE_PATHS or self.phase_of[key] in phases}
        grown = True
        while grown:
            grown = False
            for key, phase in self.phases.items():
                if key not in phases and phase.depends_on and all(other in phases for other in phase.depends_on):
                    phases.add(key)
                    found |= {step.id for step in phase.activities}
                    grown = True
            for key, step in self.steps.items():
                if key not in found and step.depends_on and all(other in found for other in step.depends_on):
                    found.add(key)
                    grown = True
        return frozenset(found)


def _reversed(keys: Iterable[str], depends_on: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {key: [] for key in keys}
    for key, others in depends_on.items():
        for other in dict.fromkeys(others):
            found[other].append(key)
    return {key: tuple(others) for key, others in found.items()}


def is_cause(fact: Fact) -> bool:
    """S6: it ended badly. What `fail_fast` aborted carries the cause that it met and is none itself (S8)."""
    return fact.state in BAD and fact.because != Skipped.BAD_END


def carried(key: str, fact: Fact) -> Causes:
    """The causes that whoever depends on this run meets (S6)."""
    if is_cause(fact):
        return {key: fact.attempt}
    return fact.met if fact.because == Skipped.BAD_END else NONE


def decide_phase(flow: Flow, key: str, facts: Mapping[str, Fact], answers: Iterable[Answer]) -> Decision:
    """S5, S7 for a phase whose phases are closed. `facts`: at least of their activities that carry a cause (`carried`)."""
    phase = flow.phases[key]
    met: dict[str, int] = {}
    for other in phase.depends_on:
        for step in flow.phases[other].activities:
            if step.id in facts:
                met |= carried(step.id, facts[step.id])
    met = {cause: attempt for cause, attempt in met.items() if not flow.steps[cause].optional}
    if met:
        met = _unanswered(met, answers, lambda: flow.upstream_of_phase(key))
    return _by_run_when(phase.run_when, met)


def decide_step(flow: Flow, key: str, phase: Decision, facts: Mapping[str, Fact], answers: Iterable[Answer]) -> Decision:
    """S5 to S7 for an activity whose phase is decided and whose dependencies are closed. `facts`: of those that carry a cause."""
    if not phase.runs:
        return phase
    step = flow.steps[key]
    met: dict[str, int] = {}
    for other in step.depends_on:
        if other in facts:
            met |= carried(other, facts[other])
    if met:
        met = _unanswered(met, answers, lambda: flow.upstream_of_step(key))
    return _by_run_when(step.run_when, met)


def _unanswered(met: Causes, answers: Iterable[Answer], upstream: Callable[[], frozenset[str]]) -> dict[str, int]:
    before: frozenset[str] | None = None
    left = dict(met)
    for answer in answers:
        if before is None:
            before = upstream()
        if answer.key in before:
            left = {cause: attempt for cause, attempt in left.items() if answer.causes.get(cause) != attempt}
    return left


def _by_run_when(run_when: RunWhen, met: Causes) -> Decision:
    if run_when is RunWhen.SATISFIED and met:
        return Decision(runs=False, because=Skipped.BAD_END, met=met)
    if run_when is RunWhen.FAILED and not met:
        return Decision(runs=False, because=Skipped.NOT_NEEDED)
    return Decision(runs=True, met=met) if met else PLAIN_RUN


def outcome(flow: Flow, facts: Mapping[str, Fact], answers: Iterable[Answer]) -> Release:
    """The result of a release whose runs are all closed (S9)."""
    causes = {key: fact.attempt for key, fact in facts.items() if is_cause(fact)}
    answered: set[str] = set()
    for answer in answers:
        answered |= {cause for cause, attempt in answer.causes.items() if causes.get(cause) == attempt}
    if any(not flow.steps[cause].optional and cause not in answered for cause in causes):
        return Release.FAILED
    if causes or any(fact.state is Run.IGNORED for fact in facts.values()):
        return Release.PARTIALLY_SUCCEEDED
    return Release.SUCCEEDED


_URGENT = (Run.INTERRUPTED, Run.ON_HOLD, Run.WAITING, Run.RUNNING, Run.QUEUED)


def phase_state(flow: Flow, key: str, *, decided: bool, closed: bool, facts: Mapping[str, Fact], answers: Iterable[Answer] = ()) -> str:
    """The derived state of a phase (S5): pending; while open the most urgent of its runs; closed: bad, skipped or satisfied.

    `facts` are those of all its activities. Bad is what a phase depending on this one alone would meet a cause of.
    """
    if not decided:
        return "pending"
    if not closed:
        here = {fact.state for fact in facts.values()}
        urgent = next((state for state in _URGENT if state in here), Run.RUNNING)
        return str(Run.RUNNING if urgent is Run.QUEUED else urgent)
    met: dict[str, int] = {}
    for step, fact in facts.items():
        met |= {cause: attempt for cause, attempt in carried(step, fact).items() if not flow.steps[cause].optional}
    if met and _unanswered(met, answers, lambda: flow.upstream_of(phases=[key])):
        return "bad"
    return "skipped" if all(fact.state is Run.SKIPPED for fact in facts.values()) else "satisfied"
