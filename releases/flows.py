"""The compiled graph of each version in use: read once per process, since a version never changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from processes.blueprint import Activity, ActivityType
from processes.expressions import has_expression
from processes.models import ProcessVersion
from processes.resolving import whole_blueprint
from processes.store_scope import Given
from releases.connectors.registry import connector
from releases.models import Release
from releases.scheduler import Flow

PREPARE = "prepare"


@dataclass(frozen=True, slots=True)
class Step:
    """What the engine wants to know of an activity without reading its blueprint again."""

    activity: Activity
    lane: str
    effect: str
    is_plain: bool
    """Its `with` and outputs hold no expression: nothing must be read to run it."""
    guards: tuple[str, ...]
    """Manual activities that it succeeds directly; their seals are checked before it starts (S17)."""
    given: Given | None = None
    """What it gives to its activity of the store (S2a)."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A version's graph and its steps."""

    flow: Flow
    steps: Mapping[str, Step]


@lru_cache(maxsize=256)
def compiled(version_id: int) -> Compiled:
    """The compiled graph of a version."""
    blueprint, given = whole_blueprint(ProcessVersion.everything.get(pk=version_id))
    flow = Flow(blueprint)
    return Compiled(flow, {key: _step(flow, activity, given.get(key)) for key, activity in flow.steps.items()})


def _step(flow: Flow, activity: Activity, given: Given | None) -> Step:
    lane, effect = PREPARE, "keyed"
    if activity.type is ActivityType.AUTOMATED:
        behind = connector(activity.connector or "noop")
        lane, effect = behind.lane, activity.effect or str(behind.default_effect)
    phase = flow.phases[flow.phase_of[activity.id]]
    before = {*activity.depends_on, *(step.id for other in phase.depends_on for step in flow.phases[other].activities)}
    return Step(
        activity=activity,
        lane=lane,
        effect=effect,
        is_plain=not (activity.outputs or activity.variables or has_expression(activity.arguments)),
        guards=tuple(sorted(key for key in before if flow.steps[key].type is ActivityType.MANUAL)),
        given=given,
    )


@lru_cache(maxsize=10_000)
def version_of(release_id: int) -> int:
    """The version that a release executes; it is fixed once the release has started, and only such are asked for."""
    found: int = Release.objects.values_list("version_id", flat=True).get(pk=release_id)
    return found
