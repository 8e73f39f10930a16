"""What is different between two things that people decide on: only differences, each with before and after, the largest risk first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.changes import Change, named, of_packets, of_process, of_values
from processes.diffing import Change as ProcessChange

OLD = {
    "inputs": {"version": "1.2.0", "region": "eu", "count": 3, "key": {"$digest": "a" * 32}},
    "variables": {"note": "x"},
    "activities.build.outputs": {"image": "shop@sha256:" + "a" * 12, "tests": 12, "gone": "y", "deep": {"one": 1, "list": [1, 2]}},
}


def changed(**paths: Any) -> dict[str, Any]:
    new = {origin: dict(values) for origin, values in OLD.items()}
    for path, value in paths.items():
        origin, name = {"i": "inputs", "v": "variables", "a": "activities.build.outputs"}[path[0]], path[2:]
        if value is None:
            del new[origin][name]
        else:
            new[origin][name] = value
    return new


def test_one_changed_digest_is_exactly_one_line() -> None:
    new = "shop@sha256:" + "b" * 12
    (found,) = of_values(OLD, changed(a_image=new))
    assert (found.place, found.kind, found.before, found.after) == ("activities.build.outputs.image", "changed", OLD["activities.build.outputs"]["image"], new)
    assert found.text == f"activities.build.outputs.image: shop@sha256:{'a' * 12} → {new}"
    assert of_values(OLD, changed()) == []


def test_the_largest_risk_comes_first() -> None:
    new = changed(i_version="1.3.0", i_key={"$digest": "b" * 32}, v_note="y", a_image="other", a_tests=11, a_gone=None, i_fresh=True)
    weakened = of_process([ProcessChange("changed", "/x", 2, 1, "QA needs one instead of two", weakens=True), ProcessChange("added", "/y", None, 1, "a step")])
    found = sorted([*of_values(OLD, new), *weakened], key=lambda change: change.rank)
    assert [(change.place, change.risk) for change in found] == [
        ("process: QA needs one instead of two", "high"),
        ("inputs.key", "high"),
        ("activities.build.outputs.image", "medium"),
        ("activities.build.outputs.gone", "medium"),
        ("activities.build.outputs.tests", "medium"),
        ("inputs.version", "low"),
        ("inputs.fresh", "low"),
        ("variables.note", "low"),
        ("process: a step", "low"),
    ]


def test_a_secret_is_said_to_be_another_and_never_shown() -> None:
    (found,) = of_values(OLD, changed(i_key={"$digest": "b" * 32}))
    assert found.text == "inputs.key: replaced by another secret"
    assert "b" * 8 not in str(found.as_dict())
    (gone,) = of_values(OLD, changed(i_key=None))
    assert gone.text == "inputs.key: gone, was a secret"


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ({"x": 1}, {"x": 1.0}, "inputs.x: 1 → 1.0"),
        ({"x": True}, {"x": 1}, "inputs.x: true → 1"),
        ({"x": ""}, {"x": "a"}, "inputs.x: empty → a"),
        ({"x": [1]}, {"x": [1, 2]}, "inputs.x: [1] → [1, 2]"),
        ({"x": {"y": 1}}, {"x": {"y": 2}}, "inputs.x.y: 1 → 2"),
        ({"x": {"y": 1}}, {"x": 2}, "inputs.x.y: gone, was 1"),
        ({}, {"x": "a" * 300}, f"inputs.x: new, {'a' * 199}…"),
        ({"f": {"name": "a", "size": 1, "hash": "c" * 64, "link": "/a"}}, {}, f"inputs.f: gone, was a (SHA-256 {'c' * 12}…)"),
    ],
)
def test_each_value_is_said(before: Any, after: Any, text: str) -> None:
    assert text in [change.text for change in of_values({"inputs": before}, {"inputs": after})]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("activities.build.outputs.image", "Build it: image"),
        ("activities.build.outputs.deep.one", "Build it: deep.one"),
        ("activities.other.outputs.x", "activities.other.outputs.x"),
        ("inputs.version", "Input version"),
        ("form.note", "Form note"),
        ("process: QA needs one", "process: QA needs one"),
    ],
)
def test_places_have_names_for_people(place: str, name: str) -> None:
    (found,) = named([Change(place, "changed", "1", "2", 0)], {"build": "Build it"})
    assert (found.name, found.place) == (name, place)


def test_packets_differ_by_values_form_tasks_text_and_lines() -> None:
    before = {
        "bound": {"inputs": {"v": 1}},
        "filled": {"note": "a"},
        "tasks": [{"key": "t", "name": "T", "status": "todo"}],
        "shown": {"title": "Q", "instructions": "v is 1", "lines": [{"count": 1, "of": ["group:qa"]}], "fields": {}},
    }
    after = {
        "bound": {"inputs": {"v": 2}},
        "filled": {"note": "b"},
        "tasks": [{"key": "t", "name": "T", "status": "done"}],
        "shown": {"title": "Q", "instructions": "v is 2", "lines": [{"count": 1, "of": ["user:a@example.com"]}], "fields": {}},
    }
    assert [change.place for change in of_packets(before, after)] == ["lines.1", "form.note", "tasks.t.status", "inputs.v", "text.instructions"]
    assert of_packets(before, before) == []


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["inputs", "variables"]), values), st.dictionaries(st.sampled_from(["inputs", "variables"]), values))
def test_there_is_a_difference_exactly_when_something_differs(one: Any, two: Any) -> None:
    assert of_values(one, one) == []
    found, back = of_values(one, two), of_values(two, one)
    assert {change.place for change in found} == {change.place for change in back}
    assert bool(found) == (emptied(one) != emptied(two))
    assert [change.rank for change in found] == sorted(change.rank for change in found)


def emptied(value: Any) -> str:
    """Without empty groups, and with types told apart."""

    def plain(item: Any) -> Any:
        if isinstance(item, dict):
            inner = {key: plain(what) for key, what in item.items()}
            return {key: what for key, what in inner.items() if what != {}}
        return repr(item)

    return repr(sorted(plain(value).items(), key=repr))
