"""What a release would do, before it starts (semantics, section 7): the real scheduler with results that are made up. Reads, and changes nothing.

Inputs are resolved as a start would, as far as they are given; conditions that they decide are decided; who is asked and how long things take is
looked up, in subprocesses too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from processes.blueprint import Activity, ActivityType, Approval, Blueprint, ValueType
from processes.expressions import ExpressionError, condition, references, references_of_condition
from processes.models import Process, ProcessVersion
from processes.problems import Problem, errors
from processes.surroundings import knows
from processes.variables import resolve_inputs, resolve_variables
from releases import planning
from releases.estimates import estimates_of
from releases.flows import compiled
from releases.form_secrets import context_of
from releases.models import Release
from releases.names import about_process, about_release
from releases.rehearsing import Estimate, Rehearsal, lengths_of, rehearse, spread
from releases.responsible import people_named
from relorch.lib import secrets

_KNOWN_BEFORE = frozenset({"inputs", "variables", "release", "process"})


@dataclass(frozen=True, slots=True)
class Planned:
    """One activity of a plan."""

    activity: Activity
    phase: str
    after: tuple[str, ...]
    asks: tuple[str, ...]
    expected: Estimate | None
    skipped_because: str = ""
    starts: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A rehearsed release: `unknown` conditions were taken as true, activities without an estimate as instant."""

    inputs: Mapping[str, Any]
    problems: Sequence[Problem]
    activities: Sequence[Planned]
    waves: Sequence[Sequence[str]]
    critical_path: Sequence[str]
    expected: float
    spread: float
    unestimated: Sequence[str]
    undecided: Sequence[str]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def running(self) -> list[Planned]:
        """Those that would run."""
        return [one for one in self.activities if not one.skipped_because]

    @property
    def skipped(self) -> list[Planned]:
        """Those that would not."""
        return [one for one in self.activities if one.skipped_because]

    @property
    def asks(self) -> list[str]:
        """Everybody who would be asked, as the process names them, in the order of asking."""
        return list(dict.fromkeys(name for one in sorted(self.running, key=lambda one: one.starts) for name in one.asks))


def of_process(process: Process, given: Mapping[str, Any], *, version: ProcessVersion | None = None, form: bool = False, starter: Any = None) -> Plan:
    """Of a release that somebody might start. Raises Conflict when nothing was ever published."""
    version = version or planning.newest_version(process)
    about = {"id": 0, "name": "", "version": version.number, "started_at": "", "starter": starter.email if starter else ""}
    names = {"release": about, "process": {"id": process.identifier, "name": process.name or process.identifier, "category": process.category}}
    return _plan(version, process.pk, given, names, {}, form=form)


def of_release(release: Release) -> Plan:
    """Of this release, as if it began now; its inputs as they are stored."""
    given = secrets.opened(release.inputs, context_of(release.root_id))
    names = {"release": about_release(release), "process": about_process(release)}
    return _plan(release.version, release.process_id, given, names, release.pins or {}, form=False)


def _plan(version: ProcessVersion, process: int, given: Mapping[str, Any], names: Mapping[str, Any], pins: Mapping[str, int], *, form: bool) -> Plan:
    flow = compiled(version.pk).flow
    blueprint = flow.blueprint
    inputs, problems = resolve_inputs(blueprint.inputs, given, rules=blueprint.rules, names=names, form=form, people=knows)
    known = {**names, "inputs": inputs, "variables": _variables(blueprint, {**names, "inputs": inputs})}
    conditions, undecided = _conditions(version.pk, known)
    children = _children(flow.steps.values(), pins)
    estimates = estimates_of((process, version.pk))
    for key, child in children.items():
        estimates[key] = estimates[key] or child.estimate
    found = rehearse(flow, lengths_of(estimates), conditions)
    path = found.critical_path()
    unit = rehearse(flow, dict.fromkeys(flow.steps, 1.0), conditions)
    secret = {name for name, spec in blueprint.inputs.items() if spec.type is ValueType.SECRET}
    return Plan(
        inputs={name: {secrets.MARK: True} if name in secret else value for name, value in inputs.items()},
        problems=errors(problems),
        activities=_activities(version.pk, found, estimates, children),
        waves=unit.waves(),
        critical_path=path,
        expected=found.end,
        spread=spread(path, estimates),
        unestimated=[key for key in found.starts if estimates[key] is None],
        undecided=undecided,
        labels={key: step.label for key, step in flow.steps.items()},
    )


def _variables(blueprint: Blueprint, names: Mapping[str, Any]) -> dict[str, Any]:
    """Those that can be worked out from what is given: each alone, until no further one can."""
    found: dict[str, Any] = {}
    left = dict(blueprint.variables)
    grown = True
    while grown and left:
        grown = False
        for name, text in list(left.items()):
            if any(path[0] == "variables" and path[1:2] and path[1] not in found for path in references(text)):
                continue
            del left[name]
            grown = True
            try:
                found |= resolve_variables({name: text}, {**names, "variables": found})
            except ExpressionError:
                continue
    return found


def _conditions(version: int, names: Mapping[str, Any]) -> tuple[dict[str, bool], list[str]]:
    """The `if`s that can be known before the start, and whose cannot: they read results."""
    flow = compiled(version).flow
    found: dict[str, bool] = {}
    undecided = []
    asked = [(f"phase:{key}", phase.condition) for key, phase in flow.phases.items()] + [(key, step.condition) for key, step in flow.steps.items()]
    for key, text in asked:
        if not text:
            continue
        try:
            if not all(path and path[0] in _KNOWN_BEFORE for path in references_of_condition(text)):
                raise ExpressionError(text, "It reads results.")
            found[key] = condition(text, names)
        except ExpressionError:
            undecided.append(key)
    return found, undecided


@dataclass(frozen=True, slots=True)
class _Child:
    """What a subprocess would do: how long it takes if all of it is known, and whom it asks."""

    estimate: Estimate | None
    asks: tuple[str, ...]


_Known = dict[tuple[str, ...], _Child | None]
"""What was found for each path of processes, so that a process that is called many times is looked at once."""


def _children(steps: Iterable[Activity], pins: Mapping[str, int], path: tuple[str, ...] = (), known: _Known | None = None) -> dict[str, _Child]:
    found = {}
    known = {} if known is None else known
    for step in steps:
        if step.type is ActivityType.SUBPROCESS and step.process and step.process not in path and len(path) < planning.MOST_LEVELS:
            here = (*path, step.process)
            if here not in known:
                version = _version(step.process, pins)
                known[here] = _child(version, pins, here, known) if version is not None else None
            if (child := known[here]) is not None:
                found[step.id] = child
    return found


def _version(process: str, pins: Mapping[str, int]) -> ProcessVersion | None:
    versions = ProcessVersion.objects.select_related("process").defer("document")
    found: ProcessVersion | None = (
        versions.filter(pk=pins[process]).first() if process in pins else versions.filter(process__identifier=process).order_by("-number").first()
    )
    return found


def _child(version: ProcessVersion, pins: Mapping[str, int], path: tuple[str, ...], known: _Known) -> _Child:
    flow = compiled(version.pk).flow
    below = _children(flow.steps.values(), pins, path, known)
    estimates = estimates_of((version.process_id, version.pk))
    for key, child in below.items():
        estimates[key] = estimates[key] or child.estimate
    found = rehearse(flow, lengths_of(estimates), {})
    asks = dict.fromkeys(name for key in found.starts for name in (*_asked(version.pk, key), *(below[key].asks if key in below else ())))
    if any(estimates[key] is None for key in found.starts):
        return _Child(None, tuple(asks))
    chain = [estimate for key in found.critical_path() if (estimate := estimates[key]) is not None]
    deviation = sum(estimate.deviation**2 for estimate in chain) ** 0.5
    return _Child(Estimate(found.end, found.end + 0.8416 * deviation), tuple(asks))


def _activities(version: int, found: Rehearsal, estimates: Mapping[str, Estimate | None], children: Mapping[str, _Child]) -> list[Planned]:
    flow = compiled(version).flow
    return [
        Planned(
            activity=step,
            phase=flow.phase_of[key],
            after=_after(version, key),
            asks=(*_asked(version, key), *(children[key].asks if key in children else ())),
            expected=estimates[key],
            skipped_because=found.skipped.get(key, ""),
            starts=found.starts.get(key, 0.0),
        )
        for key, step in flow.steps.items()
    ]


def _after(version: int, key: str) -> tuple[str, ...]:
    """What is over just before it: what it depends on, and where it is the first of its phase, the last ones of the phases before."""
    flow = compiled(version).flow
    own = flow.phase_of[key]
    before = list(flow.steps[key].depends_on)
    if not any(flow.phase_of[other] == own for other in before):
        for phase in flow.phases[own].depends_on:
            inside = {step.id for step in flow.phases[phase].activities}
            before += [step.id for step in flow.phases[phase].activities if not inside.intersection(flow.next_steps[step.id])]
    return tuple(dict.fromkeys(before))


def _asked(version: int, key: str) -> tuple[str, ...]:
    """Who decides there, as the process names them."""
    flow = compiled(version).flow
    step = flow.steps[key]
    if step.type is not ActivityType.MANUAL:
        return ()
    owners = step.owners or flow.phases[flow.phase_of[key]].owners or flow.blueprint.owners
    lines = (step.approval or Approval()).requires
    return tuple(dict.fromkeys(name for line in lines for name in (line.of or owners))) if lines else owners


def shown(plan: Plan) -> dict[str, Any]:
    """As the API says it."""
    people = people_named(plan.asks)
    return {
        "waves": [list(wave) for wave in plan.waves],
        "activities": [
            {
                "id": one.activity.id,
                "name": one.activity.label,
                "type": str(one.activity.type),
                "phase": one.phase,
                "after": list(one.after),
                "asks": list(one.asks),
                "people": list(dict.fromkeys(email for name in one.asks for email in people.get(name, ()))),
                "expected": {"p50": one.expected.p50, "p80": one.expected.p80, "runs": one.expected.runs} if one.expected else None,
                **({"skipped_because": one.skipped_because} if one.skipped_because else {}),
            }
            for one in plan.activities
        ],
        "critical_path": list(plan.critical_path),
        "expected": {"likely": plan.expected, "spread": plan.spread, "unestimated": list(plan.unestimated)},
        "undecided": list(plan.undecided),
        "inputs": dict(plan.inputs),
        "problems": [problem.as_dict() for problem in plan.problems],
    }
