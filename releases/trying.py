"""An expression tried out by an author: with the names of a release, or with those that a release of the newest version would begin with."""

from __future__ import annotations

from typing import Any

from processes.expressions import ExpressionError, evaluate, has_expression, references, references_of_condition, render
from processes.models import Process
from processes.problems import Problem
from processes.variables import resolve_inputs, resolve_variables
from processes.versions import newest_blueprints
from releases.models import Release
from releases.names import names_of


def tried(expression: str, *, process: Process, release: Release | None = None) -> dict[str, Any]:
    """`{value}`, or the problem with its `column` (from 1). Secrets stay hidden; nothing is stored."""
    try:
        templated = has_expression(expression)
        paths = references(expression) if templated else references_of_condition(expression)
        names = _names(process) if release is None else names_of(release, paths)
        return {"value": render(expression, names) if templated else evaluate(expression, names)}
    except ExpressionError as error:
        return Problem(error.code, error.message, "/expression").as_dict() | {"column": error.column}


def _names(process: Process) -> dict[str, Any]:
    """Inputs at their defaults, variables as far as they resolve, and nothing run yet."""
    blueprint = newest_blueprints([process.pk]).get(process.pk)
    about = {"id": process.identifier, "name": process.name or process.identifier, "category": process.category}
    names: dict[str, Any] = {"process": about, "release": {"id": 0, "name": "", "version": 0, "started_at": "", "starter": ""}}
    nothing: dict[str, Any] = {"inputs": {}, "variables": {}, "activities": {}, "phases": {}}
    if blueprint is None:
        return names | nothing
    names["inputs"] = resolve_inputs(blueprint.inputs, {}, names=names)[0]
    try:
        names["variables"] = resolve_variables(blueprint.variables, names)
    except ExpressionError:
        names["variables"] = {}
    pending = {"state": "pending", "outputs": {}}
    return names | {
        "phases": {phase.id: pending for phase in blueprint.phases},
        "activities": {step.id: pending for phase in blueprint.phases for step in phase.activities},
    }
