"""An activity of the store as a step of a process: what it calls `inputs` is what the step gives it in `with` (S2a). Pure.

Expressions of the store's activity are rewritten once, when a version is compiled: the name `inputs` becomes `given`, which only such an activity can
see. So whoever evaluates anything of an activity needs not know where it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from processes.blueprint import Activity, Blueprint, Phase, StoreActivity, Variable
from processes.expressions import ExpressionError, render
from processes.problems import errors
from processes.scanning import OPEN, Code, Unclosed, scan, split
from processes.soundness import merged
from processes.values import People
from processes.variables import resolve_inputs, restored

GIVEN = "given"
"""The name under which an activity of the store sees what it was given. No process can say it: publishing knows no such name."""

Find = Callable[[str], StoreActivity]


@dataclass(frozen=True, slots=True)
class Given:
    """What a step gives to its activity of the store: the typed inputs, and the templates as the step has them."""

    specs: Mapping[str, Variable]
    templates: Mapping[str, Any]

    def values(self, names: Mapping[str, Any], *, check: bool, people: People | None = None) -> dict[str, Any]:
        """The inputs as the activity sees them. With `check` they are of the right kind, or ExpressionError says which are not."""
        values = render(dict(self.templates), names)
        if not check:  # secrets are hidden in it: only shown, not used
            return {**restored(self.specs, {name: spec.default for name, spec in self.specs.items() if spec.default is not None}), **values}
        found, problems = resolve_inputs(self.specs, values, names=names, people=people)
        if wrong := errors(problems):
            raise ExpressionError("with", " ".join(problem.message for problem in wrong))
        return found


def whole(blueprint: Blueprint, find: Find) -> tuple[Blueprint, dict[str, Given]]:
    """The blueprint with every activity of the store in its place, and what each is given by the id of its step."""
    given: dict[str, Given] = {}
    phases = [phase.model_copy(update={"activities": tuple(_step(activity, find, given) for activity in phase.activities)}) for phase in blueprint.phases]
    return (blueprint.model_copy(update={"phases": tuple(phases)}), given) if given else (blueprint, given)


def uses_of(blueprint: Blueprint) -> list[str]:
    """What the steps name of the store, in order, each once."""
    return list(dict.fromkeys(activity.uses for phase in blueprint.phases for activity in phase.activities if activity.uses))


def renamed(blueprint: Blueprint, names: Mapping[str, str]) -> Blueprint:
    """The blueprint with other texts in `uses`."""

    def other(phase: Phase) -> Phase:
        steps = tuple(step.model_copy(update={"uses": names[step.uses]}) if step.uses and step.uses in names else step for step in phase.activities)
        return phase.model_copy(update={"activities": steps})

    return blueprint.model_copy(update={"phases": tuple(other(phase) for phase in blueprint.phases)})


def _step(activity: Activity, find: Find, given: dict[str, Given]) -> Activity:
    if activity.uses is None:
        return activity
    stored = find(activity.uses)
    given[activity.id] = Given(stored.inputs, activity.arguments)
    found = merged(activity, stored.model_copy(update={"activity": scoped(stored.activity)}))
    return found if found.outputs is not None or not stored.outputs else found.model_copy(update={"outputs": _promised(stored)})


def _promised(stored: StoreActivity) -> dict[str, Any]:
    """Without a map of its own an activity puts out what it promises, and no more."""
    return {name: f"${{{{ result.outputs.{name} }}}}" for name in stored.outputs}


def scoped(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of an activity of the store, with `given` for `inputs` in every expression."""
    found = {key: _templates(value) for key, value in keys.items()}
    if "if" in found:
        found["if"] = _condition(str(found["if"]))
    if "fields" in found:
        found["fields"] = {name: _conditions(spec, "required_if") for name, spec in found["fields"].items()}
    if "tasks" in found:
        found["tasks"] = [_conditions(task, "required") for task in found["tasks"]]
    approval = found.get("approval")
    if isinstance(approval, dict) and approval.get("binds"):
        binds = [GIVEN + bind.removeprefix("inputs") if bind == "inputs" or bind.startswith("inputs.") else bind for bind in approval["binds"]]
        found["approval"] = approval | {"binds": binds}
    return found


def _conditions(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    return dict(mapping) | ({key: _condition(mapping[key])} if isinstance(mapping.get(key), str) else {})


def _templates(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {key: _templates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_templates(item) for item in value]
    return value


def _text(text: str) -> str:
    if OPEN not in text:
        return text
    try:
        parts = split(text)
    except Unclosed:
        return text
    return "".join("${{" + _expression(part.text) + "}}" if isinstance(part, Code) else part.replace(OPEN, "$" + OPEN) for part in parts)


def _condition(text: str) -> str:
    return _text(text) if text.lstrip().startswith(OPEN) else _expression(text)


def _expression(text: str) -> str:
    for reference in reversed(scan(text).references):
        if reference.path[0] == "inputs":
            start = reference.starts[0]
            text = text[:start] + GIVEN + text[start + len("inputs") :]
    return text
