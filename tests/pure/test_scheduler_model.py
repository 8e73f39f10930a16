"""The pure scheduler against the oracle: random processes, their runs ending in random order, must end as the one-pass model says.

The scheduler is asked as the engine asks it: with counters of what is unmet, with only the facts that carry a cause, and with the answers that
there are at that moment, in any order. Nothing starts before everything upstream is closed, and nothing is decided twice.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from releases import scheduler
from releases.scheduler import Answer, Decision, Fact, Flow
from releases.states import CLOSED, Run, Skipped
from tests.model.generate import Case, cases, generate
from tests.model.oracle import forecast, must_precede

EXAMPLES = int(os.environ.get("RELORCH_PROPERTY_EXAMPLES", "200"))


class Rehearsal:
    """Plays one release in memory: counters, facts and answers as the engine keeps them; conditions and outcomes as the plan says."""

    def __init__(self, case: Case, random: Random) -> None:
        self.plan, self.random, self.flow = case.plan, random, Flow(case.blueprint)
        self.conditions = {stage.id: stage.condition for stage in case.plan.stages} | {key: step.condition for key, step in case.plan.steps.items()}
        self.steps_left = {key: self.flow.unmet_of_step(key) for key in self.flow.steps}
        self.phases_left = {key: self.flow.unmet_of_phase(key) for key in self.flow.phases}
        self.inside_left = {key: len(phase.activities) for key, phase in self.flow.phases.items()}
        self.facts = {key: Fact(Run.PENDING) for key in self.flow.steps}
        self.answers: list[Answer] = []
        self.phases: dict[str, Decision] = {}
        self.running: list[str] = []
        self.attempts = {key: random.randint(1, 9) for key in self.flow.steps}
        self.closed: list[str] = []

    def play(self) -> None:
        """From the first phase to the last end."""
        first = [key for key, left in self.phases_left.items() if not left]
        for key in self.random.sample(first, len(first)):
            self.decide_phase(key)
        while self.running:
            self.end(self.running.pop(self.random.randrange(len(self.running))))

    def facts_that_matter(self) -> dict[str, Fact]:
        """What the scheduler asks for at least: whoever carries a cause; and sometimes others too."""
        generous = self.random.random() < 0.3
        return {key: fact for key, fact in self.facts.items() if generous or scheduler.carried(key, fact)}

    def answers_in_any_order(self) -> list[Answer]:
        return self.random.sample(self.answers, len(self.answers))

    def decide_phase(self, key: str) -> None:
        assert key not in self.phases
        decision = scheduler.decide_phase(self.flow, key, self.facts_that_matter(), self.answers_in_any_order())
        self.phases[key] = self.with_condition(key, decision)
        for step in self.flow.phases[key].activities:
            self.count_down(step.id)

    def with_condition(self, key: str, decision: Decision) -> Decision:
        """`if` is asked only of what would run (S5)."""
        return decision if not decision.runs or self.conditions[key] else Decision(False, Skipped.CONDITION)

    def count_down(self, key: str) -> None:
        self.steps_left[key] -= 1
        assert self.steps_left[key] >= 0
        if self.steps_left[key]:
            return
        assert self.facts[key].state is Run.PENDING
        phase = self.phases[self.flow.phase_of[key]]
        decision = scheduler.decide_step(self.flow, key, phase, self.facts_that_matter(), self.answers_in_any_order())
        if phase.runs:
            decision = self.with_condition(key, decision)
        if decision.runs:
            assert must_precede(self.plan, key) <= set(self.closed), f"{key} is early"
            assert self.flow.upstream_of_step(key) == must_precede(self.plan, key)
            self.facts[key] = Fact(Run.RUNNING, met=decision.met, attempt=self.attempts[key])
            self.running.append(key)
        else:
            self.close(key, Fact(Run.SKIPPED, decision.because, decision.met))

    def end(self, key: str) -> None:
        step, fact = self.plan.steps[key], self.facts[key]
        state = Run.SUCCEEDED if step.outcome == "succeeded" else Run.IGNORED if step.ignores else Run.FAILED
        if step.recovers and state is Run.SUCCEEDED:
            self.answers.append(Answer(key, {**self.phases[self.flow.phase_of[key]].met, **fact.met}))
        self.close(key, Fact(state, met=fact.met, attempt=fact.attempt))

    def close(self, key: str, fact: Fact) -> None:
        assert self.facts[key].state not in CLOSED
        self.facts[key] = fact
        self.closed.append(key)
        for other in self.random.sample(self.flow.next_steps[key], len(self.flow.next_steps[key])):
            self.count_down(other)
        home = self.flow.phase_of[key]
        self.inside_left[home] -= 1
        if not self.inside_left[home]:
            for later in self.flow.next_phases[home]:
                self.phases_left[later] -= 1
                if not self.phases_left[later]:
                    self.decide_phase(later)


def check(case: Case, random: Random) -> None:
    """Plays it and compares every state, reason, cause, phase and the result with the oracle's."""
    expected = forecast(case.plan)
    found = Rehearsal(case, random)
    found.play()
    assert set(found.closed) == set(case.plan.steps), "something never closed"
    told = {key: (str(fact.state), str(fact.because) or None, frozenset(scheduler.carried(key, fact))) for key, fact in found.facts.items()}
    assert told == {key: (end.state, end.because, end.causes) for key, end in expected.steps.items()}
    assert all(scheduler.carried(key, fact).get(cause) == found.attempts[cause] for key, fact in found.facts.items() for cause in scheduler.carried(key, fact))
    assert str(scheduler.outcome(found.flow, found.facts, found.answers_in_any_order())) == expected.result
    for key, phase in found.flow.phases.items():
        inside = {step.id: found.facts[step.id] for step in phase.activities}
        assert scheduler.phase_state(found.flow, key, decided=True, closed=True, facts=inside, answers=found.answers_in_any_order()) == expected.stages[key], (
            key
        )


@pytest.mark.parametrize("block", range(4))
def test_random_processes_end_as_the_oracle_says_in_whatever_order_runs_end(block: int) -> None:
    for seed in range(block, EXAMPLES, 4):
        random = Random(seed)
        case = generate(random)
        for _ in range(3):
            check(case, random)


@settings(max_examples=EXAMPLES // 4, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_what_hypothesis_makes_of_it(case: Case, random: Random) -> None:
    check(case, random)
