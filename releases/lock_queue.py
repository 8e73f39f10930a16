"""Who holds a lock, who waits for it and in which order (S9a), as people see it. Releases that a reader may not see are there without a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from releases.flows import compiled
from releases.models import ActivityRun, Lock, Release
from relorch.audit.chain import instant


@dataclass(frozen=True, slots=True)
class Standing:
    """One holder or waiter: `release` is None where the reader may not see it."""

    lock: int
    release: Release | None
    activity: str
    phase: str
    label: str
    since: datetime | None
    is_held: bool
    """Its release is on hold: it keeps its place and others go first."""

    def named(self) -> str:
        """For a sentence."""
        return f"{self.release.name}, {self.label}" if self.release else "another release"

    def shown(self) -> dict[str, Any]:
        """As the API says it."""
        return {
            "release": self.release.pk if self.release else None,
            "name": self.release.name if self.release else None,
            "activity": self.activity if self.release else "",
            "phase": self.phase if self.release else "",
            "since": instant(self.since) if self.since else None,
        }


@dataclass(frozen=True, slots=True)
class Queue:
    """The lock of a name, seen from one of those who wait for it (`place` counts from 1; 0 when it does not wait)."""

    name: str
    holder: Standing | None
    waiting: tuple[Standing, ...]
    place: int = 0
    since: datetime | None = None

    def shown(self) -> dict[str, Any]:
        """As the API says it."""
        return {
            "name": self.name,
            "place": self.place,
            "held_by": self.holder.shown() if self.holder else None,
            "queue": [one.shown() for one in self.waiting],
        }

    def text(self) -> str:
        """In a sentence."""
        by = self.holder.named() if self.holder else "nobody"
        return f'Waits for the lock "{self.name}", held by {by}; number {self.place} of {len(self.waiting)} in line.'


def queues_of(runs: Sequence[ActivityRun], viewer: Any) -> dict[int, Queue]:
    """For each of these runs, which wait for a lock, the queue that it stands in. Two queries, and one for what the viewer may see."""
    of_run = {run.pk: run for run in runs}
    wanted = Lock.objects.filter(Q(run__in=list(of_run)) | Q(phase_run__in={run.phase_run_id for run in runs}), state__in=[Lock.WAITING, Lock.GRANTED])
    asks = list(wanted)
    queues = named(sorted({ask.name for ask in asks}), viewer)
    by_run = {ask.run_id: ask for ask in asks if ask.run_id}
    by_phase = {ask.phase_run_id: ask for ask in asks if ask.phase_run_id}
    found = {}
    for run in runs:
        ask = by_phase.get(run.phase_run_id) or by_run.get(run.pk)
        if ask is not None and ask.name in queues:
            queue = queues[ask.name]
            place = next((n for n, one in enumerate(queue.waiting, 1) if one.lock == ask.pk), 0)
            found[run.pk] = Queue(queue.name, queue.holder, queue.waiting, place, ask.asked_at)
    return found


def held_by(run: ActivityRun, viewer: Any) -> Queue | None:
    """The queue of the lock that this run holds itself; None when it holds none."""
    if not compiled(run.release.version_id).has_locks:
        return None
    name = Lock.objects.filter(run=run, state=Lock.HELD).values_list("name", flat=True).first()
    return named([name], viewer).get(name) if name else None


def of_releases(ids: Iterable[int], viewer: Any) -> list[Queue]:
    """The queues in which these releases stand or whose locks they hold, by name."""
    names = Lock.objects.filter(release__in=list(ids)).exclude(state=Lock.FREE).values_list("name", flat=True)
    return list(named(sorted(set(names)), viewer).values())


def named(names: Sequence[str], viewer: Any) -> dict[str, Queue]:
    """The queue of each name that somebody holds or wants."""
    if not names:
        return {}
    rows = list(Lock.objects.filter(name__in=names).exclude(state=Lock.FREE).select_related("release", "run", "phase_run").order_by("place"))
    seen = set()
    if viewer is not None:
        seen = set(Release.objects.visible_to(viewer).filter(pk__in={row.release_id for row in rows}).values_list("pk", flat=True))
    found: dict[str, Queue] = {}
    for name in names:
        mine = [row for row in rows if row.name == name]
        holders = [row for row in mine if row.state != Lock.WAITING]
        waiting = tuple(_standing(row, seen) for row in mine if row.state == Lock.WAITING)
        if mine:
            found[name] = Queue(name, _standing(holders[0], seen) if holders else None, waiting)
    return found


def _standing(row: Lock, seen: set[int]) -> Standing:
    flow = compiled(row.release.version_id).flow
    activity, phase = (row.run.key if row.run else ""), (row.phase_run.key if row.phase_run else "")
    label = flow.steps[activity].label if activity else flow.phases[phase].label
    release = row.release if row.release_id in seen else None
    return Standing(row.pk, release, activity, phase, label, row.held_at or row.asked_at, row.release.state == "held")
