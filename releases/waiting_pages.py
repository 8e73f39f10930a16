"""What a release waits for, on its page: each wait with the way to it, who can act and how; and the queues of its locks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from releases import wording
from releases.flows import compiled
from releases.lock_queue import Queue, of_releases
from releases.models import Release
from releases.waiting import first_waits

MOST = 8
NAMED = 3
_CAN = {
    "sign_off": "can be decided by",
    "retry": "can be retried, ignored or failed by",
    "fail": "can be accepted as failed by",
    "skip": "can be skipped by",
    "stop": "can be stopped by",
    "resume": "can be resumed by",
    "start": "can be started by",
    "start_workers": "workers can be started by",
    "hold": "can be held or aborted by",
}
_LOOKS = {"time": "waiting_time", "lock": "waiting_lock", "signal": "waiting_signal", "child": "waiting_child", "hold": "held", "person": "waiting_person"}


@dataclass(frozen=True, slots=True)
class Row:
    """One wait."""

    kind: str
    look: str
    label: str
    place: str
    url: str
    text: str
    can: str
    names: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Waits:
    """All of them: `rows` are those shown."""

    number: int
    rows: list[Row]
    queues: list[Queue]

    @property
    def more(self) -> int:
        """Those not shown."""
        return self.number - len(self.rows)


def waits_of(release: Release, viewer: Any, labels: Mapping[str, str]) -> Waits:
    """For the page of this release."""
    shown, number, where = first_waits(release, viewer, MOST)
    others = {entry["release"] for entry in shown} | {entry["child"] for entry in shown if entry.get("child")}
    seen = Release.objects.visible_to(viewer).filter(pk__in=others - {release.pk}).select_related("version").in_bulk()
    rows = [_row(entry, release, seen, labels) for entry in shown]
    queues = of_releases({release.pk} | where, viewer) if release.started_at else []
    return Waits(number, rows, queues)


def _row(entry: Mapping[str, Any], release: Release, seen: Mapping[int, Release], labels: Mapping[str, str]) -> Row:
    key, where = entry["activity"], entry["release"]
    label, place, url = labels.get(key, key) or "The release", "", ""
    if where != release.pk:
        child = seen.get(where)
        place = child.name if child else f"R-{where}"
        label = (compiled(child.version_id).flow.steps[key].label if key else "The release") if child else key or "The release"
        url = _url(where, key) if child else ""
    elif key:
        url = _url(where, key)
    if entry["kind"] == "child" and entry.get("child") in seen:
        url = reverse("releases:detail", args=[entry["child"]])
    return Row(
        entry["kind"],
        _look(entry),
        label,
        place,
        url,
        entry["text"],
        _CAN.get(entry["verb"], f"{entry['verb']} by"),
        wording.some(entry["who"], NAMED),
        _read(entry["since"]),
        _read(entry["until"]),
    )


def _look(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "person" and entry["verb"] in ("retry", "fail"):
        return "on_hold"
    if entry["kind"] == "machine":
        return "running" if entry["verb"] == "stop" else "queued"
    return _LOOKS.get(entry["kind"], "waiting")


def _url(release: int, key: str) -> str:
    return reverse("releases:activity", args=[release, key]) if key else reverse("releases:detail", args=[release])


def _read(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
