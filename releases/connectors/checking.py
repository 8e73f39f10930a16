"""Checks and values that connectors share. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from processes.plain_text import MAX_DEPTH, MAX_NUMBER, UNSTORABLE
from processes.problems import Problem, did_you_mean, pointer
from releases.connectors.base import Done

BAD_ARGUMENTS = "bad_arguments"


def templated(value: Any) -> bool:
    """Does any string in the JSON value hold `${{ … }}`? Then only the run can tell what it will be."""
    if isinstance(value, str):
        return "${{" in value.replace("$${{", "")
    if isinstance(value, Mapping):
        return any(templated(item) for item in value.values())
    return isinstance(value, list | tuple) and any(templated(item) for item in value)


def unknown_keys(arguments: Mapping[str, Any], known: Iterable[str], *within: str) -> list[Problem]:
    """A problem for each key that the connector does not read."""
    names = tuple(known)
    return [
        Problem("unknown_key", f'"{key}" is not known here; there is {", ".join(names)}.{did_you_mean(str(key), names)}', pointer(*within, key))
        for key in arguments
        if key not in names
    ]


def refused(problems: Iterable[Problem]) -> Done:
    """The failed end for arguments that turned out wrong once their expressions had values; says all of them."""
    text = "; ".join(f"with{problem.place}: {problem.message}" for problem in problems)
    return Done(succeeded=False, message=text, code=BAD_ARGUMENTS)


def text_of(value: Any) -> str | None:
    """A scalar as the text a program sees: `true`, `3`, `1.5`; None for what is no scalar. Whole doubles lose their `.0`, as in mixed text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None


def storable(text: str) -> str:
    """Text as PostgreSQL can keep it: NUL and lone surrogates become U+FFFD."""
    return UNSTORABLE.sub("\ufffd", text)


def plain(value: Any, depth: int = 0) -> Any:
    """The value as the record, jsonb and CEL can all keep it: numbers that do not fit become text, and so does what is nested too deeply."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        return storable(json.dumps(value))
    if isinstance(value, dict):
        return {storable(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -MAX_NUMBER <= value < MAX_NUMBER:
        return str(value)
    return value


def instant_text(at: datetime) -> str:
    """RFC 3339 in UTC with six digits and `Z`, as everywhere."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
