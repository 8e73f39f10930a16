"""Keys of the process file that are read, kept and shown, but not carried out by this version: said before anybody relies on them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from processes.blueprint import Activity, Blueprint
from processes.problems import Problem, Severity, pointer

CODE = "not_carried_out"


def problems(blueprint: Blueprint) -> list[Problem]:
    """One problem for each place that asks for something this version does not do yet."""
    return [
        found
        for n, phase in enumerate(blueprint.phases)
        for m, activity in enumerate(phase.activities)
        for found in _of_activity(activity, pointer("phases", n, "activities", m))
    ]


def _of_activity(activity: Activity, place: str) -> Iterator[Problem]:
    if activity.respects_freeze:
        yield _warning(f"{place}/respects_freeze", "There are no freezes yet: this activity starts at any time.")


def _warning(place: str, message: str) -> Problem:
    return Problem(CODE, message, place, Severity.WARNING)
