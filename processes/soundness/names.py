"""What expressions read: is it there, is it upstream, may it be read here (S1, S2, S2a)? Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from processes.blueprint import Activity, ActivityType, StoreActivity, Variable
from processes.expressions import Found, examine, examine_condition, has_expression
from processes.problems import did_you_mean
from processes.soundness.checking import Check, Place, Step, kind_of
from processes.soundness.order import Upstream
from processes.variables import variable_circle

RELEASE_NAMES = frozenset({"id", "name", "version", "started_at", "starter"})
PROCESS_NAMES = frozenset({"id", "name", "category"})
_START = ("inputs", "release", "process")
_RUN = ("inputs", "variables", "activities", "phases", "release", "process")


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may read at some place. `before` has the bits of what is upstream; None: everything, as at the end of the process."""

    roots: tuple[str, ...]
    inputs: Collection[str]
    variables: Collection[str] = ()
    before: int | None = None
    here: str = ""
    """The activity or phase that the expression belongs to, for messages."""
    result: Collection[str] | None = None
    elsewhere: Collection[str] = ()
    """Variables that exist, and are not to be seen from here."""


def check(c: Check, upstream: Upstream) -> None:
    """Every expression of the document."""
    names = _Names(c, upstream)
    names.process()
    for index in range(len(c.blueprint.phases)):
        names.phase(index)
    for step in c.steps:
        names.activity(step)
    _not_evaluated(c)


class _Names:
    def __init__(self, c: Check, upstream: Upstream) -> None:
        self.c = c
        self.upstream = upstream
        document = c.blueprint
        self.everywhere = {
            *document.variables,
            *(name for phase in document.phases for name in phase.variables),
            *(name for step in c.steps for name in step.activity.variables),
        }
        self.outputs = Outputs(c)

    def process(self) -> None:
        document = self.c.blueprint
        start = Scope(_START, document.inputs, elsewhere=self.everywhere)
        for name, spec in document.inputs.items():
            self.required_if(spec, ("inputs", name), start)
        for index, rule in enumerate(document.rules):
            self.condition(rule.check, ("rules", index, "check"), start)
        self.variables(document.variables, ("variables",), Scope((*_START, "variables"), document.inputs, elsewhere=self.everywhere))
        self.template(document.outputs, ("outputs",), Scope(_RUN, document.inputs, document.variables, here="the process", elsewhere=self.everywhere))

    def phase(self, index: int) -> None:
        phase, place = self.c.blueprint.phases[index], ("phases", index)
        outer = Scope(
            _RUN, self.c.blueprint.inputs, self.c.blueprint.variables, self.upstream.of_phases[index], f'the phase "{phase.id}"', elsewhere=self.everywhere
        )
        self.condition(phase.condition, (*place, "if"), outer)
        self.variables(phase.variables, (*place, "variables"), outer)
        inner = replace(outer, variables={*self.c.blueprint.variables, *phase.variables})
        self.template(phase.lock, (*place, "lock"), inner)
        self.template(phase.outputs, (*place, "outputs"), replace(inner, before=self.upstream.inside_phases[index]))

    def activity(self, step: Step) -> None:
        activity, place, phase = step.activity, step.place, self.c.phase_of(step)
        outer = Scope(
            _RUN,
            self.c.blueprint.inputs,
            {*self.c.blueprint.variables, *phase.variables},
            self.upstream.of_steps[step.number],
            f'the activity "{activity.id}"',
            elsewhere=self.everywhere,
        )
        self.condition(activity.condition, (*place, "if"), outer)
        self.template(activity.lock, (*place, "lock"), outer)
        self.variables(activity.variables, (*place, "variables"), outer)
        inner = replace(outer, variables={*outer.variables, *activity.variables})
        arguments = activity.arguments
        if activity.connector == "script" and has_expression(arguments.get("run")):
            arguments = {key: value for key, value in arguments.items() if key != "run"}  # said by keys.py
        self.template(arguments, (*place, "with"), inner)
        self.template(activity.inputs, (*place, "inputs"), inner)
        self.template(activity.instructions, (*place, "instructions"), inner)
        self.template(activity.description, (*place, "description"), inner)
        for name, field in activity.fields.items():
            self.required_if(field, (*place, "fields", name), replace(inner, inputs={*inner.inputs, *activity.fields}))
        for index, task in enumerate(activity.tasks):
            if isinstance(task.required, str):
                self.condition(task.required, (*place, "tasks", index, "required"), inner)
            self.template([task.name, task.description], (*place, "tasks", index), inner, keys=("name", "description"))
        if activity.outputs:
            self.template(activity.outputs, (*place, "outputs"), replace(inner, roots=(*_RUN, "result"), result=self.outputs.of_result(step)))
        for index, bind in enumerate(activity.approval.binds or () if activity.approval else ()):
            self.bind(bind, (*place, "approval", "binds", index), inner)

    def required_if(self, spec: Variable, place: Place, scope: Scope) -> None:
        # Its syntax is said by the description of the input itself.
        if spec.required_if is not None:
            self.paths(examine_condition(spec.required_if), (*place, "required_if"), scope)

    def condition(self, text: str | None, place: Place, scope: Scope) -> None:
        if text is not None:
            self.report(examine_condition(text), place, scope)

    def template(self, template: Any, place: Place, scope: Scope, keys: tuple[str, ...] = ()) -> None:
        for found in examine(template):
            inside = (keys[int(found.place[0])], *found.place[1:]) if keys else found.place
            self.report(found, (*place, *inside), scope)

    def variables(self, variables: Mapping[str, Any], place: Place, scope: Scope) -> None:
        if not variables:
            return
        if circle := variable_circle(variables):
            self.c.say("variable_circle", f"These variables read each other in a circle: {' → '.join(circle)}.", (*place, circle[0]))
        for name, value in variables.items():
            self.template(value, (*place, name), replace(scope, variables={*scope.variables, *variables}))

    def bind(self, bind: str, place: Place, scope: Scope) -> None:
        path = tuple(bind.split("."))
        if not all(part.isidentifier() for part in path):
            self.c.say("invalid_bind", f'"{bind}" is no path such as inputs.version or activities.build.outputs.digest.', place)
        else:
            self.paths(Found((), (path,), ()), place, scope)

    def report(self, found: Found, place: Place, scope: Scope) -> None:
        for message, column in found.problems:
            self.c.say("expression_error", f"{message}{f' (column {column})' if column else ''}", place, column=column)
        self.paths(found, place, scope)

    def paths(self, found: Found, place: Place, scope: Scope) -> None:
        for path, column in zip_longest(found.paths, found.columns):
            before = len(self.c.found)
            if path[0] not in scope.roots:
                self.unknown_root(path[0], place, scope)
            elif len(path) > 1:
                getattr(self, f"_{path[0]}")(path, place, scope)
            self.c.found[before:] = [replace(problem, column=column) for problem in self.c.found[before:]]

    def unknown_root(self, name: str, place: Place, scope: Scope) -> None:
        if name == "result":
            self.c.say("unknown_name", "result is only known in the outputs of an activity.", place)
        elif name in _RUN:
            self.c.say("unknown_name", f"{name} cannot be read here; there are {', '.join(scope.roots)}.", place)
        else:
            self.c.say("unknown_name", f'There is no name "{name}"; there are {", ".join(scope.roots)}.{did_you_mean(name, scope.roots)}', place)

    def _inputs(self, path: tuple[str, ...], place: Place, scope: Scope) -> None:
        if path[1] not in scope.inputs:
            self.c.say("unknown_input", f'There is no input "{path[1]}".{did_you_mean(path[1], scope.inputs)}', place)

    def _variables(self, path: tuple[str, ...], place: Place, scope: Scope) -> None:
        if path[1] in scope.variables:
            return
        if path[1] in scope.elsewhere:
            message = f'The variable "{path[1]}" cannot be seen from here: those of an activity are its own, those of a phase are for its activities.'
        else:
            message = f'There is no variable "{path[1]}".{did_you_mean(path[1], scope.variables)}'
        self.c.say("unknown_variable", message, place)

    def _release(self, path: tuple[str, ...], place: Place, scope: Scope) -> None:
        if path[1] not in RELEASE_NAMES:
            self.c.say("unknown_name", f'release has no "{path[1]}".{did_you_mean(path[1], RELEASE_NAMES)}', place)

    def _process(self, path: tuple[str, ...], place: Place, scope: Scope) -> None:
        if path[1] not in PROCESS_NAMES:
            self.c.say("unknown_name", f'process has no "{path[1]}".{did_you_mean(path[1], PROCESS_NAMES)}', place)

    def _result(self, path: tuple[str, ...], place: Place, scope: Scope) -> None:
        if path[1] != "outputs":
            self.c.say("unknown_name", f'result has outputs, and no "{path[1]}".{did_you_mean(path[1], ["outputs"])}', place)
        elif len(path) > 2 and scope.result is not None and path[2] not in scope.result:
            self.c.say("unknown_output", f'The result has no output "{path[2]}".{did_you_mean(path[2], scope.result)}', place)

    def _activities(self, path: tuple[str, ...], place: Place, scope: Scope) -> None:
        step = self.c.by_id.get(path[1])
        if step is None:
            hint = f' "{path[1]}" is a phase: phases.{path[1]}.' if path[1] in self.c.phases else did_you_mean(path[1], self.c.by_id)
            self.c.say("unknown_activity", f'There is no activity "{path[1]}".{hint}', place)
            return
        if scope.before is not None and not scope.before >> step.number & 1:
            self.not_upstream("activity", path[1], place, scope)
        self.item(path, self.outputs.of(step), place)

    def _phases(self, path: tuple[str, ...], place: Place, scope: Scope) -> None:
        index = self.c.phases.get(path[1])
        if index is None:
            hint = f' "{path[1]}" is an activity: activities.{path[1]}.' if path[1] in self.c.by_id else did_you_mean(path[1], self.c.phases)
            self.c.say("unknown_phase", f'There is no phase "{path[1]}".{hint}', place)
            return
        if scope.before is not None and not scope.before >> (self.upstream.closed + index) & 1:
            self.not_upstream("phase", path[1], place, scope)
        self.item(path, self.c.blueprint.phases[index].outputs, place)

    def not_upstream(self, kind: str, name: str, place: Place, scope: Scope) -> None:
        if scope.here == f'the {kind} "{name}"':
            message = f'The {kind} "{name}" cannot read itself here.'
        else:
            message = f'The {kind} "{name}" is not upstream of {scope.here}: nothing says that it is over by then. Let {scope.here} depend on it.'
        self.c.say("not_upstream", message, place)

    def item(self, path: tuple[str, ...], outputs: Collection[str] | None, place: Place) -> None:
        """What follows the id of an activity or phase."""
        what = ".".join(path[:2])
        if len(path) > 2 and path[2] not in {"state", "outputs"}:
            self.c.say("unknown_name", f'{what} has state and outputs, and no "{path[2]}".{did_you_mean(path[2], ["state", "outputs"])}', place)
        elif len(path) > 3 and path[2] == "outputs" and outputs is not None and path[3] not in outputs:
            declared = did_you_mean(path[3], outputs) or ("" if outputs else " It has none.")
            self.c.say("unknown_output", f'{what} has no output "{path[3]}".{declared}', place)


class Outputs:
    """The names of an activity's outputs, where they can be known."""

    def __init__(self, c: Check) -> None:
        self.c = c

    def of(self, step: Step) -> Collection[str] | None:
        """What others may read."""
        activity = step.whole or step.activity
        if activity.outputs is not None:
            return activity.outputs
        if step.stored and step.stored.outputs:
            return step.stored.outputs
        return self.of_result(step)

    def of_result(self, step: Step) -> Collection[str] | None:
        """What the connector, form or child release gives."""
        activity = step.whole or step.activity
        kind = kind_of(step)
        if kind is ActivityType.MANUAL:
            return activity.fields
        if kind is ActivityType.SUBPROCESS and activity.process:
            child = self.c.process(activity.process)
            return child.outputs if child else None
        given = activity.arguments.get("outputs")
        if activity.connector == "noop" and isinstance(given, dict):
            return given
        return None


def _not_evaluated(c: Check) -> None:
    """An expression where the document means plain text."""
    document = c.blueprint
    places: list[tuple[Place, Any]] = [(("name",), document.name), (("description",), document.description)]
    places += [(("inputs", name, "description"), spec.description) for name, spec in document.inputs.items()]
    places += [(("rules", index, "message"), rule.message) for index, rule in enumerate(document.rules)]
    for index, phase in enumerate(document.phases):
        places += [(("phases", index, "name"), phase.name), (("phases", index, "description"), phase.description)]
    for step in c.steps:
        activity = step.activity
        places += [((*step.place, key), getattr(activity, key)) for key in ("name", "connector", "connection", "process", "uses")]
    for place, value in places:
        if value and has_expression(value):
            c.say("expression_not_evaluated", f'"{place[-1]}" is plain text: this expression stays as it is written.', place, warning=True)


def scope_of_store(stored: StoreActivity) -> tuple[Activity, Mapping[str, Variable]]:
    """The activity of the store as one of a process, and the inputs that it reads."""
    return Activity.model_validate({**stored.activity, "id": stored.id}), stored.inputs
