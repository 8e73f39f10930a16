"""A release rehearsed: the scheduler itself, with results that are made up and times that are known or guessed. Pure.

Everything that runs succeeds, conditions that can be known are taken as they are and the others as true. From the times at which things would start
follow the waves, the critical path and the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from releases.scheduler import Decision, Fact, Flow, decide_phase, decide_step
from releases.states import Run, Skipped

NORMAL_80, NORMAL_90 = 0.8416, 1.2816
"""Standard deviations below which 80 and 90 % lie: an 80 % range goes from the tenth to the ninetieth percentile."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds that an activity takes: half the time less than `p50`, four times of five less than `p80`."""

    p50: float
    p80: float
    runs: int = 0
    """How many it is taken from; 0: its author says so."""

    @property
    def deviation(self) -> float:
        """As if it were spread normally."""
        return max(self.p80 - self.p50, 0) / NORMAL_80


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would happen: when each activity that runs starts and ends, why the others do not, and which one each had to wait for."""

    starts: Mapping[str, float]
    ends: Mapping[str, float]
    skipped: Mapping[str, str]
    cause: Mapping[str, str]
    """Activity -> the last to end of those before it; "" when it starts at once."""
    depth: Mapping[str, int]
    """How many stand in that chain: of two that end at the same time the longer chain decides, also where no lengths are known."""

    @property
    def end(self) -> float:
        """When the last one ends."""
        return max(self.ends.values(), default=0.0)

    def waves(self) -> list[list[str]]:
        """Activities that start together, in order."""
        found: dict[float, list[str]] = {}
        for key, start in self.starts.items():
            found.setdefault(round(start, 6), []).append(key)
        return [found[at] for at in sorted(found)]

    def critical_path(self) -> list[str]:
        """The chain that decides when it ends: shorten anything else, and the end stays."""
        if not self.ends:
            return []
        key = max(self.ends, key=lambda one: (self.ends[one], self.depth[one]))
        path: list[str] = []
        while key:
            path.append(key)
            key = self.cause.get(key, "")
        return path[::-1]


def rehearse(flow: Flow, lengths: Mapping[str, float], conditions: Mapping[str, bool], *, ended: Mapping[str, Fact] | None = None) -> Rehearsal:
    """Run the graph. `conditions`: of activities and (as `phase:<id>`) phases, those that are known; `ended`: what is over already, and how.

    Activities that are not in `lengths` take no time.
    """
    return _Run(flow, lengths, conditions, ended or {}).go()


class _Run:
    def __init__(self, flow: Flow, lengths: Mapping[str, float], conditions: Mapping[str, bool], ended: Mapping[str, Fact]) -> None:
        self.flow, self.lengths, self.conditions, self.ended = flow, lengths, conditions, ended
        self.facts: dict[str, Fact] = {}
        self.over: dict[str, tuple[float, int, str]] = {}
        self.decisions: dict[str, Decision] = {}
        self.opened: dict[str, tuple[float, int, str]] = {}
        self.starts: dict[str, float] = {}
        self.ends: dict[str, float] = {}
        self.skipped: dict[str, str] = {}
        self.cause: dict[str, str] = {}
        self.depth: dict[str, int] = {}

    def go(self) -> Rehearsal:
        """In the order of the graph, each item once: what is over counts down what waits for it. A circle, which publishing refuses, is left out."""
        phases, steps = self.flow.phases, self.flow.steps
        after_phase: dict[str, list[str]] = {key: [] for key in phases}
        after_step: dict[str, list[str]] = {key: [] for key in steps}
        for key, phase in phases.items():
            for other in dict.fromkeys(phase.depends_on):
                after_phase[other].append(key)
        for key, step in steps.items():
            for other in dict.fromkeys(step.depends_on):
                after_step[other].append(key)
        unmet_phase = {key: len(dict.fromkeys(phase.depends_on)) for key, phase in phases.items()}
        unmet_step = {key: 1 + len(dict.fromkeys(step.depends_on)) for key, step in steps.items()}
        open_steps = {key: len(phase.activities) for key, phase in phases.items()}
        ready_phases, ready_steps = deque(key for key, number in unmet_phase.items() if not number), deque[str]()
        while ready_phases or ready_steps:
            if ready_phases:
                key = ready_phases.popleft()
                self._decide_phase(key)
                closes, freed = not phases[key].activities, [step.id for step in phases[key].activities]
            else:
                step_key = ready_steps.popleft()
                self._decide_step(step_key)
                key, freed = self.flow.phase_of[step_key], after_step[step_key]
                open_steps[key] -= 1
                closes = not open_steps[key]
            for other in freed:
                unmet_step[other] -= 1
                if not unmet_step[other]:
                    ready_steps.append(other)
            for other in after_phase[key] if closes else ():
                unmet_phase[other] -= 1
                if not unmet_phase[other]:
                    ready_phases.append(other)
        starts, ends = ({key: times[key] for key in steps if key in times} for times in (self.starts, self.ends))
        return Rehearsal(starts, ends, self.skipped, self.cause, self.depth)

    def _decide_phase(self, key: str) -> None:
        decision = decide_phase(self.flow, key, self.facts, ())
        if decision.runs and not self.conditions.get(f"phase:{key}", True):
            decision = Decision(False, Skipped.CONDITION)
        self.decisions[key] = decision
        before = [self.over[step.id] for other in self.flow.phases[key].depends_on for step in self.flow.phases[other].activities]
        self.opened[key] = max(before, default=(0.0, 0, ""))

    def _decide_step(self, key: str) -> None:
        at, depth, cause = max([self.opened[self.flow.phase_of[key]], *(self.over[other] for other in self.flow.steps[key].depends_on)])
        if key in self.ended:
            self.facts[key] = self.ended[key]
            self.over[key] = 0.0, 0, ""
            return
        decision = decide_step(self.flow, key, self.decisions[self.flow.phase_of[key]], self.facts, ())
        if decision.runs and not self.conditions.get(key, True):
            decision = Decision(False, Skipped.CONDITION)
        if not decision.runs:
            self.facts[key] = Fact(Run.SKIPPED, decision.because)
            self.skipped[key] = str(decision.because)
            self.over[key] = at, depth, cause
            return
        end = at + max(self.lengths.get(key, 0.0), 0.0)
        self.facts[key] = Fact(Run.SUCCEEDED)
        self.starts[key], self.ends[key], self.cause[key] = at, end, cause
        self.depth[key] = depth + 1
        self.over[key] = end, depth + 1, key


def spread(path: Sequence[str], estimates: Mapping[str, Estimate | None]) -> float:
    """Half of the 80 % range of what a chain takes: its parts vary independently."""
    return NORMAL_90 * sqrt(sum(estimate.deviation**2 for key in path if (estimate := estimates.get(key))))


def lengths_of(estimates: Mapping[str, Estimate | None]) -> dict[str, float]:
    """The median of each that is known."""
    return {key: estimate.p50 for key, estimate in estimates.items() if estimate is not None}


def weighted(estimates: Mapping[str, Estimate | None], shares: Mapping[str, float]) -> float:
    """How much is done, from 0 to 1, when each activity counts as much as it takes; one of unknown length counts like the others on average."""
    known = [estimate.p50 for estimate in estimates.values() if estimate is not None]
    usual = sum(known) / len(known) if known and sum(known) else 1.0
    weights = {key: (estimate.p50 if estimate is not None else usual) for key, estimate in estimates.items()}
    total = sum(weights.values())
    if not total:
        return sum(shares.get(key, 0.0) for key in weights) / len(weights) if weights else 0.0
    return min(sum(weight * min(max(shares.get(key, 0.0), 0.0), 1.0) for key, weight in weights.items()) / total, 1.0)


def share_of(elapsed: float, estimate: Estimate | None) -> float:
    """How much of a running activity is done, as far as one can tell; never all of it."""
    return 0.0 if estimate is None or estimate.p50 <= 0 else min(elapsed / estimate.p50, 0.95)


def rest_of(elapsed: float, estimate: Estimate | None) -> float:
    """Seconds that a running activity still takes: what is left to the median, or, past that, to the slow end of what it usually takes."""
    if estimate is None:
        return 0.0
    return estimate.p50 - elapsed if elapsed < estimate.p50 else max(estimate.p80 - elapsed, 0.0)
