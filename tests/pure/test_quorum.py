"""Who must agree: tables for each sentence of S14, S15, S18 and S19, and properties against trying everything."""

from __future__ import annotations

import itertools
import os
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processes.quorum import Line, Rule, Vote, may_decide, missing, satisfiable, verdict, weakest_absences


def line(count: int, people: str) -> Line:
    return Line(count, frozenset(people.split()))


def rule(*lines: Line, **more: object) -> Rule:
    return Rule(lines, **more)  # type: ignore[arg-type]


def yes(*names: str) -> list[Vote]:
    """Approvals in this order; `b>a` is a vote of b for a."""
    return [Vote(name.partition(">")[0], True, name.partition(">")[2] or None) for name in names]


def no(*names: str) -> list[Vote]:
    return [Vote(vote.person, False, vote.for_) for vote in yes(*names)]


def filled(the_rule: Rule, votes: list[Vote]) -> list[tuple[str, ...]]:
    return [found.filled_by for found in verdict(the_rule, votes).lines]


QA_AND_SECURITY = rule(line(2, "ann bob cem"), line(1, "cem dan"))


# --- S14: who may decide, one person one vote, one vote one place ---


def test_two_of_qa_and_one_of_security_needs_three_people() -> None:
    """S14, by its own example: cem is in both groups and is still one person."""
    assert verdict(QA_AND_SECURITY, yes("ann", "cem")).state == "open"
    assert verdict(QA_AND_SECURITY, yes("ann", "bob", "cem")).state == "approved"
    assert not satisfiable(rule(line(2, "ann cem"), line(1, "cem")))


def test_votes_are_assigned_so_that_the_most_places_fill() -> None:
    """S14: cem sits in QA first, then moves to security because bob and ann can only be QA."""
    assert filled(QA_AND_SECURITY, yes("cem")) == [("cem",), ()]
    assert filled(QA_AND_SECURITY, yes("cem", "ann")) == [("cem", "ann"), ()]
    assert filled(QA_AND_SECURITY, yes("cem", "ann", "bob")) == [("ann", "bob"), ("cem",)]


def test_a_chain_of_moves_frees_a_place() -> None:
    """S14: three people each move one line so that the fourth finds a place."""
    chain = rule(line(1, "a b"), line(1, "b c"), line(1, "c d"), line(1, "d"))
    assert filled(chain, yes("a", "b", "c", "d")) == [("a",), ("b",), ("c",), ("d",)]
    backwards = rule(line(1, "a d"), line(1, "a b"), line(1, "b c"), line(1, "c"))
    assert filled(backwards, yes("a", "b", "c", "d")) == [("d",), ("a",), ("b",), ("c",)]


def test_earlier_votes_keep_their_places() -> None:
    """S14: a vote that nobody needs is kept and fills nothing."""
    two = rule(line(2, "a b c"))
    assert filled(two, yes("c", "a", "b")) == [("c", "a")]
    assert filled(rule(line(1, "a b"), line(1, "a b c")), yes("a", "b", "c")) == [("a",), ("b",)]


def test_a_person_in_many_groups_is_asked_once_and_counts_once() -> None:
    every_group = rule(line(1, "a"), line(1, "a"), line(1, "a b c"))
    assert verdict(every_group, yes("a")).state == "impossible"
    assert filled(every_group, yes("a")) == [("a",), (), ()]


def test_the_same_vote_twice_is_one_vote() -> None:
    assert verdict(rule(line(2, "a b")), yes("a", "a")).state == "open"
    assert filled(rule(line(2, "a b")), yes("a", "a")) == [("a",)]


def test_people_in_no_line_do_not_count() -> None:
    assert verdict(rule(line(1, "a")), yes("z")).state == "open"
    assert verdict(rule(line(1, "a")), no("z")).state == "open"
    assert may_decide(rule(line(1, "a")), [], "z") == "not_entitled"


def test_excluded_people_do_not_count() -> None:
    without = rule(line(1, "a b"), excluded=frozenset("a"))
    assert verdict(without, yes("a")).state == "open"
    assert verdict(without, no("a")).state == "open"
    assert verdict(without, yes("b")).state == "approved"
    assert (may_decide(without, [], "a"), may_decide(without, [], "b")) == ("excluded", "yes")
    assert verdict(without, []).lines[0].can_fill == {"b"}


def test_an_excluded_stranger_is_first_of_all_not_entitled() -> None:
    assert may_decide(rule(line(1, "a"), excluded=frozenset("z")), [], "z") == "not_entitled"


def test_a_rule_without_lines_is_met_by_nobody() -> None:
    """Nothing to ask must never read as everything answered."""
    assert not satisfiable(rule())
    assert verdict(rule(), yes("a")).state == "impossible"
    with pytest.raises(ValueError):
        Line(0, frozenset("a"))


# --- S15: rejecting, changing, sequence ---


def test_one_rejection_rejects_at_once() -> None:
    assert verdict(QA_AND_SECURITY, [*yes("ann", "bob"), *no("dan")]).state == "rejected"


def test_reject_when_impossible_waits_until_the_rejections_alone_decide() -> None:
    patient = rule(line(2, "a b c d"), reject_when="impossible")
    assert verdict(patient, no("a")).state == "open"
    assert verdict(patient, no("a", "b")).state == "open"
    assert verdict(patient, no("a", "b", "c")).state == "rejected"
    assert verdict(patient, [*no("a", "b"), *yes("c")]).state == "open"
    assert verdict(patient, [*no("a", "b"), *yes("c", "d")]).state == "approved"


def test_reject_when_impossible_counts_everyone_else_as_able() -> None:
    """S15: cem may still be security, so ann's rejection alone leaves the rule open; bob's as well does not."""
    patient = rule(line(1, "ann bob"), line(1, "cem bob"), reject_when="impossible")
    assert verdict(patient, no("ann")).state == "open"
    assert verdict(patient, no("ann", "cem")).state == "rejected"


def test_a_vote_may_be_changed_until_the_verdict() -> None:
    two = rule(line(2, "a b c"), reject_when="impossible")
    assert verdict(two, [*no("a"), *yes("a", "b")]).state == "approved"
    assert verdict(two, [*yes("a"), *no("a"), *yes("b")]).state == "open"
    assert filled(rule(line(1, "a b")), yes("a", "b", "a")) == [("a",)]


def test_stale_votes_do_not_count() -> None:
    """S17: neither way; whoever cast one can be asked again."""
    two = rule(line(2, "a b"))
    old = [Vote("a", True, stale=True), Vote("b", False, stale=True)]
    assert verdict(two, old).state == "open"
    assert verdict(two, old).lines[0].can_fill == {"a", "b"}
    assert verdict(two, [*old, *yes("a", "b")]).state == "approved"


IN_TURN = rule(line(1, "ann bob"), line(1, "bob cem"), line(1, "dan"), order="sequential")


def test_sequential_asks_a_line_when_all_before_are_filled() -> None:
    assert [found.asked for found in verdict(IN_TURN, []).lines] == [True, False, False]
    assert [found.asked for found in verdict(IN_TURN, yes("bob")).lines] == [True, True, False]
    assert verdict(IN_TURN, yes("ann", "bob", "dan")).state == "approved"


def test_sequential_people_of_later_lines_are_not_asked_yet() -> None:
    assert may_decide(IN_TURN, [], "cem") == "not_yet_asked"
    assert may_decide(IN_TURN, [], "bob") == "yes"
    assert may_decide(IN_TURN, yes("ann"), "cem") == "yes"
    assert may_decide(IN_TURN, yes("ann"), "dan") == "not_yet_asked"
    assert may_decide(IN_TURN, [], "eve") == "not_entitled"


def test_sequential_an_approval_fills_no_line_that_is_not_asked() -> None:
    assert verdict(IN_TURN, yes("cem")).lines[1].filled_by == ()
    assert verdict(IN_TURN, yes("cem", "dan")).state == "open"


def test_sequential_a_rejection_counts_though_a_line_before_is_open_again() -> None:
    """S15, S17a: dan was asked, changed a field with his rejection, and so made the earlier votes stale."""
    earlier = [Vote("ann", True, stale=True), Vote("cem", True, stale=True)]
    assert verdict(IN_TURN, [*earlier, *no("dan")]).state == "rejected"


def test_sequential_people_of_lines_already_asked_may_still_vote_and_votes_move() -> None:
    """S15: bob filled the first line; ann votes late, takes it, and bob moves to the second."""
    assert may_decide(IN_TURN, yes("bob"), "ann") == "yes"
    assert filled(IN_TURN, yes("bob")) == [("bob",), (), ()]
    assert filled(IN_TURN, yes("bob", "ann")) == [("ann",), ("bob",), ()]


def test_sequential_a_kept_vote_fills_the_next_line() -> None:
    """S14 and S15: bob's vote filled no place of the first line and is not lost."""
    assert filled(IN_TURN, yes("ann", "bob")) == [("ann",), ("bob",), ()]


def test_sequential_a_filled_line_stays_filled_when_the_next_is_asked() -> None:
    hungry = rule(line(1, "a"), line(2, "a b"), order="sequential")
    found = verdict(hungry, yes("a"))
    assert [each.filled_by for each in found.lines] == [("a",), ()]
    assert found.state == "impossible"


# --- S18: people who are there ---


def test_satisfiable_counts_the_people_there_are_without_the_excluded() -> None:
    assert satisfiable(QA_AND_SECURITY)
    assert satisfiable(rule(*QA_AND_SECURITY.lines, excluded=frozenset({"dan"})))
    assert not satisfiable(rule(*QA_AND_SECURITY.lines, excluded=frozenset({"dan", "ann"})))
    assert not satisfiable(rule(line(1, "")))
    assert not satisfiable(rule(line(10**9, "a b")))


def test_weakest_absences_names_whoever_may_not_be_missing() -> None:
    assert weakest_absences(QA_AND_SECURITY) == frozenset()
    assert weakest_absences(rule(line(2, "a b"), line(1, "c d"))) == {"a", "b"}
    assert weakest_absences(rule(line(1, "a b"), line(1, "b c"))) == frozenset()
    assert weakest_absences(rule(line(1, "a b"), line(1, "a b"))) == {"a", "b"}
    assert weakest_absences(rule(line(3, "a b"))) == frozenset()


def test_impossible_when_people_left_and_no_rejection_is_the_cause() -> None:
    """S18: bob left QA during the run."""
    left = rule(line(2, "ann"), line(1, "dan"))
    assert verdict(left, yes("ann")).state == "impossible"
    assert verdict(left, no("dan")).state == "rejected"
    patient = rule(line(2, "ann"), line(1, "dan eve"), reject_when="impossible")
    assert verdict(patient, no("dan")).state == "impossible"


def test_missing_says_who_can_still_fill_what() -> None:
    assert [(part.line, part.places, part.people) for part in missing(QA_AND_SECURITY, yes("ann"))] == [(0, 1, {"bob", "cem"}), (1, 1, {"cem", "dan"})]
    # cem sits in QA; bob would let cem move to security, so bob too can fill it.
    assert [(part.line, part.people) for part in missing(QA_AND_SECURITY, yes("cem", "ann"))] == [(1, {"bob", "dan"})]
    assert missing(QA_AND_SECURITY, yes("ann", "bob", "dan")) == ()
    # a would take b's place, b c's, and c the free one.
    assert [(part.line, part.people) for part in missing(rule(line(1, "a b"), line(1, "b c"), line(1, "c d")), yes("b", "c"))] == [(2, {"a", "d"})]


def test_missing_names_people_of_lines_not_asked_yet() -> None:
    assert [(part.line, part.people) for part in missing(IN_TURN, [])] == [(0, {"ann", "bob"}), (1, {"bob", "cem"}), (2, {"dan"})]


# --- S19: standing in for somebody ---


def test_a_delegate_fills_a_place_of_the_person_it_votes_for() -> None:
    one = rule(line(1, "a"))
    assert filled(one, yes("b>a")) == [("b",)]
    assert verdict(one, yes("b>a")).state == "approved"
    assert verdict(one, no("b>a")).state == "rejected"
    assert (may_decide(one, [], "b"), may_decide(one, [], "b", "a")) == ("not_entitled", "yes")


def test_exclusions_hold_for_both() -> None:
    for excluded in ("a", "b"):
        without = rule(line(1, "a c"), excluded=frozenset(excluded))
        assert verdict(without, yes("b>a")).state == "open"
        assert verdict(without, no("b>a")).state == "open"
        assert may_decide(without, [], "b", "a") == "excluded"


def test_a_delegate_is_still_one_human() -> None:
    """B may decide for itself and for A, and is one person: the last vote stands."""
    both = rule(line(2, "a b c"))
    assert filled(both, yes("b", "b>a")) == [("b",)]
    assert verdict(both, yes("b", "b>a")).state == "open"
    assert verdict(both, yes("b>a", "c")).state == "approved"
    assert verdict(both, yes("b>a")).lines[0].can_fill == {"c"}


def test_one_entitlement_counts_once() -> None:
    """A votes and B votes for A: one place."""
    both = rule(line(2, "a c"))
    assert filled(both, yes("a", "b>a")) == [("a",)]
    assert filled(both, yes("b>a", "a")) == [("a",)]
    assert filled(both, yes("b>a", "d>a")) == [("b",)]
    assert verdict(both, yes("b>a", "a", "c")).state == "approved"


def test_a_persons_own_vote_goes_before_one_cast_for_it() -> None:
    patient = rule(line(1, "a b"), line(1, "c"), reject_when="impossible")
    assert filled(patient, [*no("d>a"), *yes("a")]) == [("a",), ()]
    assert verdict(rule(line(1, "a"), line(1, "c"), reject_when="impossible"), [*no("d>a"), *yes("a")]).state == "open"
    assert filled(patient, [*yes("d>a"), *no("a")]) == [(), ()]
    assert filled(patient, [*yes("d>a"), *no("e>a")]) == [(), ()]


# --- defects of other systems ---


def test_peer_09_the_same_human_is_not_counted_twice() -> None:
    """Twice through two groups, two lines, two votes, or as itself and as a delegate."""
    groups = rule(line(1, "a b"), line(1, "a c"), line(1, "a d"))
    for votes in (yes("a"), yes("a", "a", "a"), yes("a", "a>b", "a>c"), yes("a>b", "a>c", "a>d")):
        found = verdict(groups, votes)
        assert sum(len(each.filled_by) for each in found.lines) == 1
        assert found.state == "open"


def test_peer_10_distinct_people_who_are_not_entitled_form_no_quorum() -> None:
    three = rule(line(3, "a b c"))
    assert verdict(three, yes("x", "y", "z")).state == "open"
    assert verdict(three, yes("a", "b", "z")).state == "open"
    assert verdict(three, yes("x>a", "y>b", "z>q")).state == "open"
    # Entitlement is asked again at the verdict: c was removed from the group after voting.
    assert verdict(rule(line(3, "a b d")), yes("a", "b", "c")).state == "open"


# --- properties, against trying everything ---

PEOPLE = "abcdefgh"
EXAMPLES = int(os.environ.get("RELORCH_PROPERTY_EXAMPLES", "60"))


@cache
def reachable(lines: tuple[Line, ...], people: tuple[str, ...]) -> frozenset[tuple[int, ...]]:
    """Every way in which people can fill lines, as numbers per line: each person tries every line and none."""
    counts = {tuple(0 for _ in lines)}
    for person in people:
        counts |= {
            (*found[:number], found[number] + 1, *found[number + 1 :])
            for found in counts
            for number, each in enumerate(lines)
            if person in each.of and found[number] < each.count
        }
    return frozenset(counts)


def most(lines: tuple[Line, ...], people: set[str]) -> int:
    return max((sum(found) for found in reachable(lines, tuple(sorted(people)))), default=0)


def meets(lines: tuple[Line, ...], people: set[str]) -> bool:
    return bool(lines) and tuple(each.count for each in lines) in reachable(lines, tuple(sorted(people)))


def asked_lines(the_rule: Rule, approvers: set[str]) -> int:
    if the_rule.order == "any":
        return len(the_rule.lines)
    return next((n + 1 for n in range(len(the_rule.lines)) if not meets(the_rule.lines[: n + 1], approvers)), len(the_rule.lines))


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    people = st.frozensets(st.sampled_from(PEOPLE), min_size=0, max_size=6)
    lines = draw(st.lists(st.builds(Line, st.integers(1, 3), people), min_size=1, max_size=4))
    return Rule(
        tuple(lines),
        draw(st.sampled_from(["any", "sequential"])),
        draw(st.sampled_from(["any", "impossible"])),
        draw(st.frozensets(st.sampled_from(PEOPLE), max_size=2)),
    )


own_votes = st.lists(
    st.builds(Vote, st.sampled_from(PEOPLE), st.booleans() | st.just(True), st.none(), st.just(False)), unique_by=lambda vote: vote.person, max_size=8
)
any_votes = st.lists(st.builds(Vote, st.sampled_from(PEOPLE), st.booleans() | st.just(True), st.none() | st.sampled_from(PEOPLE), st.booleans()), max_size=10)


@settings(max_examples=EXAMPLES, deadline=None)
@given(rules(), own_votes)
def test_verdict_is_what_trying_everything_finds(the_rule: Rule, votes: list[Vote]) -> None:
    there = {person for each in the_rule.lines for person in each.of} - the_rule.excluded
    approvers = {vote.person for vote in votes if vote.approve} & there
    asked = asked_lines(the_rule, approvers)
    heard = {person for each in the_rule.lines[:asked] for person in each.of}
    against = {vote.person for vote in votes if not vote.approve} & there
    if against and the_rule.reject_when == "any":
        expected = "rejected"
    elif meets(the_rule.lines, approvers):
        expected = "approved"
    elif not meets(the_rule.lines, there):
        expected = "impossible"
    else:
        expected = "open" if meets(the_rule.lines, there - against) else "rejected"
    found = verdict(the_rule, votes)
    assert found.state == expected
    assert [each.asked for each in found.lines] == [number < asked for number in range(len(the_rule.lines))]
    assert sum(len(each.filled_by) for each in found.lines) == most(the_rule.lines[:asked], approvers)
    counts = tuple(len(each.filled_by) for each in found.lines)[:asked]
    idle = there - {vote.person for vote in votes}
    for number in range(asked):
        one_more = (*counts[:number], counts[number] + 1, *counts[number + 1 :])
        able = {person for person in idle if one_more in reachable(the_rule.lines[:asked], tuple(sorted({*approvers, person})))}
        assert found.lines[number].can_fill == able
    for person in PEOPLE:
        expected_answer = (
            "not_entitled"
            if not any(person in each.of for each in the_rule.lines)
            else "excluded"
            if person in the_rule.excluded
            else "yes"
            if person in heard
            else "not_yet_asked"
        )
        assert may_decide(the_rule, votes, person) == expected_answer


@settings(max_examples=EXAMPLES, deadline=None)
@given(rules(), any_votes)
def test_every_place_is_filled_by_another_human_through_another_entitlement(the_rule: Rule, votes: list[Vote]) -> None:
    """S14, S19, whatever is voted: what fills places is a set of humans, each with a live approval that fits the line, no entitlement twice."""
    found = verdict(the_rule, votes)
    seated = [(number, person) for number, each in enumerate(found.lines) for person in each.filled_by]
    assert len({person for _, person in seated}) == len(seated)
    last = {vote.person: vote for vote in votes if not vote.stale}
    entitlements = [last[person].entitlement for _, person in seated]
    assert len(set(entitlements)) == len(entitlements)
    for (number, person), through in zip(seated, entitlements, strict=True):
        assert last[person].approve
        assert through in the_rule.lines[number].of
        assert the_rule.excluded.isdisjoint((person, through))
        assert found.lines[number].asked
    if found.state == "approved":
        assert all(each.filled for each in found.lines)
    if found.state in ("approved", "open"):
        assert satisfiable(the_rule)


@settings(max_examples=EXAMPLES, deadline=None)
@given(rules(), st.permutations(PEOPLE))
def test_a_vote_that_has_a_place_keeps_one(the_rule: Rule, order: list[str]) -> None:
    before: set[str] = set()
    for number in range(len(order) + 1):
        now = {person for each in verdict(the_rule, yes(*order[:number])).lines for person in each.filled_by}
        assert before <= now
        before = now


@settings(max_examples=EXAMPLES, deadline=None)
@given(rules())
def test_satisfiable_and_absences_are_what_trying_everything_finds(the_rule: Rule) -> None:
    there = {person for each in the_rule.lines for person in each.of} - the_rule.excluded
    assert satisfiable(the_rule) == meets(the_rule.lines, there)
    expected = {person for person in there if not meets(the_rule.lines, there - {person})} if satisfiable(the_rule) else set()
    assert weakest_absences(the_rule) == expected


def test_every_subset_of_eight_people_against_trying_everything() -> None:
    """All 256 sets of approvers of one rule with three overlapping lines."""
    overlapping = rule(line(2, "a b c d"), line(2, "c d e f"), line(1, "f g h a"))
    for size in range(9):
        for people in itertools.combinations(PEOPLE, size):
            found = verdict(overlapping, yes(*people))
            assert (found.state == "approved") == meets(overlapping.lines, set(people))


def test_large_groups_are_quick() -> None:
    """A group of 5,000 people and a line that cannot be filled: no search that grows with the square of it."""
    crowd = frozenset(f"p{number}" for number in range(5_000))
    large = rule(Line(20, crowd), Line(3, frozenset({"p1", "p2", "p3"})), Line(1, frozenset({"p3"})))
    assert not satisfiable(large)
    assert satisfiable(rule(Line(20, crowd), Line(3, crowd)))
    assert weakest_absences(rule(Line(20, crowd), Line(2, frozenset({"p1", "p2"})))) == {"p1", "p2"}
