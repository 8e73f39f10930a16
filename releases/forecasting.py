"""How far a running release is, when it will end, what is late, and which activities decide that. Looked up here, reckoned in `rehearsing.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from releases.estimates import for_release
from releases.flows import compiled
from releases.models import ActivityRun, Attempt, Release
from releases.rehearsing import Estimate, rehearse, rest_of, share_of, spread, weighted
from releases.scheduler import Fact
from releases.states import CLOSED, LIVE, Run
from relorch.audit.chain import instant
from relorch.lib import words

MUCH_LATER = 1.5
"""Times the slow end of what is usual: then it is said that an activity takes long."""


@dataclass(frozen=True, slots=True)
class Late:
    """A warning: which activity ("" for the release) and what, in words."""

    activity: str
    text: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """`share` of the work is done, from 0 to 1. The end lies between `earliest` and `latest` four times of five; None when nothing is known."""

    share: float
    likely: datetime | None
    earliest: datetime | None
    latest: datetime | None
    unestimated: tuple[str, ...]
    """Activities to come of which nobody knows how long they take: the end is at least this."""
    critical_path: tuple[str, ...]
    late: tuple[Late, ...]

    @property
    def percent(self) -> int:
        """Of the work that is done, in whole numbers; not all of it before everything is."""
        return int(self.share * 100)

    @property
    def half_width(self) -> timedelta | None:
        """Half of the range."""
        return self.latest - self.likely if self.latest and self.likely else None

    @property
    def said_as(self) -> str:
        """How a page says when it ends: the hour alone only today."""
        today = timezone.localtime().date()
        return "clock" if self.likely and timezone.localtime(self.likely).date() == today else "absolute"

    def shown(self) -> dict[str, Any]:
        """As the API says it."""
        times = {"likely": self.likely, "earliest": self.earliest, "latest": self.latest}
        end = {name: instant(at) for name, at in times.items() if at is not None} or None
        return {
            "done": round(self.share, 4),
            "expected_end": end,
            "unestimated": list(self.unestimated),
            "critical_path": list(self.critical_path),
            "late": [{"activity": one.activity or None, "text": one.text} for one in self.late],
        }


def forecast(release: Release, runs: Sequence[ActivityRun], open_attempts: Mapping[int, Attempt], now: datetime | None = None) -> Forecast:
    """Of a release that has started: `open_attempts` are the newest ones of its open runs, by run. At most one query, mostly none."""
    now = now or timezone.now()
    estimates = for_release(release)
    still = [run for run in runs if run.state not in CLOSED]
    elapsed = {run.key: max((now - run.started_at).total_seconds(), 0.0) for run in still if run.started_at is not None}
    shares = {run.key: 1.0 for run in runs if run.state in CLOSED} | {key: share_of(seconds, estimates.get(key)) for key, seconds in elapsed.items()}
    done = weighted({run.key: estimates.get(run.key) for run in runs}, shares)
    if release.state not in LIVE:
        return Forecast(done, None, None, None, (), (), ())
    rest = {run.key: rest_of(elapsed.get(run.key, 0.0), estimates[run.key]) for run in still}
    ended = {run.key: Fact(Run(run.state), run.skipped_because, run.met, run.attempt_count) for run in runs if run.state in CLOSED}
    found = rehearse(compiled(release.version_id).flow, rest, {}, ended=ended)
    path = found.critical_path()
    unknown = tuple(key for key in found.starts if estimates[key] is None)
    likely = earliest = latest = None
    if len(unknown) < len(found.starts) or not found.starts:
        half = timedelta(seconds=spread(path, estimates))
        likely = now + timedelta(seconds=found.end)
        earliest, latest = max(now, likely - half), likely + half
    return Forecast(done, likely, earliest, latest, unknown, tuple(path), tuple(_late(release, still, open_attempts, estimates, elapsed, likely, now)))


def _late(
    release: Release,
    still: Sequence[ActivityRun],
    attempts: Mapping[int, Attempt],
    estimates: Mapping[str, Estimate | None],
    elapsed: Mapping[str, float],
    likely: datetime | None,
    now: datetime,
) -> list[Late]:
    labels = {key: step.label for key, step in compiled(release.version_id).flow.steps.items()}
    found = []
    if release.expected_end is not None:
        if release.expected_end <= now:
            found.append(Late("", f"It was to end {words.duration((now - release.expected_end).total_seconds())} ago."))
        elif likely is not None and likely > release.expected_end:
            found.append(Late("", f"It will probably end {words.duration((likely - release.expected_end).total_seconds())} later than expected."))
    for run in still:
        key, attempt, estimate = run.key, attempts.get(run.pk), estimates.get(run.key)
        if run.state == Run.WAITING and attempt is not None and attempt.asked_at is not None and attempt.due_at is not None and attempt.due_at <= now:
            found.append(Late(key, f"{labels[key]}: the answer was due {words.duration((now - attempt.due_at).total_seconds())} ago."))
        elif run.state == Run.RUNNING and estimate is not None and estimate.p80 > 0 and elapsed.get(key, 0.0) > MUCH_LATER * estimate.p80 + 1:
            found.append(Late(key, f"{labels[key]} takes longer than usual: {words.duration(elapsed[key])}, mostly it is {words.duration(estimate.p80)}."))
    return found
