"""An expression tried out by an author: with the names of a release, or with those that a release of a version or of the draft would begin with.

Nothing is stored, secrets stay hidden, and the bounds of expressions hold here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from processes.blueprint import Blueprint, ValueType
from processes.expressions import ExpressionError, evaluate, has_expression, references, references_of_condition, render
from processes.functions import type_name
from processes.models import Process
from processes.problems import Problem
from processes.variables import resolve_inputs, resolve_variables
from processes.versions import newest_blueprints
from releases.models import Release
from releases.names import names_of
from relorch.lib import secrets

EVERYTHING = frozenset({("inputs",), ("variables",), ("phases",), ("activities",)})
MOST_NAMES, DEEPEST, LONGEST_SAID = 1_000, 4, 60


def tried(expression: str, *, process: Process, release: Release | None = None, sample: Sample | None = None) -> dict[str, Any]:
    """`{value}`, or the problem with its `column` (from 1). Secrets stay hidden; nothing is stored."""
    try:
        templated = has_expression(expression)
        if release is not None:
            paths = references(expression) if templated else references_of_condition(expression)
            names = names_of(release, paths)
        else:
            names = (sample or sample_of(process)).names
        return {"value": render(expression, names) if templated else evaluate(expression, names)}
    except ExpressionError as error:
        return Problem(error.code, error.message, "/expression").as_dict() | {"column": error.column}


@dataclass(frozen=True, slots=True)
class Sample:
    """What a release would begin with, and what keeps its inputs or variables from being there."""

    names: dict[str, Any]
    problems: tuple[Problem, ...] = ()


def sample_of(process: Process, blueprint: Blueprint | None = None, given: Mapping[str, Any] | None = None, *, form: bool = False) -> Sample:
    """Of this blueprint (the newest version's, if none is given): inputs as given or by default, variables as far as they resolve, and nothing run yet."""
    blueprint = blueprint or newest_blueprints([process.pk]).get(process.pk)
    about = {"id": process.identifier, "name": process.name or process.identifier, "category": process.category}
    names: dict[str, Any] = {"process": about, "release": {"id": 0, "name": "", "version": 0, "started_at": "", "starter": ""}}
    if blueprint is None:
        return Sample(names | {"inputs": {}, "variables": {}, "activities": {}, "phases": {}})
    secret = {name for name, spec in blueprint.inputs.items() if spec.type is ValueType.SECRET}
    open_ones = {name: spec for name, spec in blueprint.inputs.items() if name not in secret}
    plain = {name: value for name, value in (given or {}).items() if name not in secret}
    names["inputs"], problems = resolve_inputs(open_ones, plain, names=names, form=form)
    # of a secret it is only known that it is there
    names["inputs"] |= {name: {secrets.MARK: True} for name in secret if (given or {}).get(name)}
    names["variables"] = {}
    try:
        names["variables"] = resolve_variables(blueprint.variables, names)
    except ExpressionError as error:
        problems.append(Problem(error.code, f"The variables cannot be computed: {error}", "/variables"))
    pending = {"state": "pending", "outputs": {}}
    names |= {
        "phases": {phase.id: pending for phase in blueprint.phases},
        "activities": {step.id: pending for phase in blueprint.phases for step in phase.activities},
    }
    return Sample(names, tuple(problem for problem in problems if given or problem.code != "required"))


@dataclass(frozen=True, slots=True)
class Name:
    """A name that an expression may use here: its path, the type of its value, and how it begins."""

    path: str
    type: str
    said: str


def names_in(names: Mapping[str, Any]) -> list[Name]:
    """The names as they are written, each with what it is worth; at most so many, and not into the depth of large objects."""
    found: list[Name] = []
    for path, value in _walk("", names, 0):
        found.append(Name(path, "secret" if secrets.is_hidden(value) else type_name(value), _said(value)))
        if len(found) == MOST_NAMES:
            break
    return found


def names_of_release(release: Release) -> dict[str, Any]:
    """Every name of a release; secrets hidden."""
    return names_of(release, EVERYTHING)


def _walk(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value and not secrets.is_hidden(value) and depth <= DEEPEST:
        for key, inner in value.items():
            if isinstance(key, str) and key.isidentifier():
                yield from _walk(f"{path}.{key}" if path else key, inner, depth + 1)
    else:
        yield path, value


def _said(value: Any) -> str:
    if secrets.is_hidden(value):
        return "hidden"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return f"{len(value)} item{'' if len(value) == 1 else 's'}"
    text = "null" if value is None else str(value)
    return text if len(text) <= LONGEST_SAID else f"{text[:LONGEST_SAID]}…"
