"""Values of an input set that are worked out when a start takes them over: expressions, and outputs of an earlier release. Pure.

They are written as everywhere: `${{ … }}` inside a text. They read `process`, `release.starter` and `release.started_at`, and `last`: the last release of the
process that succeeded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from processes.blueprint import ActivityType, Blueprint, ValueType, Variable
from processes.expressions import examine, texts
from processes.problems import Problem, did_you_mean, pointer
from processes.scanning import OPEN
from processes.soundness.names import PROCESS_NAMES

LAST = "last"
ROOTS = ("process", "release", LAST)
RELEASE_NAMES = ("starter", "started_at")
LAST_NAMES = ("id", "name", "release_version", "started_at", "finished_at", "inputs", "variables", "outputs", "activities", "phases")


def is_computed(spec: Variable, value: Any) -> bool:
    """Whether this value of an input is worked out. A secret never is: its text is what it is."""
    return spec.type is not ValueType.SECRET and any(OPEN in text for _, text in texts(value))


def problems_of(name: str, value: Any, blueprint: Blueprint | None) -> list[Problem]:
    """What is wrong with such a value; places under `/values`. Without a blueprint nothing is known of earlier releases, and nothing is said of their names."""
    found: list[Problem] = []
    for text in examine(value):
        place = pointer("values", name, *text.place)
        said = [(f"{message}{f' (column {column})' if column else ''}", column) for message, column in text.problems]
        found += [Problem("expression_error", message, place, column=column) for message, column in said]
        for path, column in zip(text.paths, text.columns, strict=True):
            found += [Problem(code, message, place, column=column) for code, message in _unknown(path, blueprint)]
    return found


def earlier_values(blueprint: Blueprint | None) -> list[tuple[str, str]]:
    """What an input set may take from the last release: (the value as it is written, what it is in words)."""
    return [(f"${{{{ {LAST}.{path} }}}}", said) for path, said in _earlier(blueprint)] if blueprint else []


def nothing_yet(blueprint: Blueprint) -> dict[str, Any]:
    """`last` where no release has succeeded, and what a process has gained since: everything known is there, with nothing in it (S1)."""
    empty = {"state": "pending", "outputs": {}}
    return {
        "inputs": {},
        "variables": {},
        "outputs": {},
        "activities": {step.id: empty for phase in blueprint.phases for step in phase.activities},
        "phases": {phase.id: empty for phase in blueprint.phases},
    }


def _unknown(path: tuple[str, ...], blueprint: Blueprint | None) -> Iterator[tuple[str, str]]:
    if path[0] not in ROOTS:
        hint = " One input cannot read another here: let a variable of the process do that." if path[0] in ("inputs", "variables") else ""
        yield "unknown_name", f'There is no name "{path[0]}" here; there are {", ".join(ROOTS)}.{hint or did_you_mean(path[0], ROOTS)}'
    elif len(path) > 1:
        known = {"process": sorted(PROCESS_NAMES), "release": RELEASE_NAMES, LAST: LAST_NAMES}[path[0]]
        if path[1] not in known:
            yield "unknown_name", f'{path[0]} has no "{path[1]}" here; there are {", ".join(known)}.{did_you_mean(path[1], known)}'
        elif path[0] == LAST and len(path) > 2 and blueprint is not None:
            yield from _unknown_of_last(path, blueprint)


def _unknown_of_last(path: tuple[str, ...], blueprint: Blueprint) -> Iterator[tuple[str, str]]:
    kind, name = path[1], path[2]
    if kind == "inputs" and name in blueprint.inputs and blueprint.inputs[name].type is ValueType.SECRET:
        yield "secret", f'The input "{name}" is a secret; it is not handed on from one release to another.'
    known: Mapping[str, Any] | None = {
        "inputs": blueprint.inputs,
        "variables": blueprint.variables,
        "outputs": blueprint.outputs,
        "activities": {step.id: step for phase in blueprint.phases for step in phase.activities},
        "phases": {phase.id: phase for phase in blueprint.phases},
    }.get(kind)
    if known is not None and name not in known:
        yield "unknown_name", f'The process has no "{name}" among its {kind}.{did_you_mean(name, known)}'


def _earlier(blueprint: Blueprint) -> Iterator[tuple[str, str]]:
    for name in blueprint.outputs:
        yield f"outputs.{name}", f"output {name} of the last release"
    for phase in blueprint.phases:
        for name in phase.outputs:
            yield f"phases.{phase.id}.outputs.{name}", f"{phase.name or phase.id}: {name}"
        for step in phase.activities:
            for name in step.outputs if step.outputs is not None else step.fields if step.type is ActivityType.MANUAL else ():
                yield f"activities.{step.id}.outputs.{name}", f"{step.name or step.id}: {name}"
    for name, spec in blueprint.inputs.items():
        if spec.type is not ValueType.SECRET:
            yield f"inputs.{name}", f"input {spec.name or name} of the last release"
