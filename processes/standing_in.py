"""Who stands in for whom (S19). Pure: people and the delegations that hold now, as pairs (from, to), in; answers out.

A delegation goes on: what Ann gave to Bob and Bob to Cem, Cem may do for Ann. A chain ends after three links; circles are refused when they
are made, and harmless here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LONGEST_CHAIN = 3
Pairs = Iterable[tuple[str, str]]


def stands_in_for(pairs: Pairs, person: str) -> frozenset[str]:
    """Everybody whose delegations lead to this person."""
    return _reached(_grouped((b, a) for a, b in pairs), {person})


def stand_ins_of(pairs: Pairs, people: Iterable[str]) -> frozenset[str]:
    """Everybody to whom the delegations of these people lead."""
    return _reached(_grouped(pairs), set(people))


def circle(pairs: Pairs, giver: str, receiver: str) -> tuple[str, ...]:
    """The circle that a delegation from `giver` to `receiver` would close, as the people along it; empty if there is none."""
    after = _grouped(pairs)
    came: dict[str, str] = {receiver: giver}
    queue = [receiver]
    for one in queue:
        if one == giver:
            path = [giver]
            while len(path) == 1 or path[-1] != giver:
                path.append(came[path[-1]])
            return tuple(reversed(path))
        for further in sorted(after.get(one, ())):
            if further not in came:
                came[further] = one
                queue.append(further)
    return ()


def _grouped(pairs: Pairs) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for a, b in pairs:
        found.setdefault(a, set()).add(b)
    return found


def _reached(after: Mapping[str, set[str]], start: set[str]) -> frozenset[str]:
    found: set[str] = set()
    edge = set(start)
    for _ in range(LONGEST_CHAIN):
        edge = {further for one in edge for further in after.get(one, ())} - found - start
        found |= edge
    return frozenset(found)
