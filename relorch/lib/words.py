"""Times, durations and names as people read them (design, section 12). Pure; `static/js/app.js` says relative times in the same words."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

MINUTE, HOUR, DAY = 60, 3600, 86400
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
TINTS = 6
_REQUESTS = frozenset({"approve", "confirm", "check", "review", "accept", "sign", "shall", "may", "can", "is", "are"})


def seconds(value: timedelta | float) -> int:
    """Whole seconds of a duration, never less than none."""
    return max(0, int(value.total_seconds() if isinstance(value, timedelta) else value))


def duration(value: timedelta | float) -> str:
    """`48 s`, `41 min`, `2 h 25 min`, `2 d 6 h`. Cut, not rounded: what is said has passed."""
    total = seconds(value)
    if total < MINUTE:
        return f"{total} s"
    if total < HOUR:
        return f"{total // MINUTE} min"
    if total < DAY:
        return _two(total, HOUR, "h", MINUTE, "min")
    return _two(total, DAY, "d", HOUR, "h")


def short_duration(value: timedelta | float) -> str:
    """For the graph: `48 s`, `4 m 12 s`, `31 m`, `2 h 25 m`, `2 d 6 h`."""
    total = seconds(value)
    if total < MINUTE:
        return f"{total} s"
    if total < 10 * MINUTE:
        return f"{total // MINUTE} m {total % MINUTE:02} s"
    if total < HOUR:
        return f"{total // MINUTE} m"
    if total < DAY:
        return _two(total, HOUR, "h", MINUTE, "m")
    return _two(total, DAY, "d", HOUR, "h")


def _two(total: int, unit: int, name: str, part: int, part_name: str) -> str:
    rest = total % unit // part
    return f"{total // unit} {name} {rest} {part_name}" if rest else f"{total // unit} {name}"


def question(title: str) -> str:
    """What is asked, as a title; one that is a request already stays as its author wrote it."""
    title = title.rstrip("?. ")
    return f"{title}?" if title.split(" ")[0].lower() in _REQUESTS else f"Approve {title}?"


def relative(at: datetime, now: datetime) -> str:
    """`24 min ago`, `in 36 min`, `yesterday`, `3 days ago`; after 7 days the date. Both aware; the zone of `at` says which day it is."""
    gap = (at - now).total_seconds()
    total = abs(int(gap))
    days = abs((at.date() - now.astimezone(at.tzinfo).date()).days)
    if total < MINUTE:
        return "just now" if gap <= 0 else "in a moment"
    if total < DAY:
        said = duration(total)
    elif days <= 1:
        return "yesterday" if gap < 0 else "tomorrow"
    elif total < 8 * DAY:
        said = f"{days} days"
    else:
        return date(at, now)
    return f"{said} ago" if gap < 0 else f"in {said}"


def date(at: datetime, now: datetime) -> str:
    """`12 Nov`, and with its year when that is another one than now."""
    said = f"{at.day} {MONTHS[at.month - 1]}"
    return said if at.year == now.astimezone(at.tzinfo).year else f"{said} {at.year}"


def absolute(at: datetime, *, with_seconds: bool = False) -> str:
    """`Tue 24 Nov 2026, 15:21 CET`: the whole time with its zone."""
    clock = f"{at:%H:%M:%S}" if with_seconds else f"{at:%H:%M}"
    return f"{DAYS[at.weekday()]} {at.day} {MONTHS[at.month - 1]} {at.year}, {clock} {zone(at)}"


def zone(at: datetime) -> str:
    """`CET`; where the zone has no letters, `UTC+03:00`."""
    name = at.tzname() or ""
    if name[:1].isalpha():
        return name
    offset = at.strftime("%z")
    return f"UTC{offset[:3]}:{offset[3:5]}" if offset else "UTC"


def initials(name: str) -> str:
    """One or two capitals of a name: `Lena Okafor` is LO, `priya` is P."""
    words = [word for word in name.replace(".", " ").replace("-", " ").split() if word[0].isalnum()]
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper() if words else "?"


def tint(key: str) -> int:
    """Which of the six muted tints a person has: always the same one."""
    return zlib.crc32(key.lower().encode()) % TINTS
