"""Durations as the process file writes them: `90s`, `30m`, `24h`, `2d`, `1d12h` or ISO 8601. Pure."""

from __future__ import annotations

import re

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SHORT = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?")
_ISO = re.compile(r"P(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+)S)?)?")
LONGEST = 10 * 366 * 86_400


def parse_duration(value: object) -> int:
    """Whole seconds of `value` (text as above, or seconds already parsed). Raises ValueError with the forms that are read."""
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (match := _SHORT.fullmatch(value) or _ISO.fullmatch(value)) and any(match.groupdict().values()):
        parts = {unit: int(number) for unit, number in match.groupdict().items() if number}
        seconds = parts.pop("w", 0) * 7 * 86_400 + sum(_UNITS[unit] * number for unit, number in parts.items())
    else:
        raise ValueError(f"{value!r} is not a duration; write 90s, 30m, 24h, 2d, 1d12h or ISO 8601 such as PT30M")
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"{value!r} is out of range; a duration is at most ten years")
    return seconds


def duration_text(seconds: int) -> str:
    """The canonical text of a number of seconds: `129600` is `1d12h`."""
    parts = []
    for unit, size in _UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
