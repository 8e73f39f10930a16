"""The layout of the graph: nothing overlaps, edges go forward, folds hide nothing that matters (design, section 7)."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from releases.graph import EVERYTHING, Box, Card, Graph, GraphActivity, GraphPhase, Row, layout, opened_from, parts
from releases.graph.folding import fair_share

ROOT = Path(__file__).resolve().parents[2]
STATES = ["succeeded", "skipped", "ignored", "running", "waiting", "on_hold", "interrupted", "failed", "rejected", "expired", "aborted", "queued", "pending"]
NEVER_HIDDEN = {"running", "waiting", "on_hold", "interrupted", "failed", "rejected", "expired"}


def activity(key: str, phase: str = "p", state: str = "", after: tuple[str, ...] = (), **more: object) -> GraphActivity:
    return GraphActivity(key, phase, key.replace("_", " ").capitalize(), state, after, **more)  # type: ignore[arg-type]


def random_graph(seed: int, phases: int = 9, most: int = 20) -> tuple[list[GraphPhase], list[GraphActivity]]:
    """A release of any shape, sound or not: states at random, circles and unknown names now and then."""
    dice = random.Random(seed)
    found: list[GraphPhase] = []
    steps: list[GraphActivity] = []
    for index in range(dice.randint(1, phases)):
        earlier = [phase.id for phase in found]
        after = tuple(dice.sample(earlier, min(len(earlier), dice.choice([0, 1, 1, 2, 3]))))
        if dice.random() < 0.1:
            after += ("nobody", f"p{index + 1}")
        state = dice.choice(["satisfied", "skipped", "bad", "running", "waiting", "on_hold", "pending", "pending"])
        found.append(GraphPhase(f"p{index}", f"Phase {index}", state, after))
        mine: list[str] = []
        for number in range(dice.randint(0, most)):
            before = tuple(dice.sample(mine, min(len(mine), dice.choice([0, 0, 1, 1, 2, 4]))))
            if steps and dice.random() < 0.05:
                before += (dice.choice(steps).id,)
            key = f"a{index}_{number}"
            steps.append(activity(key, f"p{index}", dice.choice(STATES), before))
            mine.append(key)
    return found, steps


def rows(graph: Graph) -> list[Row]:
    return [row for card in graph.cards for box in card.boxes for row in box.rows]


def overlap(a: Card | Box, b: Card | Box) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def corners(line: str) -> list[tuple[float, float]]:
    """The points that a stroke goes through, its round corners cut."""
    x = y = 0.0
    points = []
    for command, numbers in re.findall(r"([MHVqL])([^MHVqL]*)", line):
        values = [float(value) for value in re.findall(r"-?\d+(?:\.\d+)?", numbers)]
        if command == "M":
            x, y = values
        elif command == "H":
            x = values[0]
        elif command == "V":
            y = values[0]
        else:
            x, y = x + values[2], y + values[3]
        points.append((x, y))
    return points


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("opened", [frozenset(), frozenset({EVERYTHING})], ids=["folded", "open"])
def test_nothing_overlaps_and_boxes_stay_in_their_cards(seed: int, opened: frozenset[str]) -> None:
    graph = layout(*random_graph(seed), opened=opened)
    assert not any(overlap(one, other) for one, other in combinations(graph.cards, 2))
    for card in graph.cards:
        assert card.x + card.width <= graph.width
        assert card.y + card.height <= graph.height
        assert not any(overlap(one, other) for one, other in combinations(card.boxes, 2))
        for box in card.boxes:
            assert card.x < box.x
            assert box.x + box.width < card.x + card.width
            assert card.y + parts.HEAD < box.y
            assert box.y + box.height < card.y + card.height


@pytest.mark.parametrize("seed", range(60))
def test_edges_go_forward_and_cross_no_card(seed: int) -> None:
    graph = layout(*random_graph(seed))
    strokes = [corners(path.d) for path in graph.paths if not path.head]
    inner = [points for points in strokes if any(card.x < points[0][0] < card.x + card.width for card in graph.cards)]
    outer = [points for points in strokes if points not in inner]
    assert all(points[0][0] < points[-1][0] for points in outer)
    assert all(points[0][1] < points[-1][1] for points in inner)
    for points in outer:
        for (x1, y1), (x2, y2) in pairwise(points):
            for card in graph.cards:
                assert not (min(x1, x2) < card.x + card.width and card.x < max(x1, x2) and min(y1, y2) < card.y + card.height and card.y < max(y1, y2)), (
                    points,
                    card.phase.id,
                )
                assert not (y1 == y2 and card.y < y1 < card.y + card.height and min(x1, x2) < card.x + card.width and card.x < max(x1, x2))


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_active_or_failed_is_seen(seed: int) -> None:
    phases, steps = random_graph(seed, most=60)
    graph = layout(phases, steps)
    seen = {row.id for row in rows(graph)}
    folded = {card.phase.id for card in graph.cards if card.folded}
    assert {step.id for step in steps if step.state in NEVER_HIDDEN and step.phase not in folded} <= seen
    assert all(card.phase.state in {"satisfied", "skipped", "pending"} for card in graph.cards if card.folded)
    everything = layout(phases, steps, opened={EVERYTHING})
    assert {row.id for row in rows(everything)} == {step.id for step in steps}
    assert not everything.folds


@pytest.mark.parametrize("seed", range(20))
def test_what_comes_after_stands_below_or_to_the_right(seed: int) -> None:
    phases, steps = random_graph(seed)
    steps = [step for step in steps if all(name.split("_")[0] <= step.id.split("_")[0] for name in step.depends_on)]
    graph = layout(phases, steps, opened={EVERYTHING})
    place = {row.id: (card.x, box.y) for card in graph.cards for box in card.boxes for row in box.rows}
    kept = {step.id for step in steps}
    for step in steps:
        for name in step.depends_on:
            if name in kept and name.split("_")[0] == step.id.split("_")[0]:
                assert place[name] < place[step.id]


def test_the_same_picture_every_time() -> None:
    script = (
        "import sys, hashlib; sys.path[:0] = ['.', 'tests/pure']; from test_graph import random_graph, layout;"
        "print(hashlib.sha256(repr([layout(*random_graph(seed, most=40)) for seed in range(20)]).encode()).hexdigest())"
    )
    seen = {
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_twins_share_a_box_and_chains_stay_together() -> None:
    steps = [activity("a"), activity("b", after=("a",)), activity("c", after=("a",)), activity("d", after=("b", "c")), activity("e", after=("a",))]
    (card,) = layout([GraphPhase("p", "P")], steps).cards
    assert [[row.id for row in box.rows] for box in card.boxes] == [["a"], ["b", "c"], ["d"], ["e"]]


def test_an_edge_that_others_imply_is_not_drawn() -> None:
    steps = [activity("a"), activity("b", after=("a",)), activity("c", after=("a", "b"))]
    graph = layout([GraphPhase("p", "P")], steps)
    assert len(graph.paths) == 4  # two strokes with their heads
    assert graph.cards[0].lanes == 1


def test_an_edge_past_boxes_runs_in_a_lane_of_its_own() -> None:
    steps = [
        activity("a"),
        activity("b", after=("a",)),
        activity("c", after=("b",)),
        activity("d", after=("c",)),
        activity("x", after=("a",)),
        activity("y", after=("b",)),
    ]
    (card,) = layout([GraphPhase("p", "P")], steps).cards
    assert card.lanes == 2
    assert card.boxes[0].x == card.x + parts.BORDER + parts.BODY + parts.LANE


def test_columns_are_ranks_and_a_skipped_column_is_passed_above_the_row() -> None:
    phases = [GraphPhase("a", "A"), GraphPhase("b", "B", depends_on=("a",)), GraphPhase("x", "X"), GraphPhase("c", "C", depends_on=("b", "x"))]
    graph = layout(phases, [])
    assert [[card.phase.id for card in column.cards] for column in graph.columns] == [["a", "x"], ["b"], ["c"]]
    assert any(f"V{parts.TOP - 5 + 6}" in path.d for path in graph.paths)


def test_activities_order_phases_that_do_not_order_themselves() -> None:
    phases = [GraphPhase("late", "Late"), GraphPhase("early", "Early")]
    graph = layout(phases, [activity("a", "early"), activity("b", "late", after=("a",))])
    assert [card.phase.id for card in graph.cards] == ["early", "late"]
    assert rows(graph)[1].after == "A (Early)"


def test_a_circle_is_cut_and_unknown_names_are_left_out() -> None:
    phases = [GraphPhase("a", "A", depends_on=("b", "a", "nobody")), GraphPhase("b", "B", depends_on=("a",))]
    steps = [activity("x", "a", after=("y", "x", "nobody")), activity("y", "a", after=("x",)), activity("z", "gone")]
    graph = layout(phases, steps)
    assert {row.id for row in rows(graph)} == {"x", "y"}
    assert len(graph.columns) == 2


def big(states: list[str], phase: str = "p") -> list[GraphActivity]:
    """A chain with those states."""
    return [activity(f"{phase}{index}", phase, state, (f"{phase}{index - 1}",) if index else ()) for index, state in enumerate(states)]


def test_a_big_phase_folds_what_is_finished_and_what_is_far() -> None:
    steps = big(["succeeded"] * 20 + ["skipped"] * 2 + ["running"] * 2 + ["pending"] * 32)
    (card,) = layout([GraphPhase("p", "P", "running")], steps).cards
    found = [row for box in card.boxes for row in box.rows]
    assert [row.label for row in (found[0], found[-1])] == ["22 finished", "26 more not started"]
    assert [row.state for row in found[1:-1]] == ["running"] * 2 + ["pending"] * 6
    assert found[0].open == "p"
    assert card.caption == "22 of 56 done"
    assert dict(card.counts) == {"succeeded": 20, "skipped": 2, "running": 2, "pending": 32}


def test_folding_must_hide_at_least_three() -> None:
    (card,) = layout([GraphPhase("p", "P", "running")], big(["succeeded"] * 5 + ["running"] + ["pending"] * 9)).cards
    assert not any("more" in row.label for box in card.boxes for row in box.rows)
    (card,) = layout([GraphPhase("p", "P", "running")], big(["succeeded"] * 5 + ["running"] + ["pending"] * 10)).cards
    assert card.boxes[-1].rows[0].label == "3 more not started"


def test_a_big_blueprint_folds_without_states_and_the_selected_stays() -> None:
    steps = big([""] * 30)
    graph = layout([GraphPhase("p", "P")], steps)
    assert rows(graph)[-1].label == "22 more"
    assert len(rows(graph)) == 9
    assert "p25" in {row.id for row in rows(layout([GraphPhase("p", "P")], steps, selected="p25"))}


def test_finished_phases_fold_and_open_by_address() -> None:
    phases = [GraphPhase("a", "A", "satisfied", time="38 min"), GraphPhase("b", "B", "running", ("a",))]
    steps = [activity("x", "a", "succeeded"), activity("y", "b", "running")]
    first, second = layout(phases, steps).cards
    assert (first.folded, first.caption, first.open, first.width) == (True, "1/1 · 38 min", "a", 124)
    assert (second.folded, second.start, second.after, second.width) == (False, True, "A", 248)
    opened = layout(phases, steps, opened=opened_from("a, nobody"))
    assert (opened.cards[0].folded, opened.cards[0].open, opened.unfolds) == (False, "", True)
    assert not layout(phases, steps, selected="x").cards[0].folded


def test_in_a_long_release_the_far_future_folds() -> None:
    phases = [GraphPhase(f"p{n}", f"P{n}", "running" if n == 2 else "satisfied" if n < 2 else "pending", (f"p{n - 1}",) if n else ()) for n in range(9)]
    steps = [activity(f"a{n}", f"p{n}", "pending") for n in range(9)]
    assert [card.folded for card in layout(phases, steps).cards] == [True, True, False, False, False, True, True, True, True]
    assert layout(phases, steps).cards[-1].caption == "1 later"
    assert not any(card.folded for card in layout(phases[2:], steps).cards)


def test_what_a_bad_end_skipped_is_not_drawn_as_done() -> None:
    steps = [activity("a", state="skipped", because="bad_end"), activity("b", state="pending", after=("a",)), activity("c", state="succeeded")]
    assert not any(path.done for path in layout([GraphPhase("p", "P", "running")], steps).paths)


def large() -> tuple[list[GraphPhase], list[GraphActivity]]:
    """304 activities in 12 phases, in the middle of a run."""
    dice = random.Random(11)
    sizes = [8, 12, 26, 30, 34, 44, 22, 38, 9, 36, 28, 17]
    phases, steps = [], []
    for index, size in enumerate(sizes):
        state = "satisfied" if index < 4 else "running" if index < 7 else "pending"
        phases.append(GraphPhase(f"p{index}", f"Phase {index}", state, (f"p{index - 1}",) if index else ()))
        before: list[str] = []
        left = size
        while left:
            now = [f"a{index}_{left - n}" for n in range(min(left, dice.choice([1, 1, 2, 3, 4, 5])))]
            steps += [activity(key, f"p{index}", "succeeded" if index < 4 else dice.choice(STATES), tuple(before)) for key in now]
            before, left = now, left - len(now)
    return phases, steps


def test_304_activities_take_less_than_10_ms() -> None:
    phases, steps = large()
    assert len(steps) == 304
    for opened in (frozenset[str](), frozenset({EVERYTHING})):
        took = []
        for _ in range(7):
            begin = time.process_time()
            layout(phases, steps, opened=opened)
            took.append(time.process_time() - begin)
        assert min(took) < 0.010


def test_a_chain_of_2000_and_a_fan_of_5000_are_no_burden() -> None:
    begin = time.process_time()
    chain = layout([GraphPhase("p", "P", "running")], big(["succeeded"] * 1000 + ["running"] + ["pending"] * 999), opened={EVERYTHING})
    fan = [activity(f"a{n}", state="running") for n in range(5000)]
    wide = layout([GraphPhase("p", "P", "running")], [*fan, activity("join", state="pending", after=tuple(step.id for step in fan))])
    assert time.process_time() - begin < 2
    assert len(chain.cards[0].boxes) == 2000
    assert len(wide.cards[0].boxes) == 2


@pytest.mark.parametrize(
    ("sizes", "most", "share"),
    [([5_000], 150, 150), ([10, 20], 30, 0), ([10, 20], 0, 0), ([1, 1, 100, 100], 22, 10), ([9] * 50, 25, 1), ([], 5, 0), ([5, 100], 50, 45)],
)
def test_a_fair_share_leaves_what_the_small_do_not_need(sizes: list[int], most: int, share: int) -> None:
    assert fair_share(sizes, most) == share


def test_a_picture_holds_so_many_rows_and_keeps_the_urgent_ones() -> None:
    states = ["running", "waiting", "on_hold", "failed", "pending", "succeeded"]
    steps = [activity(f"a{n}", state=states[n % 6]) for n in range(600)] + [activity("small", "q", "running")]
    phases = [GraphPhase("p", "P", "running", all_url="?phase=p"), GraphPhase("q", "Q", "running")]
    for opened in (frozenset[str](), frozenset({EVERYTHING})):
        found = rows(layout(phases, steps, opened=opened, most=301, selected="a5"))
        assert sum(not row.more for row in found) == 301
        assert {"a5", "small"} <= {row.id for row in found}
        kept = [row.state for row in found if row.id not in ("a5", "small") and not row.more]
        assert (kept.count("on_hold"), kept.count("failed"), kept.count("running") + kept.count("waiting")) == (100, 100, 99)
        (more,) = [row for row in found if row.url == "?phase=p"]
        assert more.more
        assert more.label == ("201 more" if not opened else "300 more")
    assert len(rows(layout(phases, steps, opened={EVERYTHING}))) == 601


def test_all_but_one_is_said_shortly() -> None:
    phases = [GraphPhase(f"p{n}", f"P{n}", "satisfied") for n in range(1_000)]
    steps = [activity(f"a{n}", f"p{n}", "succeeded") for n in range(1_000)]
    everything = layout(phases, steps, opened={EVERYTHING})
    assert {card.open for card in everything.cards} == {f"*,-p{n}" for n in range(1_000)}
    but = layout(phases, steps, opened=opened_from("*,-p7"))
    assert [card.phase.id for card in but.cards if card.folded] == ["p7"]
    assert next(card.open for card in but.cards if card.folded) == "*"


def test_the_stylesheet_has_the_same_measures() -> None:
    css = (ROOT / "static/css/graph.css").read_text()
    tokens = {name: float(value) * 16 for name, value in re.findall(r"--g-([a-z-]+): ([\d.]+)rem", css.partition("@media")[0])}
    assert tokens == {
        **{f"w-{name}": width for name, width in parts.WIDTHS.items()},
        "gap": parts.GAP,
        "row": parts.ROW,
        "head": parts.HEAD,
        "body": parts.BODY,
        "link": parts.LINK,
        "side": parts.SIDE,
        "top": parts.TOP,
        "stack": parts.STACK,
        "lane": parts.LANE,
    }


def test_a_card_says_its_heights() -> None:
    card: Card = layout([GraphPhase("p", "P")], [activity("a"), activity("b")]).cards[0]
    assert card.height == parts.HEAD + 2 + 2 * parts.BODY + 2 * parts.ROW + 2
