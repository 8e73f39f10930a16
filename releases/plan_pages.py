"""The plan beside the form that starts a release: what would happen, when, and who would be asked (design, picture 16)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from processes.blueprint import ActivityType
from processes.problems import Problem
from releases.flows import compiled
from releases.plans import Plan, Planned
from releases.states import Skipped
from releases.wording import BECAUSE, some

MOST_SKIPS = 4


@dataclass(frozen=True, slots=True)
class Stage:
    """A phase: when it begins after the start, how many activities, how long, whom it asks."""

    label: str
    at: timedelta | None
    number: int
    takes: timedelta | None
    asks: str
    skipped: str
    critical: bool
    depends: bool
    """Whether it runs depends on results."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The plan for its card."""

    automated: int
    manual: int
    skips: Sequence[tuple[str, str]]
    more_skips: int
    likely: timedelta | None
    earliest: timedelta | None
    latest: timedelta | None
    unestimated: int
    stages: Sequence[Stage]
    asked: Sequence[str]
    problems: Sequence[Problem]


def shown(plan: Plan, version: int) -> Shown:
    """What the page says of a plan of this version."""
    running, skipped = plan.running, plan.skipped
    manual = sum(one.activity.type is ActivityType.MANUAL for one in running)
    flow = compiled(version).flow
    estimated = len(plan.unestimated) < len(running)
    inside: dict[str, list[Planned]] = {}
    for one in plan.activities:
        inside.setdefault(one.phase, []).append(one)
    half = timedelta(seconds=plan.spread)
    likely = timedelta(seconds=plan.expected) if estimated else None
    return Shown(
        automated=len(running) - manual,
        manual=manual,
        skips=[(one.activity.label, BECAUSE[Skipped(one.skipped_because)]) for one in skipped[:MOST_SKIPS]],
        more_skips=max(len(skipped) - MOST_SKIPS, 0),
        likely=likely,
        earliest=max(likely - half, timedelta()) if likely is not None else None,
        latest=likely + half if likely is not None else None,
        unestimated=len(plan.unestimated) if estimated else 0,
        stages=[_stage(key, phase.label, inside.get(key, []), plan, frozenset(plan.critical_path), estimated) for key, phase in flow.phases.items()],
        asked=plan.asks,
        problems=plan.problems,
    )


def _stage(key: str, label: str, steps: Sequence[Planned], plan: Plan, critical: frozenset[str], estimated: bool) -> Stage:
    run = [one for one in steps if not one.skipped_because]
    begin = min((one.starts for one in run), default=0.0)
    end = max((one.starts + (one.expected.p50 if one.expected else 0.0) for one in run), default=0.0)
    asks = list(dict.fromkeys(name.partition(":")[2] for one in run for name in one.asks))
    return Stage(
        label=label,
        at=timedelta(seconds=begin) if run and estimated else None,
        number=len(run),
        takes=timedelta(seconds=end - begin) if run and any(one.expected for one in run) else None,
        asks=some(asks, 3),
        skipped=BECAUSE[Skipped(steps[0].skipped_because)] if steps and not run else "",
        critical=any(one.activity.id in critical for one in run),
        depends=f"phase:{key}" in plan.undecided,
    )
