"""Who waits for whom: dependencies, circles, what never runs; and what is upstream of what (S3 to S7). Pure.

The graph has a node for every activity and for every phase's opening and closing. It is walked without recursion and in linear time; what is
upstream of a node is one integer with a bit for every other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from processes.blueprint import RunWhen
from processes.problems import did_you_mean
from processes.soundness.checking import Check, Place

LONGEST_PATH = 12
"""Of the nodes of a circle that a message names."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """What is over before a node is decided, as bits: activity number `n` is bit n, the closing of phase number `p` bit `closed + p`."""

    of_steps: list[int]
    of_phases: list[int]
    inside_phases: list[int]
    closed: int


def check(c: Check) -> Upstream:
    """Say what is wrong with the order, and what is upstream of what. Items in or behind a circle count everything as upstream: one problem is enough."""
    _shape(c)
    graph = _Graph(c)
    order = graph.order()
    if len(order) < len(graph.before):
        _circles(c, graph, set(range(len(graph.before))) - set(order))
    _run_when(c)
    return graph.upstream(order)


def _shape(c: Check) -> None:
    phases = c.blueprint.phases
    if not phases:
        c.say("no_phases", "A process has at least one phase.", ("phases",))
    seen: dict[str, Place] = {}
    for index, phase in enumerate(phases):
        if c.phases[phase.id] != index:
            c.say("duplicate_id", f'The phase "{phase.id}" is there twice.', ("phases", index, "id"))
        if not phase.activities:
            c.say("empty_phase", f'The phase "{phase.id}" has no activities.', ("phases", index))
        for position, other in enumerate(phase.depends_on):
            place: Place = ("phases", index, "depends_on", position)
            if other not in c.phases:
                is_step = f' "{other}" is an activity; a phase depends on phases.' if other in c.by_id else did_you_mean(other, c.phases)
                c.say("unknown_dependency", f'There is no phase "{other}".{is_step}', place)
            elif other in phase.depends_on[:position]:
                c.say("duplicate_dependency", f'"{other}" is named twice.', place, warning=True)
    for step in c.steps:
        activity = step.activity
        if activity.id in seen:
            c.say("duplicate_id", f'The activity "{activity.id}" is there twice.', (*step.place, "id"))
        seen[activity.id] = step.place
        for position, other in enumerate(activity.depends_on):
            place = (*step.place, "depends_on", position)
            if other not in c.by_id:
                is_phase = f' "{other}" is a phase; an activity depends on activities.' if other in c.phases else did_you_mean(other, c.by_id)
                c.say("unknown_dependency", f'There is no activity "{other}".{is_phase}', place)
            elif other in activity.depends_on[:position]:
                c.say("duplicate_dependency", f'"{other}" is named twice.', place, warning=True)
    first = [index for index, phase in enumerate(phases) if not phase.depends_on]
    if len(first) > 1:
        names = ", ".join(f'"{phases[index].id}"' for index in first[:20])
        c.say(
            "phases_start_together",
            f"The phases {names} depend on nothing and start together. Say depends_on where that is not meant.",
            ("phases", first[1]),
            warning=True,
        )


def _run_when(c: Check) -> None:
    for index, phase in enumerate(c.blueprint.phases):
        if phase.run_when is RunWhen.FAILED and not phase.depends_on:
            message = f'The phase "{phase.id}" never runs: it runs when something that it depends on has failed, and depends on nothing.'
            c.say("never_runs", message, ("phases", index, "run_when"))
    for step in c.steps:
        activity = step.whole or step.activity
        if activity.run_when is RunWhen.FAILED and not activity.depends_on:
            message = (
                f'The activity "{activity.id}" never runs: it runs when an activity that it depends on has failed, and depends on none. '
                "Say depends_on, or put run_when on its phase."
            )
            c.say("never_runs", message, (*step.place, "run_when"))
        if activity.recovers and activity.run_when is RunWhen.SATISFIED and c.phase_of(step).run_when is RunWhen.SATISFIED:
            message = f'"{activity.id}" runs only when nothing has failed, so there is nothing that it could answer. Say run_when: failed.'
            c.say("recovers_nothing", message, (*step.place, "recovers"), warning=True)


class _Graph:
    def __init__(self, c: Check) -> None:
        self.c = c
        self.closed = len(c.steps)
        self.opened = self.closed + len(c.blueprint.phases)
        self.before: list[list[int]] = [[] for _ in range(self.opened + len(c.blueprint.phases))]
        for index, phase in enumerate(c.blueprint.phases):
            self.before[self.opened + index] = [self.closed + c.phases[other] for other in dict.fromkeys(phase.depends_on) if other in c.phases]
            self.before[self.closed + index] = [self.opened + index]
        for step in c.steps:
            others = [c.by_id[other].number for other in dict.fromkeys(step.activity.depends_on) if other in c.by_id]
            self.before[step.number] = [self.opened + step.phase, *others]
            self.before[self.closed + step.phase].append(step.number)

    def order(self) -> list[int]:
        """The nodes, each after those that it waits for; without those in a circle and behind one."""
        waits = [len(others) for others in self.before]
        after: list[list[int]] = [[] for _ in self.before]
        for node, others in enumerate(self.before):
            for other in others:
                after[other].append(node)
        ready = [node for node, count in enumerate(waits) if not count]
        for node in ready:
            for other in after[node]:
                waits[other] -= 1
                if not waits[other]:
                    ready.append(other)
        return ready

    def upstream(self, order: list[int]) -> Upstream:
        masks = [-1] * len(self.before)
        for node in order:
            mask = 0
            for other in self.before[node]:
                mask |= masks[other]
                if other < self.opened:
                    mask |= 1 << other
            masks[node] = mask
        return Upstream(masks[: self.closed], masks[self.opened :], masks[self.closed : self.opened], self.closed)

    def circles(self, nodes: set[int]) -> list[list[int]]:
        """The strongly connected parts with a circle among `nodes` (Tarjan, without recursion)."""
        found: list[list[int]] = []
        index: dict[int, int] = {}
        low: dict[int, int] = {}
        stack: list[int] = []
        on_stack: set[int] = set()
        for first in sorted(nodes):
            if first in index:
                continue
            path: list[tuple[int, int]] = [(first, 0)]
            while path:
                node, at = path.pop()
                if at == 0:
                    index[node] = low[node] = len(index)
                    stack.append(node)
                    on_stack.add(node)
                others = self.before[node]
                while at < len(others):
                    other = others[at]
                    at += 1
                    if other in nodes and other not in index:
                        path += [(node, at), (other, 0)]
                        break
                    if other in on_stack:
                        low[node] = min(low[node], index[other])
                else:
                    if path:
                        low[path[-1][0]] = min(low[path[-1][0]], low[node])
                    if low[node] == index[node]:
                        part = []
                        while True:
                            member = stack.pop()
                            on_stack.discard(member)
                            part.append(member)
                            if member == node:
                                break
                        if len(part) > 1 or node in self.before[node]:
                            found.append(sorted(part))
        return found

    def path(self, part: list[int]) -> list[int]:
        """A shortest way round from the first node of a connected part, ending where it began."""
        inside = set(part)
        first = part[0]
        came: dict[int, int] = {}
        queue = deque([first])
        while queue:
            node = queue.popleft()
            for other in self.before[node]:
                if other == first:
                    way = [first, node]
                    while way[-1] != first:
                        way.append(came[way[-1]])
                    return list(reversed(way))
                if other in inside and other not in came:
                    came[other] = node
                    queue.append(other)
        raise AssertionError("a connected part has a way round")

    def name(self, node: int) -> str:
        """What people call a node."""
        if node < self.closed:
            return self.c.steps[node].activity.id
        if node < self.opened:
            return f"end of phase {self.c.blueprint.phases[node - self.closed].id}"
        return f"start of phase {self.c.blueprint.phases[node - self.opened].id}"

    def edge(self, node: int, other: int) -> Place | None:
        """Where the document says that `node` waits for `other`; None when that follows from the phases."""
        if node < self.closed and other < self.closed:
            step = self.c.steps[node]
            return (*step.place, "depends_on", step.activity.depends_on.index(self.c.steps[other].activity.id))
        if node >= self.opened:
            index = node - self.opened
            phase = self.c.blueprint.phases[index]
            return ("phases", index, "depends_on", phase.depends_on.index(self.c.blueprint.phases[other - self.closed].id))
        return None


def _circles(c: Check, graph: _Graph, nodes: set[int]) -> None:
    for part in graph.circles(nodes):
        path = graph.path(part)
        places = [place for node, other in pairwise(path) if (place := graph.edge(node, other))]
        names = [graph.name(node) for node in path]
        if len(names) > LONGEST_PATH:
            names = [*names[: LONGEST_PATH - 2], f"… {len(names) - LONGEST_PATH + 1} more …", names[-1]]
        c.say("circle", f"These wait for each other in a circle: {' → '.join(names)}.", min(places, key=_by_number))


def _by_number(place: Place) -> tuple[int, ...]:
    return tuple(part for part in place if isinstance(part, int))
