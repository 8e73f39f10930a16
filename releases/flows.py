"""The compiled graph of each version in use: read once per process, since a version never changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from processes.blueprint import Activity, ActivityType, Phase, RunWhen
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
    is_certain: bool
    """Once its dependencies are closed and nothing has ended badly, it runs: there is no `if`, nothing to fail for, and no lock to wait for."""
    guards: tuple[str, ...]
    """Manual activities that it succeeds directly; their seals are checked before it starts (S17)."""
    given: Given | None = None
    """What it gives to its activity of the store (S2a)."""
    locks: tuple[str, ...] = ()
    """Whose locks it must have before it starts (S9a), in this order: its `phase`'s, its own (`run`)."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A version's graph and its steps."""

    flow: Flow
    steps: Mapping[str, Step]
    has_locks: bool = False


@lru_cache(maxsize=256)
def compiled(version_id: int) -> Compiled:
    """The compiled graph of a version."""
    blueprint, given = whole_blueprint(ProcessVersion.everything.get(pk=version_id))
    flow = Flow(blueprint)
    has_locks = any(phase.lock is not None for phase in flow.phases.values()) or any(step.lock is not None for step in flow.steps.values())
    return Compiled(flow, {key: _step(flow, activity, given.get(key)) for key, activity in flow.steps.items()}, has_locks)


def _step(flow: Flow, activity: Activity, given: Given | None) -> Step:
    lane, effect = PREPARE, "keyed"
    if activity.type is ActivityType.AUTOMATED:
        behind = connector(activity.connector or "noop")
        lane, effect = behind.lane, activity.effect or str(behind.default_effect)
    phase = flow.phases[flow.phase_of[activity.id]]
    before = {*activity.depends_on, *(step.id for other in phase.depends_on for step in flow.phases[other].activities)}
    locks = tuple(kind for kind, item in (("phase", phase), ("run", activity)) if _is_needed(item, activity))
    return Step(
        activity=activity,
        lane=lane,
        effect=effect,
        is_plain=not (activity.outputs or activity.variables or has_expression(activity.arguments)),
        is_certain=not activity.condition and activity.run_when is not RunWhen.FAILED and not locks,
        guards=tuple(sorted(key for key in before if flow.steps[key].type is ActivityType.MANUAL)),
        given=given,
        locks=locks,
    )


def _is_needed(item: Phase | Activity, activity: Activity) -> bool:
    """A lock that gives way to people is not asked for a question to people."""
    return item.lock is not None and not (item.lock_while_waiting == "release" and activity.type is ActivityType.MANUAL)


@lru_cache(maxsize=10_000)
def version_of(release_id: int) -> int:
    """The version that a release executes; it is fixed once the release has started, and only such are asked for."""
    found: int = Release.objects.values_list("version_id", flat=True).get(pk=release_id)
    return found
