"""Rings of waiters (S9a), held to a simulation: who is in a ring can never go on, who is in none can."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from releases.rings import Ticket, holds_up, ring


def held(number: int, name: str, release: int, *needs: str) -> Ticket:
    return Ticket(number, name, True, number, ((release, frozenset(needs)),), frozenset(needs))


def asks(number: int, name: str, release: int, key: str, *needs: str) -> Ticket:
    return Ticket(number, name, False, number, ((release, frozenset({key})),), frozenset({key, *needs}))


def test_two_that_wait_for_each_other() -> None:
    a, b = held(1, "eu", 1, "x", "y"), held(2, "us", 2, "x", "y")
    waits = asks(3, "us", 1, "y")
    assert [ticket.id for ticket in ring(asks(4, "eu", 2, "y"), [a, b, waits])] == [4, 1, 3, 2]


def test_a_holder_that_does_not_need_the_request_is_no_part_of_a_ring() -> None:
    a, b = held(1, "eu", 1, "x"), held(2, "us", 2, "x")
    waits = asks(3, "us", 1, "y")
    assert ring(asks(4, "eu", 2, "y"), [a, b, waits]) == []


def test_who_came_before_is_waited_for_too() -> None:
    """3 asked for eu first and needs, in the end, what 5 holds up."""
    holder = held(1, "eu", 1, "x")
    outer = held(2, "us", 2, "x", "y")
    earlier = Ticket(3, "eu", False, 3, ((3, frozenset({"p"})),), frozenset({"p", "q"}))
    inside = asks(4, "us", 3, "q")
    assert [ticket.id for ticket in ring(asks(5, "eu", 2, "y"), [holder, outer, earlier, inside])] == [5, 3, 4, 2]
    assert ring(asks(2, "eu", 2, "y"), [holder, outer, inside]) == []


def test_a_child_holds_up_what_is_around_it() -> None:
    outer = held(1, "eu", 1, "roll_out")
    deep = Ticket(2, "us", False, 2, ((7, frozenset({"deep"})), (1, frozenset({"roll_out"}))), frozenset({"deep"}))
    assert holds_up(deep, outer)
    assert not holds_up(Ticket(2, "us", False, 2, ((7, frozenset({"deep"})), (1, frozenset({"other"}))), frozenset()), outer)


def test_two_that_are_granted_together_need_no_order() -> None:
    """Each must be granted before the other's phase closes; both are, once the first release is over."""
    first = [held(1, "eu", 1, "x"), held(2, "us", 1, "x")]
    eu = Ticket(3, "eu", False, 3, ((2, frozenset({"y"})),), frozenset({"x"}))
    us = Ticket(4, "us", False, 4, ((2, frozenset({"x"})),), frozenset({"y"}))
    assert ring(us, [*first, eu]) == []


_TICKETS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.sets(st.sampled_from("xyz"), min_size=1), st.sampled_from("xyz")), max_size=7)


@given(_TICKETS)
def test_it_stands_still_for_ever_exactly_if_there_is_a_ring(drawn: list[tuple[str, int, set[str], str]]) -> None:
    known: list[Ticket] = []
    for number, (name, release, needs, key) in enumerate(drawn):
        holds = all(ticket.name != name for ticket in known)
        known.append(Ticket(number, name, holds, number, ((release, frozenset({key})),), frozenset(needs)))
    left = list(known)
    stuck = False
    while left and not stuck:
        granted = [t for t in left if t.place == min(other.place for other in left if other.name == t.name)]
        over = [t for t in granted if not any(other not in granted and holds_up(other, t) for other in left)]
        stuck = not over
        left = [t for t in left if t not in over]
    assert stuck == any(ring(t, [other for other in known if other.id != t.id]) for t in known)
