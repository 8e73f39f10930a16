"""Rings of those who wait for locks (S9a), found before they close. Pure.

Two things happen to each ticket, and they are not the same: it is granted, and later what it is for closes. A grant waits until the holder of the name
and everybody who asked before has closed. A close waits for its own grant, and for the grant (not the close) of every request without which its phase
or activity cannot close: those inside it, in children below it, and in what its activities depend on.
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


_Event = tuple[Ticket, bool]
"""A ticket, and whether it closes (else: is granted)."""


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

    def next_of(event: _Event) -> list[_Event]:
        ticket, closes = event
        if closes:
            return [(other, False) for other in waiting if other.id == ticket.id or holds_up(other, ticket)]
        return [(other, True) for other in by_name[ticket.name] if other.id != ticket.id and (other.holds or other.place < ticket.place)]

    return [] if asking.holds else _way_back((asking, False), next_of)


def _way_back(start: _Event, next_of: Callable[[_Event], Sequence[_Event]]) -> list[Ticket]:
    """The tickets on the shortest way from the start to itself, each once."""
    came_from: dict[tuple[int, bool], tuple[_Event, _Event | None]] = {_key(start): (start, None)}
    left = [start]
    for event in left:
        for other in next_of(event):
            if _key(other) == _key(start):
                return _path(event, came_from)
            if _key(other) not in came_from:
                came_from[_key(other)] = other, event
                left.append(other)
    return []


def _key(event: _Event) -> tuple[int, bool]:
    return event[0].id, event[1]


def _path(last: _Event, came_from: Mapping[tuple[int, bool], tuple[_Event, _Event | None]]) -> list[Ticket]:
    path: list[Ticket] = []
    at: _Event | None = last
    while at is not None:
        if not path or path[0].id != at[0].id:  # its close, then its grant: one ticket
            path.insert(0, at[0])
        at = came_from[_key(at)][1]
    return path
