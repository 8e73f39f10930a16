"""A local time as people write it, in a zone with daylight saving, made an instant; or said why it is none, or which two it may be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the two instants that a local time may be, as a person tells them apart."""

    at: datetime
    label: str


class NoSuchTime(ValueError):
    """The clocks jump over this local time; `before` and `after` are the local times at which they do."""

    def __init__(self, local: datetime, zone: ZoneInfo, before: datetime, after: datetime) -> None:
        day = f" to {after:%-d %B %Y} {after:%H:%M}" if after.date() != before.date() else f" to {after:%H:%M}"
        super().__init__(f"{local:%H:%M} does not exist on {local:%-d %B %Y} in {zone.key}: the clocks go from {before:%H:%M}{day}. Choose another time.")
        self.before, self.after = before, after


class TwoTimes(ValueError):
    """The clocks go back over this local time, so it comes twice; `choices` are both."""

    def __init__(self, local: datetime, zone: ZoneInfo, choices: tuple[Choice, Choice]) -> None:
        said = " or ".join(choice.label for choice in choices)
        super().__init__(f"{local:%H:%M} comes twice on {local:%-d %B %Y} in {zone.key}, because the clocks go back. Which one: {said}?")
        self.choices = choices


def instant_of(local: datetime, zone: ZoneInfo, *, second: bool | None = None) -> datetime:
    """The instant of a local time without a zone. `second` chooses when it comes twice.

    Raises NoSuchTime for one that the clocks jump over, TwoTimes for one that comes twice when nothing is chosen.
    """
    first, later = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == later.utcoffset():
        return first.astimezone(UTC)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise NoSuchTime(local, zone, *_jump(local, zone))
    if second is None:
        raise TwoTimes(local, zone, (Choice(first.astimezone(UTC), _label(first)), Choice(later.astimezone(UTC), _label(later))))
    return (later if second else first).astimezone(UTC)


def _label(at: datetime) -> str:
    offset = at.utcoffset() or timedelta()
    sign, minutes = "-" if offset < timedelta() else "+", abs(int(offset.total_seconds())) // 60
    shown = f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02}" if minutes % 60 else "")
    name = at.tzname() or ""
    return f"{at:%H:%M} {name} ({shown})" if name.isalpha() else f"{at:%H:%M} ({shown})"


def _jump(local: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The local times between which the clocks jump, found to the minute."""
    low, high = (local.replace(tzinfo=UTC) + timedelta(hours=hours) for hours in (-50, 50))
    wanted = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (low, middle) if _wall(middle, zone) > local else (middle, high)
    high = high.replace(microsecond=0)
    gap = (wanted or timedelta()) - (low.astimezone(zone).utcoffset() or timedelta())
    after = _wall(high, zone)
    return after - gap, after


def _wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)
