"""The functions of expressions that run in Python, and what one evaluation may cost. Pure.

The library's own versions are replaced where they are wrong (`size` counts bytes, durations saturate silently), missing (`bool`, `string`
of a boolean, time zones) or unbounded (`matches` compiles its pattern at every call). No function raises: a raise inside the library may be
absorbed by `||`, so what went wrong is kept in `Work.problem` and ends the evaluation whatever it returned. No message holds a value: it may
be a secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from processes.durations import duration_text, parse_duration

LONGEST_LIST = 1_000
LARGEST = 1_000_000
"""Of a value: about its characters as JSON."""
DEEPEST_VALUE = 64
MOST_WORK = 1_000_000
"""Units of about a microsecond: an evaluation cannot be interrupted and holds the interpreter, so it must end by itself."""

_NAMES: Mapping[type, str] = {
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "list",
    dict: "object",
    datetime: "timestamp",
    timedelta: "duration",
}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)")
_SPAN = re.compile(r"-?(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|ns))+")
_SPAN_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)")
_SPAN_UNITS = {"h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_LARGE_CLASS = re.compile(r"\\[wWpPbB]|\\[dD]\{")
_COUNTS = re.compile(r"\{(?:\d{1,6},)?(\d{1,6})\}|\{(\d{1,6}),\}")
_INT_64 = range(-(2**63), 2**63)


class TooMuch(ValueError):
    """A value is larger than expressions may handle; the message says how."""


def type_name(value: object) -> str:
    """What people call the type of a value of an expression."""
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


def weigh(value: Any, most: int = LARGEST, longest: int | None = LONGEST_LIST) -> int:
    """About the characters of `value` as JSON. Raises TooMuch when it is over `most`, holds a list or object over `longest`, or is nested too deep."""
    if type(value) is str:
        if len(value) > most:
            raise TooMuch(f"a text of {len(value):,} characters is too long; {most:,} are allowed")
        return len(value) + 8
    if not isinstance(value, list | dict):
        return 8
    total = 0
    left: list[tuple[Any, int]] = [(value, 1)]
    while left:
        item, depth = left.pop()
        total += 8
        if type(item) is str:
            total += len(item)
        elif isinstance(item, list | dict):
            if longest is not None and len(item) > longest:
                raise TooMuch(f"{'a list' if isinstance(item, list) else 'an object'} of {len(item):,} elements is too long; {longest:,} are allowed")
            if depth > DEEPEST_VALUE:
                raise TooMuch(f"a value is nested more than {DEEPEST_VALUE} deep")
            if isinstance(item, list):
                left.extend((other, depth + 1) for other in item)
            else:
                for key, other in item.items():
                    total += len(key) if type(key) is str else 8
                    left.append((other, depth + 1))
        if total > most:
            raise TooMuch(f"a value is too large; about {most:,} characters are allowed")
    return total


def number_text(value: float) -> str:
    """The shortest text that reads back as `value`: `1`, `0.5`, `1e+21`."""
    text = repr(value)
    return text.removesuffix(".0")


def instant_text(value: datetime) -> str:
    """RFC 3339, `Z` for UTC; a fraction only when there is one."""
    text = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def span_text(value: timedelta) -> str:
    """The text of a duration as the process file writes it; with a sign or a fraction as CEL does (`-90s`, `1.5s`)."""
    seconds = value.total_seconds()
    if seconds >= 0 and seconds == int(seconds):
        return duration_text(int(seconds))
    return number_text(seconds) + "s"


def read_instant(text: str) -> datetime:
    """An RFC 3339 time with its zone. Raises ValueError."""
    if not _INSTANT.fullmatch(text):
        raise ValueError("a time is written with its zone, such as 2026-03-01T10:00:00Z")
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("there is no such time") from None


def read_span(text: str) -> timedelta:
    """A duration as the process file or as CEL writes it. Raises ValueError."""
    if not _SPAN.fullmatch(text):
        try:
            return timedelta(seconds=parse_duration(text))
        except ValueError:
            raise ValueError("a duration is written 90s, 30m, 24h, 2d, 1d12h or as ISO 8601, and is at most ten years") from None
    seconds = sum(float(number) * _SPAN_UNITS[unit] for number, unit in _SPAN_PART.findall(text))
    if seconds > 400 * 366 * 86_400:
        raise ValueError("the duration is out of range")
    return timedelta(seconds=-seconds if text.startswith("-") else seconds)


def pattern_cost(pattern: str) -> int:
    """Units to compile a pattern, measured: 300 for a class such as `\\w`, counted repetitions multiply, and the library stops at 60 ms."""
    times = 1
    for upper, lower in _COUNTS.findall(pattern):
        times = min(times * max(1, int(upper or lower)), 60_000)
    return 20 + 4 * len(pattern) + min(times * (len(pattern) // 4 + 300 * len(_LARGE_CLASS.findall(pattern))), 60_000)


class Work:
    """One evaluation: what it has cost so far, and the first thing that went wrong in a function."""

    __slots__ = ("left", "matcher", "problem")

    def __init__(self, matcher: Callable[[str, str], bool]) -> None:
        self.left = MOST_WORK
        self.problem = ""
        self.matcher = matcher

    def fail(self, message: str) -> None:
        """Keep the first problem; the value returned meanwhile does not matter."""
        if not self.problem:
            self.problem = message

    def spend(self, units: int) -> bool:
        """Charge work; False when there is none left."""
        self.left -= units
        if self.left < 0:
            self.fail("the expression takes too much work for these values")
        return not self.problem

    def function(self, name: str) -> Callable[..., Any]:
        """The function of that name, charged to this evaluation."""
        return _guarded(self, name, OURS[name])


def _guarded(work: Work, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        if not work.spend(1 + sum(len(value) // 100 for value in arguments if isinstance(value, str | list | dict))):
            return None
        try:
            result = function(work, *arguments)
            if type(result) is str and len(result) > LARGEST:
                raise TooMuch("the text becomes too long")
        except TypeError:
            kinds = " and ".join(type_name(value) for value in arguments)
            work.fail(f"{name}() cannot take {kinds}")
        except (ValueError, ArithmeticError, LookupError, OSError) as error:
            work.fail(f"{name}(): {error}")
        else:
            return result
        return None

    return call


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _size(work: Work, value: Any) -> int:
    if not isinstance(value, str | list | dict | bytes):
        raise TypeError
    return len(value)


def _string(work: Work, value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return number_text(value)
        case datetime():
            return instant_text(value.astimezone(UTC))
        case timedelta():
            return span_text(value)
    raise TypeError


def _bool(work: Work, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if _text(value) not in {"true", "false"}:
        raise ValueError("the text is neither true nor false")
    return bool(value == "true")


def _int(work: Work, value: Any) -> int:
    """Of what the library's own `int` leaves out: times as seconds since 1970."""
    if not isinstance(value, datetime):
        raise TypeError
    return math.floor(value.timestamp())


def _timestamp(work: Work, value: Any) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if type(value) is int:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
    return read_instant(_text(value)).astimezone(UTC)


def _duration(work: Work, value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else read_span(_text(value))


def _matches(work: Work, text: Any, pattern: Any) -> bool:
    if not work.spend(pattern_cost(_text(pattern)) + len(_text(text)) // 50):
        return False
    return work.matcher(text, pattern)


def _split(work: Work, text: Any, separator: Any, most: Any = -1) -> list[str]:
    limit = _whole(most)
    if limit == 0:
        return []
    if _text(separator):
        parts = _text(text).split(separator, limit - 1 if limit > 0 else -1)
    else:
        parts = list(_text(text)) if limit < 0 else [*text[: limit - 1], text[limit - 1 :]]
    if len(parts) > LONGEST_LIST:
        raise TooMuch(f"the list would have {len(parts):,} elements; {LONGEST_LIST:,} are allowed")
    return parts


def _join(work: Work, items: Any, separator: Any = "") -> str:
    if not isinstance(items, list):
        raise TypeError
    if sum(len(_text(item)) for item in items) + len(items) * len(_text(separator)) > LARGEST:
        raise TooMuch("the text becomes too long")
    return str(separator.join(items))


def _replace(work: Work, text: Any, old: Any, new: Any, most: Any = -1) -> str:
    count = _text(text).count(_text(old))
    if len(text) + count * (len(_text(new)) - len(old)) > LARGEST:
        raise TooMuch("the text becomes too long")
    return str(text.replace(old, new, _whole(most)))


def _substring(work: Work, text: Any, start: Any, end: Any = None) -> str:
    last = len(_text(text)) if end is None else _whole(end)
    if not 0 <= _whole(start) <= last <= len(text):
        raise ValueError(f"{start} to {last} does not lie in a text of {len(text)} characters")
    return str(text[start:last])


def _char_at(work: Work, text: Any, index: Any) -> str:
    if not 0 <= _whole(index) <= len(_text(text)):
        raise ValueError(f"{index} does not lie in a text of {len(text)} characters")
    return str(text[index : index + 1])


def _index_of(work: Work, text: Any, part: Any, start: Any = 0) -> int:
    if not 0 <= _whole(start) <= len(_text(text)):
        raise ValueError(f"{start} does not lie in a text of {len(text)} characters")
    return int(text.find(_text(part), start))


def _last_index_of(work: Work, text: Any, part: Any, start: Any = None) -> int:
    last = len(_text(text)) if start is None else _whole(start)
    if not 0 <= last <= len(text):
        raise ValueError(f"{last} does not lie in a text of {len(text)} characters")
    return int(text.rfind(_text(part), 0, last + len(part)))


def _lower(work: Work, text: Any) -> str:
    return re.sub("[A-Z]+", lambda found: found.group().lower(), _text(text))


def _upper(work: Work, text: Any) -> str:
    return re.sub("[a-z]+", lambda found: found.group().upper(), _text(text))


def _trim(work: Work, text: Any) -> str:
    return _text(text).strip()


def _zone(name: Any) -> tzinfo:
    """A zone by its name or as `+02:00`. Raises ValueError."""
    if found := re.fullmatch(r"([+-]?)(\d\d):(\d\d)", _text(name)):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return datetime.fromisoformat(f"2000-01-01T00:00:00{found[1] or '+'}{found[2]}:{found[3]}").tzinfo or UTC if offset < timedelta(days=1) else UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name[:60]!r}") from error


def _of_time(of_instant: Callable[[datetime], int], unit: float | None = None) -> Callable[..., int]:
    def part(work: Work, value: Any, zone: Any = "UTC") -> int:
        if isinstance(value, datetime):
            return of_instant(value.astimezone(_zone(zone)))
        if unit is None or not isinstance(value, timedelta):
            raise TypeError
        return int(value / timedelta(seconds=unit))

    return part


OURS: Mapping[str, Callable[..., Any]] = {
    "size": _size,
    "string": _string,
    "bool": _bool,
    "int": _int,
    "timestamp": _timestamp,
    "duration": _duration,
    "matches": _matches,
    "split": _split,
    "join": _join,
    "replace": _replace,
    "substring": _substring,
    "charAt": _char_at,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "lowerAscii": _lower,
    "upperAscii": _upper,
    "trim": _trim,
    "getFullYear": _of_time(lambda at: at.year),
    "getMonth": _of_time(lambda at: at.month - 1),
    "getDate": _of_time(lambda at: at.day),
    "getDayOfMonth": _of_time(lambda at: at.day - 1),
    "getDayOfWeek": _of_time(lambda at: at.isoweekday() % 7),
    "getDayOfYear": _of_time(lambda at: at.timetuple().tm_yday - 1),
    "getHours": _of_time(lambda at: at.hour, 3_600),
    "getMinutes": _of_time(lambda at: at.minute, 60),
    "getSeconds": _of_time(lambda at: at.second, 1),
    "getMilliseconds": _of_time(lambda at: at.microsecond // 1_000, 0.001),
}


def plain(value: Any) -> Any:
    """A result of the library as plain JSON: times and durations as text, keys in order. Raises TooMuch or ValueError."""
    match value:
        case None | bool() | str():
            return value
        case int():
            if value not in _INT_64:
                raise ValueError("the number is out of range")
            return value
        case float():
            if not math.isfinite(value):
                raise ValueError("the result is not a number")
            return value
        case list():
            return [plain(item) for item in value]
        case dict():
            if not all(type(key) is str for key in value):
                raise ValueError("the keys of an object must be texts")
            # The library keeps maps in random order; sorted, the same expression gives the same text every time.
            return {key: plain(value[key]) for key in sorted(value)}
        case datetime():
            return instant_text(value.astimezone(UTC))
        case timedelta():
            return span_text(value)
    raise ValueError(f"a value of type {type_name(value)} cannot be handed on")


def elements(value: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    """What a macro walks over: a list's items, a map's keys in order."""
    return sorted(value, key=str) if isinstance(value, Mapping) else list(value)
