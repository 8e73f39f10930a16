"""What is wrong with a document, and where: the one shape in which every check answers (S27)."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

LONGEST_GUESS = 100
MOST_GUESSES = 1_000


class Severity(StrEnum):
    """Only errors block publishing or starting; warnings are shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `place` is a JSON Pointer into the document, `line` its 1-based line where the text is known.

    `column` (from 1) points into the value at `place`, where an expression stands in it.
    """

    code: str
    message: str
    place: str = ""
    severity: Severity = Severity.ERROR
    line: int | None = None
    column: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The shape of S27 in the API: `{code, severity, message, place, line?, column?}`."""
        found = asdict(self) | {"severity": str(self.severity)}
        return {key: value for key, value in found.items() if value is not None or key not in ("line", "column")}


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Those that block."""
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def pointer(*parts: str | int) -> str:
    """A JSON Pointer (RFC 6901) to the item named by the keys and indexes in `parts`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def value_at(document: Any, place: str) -> Any:
    """What stands at a place of a document; None where nothing does."""
    for part in place.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(key)
        else:
            document = document[int(key)] if isinstance(document, list) and key.isdecimal() and int(key) < len(document) else None
    return document


def within(place: str, around: str) -> bool:
    """Whether a place is this part of the document, or inside it: `/phases/1/name` is within `/phases/1`, `/phases/10` is not."""
    return f"{place}/".startswith(f"{around}/")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "…"?` for a near miss, else an empty string; to be appended to a message."""
    if len(word) > LONGEST_GUESS:  # a whole text in the place of a word: nothing to guess, and comparing it would take long
        return ""
    near = difflib.get_close_matches(word, list(itertools.islice(known, MOST_GUESSES)), n=1, cutoff=0.6)
    return f' Did you mean "{near[0]}"?' if near else ""
