"""What starting again from a phase takes along, and where it can begin (semantics, section 4). Pure.

The graph is that of S4: a node for every activity and for every phase's opening and closing. What is reached from the opening of the phase is done
afresh; nothing else can have been influenced by it, except by `fail_fast`, whose cause is met outside the edges too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from releases.scheduler import Flow


@dataclass(frozen=True, slots=True)
class Afresh:
    """Activities that run again; phases that are decided again (with all their activities); phases that only close again."""

    steps: frozenset[str]
    decided: frozenset[str]
    closed: frozenset[str]


def afresh(flow: Flow, phase: str, met: Mapping[str, Collection[str]] | None = None, met_by_phases: Mapping[str, Collection[str]] | None = None) -> Afresh:
    """Everything that depends on the phase through any edge.

    `met` and `met_by_phases`: the causes for which an activity or phase did not run. One whose cause is done afresh is too (S8, S11).
    """
    steps: set[str] = set()
    decided: set[str] = set()
    closed: set[str] = set()
    todo: list[tuple[str, str]] = [("open", phase)]
    while todo:
        kind, key = todo.pop()
        found = {"open": decided, "step": steps, "close": closed}[kind]
        if key in found:
            continue
        found.add(key)
        if kind == "open":
            todo += [("step", step.id) for step in flow.phases[key].activities]
        elif kind == "close":
            todo += [("open", later) for later in flow.next_phases[key]]
        else:
            todo += [("step", later) for later in flow.next_steps[key]]
            todo.append(("close", flow.phase_of[key]))
            todo += [("step", other) for other, causes in (met or {}).items() if key in causes]
            todo += [("open", other) for other, causes in (met_by_phases or {}).items() if key in causes]
    return Afresh(frozenset(steps), frozenset(decided), frozenset(closed - decided))


def earliest(flow: Flow, phase: str, unsatisfied: Collection[str], possible: Callable[[str], bool]) -> str:
    """The phase upstream of this one, by any edge, from which one can start again: the most upstream of those that are not satisfied."""
    upstream = {flow.phase_of[step] for step in flow.upstream_of_phase(phase)} - {phase}
    candidates = [key for key in flow.phases if key in upstream and key in unsatisfied and possible(key)]
    return min(candidates, key=lambda key: len(_before(flow, key)), default="")


def _before(flow: Flow, phase: str) -> frozenset[str]:
    """Every activity outside the phase that must be closed before the phase can close."""
    inside = {step.id for step in flow.phases[phase].activities}
    return flow.upstream_of(inside, flow.phases[phase].depends_on) - inside
