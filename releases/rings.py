"""Rings of those who wait for locks (S9a), found before they close. Pure.

Who asks waits for the holder of the name and for everybody who asked before. A holder in turn waits for every request that must be granted before
its phase or activity can close: those inside it, in children below it, and in what its activities depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ticket:
    """A holder of a name or one who waits for it. `path` leads up: (release, the activities there that cannot go on without it), own release first."""

    id: int
    name: str
    holds: bool
    place: int
    path: tuple[tuple[int, frozenset[str]], ...]
    needs: frozenset[str]
    """Activities of its release that are closed before its phase or activity can be."""


def holds_up(waiting: Ticket, owner: Ticket) -> bool:
    """Whether the owner's phase or activity cannot close before this request is granted."""
    release = owner.path[0][0]
    return any(here == release and not keys.isdisjoint(owner.needs) for here, keys in waiting.path)


def ring(asking: Ticket, others: Iterable[Ticket]) -> list[Ticket]:
    """The ring that this request would close, beginning with it; empty when there is none."""
    known = [asking, *others]
    by_name: dict[str, list[Ticket]] = {}
    for ticket in known:
        by_name.setdefault(ticket.name, []).append(ticket)
    waiting = [ticket for ticket in known if not ticket.holds]

    def next_of(ticket: Ticket) -> list[Ticket]:
        found = [] if ticket.holds else [other for other in by_name[ticket.name] if other.id != ticket.id and (other.holds or other.place < ticket.place)]
        return found + [other for other in waiting if other.id != ticket.id and holds_up(other, ticket)]

    return _way_back(asking, next_of)


def _way_back(start: Ticket, next_of: Callable[[Ticket], Sequence[Ticket]]) -> list[Ticket]:
    """The shortest way from the start to itself."""
    came_from: dict[int, tuple[Ticket, Ticket | None]] = {start.id: (start, None)}
    left = [start]
    for ticket in left:
        for other in next_of(ticket):
            if other.id == start.id:
                return _path(ticket, came_from)
            if other.id not in came_from:
                came_from[other.id] = other, ticket
                left.append(other)
    return []


def _path(last: Ticket, came_from: Mapping[int, tuple[Ticket, Ticket | None]]) -> list[Ticket]:
    path: list[Ticket] = []
    at: Ticket | None = last
    while at is not None:
        path.insert(0, at)
        at = came_from[at.id][1]
    return path
