"""Slips of the pen: a sound document made unreadable in one place, with the code and the place of the problem that must be named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.generators import EVERYTHING, Mix, sound_documents


@dataclass(frozen=True)
class Slip:
    """One way to make a document unreadable: what it is called, and the change, which returns the place of the problem."""

    code: str
    make: Callable[[dict[str, Any], Random], str]


def _step(found: dict[str, Any], random: Random) -> tuple[dict[str, Any], str]:
    place, step = random.choice(_steps(found))
    return step, place


def _steps(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"/phases/{number}/activities/{place}", activity) for number, phase in enumerate(found["phases"]) for place, activity in enumerate(phase["activities"])
    ]


def _set(key: str, *values: Any, inside: str = "") -> Callable[[dict[str, Any], Random], str]:
    def change(found: dict[str, Any], random: Random) -> str:
        step, place = _step(found, random)
        step[key] = random.choice(values)
        return f"{place}/{key}{inside}"

    return change


def _drop_id(found: dict[str, Any], random: Random) -> str:
    step, place = _step(found, random)
    del step["id"]
    return f"{place}/id"


def _repeat_activity(found: dict[str, Any], random: Random) -> str:
    phase = random.randrange(len(found["phases"]))
    step, _ = _step(found, random)
    activities = found["phases"][phase]["activities"]
    activities.append(copy.deepcopy(step))
    owners = [
        (number, place) for number, each in enumerate(found["phases"]) for place, activity in enumerate(each["activities"]) if activity["id"] == step["id"]
    ]
    number, place = owners[-1]
    return f"/phases/{number}/activities/{place}/id"


def _repeat_phase(found: dict[str, Any], random: Random) -> str:
    found["phases"].append({"id": random.choice(found["phases"])["id"], "activities": []})
    return f"/phases/{len(found['phases']) - 1}/id"


def _name(found: dict[str, Any], random: Random) -> str:
    found["inputs"]["bad-name"] = {"type": "string"}
    return "/inputs/bad-name"


UNREADABLE = (
    Slip("unknown_key", _set("on_fail", "hold")),
    Slip("unknown_key", _set("retry", {"atempts": 2}, inside="/atempts")),
    Slip("wrong_type", _set("optional", "yes", 1)),
    Slip("wrong_type", _set("depends_on", "step_0_0", {}, None)),
    Slip("wrong_type", _set("approval", [], "two of qa", 2)),
    Slip("wrong_type", _set("name", 1.1, True, ["x"])),
    Slip("wrong_type", _set("fields", {"a": "text"}, {"a": None}, inside="/a")),
    Slip("missing_key", _drop_id),
    Slip("missing_key", _set("approval", {"escalate": {"after": "1h"}}, inside="/escalate/to")),
    Slip("bad_id", _set("id", "Step", "1st", "a-b", "", "x" * 64)),
    Slip("duplicate_id", _repeat_activity),
    Slip("duplicate_id", _repeat_phase),
    Slip("duplicate_id", _set("tasks", [{"id": "one"}, {"id": "one"}], inside="/1/id")),
    Slip("bad_duration", _set("timeout", "soon", "1 h", 30, "P1Y", "-5s", "11000d")),
    Slip("bad_choice", _set("run_when", "allways", "Failed", "")),
    Slip("bad_choice", _set("type", "automatic")),
    Slip("bad_choice", _set("approval", {"exclude": ["starters"]}, inside="/exclude/0")),
    Slip("out_of_range", _set("retry", {"attempts": 0}, {"attempts": 101}, inside="/attempts")),
    Slip("bad_name", _name),
)


def unreadable_documents(mix: Mix = EVERYTHING) -> st.SearchStrategy[tuple[dict[str, Any], str, str]]:
    """A document with one slip in it, the code of the problem and its place."""

    def slipped(found: dict[str, Any], slip: Slip, seed: int) -> tuple[dict[str, Any], str, str]:
        return found, slip.code, slip.make(found, Random(seed))

    return st.builds(slipped, sound_documents(mix), st.sampled_from(UNREADABLE), st.integers(0, 2**32))
