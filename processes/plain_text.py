"""What the readers of YAML and of JSON share: the result of reading a text, its limits, and what counts as a plain value. Pure.

A *plain* value is what JSON, PostgreSQL's jsonb and CEL all keep as it is: text without NUL or lone surrogates, numbers of at most
64 bits, true, false, null, lists, and mappings with text keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from processes.problems import Problem, pointer

MAX_DEPTH = 32
"""Lists and mappings within each other. The format itself needs 12; the rest is for the values of `with`."""
MAX_VALUES = 100_000
"""Values in one document, aliases counted as what they stand for."""
MAX_KEY = 255
MAX_PROBLEMS = 300
MAX_NUMBER = 2**63

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class LeftOut(Enum):
    """The type of `LEFT_OUT`, which stands where a value could not be read; there is one, copies included."""

    VALUE = "left out"


LEFT_OUT: Final = LeftOut.VALUE


class Unreadable(Exception):
    """Ends the reading of a text: what follows cannot be made out, or is too much."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class Text:
    """A text as plain values. `value` is `LEFT_OUT` when its syntax broke; `lines` gives the 1-based line of each JSON Pointer."""

    value: Any = LEFT_OUT
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, code: str, message: str, place: str, line: int) -> None:
        """Note one problem; raises Unreadable after the last that is worth telling."""
        self.problems.append(Problem(code, message, place, line=line))
        if len(self.problems) >= MAX_PROBLEMS:
            raise Unreadable(Problem("too_many_problems", "There are more problems than these; reading stopped here.", place, line=line))

    def counted(self, place: str, line: int, more: int = 1) -> None:
        """Count values; raises Unreadable above the limit."""
        self.count += more
        if self.count > MAX_VALUES:
            raise Unreadable(Problem("too_large", f"The document has more than {MAX_VALUES:,} values; split it into several processes.", place, line=line))

    def text(self, value: str, place: str, line: int) -> Any:
        """`value`, or LEFT_OUT when it holds what cannot be stored."""
        if fault := text_fault(value):
            self.add("control_character", fault, place, line)
            return LEFT_OUT
        return value

    def key(self, key: str, known: Mapping[str, Any], place: str, line: int) -> tuple[str, bool]:
        """The place of the entry `key` of the mapping at `place`, and whether it counts: not when it is no key or `known` has it already."""
        if fault := key_fault(key):
            inner = place + pointer(key[:40])
            self.add("bad_key", fault, inner, line)
            return inner, False
        inner = f"{place}/{key}" if key.isidentifier() else place + pointer(key)
        if key in known:
            self.add("duplicate_key", f'"{key}" is there twice; the first is on line {self.lines[inner]}.', inner, line)
            return inner, False
        self.lines[inner] = line
        return inner, True

    def too_deep(self, place: str, line: int) -> LeftOut:
        """Note that lists and mappings are nested too deeply here."""
        self.add("too_deep", depth_message(), place, line)
        return LEFT_OUT


def depth_message() -> str:
    """What is said of a value nested too deeply."""
    return f"Lists and mappings may be nested {MAX_DEPTH} deep, this one is deeper."


def text_fault(value: str) -> str | None:
    """Why a text cannot be kept, or None."""
    if found := UNSTORABLE.search(value):
        return f"The text holds the character U+{ord(found[0]):04X}, which cannot be stored."
    return None


def key_fault(key: str) -> str | None:
    """Why a text cannot be a key, or None: keys are read by people, so that nothing in them is invisible."""
    if len(key) > MAX_KEY:
        return f'The key "{key[:40]}…" is longer than {MAX_KEY} characters.'
    if not key.isprintable():
        seen = next(character for character in key if not character.isprintable())
        return f"A key holds the invisible character U+{ord(seen):04X}; write it without."
    return None


def plain_number(value: float) -> int | float | None:
    """The number as it is kept, or None when it is not finite or beyond 64 bits.

    A float without a fraction that needs more digits than a float has becomes the integer it is, because jsonb would make it one.
    """
    if isinstance(value, int):
        return value if -MAX_NUMBER <= value < MAX_NUMBER else None
    if not math.isfinite(value) or not -MAX_NUMBER <= value < MAX_NUMBER:
        return None
    if abs(value) >= 1e16:
        return int(value)
    return value or 0.0  # jsonb knows no negative zero


def number_message(shown: str) -> str:
    """What is said of a number that cannot be kept."""
    shown = shown if len(shown) <= 40 else shown[:39] + "…"
    return f"{shown} is not a number of at most 64 bits; write it in quotes to keep it as text."
