"""What is folded so that 300 activities stay readable (design, section 7). What runs, waits or failed is never folded away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from releases.graph.ordering import Parents, reduced, twins
from releases.graph.parts import FINISHED_PHASE, GraphActivity, GraphPhase
from releases.states import BAD, Run

EVERYTHING = "*"
"""The value of `?open=` that folds nothing; after it `-<phase>` folds that one all the same."""
BUT = "-"

FOLD_OVER = 12  # activities of a phase
SHOW = 8  # rows kept open when a phase folds its steps
WORTH_HIDING = 3
MANY_PHASES = 8
AHEAD = 2  # ranks

FINISHED, LATER = "+finished", "+later"  # no id of an activity looks like this
_DECIDE = frozenset({Run.ON_HOLD, Run.INTERRUPTED, "waiting_you"})
_FOLDS = frozenset({Run.SUCCEEDED, Run.SKIPPED, Run.IGNORED, Run.ABORTED})
_TO_COME = frozenset({"", Run.PENDING, Run.QUEUED})


def opened_from(text: str) -> frozenset[str]:
    """The phases named in `?open=`; names nobody knows do no harm."""
    return frozenset(name for name in (part.strip() for part in text.split(",")) if name)


def foldable_phases(phases: Sequence[GraphPhase], rank: Mapping[str, int]) -> frozenset[str]:
    """Finished phases, and in a release of many phases those far ahead. A blueprint has no states, so none of its phases fold."""
    found = {phase.id for phase in phases if phase.state in FINISHED_PHASE}
    pending = [phase.id for phase in phases if phase.state == Run.PENDING]
    if len(phases) > MANY_PHASES and pending:
        active = [rank[phase.id] for phase in phases if phase.state and phase.state != Run.PENDING and phase.state not in FINISHED_PHASE]
        front = max(active) if active else min(rank[key] for key in pending)
        found |= {key for key in pending if rank[key] > front + AHEAD}
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Steps:
    """What is drawn of a phase: nodes with their parents, and of those that stand for several activities the label and the state."""

    parents: Parents
    several: dict[str, tuple[str, str]] = field(default_factory=dict)
    is_cut: bool = False
    """There were more than a picture can hold: opening it would not show them."""

    @property
    def rows(self) -> int:
        """Activities that have a row of their own."""
        return len(self.parents) - len(self.several)

    def boxes(self) -> list[tuple[list[str], list[int]]]:
        """The boxes in their order, each with the indexes of the boxes before it."""
        return twins(self.parents, first=FINISHED, last=LATER)


def fold_steps(activities: Mapping[str, GraphActivity], parents: Parents, keep: Set[str] = frozenset(), *, folds: bool = True, most: int = 0) -> Steps:
    """A big phase with its finished steps in one row and its far future in another; `keep` stay. `parents` are those inside the phase, in topological order.

    Without `folds` every step has a row; with `most` only so many have, the most urgent, and one row stands for the others.
    """
    finished = {key for key in parents if folds and activities[key].state in _FOLDS and key not in keep}
    rest = [key for key in parents if key not in finished]
    later = _later(activities, parents, rest, keep) if folds else frozenset()
    shown = [key for key in rest if key not in later]
    is_cut = 0 < most < len(shown)
    if is_cut:
        later |= {*sorted(shown, key=lambda key: (key not in keep, _urgency(activities[key])))[most:]}
    nodes: Parents = {FINISHED: ()} if finished else {}
    for key in rest:
        if key not in later:
            nodes[key] = _mapped(parents[key], finished, later)
    if later:
        seen = dict.fromkeys(name for key in parents if key in later for name in _mapped(parents[key], finished, later))
        nodes[LATER] = tuple(seen)
    several = {}
    if finished:
        states = [activities[key].state for key in parents if key in finished]
        word = "closed" if Run.ABORTED in states else "finished"
        several[FINISHED] = (f"{len(finished):,} {word}", Run.SUCCEEDED.value if Run.SUCCEEDED in states else states[0])
    if later:
        kinds = {activities[key].state for key in later}
        several[LATER] = (f"{len(later):,} more not started", Run.PENDING.value) if any(kinds) and kinds <= _TO_COME else (f"{len(later):,} more", "")
    return Steps(reduced(nodes), several, is_cut)


def fair_share(sizes: Sequence[int], most: int) -> int:
    """How many rows each may have so that together there are at most so many: who needs less leaves the rest to the others. At least one; 0: no limit."""
    if not most or sum(sizes) <= most:
        return 0
    left, waiting = most, sorted(sizes)
    while waiting and waiting[0] * len(waiting) <= left:
        left -= waiting.pop(0)
    return max(1, left // len(waiting))


def _urgency(activity: GraphActivity) -> int:
    """What a person looks for first: what needs a decision, what failed, what moves, what comes, what is over."""
    if activity.state in _DECIDE:
        return 0
    if activity.state in BAD:
        return 1
    return 4 if activity.state in _FOLDS else 3 if activity.state in _TO_COME else 2


def _later(activities: Mapping[str, GraphActivity], parents: Parents, rest: list[str], keep: Set[str]) -> frozenset[str]:
    if len(rest) <= SHOW:
        return frozenset()
    inside = set(rest)
    order = [key for keys, _ in twins({key: tuple(name for name in parents[key] if name in inside) for key in rest}) for key in keys]
    to_come = [key for key in order if activities[key].state in _TO_COME and key not in keep]
    hidden = to_come[max(0, SHOW - (len(order) - len(to_come))) :]
    return frozenset(hidden) if len(hidden) >= WORTH_HIDING else frozenset()


def _mapped(names: tuple[str, ...], finished: set[str], later: Set[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(FINISHED if name in finished else name for name in names if name not in later))
