"""Waits as a row for a time: `for` a duration, `until` a moment, or until the next `daily` or `weekly` window is open.

Windows are read on the wall clock of their zone, and the clock's changes do not break them: a window opens at the first moment at which the
clock shows its start, or has passed it (a start that the change to summer time skips is the moment of the change), and closes at the last
moment at which the clock shows its end (an hour that comes twice is inside both times). A window that the change swallows whole does not
open that day.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from processes.durations import parse_duration
from processes.problems import Problem, pointer
from releases.connectors.base import Call, Done, Effect, Lane, Later
from releases.connectors.checking import instant_text, refused, templated, unknown_keys

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_KINDS = ("for", "until", "daily", "weekly")


def due_at(arguments: dict[str, Any], now: datetime) -> datetime:
    """When the wait that begins `now` is over, in UTC; `now` itself or earlier when there is nothing to wait for. Raises ValueError."""
    given = [kind for kind in _KINDS if kind in arguments]
    if len(given) != 1:
        raise ValueError("write exactly one of for, until, daily and weekly")
    if "for" in arguments:
        return now.astimezone(UTC) + timedelta(seconds=parse_duration(arguments["for"]))
    if "until" in arguments:
        return _moment(arguments["until"])
    return _next_open(*_window(arguments), _zone(arguments.get("zone", "UTC")), now)


def _moment(value: Any) -> datetime:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError(f"{value!r} is not a date and time with its zone; write 2026-03-01T22:00:00Z or 2026-03-01T22:00:00+01:00")
    whole, _, rest = value.partition(".")
    if rest:  # more digits than microseconds have are cut
        digits = re.match(r"\d+", rest)[0]  # type: ignore[index] # the pattern above says so
        value = f"{whole}.{digits[:6]:<06}{rest[len(digits) :]}"
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r} is not a date and time") from None


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        raise ValueError(f"{name!r} is not a time zone; write one like Europe/Berlin or UTC") from None


def _clock(text: Any, *, end: bool = False) -> timedelta:
    """A time of day as the time since midnight; as an end 24:00 too."""
    if end and text == "24:00":
        return timedelta(days=1)
    found = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"{text!r} is not a time of day; write 22:00")
    return timedelta(hours=int(found[1]), minutes=int(found[2]))


def _window(arguments: dict[str, Any]) -> tuple[frozenset[int], timedelta, timedelta]:
    """The weekdays on which the window opens, its start and its end since the midnight before the start."""
    if "daily" in arguments:
        text = arguments["daily"]
        start, dash, end = text.partition("-") if isinstance(text, str) else ("", "", "")
        if not dash:
            raise ValueError(f"{text!r} is not a daily window; write 22:00-04:00")
        days = frozenset(range(7))
    else:
        weekly = arguments["weekly"]
        if not isinstance(weekly, dict) or not isinstance(weekly.get("days"), list) or not weekly["days"]:
            raise ValueError("a weekly window is a mapping with days (a list of mon to sun), from and to")
        if unread := [str(key) for key in weekly if key not in ("days", "from", "to")]:
            raise ValueError(f"a weekly window has days, from and to, not {', '.join(unread)}")
        if wrong := [day for day in weekly["days"] if day not in DAYS]:
            raise ValueError(f"{wrong[0]!r} is not a day; write one of {', '.join(DAYS)}")
        start, end = weekly.get("from", "00:00"), weekly.get("to", "24:00")
        days = frozenset(DAYS.index(day) for day in weekly["days"])
    opens, closes = _clock(start.strip() if isinstance(start, str) else start), _clock(end.strip() if isinstance(end, str) else end, end=True)
    if opens == closes:
        raise ValueError("a window ends at another time than it starts; for the whole day write 00:00-24:00")
    return days, opens, closes if closes > opens else closes + timedelta(days=1)


def _next_open(days: frozenset[int], opens: timedelta, closes: timedelta, zone: ZoneInfo, now: datetime) -> datetime:
    today = now.astimezone(zone).date()
    for offset in range(-2, 16):
        day = today + timedelta(days=offset)
        if day.weekday() not in days:
            continue
        start, end = _instant(day, opens, zone, last=False), _instant(day, closes, zone, last=True)
        if start < end and now < end:
            return max(start, now.astimezone(UTC))
    raise ValueError("this window never opens")


def _instant(day: date, since_midnight: timedelta, zone: ZoneInfo, *, last: bool) -> datetime:
    """The first (or last) moment, in UTC, at which the zone's wall clock shows that time; if it never does, the moment it jumps over it."""
    wall = datetime.combine(day, time()) + since_midnight
    early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early <= late:  # once (both are equal), or twice
        return late if last else early
    # Skipped: with the offset before the change the moment lies after it, with the one after it before. The change is in between.
    low, high = late, early
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


class Timer:
    """The connector `timer`."""

    name = "timer"
    title = "Wait for a time"
    effects = frozenset({Effect.KEYED})
    default_effect = Effect.KEYED
    lane: Lane = "engine"
    uses_scripts = False

    def schema(self) -> dict[str, Any]:
        """JSON Schema of `with`."""
        clock = {"type": "string", "examples": ["22:00"]}
        return {
            "type": "object",
            "additionalProperties": False,
            "oneOf": [{"required": [kind]} for kind in _KINDS],
            "properties": {
                "for": {"type": ["string", "integer"], "title": "For", "description": "How long to wait.", "examples": ["30m", "1d12h"]},
                "until": {
                    "type": "string",
                    "format": "date-time",
                    "title": "Until",
                    "description": "The moment to wait for, with its zone (RFC 3339).",
                    "examples": ["2026-03-01T22:00:00+01:00"],
                },
                "daily": {
                    "type": "string",
                    "title": "Daily window",
                    "description": "Waits until it is open; goes on at once inside it. May pass midnight.",
                    "examples": ["22:00-04:00"],
                },
                "weekly": {
                    "type": "object",
                    "title": "Weekly window",
                    "description": "As a daily one, on some days; a window that passes midnight belongs to the day on which it opens.",
                    "additionalProperties": False,
                    "required": ["days"],
                    "properties": {
                        "days": {"type": "array", "title": "Days", "minItems": 1, "uniqueItems": True, "items": {"type": "string", "enum": list(DAYS)}},
                        "from": clock | {"title": "From", "default": "00:00"},
                        "to": clock | {"title": "To", "default": "24:00"},
                    },
                },
                "zone": {
                    "type": "string",
                    "title": "Time zone",
                    "description": "Whose wall clock a window is read on.",
                    "default": "UTC",
                    "examples": ["Europe/Berlin"],
                },
            },
        }

    def problems(self, arguments: dict[str, Any]) -> list[Problem]:
        """What is wrong with `with`, as far as it holds no expressions."""
        found = unknown_keys(arguments, (*_KINDS, "zone"))
        given = [kind for kind in _KINDS if kind in arguments]
        if len(given) != 1:
            found.append(Problem("wrong_value", "Write exactly one of for, until, daily and weekly.", pointer(given[1]) if given else ""))
        elif "zone" in arguments and given[0] in ("for", "until"):
            found.append(Problem("wrong_value", "A zone goes with daily or weekly.", pointer("zone")))
        for kind in given:
            found += self._checked(kind, {kind: arguments[kind]})
        if "zone" in arguments:
            found += self._checked("zone", {"daily": "00:00-24:00", "zone": arguments["zone"]})
        return found

    def _checked(self, place: str, arguments: dict[str, Any]) -> list[Problem]:
        if templated(arguments):
            return []
        try:
            due_at(arguments, datetime(2026, 1, 1, tzinfo=UTC))
        except (ValueError, OverflowError) as problem:
            return [Problem("wrong_value", f"{str(problem)[:1].upper()}{str(problem)[1:]}.", pointer(place))]
        return []

    def start(self, arguments: dict[str, Any], call: Call) -> Done | Later:
        """Done at once when there is nothing to wait for."""
        if found := self.problems(arguments):
            return refused(found)
        due = due_at(arguments, call.at)
        outputs = {"waited_from": instant_text(call.at), "until": instant_text(due)}
        if due <= call.at:
            return Done(succeeded=True, outputs=outputs)
        return Later(reference=outputs, due_at=due, outputs=outputs, message=f"waits until {due:%Y-%m-%d %H:%M:%S} UTC")

    def poll(self, reference: dict[str, Any], call: Call) -> Done | Later:
        """Over once its time has come."""
        due = datetime.fromisoformat(reference["until"])
        if due <= call.at:
            return Done(succeeded=True, outputs=dict(reference))
        return Later(reference=reference, due_at=due, outputs=dict(reference))

    def abort(self, reference: dict[str, Any], call: Call) -> None:
        """Nothing runs."""
