"""Differences by meaning, and what weakens a control."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest

from processes import diffing, reading
from processes.blueprint import Blueprint
from tests.generators import EVERYTHING, document

BASE: dict[str, Any] = {
    "apiVersion": "relorch/v1",
    "kind": "Process",
    "id": "standard",
    "owners": ["group:release"],
    "inputs": {"version": {"type": "string", "required": True, "pattern": r"\d+"}, "region": {"type": "choice", "options": ["eu", "us"]}},
    "rules": [{"check": "inputs.region != 'us'", "message": "Not there"}],
    "phases": [
        {"id": "build", "activities": [{"id": "compile", "type": "automated", "connector": "noop", "with": {"outputs": {"a": 1}}}]},
        {
            "id": "sign_off",
            "depends_on": ["build"],
            "activities": [
                {
                    "id": "qa",
                    "name": "production",
                    "type": "manual",
                    "owners": ["group:qa"],
                    "fields": {"report": {"type": "text", "required": True, "min_length": 20}},
                    "tasks": [{"id": "smoke", "required": True}],
                    "approval": {"requires": [{"count": 2, "of": ["group:qa"]}, {"of": ["group:security"]}], "exclude": ["starter"], "reauthenticate": True},
                },
                {"id": "look", "type": "manual"},
            ],
        },
        {"id": "deploy", "depends_on": ["sign_off"], "lock": "prod", "activities": [{"id": "roll_out", "type": "automated", "connector": "noop"}]},
    ],
}
QA = ["phases", 1, "activities", 0]


def blueprint(document: dict[str, Any]) -> Blueprint:
    found = reading.parse(document)
    assert not found.unreadable, found.problems
    assert isinstance(found.blueprint, Blueprint)
    return found.blueprint


def changed(path: list[str | int], value: Any) -> list[diffing.Change]:
    """The changes from BASE to BASE with `value` at the path; `...` removes."""
    document = copy.deepcopy(BASE)
    place: Any = document
    for part in path[:-1]:
        place = place[part]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return diffing.changes(blueprint(BASE), blueprint(document))


def test_the_same_has_no_difference() -> None:
    assert diffing.changes(blueprint(BASE), blueprint(copy.deepcopy(BASE))) == []


def test_what_is_written_out_but_default_is_no_difference() -> None:
    assert changed(["category"], "standard") == []
    assert changed([*QA, "approval", "order"], "any") == []
    assert changed([*QA, "approval", "requires", 0, "of"], []) == [], "the owners are the default of a line"


def test_fewer_approvals_are_said_in_one_line_and_weaken() -> None:
    (change,) = changed([*QA, "approval", "requires", 0, "count"], 1)
    assert (change.kind, change.place, change.before, change.after) == ("changed", "/phases/1/activities/0/approval/requires/0/count", 2, 1)
    assert change.text == "approval of “production” by group:qa: 2 -> 1"
    assert change.weakens
    assert set(change.as_dict()) == {"kind", "place", "before", "after", "text", "weakens"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ([*QA, "approval", "requires"], [{"count": 2, "of": ["group:qa"]}]),
        ([*QA, "approval", "requires", 0, "of"], ["group:qa", "group:dev"]),
        ([*QA, "approval", "exclude"], []),
        ([*QA, "approval", "reauthenticate"], False),
        ([*QA, "approval", "allow_tokens"], True),
        ([*QA, "approval", "reject_when"], "impossible"),
        ([*QA, "approval", "comment"], "optional"),
        ([*QA, "approval", "binds"], ["inputs"]),
        ([*QA, "approval"], ...),
        ([*QA, "optional"], True),
        ([*QA, "if"], "inputs.region == 'eu'"),
        ([*QA, "on_failure"], "ignore"),
        ([*QA, "fields", "report", "required"], False),
        ([*QA, "fields", "report", "min_length"], 3),
        ([*QA, "fields", "report", "min_length"], ...),
        ([*QA, "tasks"], []),
        ([*QA, "tasks", 0, "required"], False),
        (["phases", 1, "activities"], BASE["phases"][1]["activities"][1:]),
        (["phases", 1, "activities", 1, "owners"], ["group:release", "group:dev"]),
        (["owners"], ["group:release", "group:dev"]),
        (["phases", 2, "depends_on"], ["build"]),
        (["phases", 2, "lock"], ...),
        (["phases"], [phase for phase in BASE["phases"] if phase["id"] == "build"]),
        (["inputs", "version", "required"], False),
        (["inputs", "version", "pattern"], ...),
        (["inputs", "region", "options"], ["eu", "us", "moon"]),
        (["inputs", "version"], ...),
        (["rules"], []),
    ],
)
def test_what_loses_a_control_weakens(path: list[str | int], value: Any) -> None:
    found = changed(path, value)
    assert any(change.weakens for change in found), found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["name"], "Another"),
        (["description"], "Long\ntext"),
        ([*QA, "approval", "requires", 0, "count"], 3),
        ([*QA, "approval", "exclude"], ["starter", "author"]),
        ([*QA, "approval", "due"], "24h"),
        ([*QA, "approval", "comment"], "required"),
        ([*QA, "fields", "report", "min_length"], 30),
        ([*QA, "fields", "report", "max_length"], 300),
        ([*QA, "tasks", 0, "expected"], "2h"),
        (["inputs", "region", "options"], ["eu"]),
        (["inputs", "more"], {"type": "string"}),
        (["phases", 0, "activities", 0, "with", "outputs"], {"a": 2}),
        (["phases", 0, "activities", 0, "retry"], {"attempts": 3}),
        (["phases", 0, "activities"], [*BASE["phases"][0]["activities"], {"id": "more", "type": "automated", "connector": "noop"}]),
        (["variables"], {"image": "x"}),
        (["outputs"], {"url": "x"}),
        (["rules"], [*BASE["rules"], {"check": "true", "message": "m"}]),
    ],
)
def test_what_adds_a_control_or_none_does_not_weaken(path: list[str | int], value: Any) -> None:
    found = changed(path, value)
    assert found
    assert not any(change.weakens for change in found), found


def test_items_are_matched_by_id_and_not_by_place() -> None:
    (change,) = changed(["phases"], [BASE["phases"][1], BASE["phases"][0], BASE["phases"][2]])
    assert change.text == "the phases stand in another order"


def moved(activity: int, source: int, target: int) -> list[diffing.Change]:
    document = copy.deepcopy(BASE)
    document["phases"][target]["activities"].append(document["phases"][source]["activities"].pop(activity))
    return diffing.changes(blueprint(BASE), blueprint(document))


def test_an_activity_that_moves_is_one_change() -> None:
    (change,) = moved(1, 1, 0)
    assert (change.kind, change.place, change.before, change.after) == ("changed", "/phases/0/activities/1", "sign_off", "build")
    assert change.text == "activity “look” moved from phase “sign_off” to “build”"


@pytest.mark.parametrize(
    ("activity", "source", "target"),
    [
        (0, 1, 2),  # the roll-out no longer waits for the sign-off
        (0, 1, 0),  # the sign-off no longer waits for the build
        (0, 0, 2),  # the sign-off no longer waits for the compilation
        (0, 2, 1),  # the roll-out stands beside the sign-off
    ],
)
def test_a_move_weakens_when_somebody_waits_for_less(activity: int, source: int, target: int) -> None:
    change = next(change for change in moved(activity, source, target) if " moved " in change.text)
    assert change.weakens


def chain(**deploy: Any) -> Blueprint:
    """Build, sign-off and deployment in one phase."""
    steps = [
        {"id": "build", "type": "automated", "connector": "noop"},
        {"id": "sign_off", "type": "manual", "depends_on": ["build"]},
        {"id": "note", "type": "automated", "connector": "noop"},
        {"id": "deploy", "type": "automated", "connector": "noop", "depends_on": ["sign_off", "build", "note"]} | deploy,
        {"id": "tidy", "type": "automated", "connector": "noop", "depends_on": ["note"]},
    ]
    return blueprint({"id": "chain", "owners": ["group:qa"], "phases": [{"id": "only", "activities": steps}]})


@pytest.mark.parametrize(
    ("deploy", "weakens"),
    [
        ({"depends_on": ["sign_off", "note"]}, False),  # the build is still before the sign-off
        ({"depends_on": ["build", "note"]}, True),
        ({"depends_on": ["sign_off", "build"]}, True),
        ({"depends_on": ["sign_off", "build", "note", "tidy"]}, False),
        ({"run_when": "always"}, True),  # although the sign-off was declined
        ({"run_when": "failed"}, True),
    ],
)
def test_an_order_weakens_when_somebody_waits_for_less(deploy: dict[str, Any], weakens: bool) -> None:
    (change,) = diffing.changes(chain(), chain(**deploy))
    assert change.weakens is weakens


def test_a_clean_up_that_always_runs_is_no_way_round_an_approval() -> None:
    before = document_of(chain())
    after = copy.deepcopy(before)
    after["phases"][0]["activities"][4]["run_when"] = "always"
    (change,) = diffing.changes(blueprint(before), blueprint(after))
    assert not change.weakens


def document_of(found: Blueprint) -> dict[str, Any]:
    return reading.document(found)


@pytest.mark.parametrize(("key", "strict"), [("on_reject", "fail"), ("on_expiry", "reject")])
def test_a_person_may_ignore_what_is_on_hold(key: str, strict: str) -> None:
    document = copy.deepcopy(BASE)
    document["phases"][1]["activities"][0]["approval"] |= {key: strict, "due": "1d"}
    relaxed = copy.deepcopy(document)
    del relaxed["phases"][1]["activities"][0]["approval"][key]
    (change,) = diffing.changes(blueprint(document), blueprint(relaxed))
    assert change.weakens
    (change,) = diffing.changes(blueprint(relaxed), blueprint(document))
    assert not change.weakens


def test_an_approval_on_an_activity_of_the_store_counts() -> None:
    used: dict[str, Any] = {"id": "one", "owners": ["group:qa"], "phases": [{"id": "only", "activities": [{"id": "ask", "uses": "sign_off@1"}]}]}
    strict = copy.deepcopy(used)
    strict["phases"][0]["activities"][0]["approval"] = {"requires": [{"count": 2}]}
    assert [change.weakens for change in diffing.changes(blueprint(strict), blueprint(used))] == [True]
    assert [change.weakens for change in diffing.changes(blueprint(used), blueprint(strict))] == [False]


def test_a_circle_in_a_draft_does_no_harm() -> None:
    assert diffing.changes(chain(), chain(depends_on=["deploy", "nowhere"]))


def test_random_processes_differ_from_themselves_in_nothing() -> None:
    for seed in range(30):
        found = blueprint(document(Random(seed), EVERYTHING))
        assert diffing.changes(found, blueprint(reading.document(found))) == []


def test_places_point_into_the_document_they_speak_of() -> None:
    (added,) = changed(["inputs", "more/less"[:4]], {"type": "string"})
    assert added.place == "/inputs/more"
    removed = next(change for change in changed(["phases"], BASE["phases"][:2]) if change.text.startswith("phase"))
    assert (removed.kind, removed.place, removed.after) == ("removed", "/phases/2", None)


def test_the_way_back_strengthens() -> None:
    document = copy.deepcopy(BASE)
    document["phases"][1]["activities"][0]["approval"]["requires"][0]["count"] = 1
    (change,) = diffing.changes(blueprint(document), blueprint(BASE))
    assert not change.weakens


def test_long_texts_are_cut_in_the_sentence_and_whole_beside_it() -> None:
    (change,) = changed(["description"], "word " * 100)
    assert len(change.text) < 200
    assert change.after == "word " * 100
