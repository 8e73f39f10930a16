"""What the checks share: the document with its index, and the list of what was found. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from processes.blueprint import Activity, ActivityType, Blueprint, Phase, StoreActivity
from processes.problems import Problem, Severity, pointer
from processes.soundness.world import World

Place = tuple[str | int, ...]
_DEFAULTS = {name: field.get_default(call_default_factory=True) for name, field in Activity.model_fields.items()}


class Step(NamedTuple):
    """An activity and where it stands. `whole` is the activity with what it takes from the store; None when that is not known."""

    number: int
    phase: int
    place: Place
    activity: Activity
    whole: Activity | None
    stored: StoreActivity | None


class Check:
    """One examination of one document."""

    def __init__(self, blueprint: Blueprint, world: World) -> None:
        self.blueprint = blueprint
        self.world = world
        self.found: list[Problem] = []
        self._processes: dict[str, Blueprint | None] = {}

    def say(self, code: str, message: str, place: Place, *, warning: bool = False, column: int | None = None) -> None:
        """Keep a problem."""
        self.found.append(Problem(code, message, pointer(*place), Severity.WARNING if warning else Severity.ERROR, column=column))

    def process(self, name: str) -> Blueprint | None:
        """The newest version of another process; each is looked up once, because that may be a query."""
        if name not in self._processes:
            self._processes[name] = self.world.processes.get(name) if self.world.processes is not None else None
        return self._processes[name]

    @cached_property
    def phases(self) -> dict[str, int]:
        """Index by id; of a doubled id, the first."""
        return {phase.id: index for index, phase in reversed(list(enumerate(self.blueprint.phases)))}

    @cached_property
    def steps(self) -> list[Step]:
        """Every activity, in the document's order."""
        return list(self._steps())

    @cached_property
    def by_id(self) -> dict[str, Step]:
        """The activities by id; of a doubled id, the first."""
        return {step.activity.id: step for step in reversed(self.steps)}

    def phase_of(self, step: Step) -> Phase:
        """The phase that an activity stands in."""
        return self.blueprint.phases[step.phase]

    def owners_of(self, step: Step) -> tuple[str, ...]:
        """Its own, else those of its phase, else those of the process."""
        return (step.whole or step.activity).owners or self.phase_of(step).owners or self.blueprint.owners

    def _steps(self) -> Iterator[Step]:
        number = 0
        for index, phase in enumerate(self.blueprint.phases):
            for position, activity in enumerate(phase.activities):
                stored = self._stored(activity)
                whole = activity if activity.uses is None else _merged_or_none(activity, stored)
                yield Step(number, index, ("phases", index, "activities", position), activity, whole, stored)
                number += 1

    def _stored(self, activity: Activity) -> StoreActivity | None:
        if activity.uses is None or self.world.store is None:
            return None
        key = store_key(activity.uses)
        return self.world.store.get(key) if key else None


def store_key(uses: str) -> tuple[str, int | None] | None:
    """`run_tests@2` as id and version, `run_tests` with None for the newest; None when it is neither."""
    name, at, version = uses.partition("@")
    if not at:
        return name, None
    return (name, int(version)) if version.isascii() and version.isdigit() and len(version) < 10 and int(version) > 0 else None


def merged(activity: Activity, stored: StoreActivity) -> Activity:
    """The activity that runs: the stored one, with the keys of the instance winning whole; `with` stays the stored one's (S2a)."""
    own = {name: getattr(activity, name) for name in activity.model_fields_set - {"id", "uses", "arguments"}}
    return Activity.model_validate({**stored.activity, "id": activity.id}).model_copy(update=own)


def _merged_or_none(activity: Activity, stored: StoreActivity | None) -> Activity | None:
    try:
        return merged(activity, stored) if stored else None
    except ValidationError:  # stored by an older version of the format
        return None


def is_set(activity: Activity, name: str) -> bool:
    """Does the document give this key a value of its own?"""
    return bool(getattr(activity, name) != _DEFAULTS[name])


def kind_of(step: Step) -> ActivityType | None:
    """Its type, as far as known."""
    return step.whole.type if step.whole else step.activity.type


def in_document_order(blueprint: Blueprint, problems: list[Problem]) -> list[Problem]:
    """Sorted by place as the document writes it, each problem once."""
    order = _Order(blueprint)
    return sorted(dict.fromkeys(problems), key=lambda problem: order.of(problem.place))


class _Order:
    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self.keys: dict[Any, dict[str, int]] = {}

    def of(self, place: str) -> tuple[int, ...]:
        found: list[int] = []
        value: Any = self.blueprint
        for part in place.split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, BaseModel):
                keys = self._keys(type(value), lambda: [field.alias or name for name, field in type(value).model_fields.items()])  # noqa: B023 - called at once
                found.append(keys.get(part, len(keys)))
                name = next((name for name, field in type(value).model_fields.items() if (field.alias or name) == part), "")
                value = getattr(value, name, None)
            elif isinstance(value, dict):
                keys = self._keys(id(value), lambda: list(value))  # noqa: B023 - called at once
                found.append(keys.get(part, len(keys)))
                value = value.get(part)
            else:
                found.append(int(part) if part.isdigit() else 0)
                value = value[int(part)] if isinstance(value, list | tuple) and part.isdigit() and int(part) < len(value) else None
        return tuple(found)

    def _keys(self, of: Any, keys: Any) -> dict[str, int]:
        if of not in self.keys:
            self.keys[of] = {key: index for index, key in enumerate(keys())}
        return self.keys[of]
