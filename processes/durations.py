"""Durations as the process file writes them: `90s`, `30m`, `24h`, `2d`, `1d12h` or ISO 8601. Pure."""

from __future__ import annotations

import re

# At most nine digits a unit: anything longer is out of range anyway, and turning thousands of digits into a number takes time.
_SHORT_TEXT = r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?"
_ISO_TEXT = r"P(?:([0-9]{1,9})W)?(?:([0-9]{1,9})D)?(?:T(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9})S)?)?"
_SHORT = re.compile(_SHORT_TEXT)
_ISO = re.compile(_ISO_TEXT)
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SHORT_SIZES = (86_400, 3_600, 60, 1)
_ISO_SIZES = (7 * 86_400, *_SHORT_SIZES)

DURATION_PATTERN = f"^(?=.)(?!P$)(?!.*T$)(?:{_SHORT_TEXT}|{_ISO_TEXT})$".replace("([", "[").replace("})", "}")
"""The forms as a regular expression for a JSON Schema (it cannot say the upper bound)."""

LONGEST = 10 * 366 * 86_400
"""Ten years, in seconds."""


def parse_duration(value: object) -> int:
    """Whole seconds of `value` (text as above, or seconds already parsed). Raises ValueError with the forms that are read."""
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    else:
        found = _seconds_of(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"{_shown(value)} is not a duration; write 90s, 30m, 24h, 2d, 1d12h or ISO 8601 such as PT30M")
        seconds = found
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"{_shown(value)} is out of range; a duration is at most ten years")
    return seconds


def duration_text(seconds: int) -> str:
    """The canonical text of a number of seconds: `129600` is `1d12h`."""
    parts = []
    for unit, size in _UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _seconds_of(text: str) -> int | None:
    for pattern, sizes in ((_SHORT, _SHORT_SIZES), (_ISO, _ISO_SIZES)):
        match = pattern.fullmatch(text)
        # `P1DT` names no time after its T: ISO 8601 does not allow it, and it is half a duration.
        if match and any(match.groups()) and not text.endswith("T"):
            return sum(size * int(number) for size, number in zip(sizes, match.groups(), strict=True) if number)
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…'"
