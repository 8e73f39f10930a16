"""Delegation (S19) against exhaustive search: chains, circles, and through whom a delegate votes, with up to eight people."""

from __future__ import annotations

from itertools import pairwise, permutations, product
from random import Random

import pytest

from processes.quorum import Line, Rule, Vote, best_entitlement, may_decide, verdict
from processes.standing_in import circle, stand_ins_of, stands_in_for

PEOPLE = tuple("abcdefgh")
Pairs = frozenset[tuple[str, str]]


def chains(pairs: Pairs, start: str, end: str) -> bool:
    """Whether some walk of one to three links leads from start to end: every one is tried."""
    return any(
        all(link in pairs for link in zip((start, *between), (*between, end), strict=True)) for length in range(3) for between in product(PEOPLE, repeat=length)
    )


def some_pairs(random: Random, links: int) -> Pairs:
    return frozenset(tuple(random.sample(PEOPLE, 2)) for _ in range(links))  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(12))
def test_chains_are_those_of_at_most_three_links(seed: int) -> None:
    random = Random(seed)
    pairs = some_pairs(random, random.randint(0, 12))
    for who in random.sample(PEOPLE, 3):
        assert stands_in_for(pairs, who) == {other for other in PEOPLE if other != who and chains(pairs, other, who)}
        assert stand_ins_of(pairs, [who]) == {other for other in PEOPLE if other != who and chains(pairs, who, other)}


def test_the_fourth_link_leads_nowhere() -> None:
    pairs = frozenset({("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")})
    assert stands_in_for(pairs, "d") == {"a", "b", "c"}
    assert stands_in_for(pairs, "e") == {"b", "c", "d"}


@pytest.mark.parametrize("seed", range(30))
def test_a_circle_is_found_when_there_is_one(seed: int) -> None:
    random = Random(seed)
    pairs = some_pairs(random, random.randint(0, 7))
    giver, receiver = random.sample(PEOPLE, 2)
    others = [one for one in PEOPLE if one not in (giver, receiver)]
    back = any(
        all(link in pairs for link in zip((receiver, *way), (*way, giver), strict=True))
        for length in range(len(others) + 1)
        for way in permutations(others, length)
    )
    found = circle(pairs, giver, receiver)
    assert bool(found) == back
    if found:
        assert found[:2] == (giver, receiver)
        assert found[-1] == giver
        assert all(link in pairs | {(giver, receiver)} for link in pairwise(found))


def scene(random: Random) -> tuple[Rule, list[Vote], Pairs]:
    lines = tuple(Line(random.randint(1, 3), frozenset(random.sample(PEOPLE, random.randint(1, 5)))) for _ in range(random.randint(1, 3)))
    rule = Rule(lines, order=random.choice(["any", "sequential"]), reject_when="impossible", excluded=frozenset(random.sample(PEOPLE, random.randint(0, 1))))
    pairs = some_pairs(random, random.randint(0, 8))
    votes: list[Vote] = []
    for person in random.sample(PEOPLE, random.randint(0, 5)):
        answer, through = best_entitlement(rule, votes, person, stands_in_for(pairs, person))
        if answer == "yes":
            votes.append(Vote(person, random.random() < 0.8, through))
    return rule, votes, pairs


def filled(rule: Rule, votes: list[Vote]) -> int:
    return sum(len(line.filled_by) for line in verdict(rule, votes).lines)


@pytest.mark.parametrize("seed", range(60))
def test_a_delegate_votes_through_whom_fills_most_places_and_a_human_fills_one(seed: int) -> None:
    rule, votes, pairs = scene(Random(seed))
    for person in PEOPLE:
        others = [vote for vote in votes if vote.person != person]
        taken = {vote.entitlement for vote in others}
        through = [None, *(p for p in PEOPLE if p != person and chains(pairs, p, person) and p not in taken)]
        may = [one for one in through if may_decide(rule, others, person, one) == "yes"]
        answer, chosen = best_entitlement(rule, votes, person, stands_in_for(pairs, person))
        assert (answer == "yes") == bool(may)
        if may:
            assert filled(rule, [*others, Vote(person, True, chosen)]) == max(filled(rule, [*others, Vote(person, True, one)]) for one in may)
    seats = [voter for line in verdict(rule, votes).lines for voter in line.filled_by]
    assert len(seats) == len(set(seats)), "one human, one place"
