"""The order of a graph's nodes: acyclic, without redundant edges, twins together, chains unbroken.

A draft that is not sound is drawn too, so circles and unknown names are left out here instead of refused.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

Parents: TypeAlias = dict[str, tuple[str, ...]]


def acyclic(ids: Sequence[str], firm: Mapping[str, Iterable[str]], loose: Mapping[str, Iterable[str]] | None = None) -> Parents:
    """Parents of each id in topological order (the dictionary's), without unknown names and without what closes a circle; loose edges give way first."""
    place = {key: index for index, key in enumerate(ids)}
    hard = {key: _known(firm.get(key, ()), key, place) for key in ids}
    soft = {key: _known((loose or {}).get(key, ()), key, place) - hard[key] for key in ids}
    unmet = {key: len(hard[key]) + len(soft[key]) for key in ids}
    children: dict[str, list[str]] = {key: [] for key in ids}
    for key in ids:
        for parent in hard[key] | soft[key]:
            children[parent].append(key)
    ready = [place[key] for key in ids if not unmet[key]]
    found: Parents = {}
    while len(found) < len(ids):
        if not ready:
            stuck = [key for key in ids if key not in found]
            key = next((key for key in stuck if hard[key] <= found.keys()), stuck[0])
            ready.append(place[key])
        key = ids[heapq.heappop(ready)]
        found[key] = tuple(sorted((hard[key] | soft[key]) & found.keys(), key=place.__getitem__))
        for child in children[key]:
            unmet[child] -= 1
            if not unmet[child] and child not in found:
                heapq.heappush(ready, place[child])
    return found


def _known(names: Iterable[str], own: str, place: Mapping[str, int]) -> set[str]:
    return {name for name in names if name in place and name != own}


def reduced(parents: Parents) -> Parents:
    """Without the edges that others imply (a -> c beside a -> b -> c); the same order."""
    place = {key: index for index, key in enumerate(parents)}
    above: dict[str, int] = {}  # ancestors as bits
    result: Parents = {}
    for key, mine in parents.items():
        implied = 0
        for parent in mine:
            implied |= above[parent]
        above[key] = implied
        for parent in mine:
            above[key] |= 1 << place[parent]
        result[key] = tuple(parent for parent in mine if not implied >> place[parent] & 1)
    return result


def ranks(parents: Parents) -> dict[str, int]:
    """How many steps each node is from a start, by the longest way."""
    result: dict[str, int] = {}
    for key, mine in parents.items():
        result[key] = 1 + max((result[parent] for parent in mine), default=-1)
    return result


def twins(parents: Parents, first: str = "", last: str = "") -> list[tuple[list[str], list[int]]]:
    """Groups of nodes with the same parents and children, and the groups before each by index, in an order in which a group is followed by its child
    with the longest chain still to come, wherever there is one. `first` and `last` share with nobody and stand where their names say."""
    children: dict[str, list[str]] = {key: [] for key in parents}
    for key, mine in parents.items():
        for parent in mine:
            children[parent].append(key)
    length: dict[str, int] = {}
    for key in reversed(parents):
        length[key] = 1 + max((length[child] for child in children[key]), default=0)
    groups: dict[object, list[str]] = {}
    for key, mine in parents.items():
        groups.setdefault((key if key in (first, last) else "", mine, tuple(children[key])), []).append(key)
    members = list(groups.values())
    group_of = {key: index for index, keys in enumerate(members) for key in keys}
    before = [sorted({group_of[parent] for parent in parents[keys[0]]}) for keys in members]
    urgency = [({first: 0, last: 2}.get(keys[0], 1), -length[keys[0]], index) for index, keys in enumerate(members)]
    position = {index: place for place, index in enumerate(_follow_chains(before, urgency))}
    return [(members[index], sorted(position[earlier] for earlier in before[index])) for index in position]


def _follow_chains(before: list[list[int]], urgency: list[tuple[int, int, int]]) -> list[int]:
    after: list[list[int]] = [[] for _ in before]
    for index, earlier in enumerate(before):
        for other in earlier:
            after[other].append(index)
    unmet = [len(earlier) for earlier in before]
    waiting = [urgency[index] for index, count in enumerate(unmet) if not count]
    heapq.heapify(waiting)
    order: dict[int, None] = {}
    while waiting:
        current = heapq.heappop(waiting)
        while current[2] not in order:
            order[current[2]] = None
            freed = []
            for child in after[current[2]]:
                unmet[child] -= 1
                if not unmet[child]:
                    heapq.heappush(waiting, urgency[child])
                    freed.append(urgency[child])
            current = min((child for child in freed if child[0] < 2), default=current)
    return list(order)
