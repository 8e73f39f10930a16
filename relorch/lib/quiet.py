"""When somebody may be written to: quiet hours and a daily time, on their own wall clock, right when the clock changes. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


def after_quiet(at: datetime, zone: ZoneInfo, begins: time | None, ends: time | None) -> datetime:
    """`at` itself outside the quiet hours, else the moment at which they end. Hours that pass midnight (22:00 to 07:00) are one night."""
    if begins is None or ends is None or begins == ends:
        return at
    local = at.astimezone(zone)
    now = local.time()
    inside = begins <= now < ends if begins < ends else now >= begins or now < ends
    if not inside:
        return at
    day = local.date() if now < ends else local.date() + timedelta(days=1)
    return max(at, _moment(datetime.combine(day, ends), zone))


def next_daily(at: datetime, zone: ZoneInfo, when: time) -> datetime:
    """The next moment after `at` at which the clock shows that time; a time that a change of the clock skips is the moment of the change."""
    day = at.astimezone(zone).date()
    found = _moment(datetime.combine(day, when), zone)
    return found if found > at else _moment(datetime.combine(day + timedelta(days=1), when), zone)


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which the clock shows this or has passed it."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    # the clock jumped over it: it is passed at the jump, which lies before the moment that the old offset gives
    low, high = first - timedelta(hours=3), first
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (low, middle) if middle.astimezone(zone).replace(tzinfo=None) >= wall else (middle, high)
    return high.replace(microsecond=0)
