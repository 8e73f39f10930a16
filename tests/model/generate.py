"""Random sound processes, each twice: as the oracle's plan and as the real blueprint with the inputs that make it so.

Everything runs on the `noop` connector: a step that is to fail says `with: {outcome: failed}`; an `if` is an expression over boolean inputs, so that
nothing but the graph decides. The mix is tuned so that 200 processes hold each hard thing more than 100 times (`counted`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from hypothesis import strategies as st

from processes.blueprint import Blueprint
from tests.model.oracle import Forecast, Node, Plan, RunWhen, Stage, Step, graph

SWITCHES = 6
"""How many boolean inputs `b0`, `b1` … a process has."""


@dataclass(frozen=True)
class Case:
    """One random process: `plan` for the oracle; `blueprint` and `inputs` for the engine. Both say the same."""

    plan: Plan
    blueprint: Blueprint
    inputs: dict[str, bool]


def generate(random: Random, *, owners: tuple[str, ...] = ()) -> Case:
    """A sound process of 1 to 6 phases and 3 to 25 activities."""
    phases = random.choices(range(1, 7), (1, 2, 3, 4, 4, 4))[0]
    activities = random.randint(max(3, phases), 25)
    # Homes: every phase gets one activity, the others fall where they like.
    homes = [*range(phases), *(random.randrange(phases) for _ in range(activities - phases))]
    steps = [Step(f"a{number}") for number in range(activities)]
    plan = Plan(tuple(Stage(f"p{phase}", tuple(step for step, home in zip(steps, homes, strict=True) if home == phase)) for phase in range(phases)))
    plan = _with_edges(plan, random)
    switches = {f"b{number}": random.random() < 0.5 for number in range(SWITCHES)}
    conditions: dict[str, str] = {}
    plan = Plan(tuple(_with_behaviour(stage, random, switches, conditions) for stage in plan.stages))
    # The order in a file means nothing.
    shuffled = Plan(tuple(replace(stage, steps=tuple(random.sample(stage.steps, len(stage.steps)))) for stage in random.sample(plan.stages, phases)))
    return Case(shuffled, _blueprint(shuffled, conditions, owners), switches)


def cases() -> st.SearchStrategy[Case]:
    """The same for hypothesis, which then shrinks what it finds."""
    return st.randoms(use_true_random=False).map(generate)


def counted(case: Case, forecast: Forecast) -> Counter[str]:
    """How often each hard thing is in this process; `answered` and `skipped_phases` need the outcome."""
    plan = case.plan
    found: Counter[str] = Counter()
    for stage in plan.stages:
        crossing = [other for step in stage.steps for other in step.after if plan.home[other].id != stage.id]
        found["cross_phase_edges"] += len(crossing)
        found["skipped_phases_with_cross_phase_edges"] += bool(crossing) and forecast.stages[stage.id] == "skipped"
        found["bad_phases"] += forecast.stages[stage.id] == "bad"
        for item in (stage, *stage.steps):
            found[f"run_when_{item.run_when}"] += 1
        for step in stage.steps:
            found["recovers"] += step.recovers
            found["optional"] += step.optional
            found[forecast.steps[step.id].state] += 1
            found[f"skipped_{forecast.steps[step.id].because}"] += forecast.steps[step.id].because is not None
    found["answered"] += len(forecast.answered)
    found[f"release_{forecast.result}"] += 1
    return found


def _with_edges(plan: Plan, random: Random) -> Plan:
    """Dependencies at random, leaving out each that would close a circle of the whole graph (S4)."""
    before = graph(plan)
    steps_after: dict[str, list[str]] = {step: [] for step in plan.steps}
    stages_after: dict[str, list[str]] = {stage.id: [] for stage in plan.stages}
    names = list(plan.steps)
    for stage in plan.stages[1:]:
        # Mostly a line of phases, as people draw it; sometimes a fork, a join or one that stands alone.
        earlier = [other.id for other in plan.stages if int(other.id[1:]) < int(stage.id[1:])]
        for other in {random.choice((earlier[-1], random.choice(earlier))) for _ in range(random.choice((0, 1, 1, 1, 2)))}:
            _join(before, ("open", stage.id), ("close", other), stages_after[stage.id])
    for name in names:
        inside = [step.id for step in plan.home[name].steps if step.id != name]
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            if inside:
                other = random.choice(inside)
                _join(before, ("step", name), ("step", other), steps_after[name])
    for _ in range(random.randint(1, 2 * len(names))):
        name, other = random.choice(names), random.choice(names)
        if plan.home[name] is not plan.home[other]:
            _join(before, ("step", name), ("step", other), steps_after[name])
    return Plan(
        tuple(
            replace(stage, after=tuple(stages_after[stage.id]), steps=tuple(replace(step, after=tuple(steps_after[step.id])) for step in stage.steps))
            for stage in plan.stages
        )
    )


def _join(before: dict[Node, set[Node]], node: Node, dependency: Node, after: list[str]) -> None:
    """Lets `node` come after `dependency` unless it does already, or the other way round."""
    todo, seen = [dependency], {dependency}
    while todo:
        for earlier in before[todo.pop()] - seen:
            seen.add(earlier)
            todo.append(earlier)
    if node not in seen and dependency[1] not in after:
        before[node].add(dependency)
        after.append(dependency[1])


def _with_behaviour(stage: Stage, random: Random, switches: dict[str, bool], conditions: dict[str, str]) -> Stage:
    steps = []
    for step in stage.steps:
        run_when = _run_when(random, bool(step.after))
        steps.append(
            replace(
                step,
                run_when=run_when,
                condition=_condition(step.id, random, switches, conditions, 0.12),
                optional=random.random() < 0.15,
                # A fallback is mostly what recovers; now and then anything else.
                recovers=random.random() < (0.1 if run_when == "satisfied" else 0.6),
                ignores=random.random() < 0.15,
                outcome="failed" if random.random() < 0.25 else "succeeded",
            )
        )
    return replace(stage, steps=tuple(steps), run_when=_run_when(random, bool(stage.after)), condition=_condition(stage.id, random, switches, conditions, 0.35))


def _run_when(random: Random, depends: bool) -> RunWhen:
    # `failed` where nothing comes before never runs: not sound (S7).
    return random.choices(("satisfied", "failed", "always"), (11, 4 if depends else 0, 3))[0]  # type: ignore[return-value]


def _condition(name: str, random: Random, switches: dict[str, bool], conditions: dict[str, str], share: float) -> bool:
    """What its `if` says; notes the expression, if it has one."""
    if random.random() >= share:
        return True
    (one, first), (two, second) = random.sample(list(switches.items()), 2)
    text, value = random.choice(
        (
            (f"inputs.{one}", first),
            (f"!inputs.{one}", not first),
            (f"inputs.{one} && inputs.{two}", first and second),
            (f"inputs.{one} || inputs.{two}", first or second),
        )
    )
    conditions[name] = f"${{{{ {text} }}}}" if random.random() < 0.3 else text
    return value


def _blueprint(plan: Plan, conditions: dict[str, str], owners: tuple[str, ...]) -> Blueprint:
    phases = [
        _without_defaults(
            {"id": stage.id, "depends_on": stage.after, "run_when": stage.run_when, "if": conditions.get(stage.id)},
            activities=[_activity(step, conditions) for step in stage.steps],
        )
        for stage in plan.stages
    ]
    inputs = {f"b{number}": {"type": "boolean", "required": True} for number in range(SWITCHES)}
    return Blueprint.model_validate({"apiVersion": "relorch/v1", "kind": "Process", "id": "random", "owners": owners, "inputs": inputs, "phases": phases})


def _activity(step: Step, conditions: dict[str, str]) -> dict[str, Any]:
    return _without_defaults(
        {
            "id": step.id,
            "depends_on": step.after,
            "run_when": step.run_when,
            "if": conditions.get(step.id),
            "optional": step.optional,
            "recovers": step.recovers,
            "with": {"outcome": "failed"} if step.outcome == "failed" else {},
        },
        type="automated",
        connector="noop",
        on_failure="ignore" if step.ignores else "fail",
    )


def _without_defaults(keys: dict[str, Any], **always: Any) -> dict[str, Any]:
    return {key: value for key, value in keys.items() if value and value != "satisfied"} | always
