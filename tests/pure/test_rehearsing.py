"""Rehearsals: waves, the critical path, and what a forecast makes of them."""

from __future__ import annotations

import itertools
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processes.blueprint import Blueprint
from releases.rehearsing import Estimate, rehearse, rest_of, share_of, spread, weighted
from releases.scheduler import Fact, Flow
from releases.states import Run
from tests.model.generate import generate


def flow(*phases: dict[str, Any]) -> Flow:
    return Flow(Blueprint.model_validate({"id": "p", "phases": list(phases)}))


def step(key: str, *depends_on: str, **keys: Any) -> dict[str, Any]:
    return {"id": key, "type": "automated", "connector": "noop", "depends_on": list(depends_on), **keys}


DIAMOND = flow(
    {"id": "one", "activities": [step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c")]},
    {"id": "two", "depends_on": ["one"], "activities": [step("e"), step("undo", "e", run_when="failed")]},
    {"id": "eu_only", "depends_on": ["one"], "if": "inputs.region == 'eu'", "activities": [step("f")]},
)


def test_waves_and_the_critical_path() -> None:
    assert rehearse(DIAMOND, dict.fromkeys(DIAMOND.steps, 1.0), {}).waves() == [["a"], ["b", "c"], ["d"], ["e", "f"]]
    found = rehearse(DIAMOND, {"a": 1, "b": 5, "c": 2, "d": 1, "e": 3, "f": 4}, {"phase:eu_only": False})
    assert found.critical_path() == ["a", "b", "d", "e"]
    assert (found.end, found.starts["d"]) == (10, 6)
    assert found.skipped == {"undo": "not_needed", "f": "condition"}


def test_what_is_over_takes_no_more_time() -> None:
    found = rehearse(DIAMOND, {"b": 5, "c": 2, "d": 1, "e": 3, "f": 1}, {}, ended={"a": Fact(Run.SUCCEEDED), "b": Fact(Run.SUCCEEDED)})
    assert (found.end, found.critical_path()) == (6, ["c", "d", "e"])


@given(st.integers(0, 10_000))
def test_nothing_starts_before_what_it_depends_on_and_the_path_is_as_long_as_the_whole(seed: int) -> None:
    random = Random(seed)
    whole = Flow(generate(random).blueprint)
    lengths = {key: random.choice([0.0, 1.0, 2.5, 10.0]) for key in whole.steps}
    found = rehearse(whole, lengths, {})
    assert {*found.starts, *found.skipped} == set(whole.steps)
    for key, start in found.starts.items():
        before = whole.upstream_of_step(key)
        assert all(found.ends[other] <= start for other in before if other in found.ends)
    path = found.critical_path()
    assert sum(lengths[key] for key in path) == pytest.approx(found.end)
    assert all(found.ends[before] == found.starts[after] for before, after in itertools.pairwise(path))


def test_the_range_of_a_chain_grows_slower_than_its_length() -> None:
    one = Estimate(10, 12)
    assert spread(["a"], {"a": one}) == pytest.approx(2 / 0.8416 * 1.2816)
    assert spread(list("abcd"), dict.fromkeys("abcd", one)) == pytest.approx(2 * spread(["a"], {"a": one}))
    assert spread(["a"], {"a": None}) == 0


@pytest.mark.parametrize(
    ("shares", "done"),
    [({}, 0), ({"a": 1}, 0.25), ({"a": 1, "b": 0.5}, 0.625), ({"a": 1, "b": 1}, 1), ({"a": 5, "b": 1}, 1)],
)
def test_what_takes_longer_counts_more(shares: dict[str, float], done: float) -> None:
    assert weighted({"a": Estimate(10, 10), "b": Estimate(30, 30)}, shares) == pytest.approx(done)


def test_the_unknown_counts_like_the_others() -> None:
    assert weighted({"a": Estimate(10, 10), "b": None}, {"b": 1}) == pytest.approx(0.5)
    assert weighted({"a": None, "b": None}, {"b": 1}) == pytest.approx(0.5)
    assert weighted({}, {}) == 0


@pytest.mark.parametrize(("elapsed", "rest"), [(0, 10), (4, 6), (10, 4), (13, 1), (20, 0)])
def test_what_is_left_of_a_running_activity(elapsed: float, rest: float) -> None:
    assert rest_of(elapsed, Estimate(10, 14)) == rest
    assert share_of(elapsed, Estimate(10, 14)) <= 0.95


@pytest.mark.parametrize("order", [1, -1])
def test_a_long_chain_written_in_any_order_is_no_burden(order: int) -> None:
    """Also on the page of a release: each pass over what was left cost as much as all of it."""
    steps = [step(f"a{n}", *([f"a{n - 1}"] if n else [])) for n in range(2_000)][::order]
    phases = [{"id": f"p{n}", "activities": [step(f"b{n}")], "depends_on": [f"p{n - 1}"] if n else []} for n in range(2_000)][::order]
    for chain, first in ((flow({"id": "only", "activities": steps}), "a"), (flow(*phases), "b")):
        begin = time.process_time()
        found = rehearse(chain, dict.fromkeys(chain.steps, 1.0), {})
        path = found.critical_path()
        assert time.process_time() - begin < 1
        assert found.end == 2_000
        assert path == [f"{first}{n}" for n in range(2_000)]
        assert len(found.waves()) == 2_000
