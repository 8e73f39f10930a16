"""Who reads the outputs of an activity: needed when a person puts something in its place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from processes.blueprint import Blueprint
from processes.expressions import references, references_of_condition
from processes.problems import Problem, pointer


def readers(blueprint: Blueprint) -> Iterator[tuple[str, Any, bool]]:
    """Every place that may read an activity's outputs: (place, text or template, whether it is a bare condition)."""
    for n, phase in enumerate(blueprint.phases):
        at = pointer("phases", n)
        yield f"{at}/if", phase.condition, True
        yield f"{at}/variables", phase.variables, False
        yield f"{at}/outputs", phase.outputs, False
        for m, step in enumerate(phase.activities):
            here = f"{at}/activities/{m}"
            yield f"{here}/if", step.condition, True
            for name in ("variables", "arguments", "inputs", "outputs", "instructions"):
                yield f"{here}/{'with' if name == 'arguments' else name}", getattr(step, name), False
    yield "/outputs", blueprint.outputs, False


def outputs_needed(blueprint: Blueprint, key: str, given: Mapping[str, Any]) -> list[Problem]:
    """The outputs of `key` that something reads without asking `has(…)`, and for which no value is given."""
    missing: dict[str, Problem] = {}
    for place, text, bare in readers(blueprint):
        if not text:
            continue
        for path in references_of_condition(text) if bare else references(text):
            if path[:3] != ("activities", key, "outputs") or len(path) < 4 or path[3] in given or path[3] in missing:
                continue
            if not re.search(rf"has\(\s*{re.escape('.'.join(path[:4]))}\b", str(text)):
                missing[path[3]] = Problem("output_needed", f"{path[3]} is read at {place}.", pointer("outputs", path[3]))
    return list(missing.values())


def losers_of(blueprint: Blueprint, key: str, given: Mapping[str, Any]) -> list[str]:
    """The activities and phases (`phase:<id>`) that read an output of `key`, in their order: they lose an input when it does not run.

    Whoever reads only what is `given` in its place loses nothing.
    """
    places = {pointer("phases", n): f"phase:{phase.id}" for n, phase in enumerate(blueprint.phases)}
    places |= {pointer("phases", n, "activities", m): step.id for n, phase in enumerate(blueprint.phases) for m, step in enumerate(phase.activities)}
    found: dict[str, None] = {}
    for place, text, bare in readers(blueprint):
        if not text:
            continue
        paths = references_of_condition(text) if bare else references(text)
        reader = places.get(place.rpartition("/")[0])
        if (
            reader
            and reader != key
            and any(
                (path[:3] == ("activities", key, "outputs") and (len(path) < 4 or path[3] not in given)) or (path[:2] == ("activities", key) and len(path) == 2)
                for path in paths
            )
        ):
            found.setdefault(reader)
    return list(found)
