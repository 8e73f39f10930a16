"""Subprocesses and activities of the store: are they there, and do they get what they ask for (S2a, S12)? Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processes.blueprint import ActivityType, Blueprint, Variable
from processes.expressions import has_expression
from processes.problems import did_you_mean
from processes.soundness.checking import Check, Place, Step, kind_of, store_key
from processes.variables import check_value

MOST_LEVELS = 5


def check(c: Check) -> None:
    """Every call, and the calls of the called."""
    for step in c.steps:
        if step.activity.uses is not None:
            _uses(c, step)
        if kind_of(step) is ActivityType.SUBPROCESS:
            _subprocess(c, step)


def _uses(c: Check, step: Step) -> None:
    uses, place = step.activity.uses or "", (*step.place, "uses")
    key = store_key(uses)
    if key is None:
        c.say("unknown_store_activity", f'"{uses}" is no activity of the store; write run_tests, or run_tests@2 for version 2.', place)
    elif c.world.store is None:
        return
    elif step.stored is None:
        versions = sorted(version for name, version in c.world.store if name == key[0] and version is not None)
        if versions:
            c.say("unknown_store_activity", f'"{key[0]}" has no version {key[1]}; there are {", ".join(map(str, versions[-20:]))}.', place)
        else:
            ids = {name for name, _ in c.world.store}
            c.say("unknown_store_activity", f'There is no activity "{key[0]}" in the store.{did_you_mean(key[0], ids)}', place)
    else:
        _given(c, step.activity.arguments, step.stored.inputs, (*step.place, "with"), f'The store\'s "{key[0]}"')


def _subprocess(c: Check, step: Step) -> None:
    activity = step.whole or step.activity
    name, known = activity.process, c.world.processes
    place = (*step.place, "process" if step.activity.process else "uses")
    if not name or has_expression(name):
        return
    if name == c.blueprint.id:
        c.say("recursion", f"A process cannot run itself: {name} → {name}.", place)
        return
    if known is None:
        return
    child = c.process(name)
    if child is None:
        c.say("unknown_process", f'There is no published process "{name}".{did_you_mean(name, known)}', place)
        return
    _given(c, activity.inputs, child.inputs, (*step.place, "inputs"), f'The process "{name}"')
    path = _path_back(c, name)
    if path:
        c.say("recursion", f"A process cannot run itself: {' → '.join([c.blueprint.id, *path])}.", place)
    elif (levels := 1 + _levels(c, name, {})) > MOST_LEVELS:
        c.say("too_many_levels", f"That makes {levels} levels of processes; {MOST_LEVELS} are allowed.", place)


def _given(c: Check, given: Mapping[str, Any], asked: Mapping[str, Variable], place: Place, what: str) -> None:
    for name, value in given.items():
        if name not in asked:
            c.say("unknown_input", f'{what} has no input "{name}".{did_you_mean(name, asked)}', (*place, name))
        elif not has_expression(value):
            for problem in check_value(asked[name], value, name=name)[1]:
                c.say("invalid_input", problem.message, (*place, name))
    for name, spec in asked.items():
        if name not in given and spec.required and spec.default is None:
            c.say("missing_input", f'{what} needs the input "{name}".', place)


def _called(blueprint: Blueprint | None) -> list[str]:
    """The processes that it runs itself."""
    steps = [step for phase in blueprint.phases for step in phase.activities] if blueprint else []
    return list(dict.fromkeys(step.process for step in steps if step.type is ActivityType.SUBPROCESS and step.process))


def _path_back(c: Check, first: str) -> list[str] | None:
    """Names from `first` on to the process itself, each running the next; None when none leads there."""
    came: dict[str, str | None] = {first: None}
    left = [first]
    while left:
        name = left.pop()
        for other in _called(c.process(name)):
            if other == c.blueprint.id:
                path: list[str] = [other]
                at: str | None = name
                while at is not None:
                    path.append(at)
                    at = came[at]
                return list(reversed(path))
            if other not in came:
                came[other] = name
                left.append(other)
    return None


def _levels(c: Check, name: str, found: dict[str, int]) -> int:
    """How many levels a process makes. A circle among others is cut: it is their own problem."""
    if name not in found:
        found[name] = 1
        found[name] += max((_levels(c, other, found) for other in _called(c.process(name))), default=0)
    return found[name]
