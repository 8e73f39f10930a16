"""How a release must end, by a model that knows nothing of the engine: the judge of the scheduler and of the engine.

Written from the rules alone (S3 to S9) and importing nothing of the product. Because an outcome never depends on what finished first (S6), one pass
over the whole graph suffices: every phase's opening, every activity and every phase's closing is a node (S4), visited when all before it have been.

What happens is given: for each step the outcome it would have if it ran. `fail_fast`, locks, holds and people's verbs are not modelled (S6 excepts them).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Literal

RunWhen = Literal["satisfied", "failed", "always"]
Reason = Literal["condition", "not_needed", "bad_end"]
Node = tuple[Literal["open", "step", "close"], str]


@dataclass(frozen=True)
class Step:
    """An activity. `outcome` is how it ends if it runs; `condition` what its `if` says; `ignores` is `on_failure: ignore`, else it is `fail`."""

    id: str
    after: tuple[str, ...] = ()
    run_when: RunWhen = "satisfied"
    condition: bool = True
    optional: bool = False
    recovers: bool = False
    ignores: bool = False
    outcome: Literal["succeeded", "failed"] = "succeeded"


@dataclass(frozen=True)
class Stage:
    """A phase with its activities."""

    id: str
    steps: tuple[Step, ...]
    after: tuple[str, ...] = ()
    run_when: RunWhen = "satisfied"
    condition: bool = True


@dataclass(frozen=True)
class Plan:
    """A whole process."""

    stages: tuple[Stage, ...]

    @property
    def steps(self) -> dict[str, Step]:
        return {step.id: step for stage in self.stages for step in stage.steps}

    @property
    def home(self) -> dict[str, Stage]:
        """The stage of each step."""
        return {step.id: stage for stage in self.stages for step in stage.steps}


@dataclass(frozen=True)
class End:
    """How one step ended. `causes`: what it hands on to whatever depends on it (S6): itself when it failed, what it carries on when skipped for `bad_end`."""

    state: Literal["succeeded", "failed", "ignored", "skipped"]
    because: Reason | None = None
    causes: frozenset[str] = frozenset()

    @property
    def ran(self) -> bool:
        return self.state != "skipped"


@dataclass(frozen=True)
class Forecast:
    """How everything ended. `answered` are the causes that some recovering run answered, by whom."""

    steps: dict[str, End]
    stages: dict[str, Literal["satisfied", "bad", "skipped"]]
    result: Literal["succeeded", "partially_succeeded", "failed"]
    answered: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def ran(self) -> frozenset[str]:
        """The steps that run."""
        return frozenset(step for step, end in self.steps.items() if end.ran)


@dataclass
class _Stage:
    """What is known of a stage once its opening has been decided: why it is skipped (None: it opened), and the causes that it met."""

    because: Reason | None
    met: frozenset[str]


def graph(plan: Plan) -> dict[Node, set[Node]]:
    """S4: what each node of the whole graph comes directly after."""
    before: dict[Node, set[Node]] = {}
    for stage in plan.stages:
        before[("open", stage.id)] = {("close", other) for other in stage.after}
        before[("close", stage.id)] = {("step", step.id) for step in stage.steps}
        for step in stage.steps:
            before[("step", step.id)] = {("open", stage.id)} | {("step", other) for other in step.after}
    return before


def must_precede(plan: Plan, step: str) -> frozenset[str]:
    """Every step that has to be closed before this one may start: what is upstream of it (S3, S5, S6)."""
    return _upstream(plan, plan.steps[step].after, plan.home[step].after)


def forecast(plan: Plan) -> Forecast:
    """How a release of this plan ends, whatever finishes first."""
    stages = {stage.id: stage for stage in plan.stages}
    opened: dict[str, _Stage] = {}
    ends: dict[str, End] = {}
    answers: dict[str, frozenset[str]] = {}  # by each step: the causes that it answered
    closed: dict[str, Literal["satisfied", "bad", "skipped"]] = {}
    for kind, name in TopologicalSorter(graph(plan)).static_order():
        if kind == "open":
            met = _met_by_stage(plan, stages[name].after, ends, answers)
            opened[name] = _Stage(_skipped_because(stages[name].run_when, stages[name].condition, met), met)
        elif kind == "close":
            closed[name] = _stage_state(plan, stages[name], ends, answers)
        else:
            _close_step(plan, plan.steps[name], opened[plan.home[name].id], ends, answers)
    answered: dict[str, frozenset[str]] = {}
    for by, causes in answers.items():
        for cause in causes:
            answered[cause] = answered.get(cause, frozenset()) | {by}
    return Forecast(ends, closed, _result(plan, ends, answered), answered)


def _close_step(plan: Plan, step: Step, stage: _Stage, ends: dict[str, End], answers: dict[str, frozenset[str]]) -> None:
    if stage.because is not None:
        # S5, S6: with the phase's reason, and, for a bad end, the causes that the phase met.
        ends[step.id] = End("skipped", stage.because, stage.met if stage.because == "bad_end" else frozenset())
        return
    # S7: depending on no activity it meets no cause; its phase answered that.
    met = _handed_on(step.after, ends) - _answered_in(must_precede(plan, step.id), answers)
    because = _skipped_because(step.run_when, step.condition, met)
    if because is not None:
        ends[step.id] = End("skipped", because, met if because == "bad_end" else frozenset())
    elif step.outcome == "failed":
        ends[step.id] = End("ignored") if step.ignores else End("failed", causes=frozenset({step.id}))
    else:
        ends[step.id] = End("succeeded")
        if step.recovers:
            answers[step.id] = met | stage.met


def _skipped_because(run_when: RunWhen, condition: bool, met: frozenset[str]) -> Reason | None:
    """S5, S7: `run_when` first, then `if`."""
    if run_when == "satisfied" and met:
        return "bad_end"
    if run_when == "failed" and not met:
        return "not_needed"
    return None if condition else "condition"


def _met_by_stage(plan: Plan, after: Iterable[str], ends: dict[str, End], answers: dict[str, frozenset[str]]) -> frozenset[str]:
    """S6: the causes of all activities in the phases it depends on, without those that are optional runs, whoever carries them, or answered upstream."""
    after = tuple(after)
    inside = [step.id for stage in plan.stages if stage.id in after for step in stage.steps]
    mandatory = frozenset(cause for cause in _handed_on(inside, ends) if not plan.steps[cause].optional)
    return mandatory - _answered_in(_upstream(plan, (), after), answers)


def _stage_state(plan: Plan, stage: Stage, ends: dict[str, End], answers: dict[str, frozenset[str]]) -> Literal["satisfied", "bad", "skipped"]:
    """S5: `bad` if a phase depending on it alone would meet a cause."""
    if _met_by_stage(plan, (stage.id,), ends, answers):
        return "bad"
    return "satisfied" if any(ends[step.id].ran for step in stage.steps) else "skipped"


def _handed_on(steps: Iterable[str], ends: dict[str, End]) -> frozenset[str]:
    return frozenset().union(*(ends[step].causes for step in steps))


def _answered_in(steps: Iterable[str], answers: dict[str, frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*(answers.get(step, frozenset()) for step in steps))


def _upstream(plan: Plan, steps: Iterable[str], stages: Iterable[str]) -> frozenset[str]:
    """S6: what it depends on, what its phase depends on, and so on back."""
    todo = [*steps, *(step.id for stage in plan.stages if stage.id in tuple(stages) for step in stage.steps)]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += plan.steps[name].after
            todo += [step.id for stage in plan.stages if stage.id in plan.home[name].after for step in stage.steps]
    return frozenset(found)


def _result(plan: Plan, ends: dict[str, End], answered: dict[str, frozenset[str]]) -> Literal["succeeded", "partially_succeeded", "failed"]:
    """S9."""
    causes = [name for name, end in ends.items() if end.state == "failed"]
    if any(not plan.steps[cause].optional and cause not in answered for cause in causes):
        return "failed"
    if causes or any(end.state == "ignored" for end in ends.values()):
        return "partially_succeeded"
    return "succeeded"
