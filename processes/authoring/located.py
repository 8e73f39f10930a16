"""What is wrong with a draft, as a page of the admin shows it: at the field that it is about, with the click that mends it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from processes import mending
from processes.forms import KEYS, place_in
from processes.problems import Problem, Severity

_FIELDS = {key: field for field, key in KEYS.items()}


def located(problems: Iterable[Problem], prefixes: Mapping[str, str], document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`[{severity, message, where, row, field, inside[], mend, value}]`, errors first; `prefixes`: place of a part -> how the names of its fields begin.

    `field` and `inside` name the control: a field of the page, and the keys within it. `mend` says what a click would do, `value` is what it sends.
    """
    found = sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR)
    return [_one(problem, prefixes, document) for problem in found]


def refused(message: str, *, field: str = "", row: str = "", where: str = "") -> dict[str, Any]:
    """What a form says of one of its fields before a document can be made of it, in the same shape."""
    return {"severity": "error", "message": message, "where": where, "row": row, "field": field, "inside": [], "mend": "", "value": ""}


def _one(problem: Problem, prefixes: Mapping[str, str], document: Mapping[str, Any]) -> dict[str, Any]:
    around = place_in(prefixes, problem.place)
    row = prefixes.get(around, "")
    keys = [part.replace("~1", "/").replace("~0", "~") for part in problem.place.removeprefix(around).split("/")[1:]]
    key, *inside = keys or [""]
    if row.endswith("."):  # the whole part is one field: an activity on a page of its own
        field, inside = row.removesuffix("."), keys
    else:
        field = f"{row}-{_FIELDS.get(key, key)}" if row else _FIELDS.get(key, key)
    mend = mending.offered(problem, dict(document)) if problem.severity is Severity.WARNING else ""
    return {
        "severity": str(problem.severity),
        "message": problem.message,
        "where": " › ".join([*_names(problem.place, document), *(item.replace("_", " ") for item in keys)]),
        "row": row,
        "field": field,
        "inside": inside,
        "mend": mend,
        "value": f"{problem.code}:{problem.place}" if mend else "",
    }


def _names(place: str, document: Mapping[str, Any]) -> list[str]:
    """The phase and the activity in which a place lies, by their names."""
    found: list[str] = []
    parts = place.split("/")[1:]
    item: Any = document
    for kind, number in zip(parts[::2], parts[1::2], strict=False):
        if kind not in ("phases", "activities") or not number.isdecimal() or not isinstance(item.get(kind), list) or int(number) >= len(item[kind]):
            break
        item = item[kind][int(number)]
        found.append(str(item.get("name") or item.get("id") or ""))
    return found
