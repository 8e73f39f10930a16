"""What an author may write where, to be completed in the editor: names that expressions read, ids, and what there is around the document. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from processes.blueprint import Blueprint, StoreActivity
from processes.scanning import FUNCTIONS, METHODS
from processes.soundness.checking import Check
from processes.soundness.names import PROCESS_NAMES, RELEASE_NAMES, Outputs
from processes.soundness.world import World

MOST_NAMES = 3_000


def words_of(blueprint: Blueprint, world: World) -> dict[str, Any]:
    """`names` and `functions` for expressions, ids of `phases` and `activities`, and what the keys `connector`, `uses`, `process`, `owners`, `with` take."""
    check = Check(blueprint, world)
    return {
        "names": list(dict.fromkeys(_names(check)))[:MOST_NAMES],
        "functions": sorted({*FUNCTIONS, *METHODS}),
        "phases": list(dict.fromkeys(phase.id for phase in blueprint.phases)),
        "activities": list(dict.fromkeys(step.activity.id for step in check.steps)),
        "connector": list(world.connectors or ()),
        "uses": sorted(name if number is None else f"{name}@{number}" for name, number in world.store or ()),
        "process": sorted(world.processes or ()),
        "with": {name: list(info.schema.get("properties", ())) for name, info in (world.connectors or {}).items()},
        "owners": [f"group:{name}" for name in sorted(world.groups or ())],
    }


def words_of_store(stored: StoreActivity, world: World) -> dict[str, Any]:
    """The same for an activity of the store, which reads nothing but its own inputs (S2a)."""
    alone = words_of(Blueprint(id=stored.id, inputs=dict(stored.inputs)), world)
    return alone | {"names": [*(f"inputs.{name}" for name in stored.inputs), "result.outputs"], "uses": []}


def _names(check: Check) -> Iterator[str]:
    document, outputs = check.blueprint, Outputs(check)
    yield from (f"inputs.{name}" for name in document.inputs)
    yield from (f"variables.{name}" for name in document.variables)
    for phase in document.phases:
        yield from (f"variables.{name}" for name in phase.variables)
    for step in check.steps:
        yield from (f"variables.{name}" for name in step.activity.variables)
        yield from (f"activities.{step.activity.id}.outputs.{name}" for name in outputs.of(step) or ())
        yield f"activities.{step.activity.id}.state"
    for phase in document.phases:
        yield from (f"phases.{phase.id}.outputs.{name}" for name in phase.outputs)
        yield f"phases.{phase.id}.state"
    yield "result.outputs"
    yield from (f"release.{name}" for name in sorted(RELEASE_NAMES))
    yield from (f"process.{name}" for name in sorted(PROCESS_NAMES))
