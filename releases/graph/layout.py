"""Where everything stands: phases in columns by rank, boxes under each other, then the edges between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from releases.graph import edges
from releases.graph.folding import BUT, EVERYTHING, FOLD_OVER, LATER, Steps, fair_share, fold_steps, foldable_phases
from releases.graph.ordering import Parents, acyclic, ranks, reduced
from releases.graph.parts import (
    ACTIVE,
    BODY,
    BORDER,
    DONE,
    FINISHED_PHASE,
    FOLDED,
    GAP,
    HEAD,
    LANE,
    LANES,
    LINK,
    ROW,
    SIDE,
    STACK,
    TOP,
    WAITING,
    WIDTHS,
    Box,
    Card,
    Column,
    Graph,
    GraphActivity,
    GraphPhase,
    Row,
)
from releases.states import Run

WIDE_NAME = 22  # characters from which a phase of a blueprint gets the wide column
NAMES = 3  # that "after …" says before it counts


def layout(phases: Sequence[GraphPhase], activities: Sequence[GraphActivity], *, opened: Set[str] = frozenset(), selected: str = "", most: int = 0) -> Graph:
    """The picture. `opened` names phases whose folds are open (or EVERYTHING), `selected` an activity that must be seen. Never refuses: circles are cut.

    With `most` no more activities have a row: the less urgent ones of the biggest phases share one, which leads to the phase's `all_url`.
    """
    work = _Work(phases, activities, opened, selected)
    steps = {phase.id: found for phase in phases if (found := work.steps(phase)) is not None}
    share = fair_share([found.rows for found in steps.values()], most)
    cut = {phase.id: work.steps(phase, share) for phase in phases if phase.id in steps and steps[phase.id].rows > share > 0}
    drawn = {phase.id: _drawn(cut.get(phase.id) or steps.get(phase.id)) for phase in phases}
    columns = _columns(work, drawn)
    cards = {card.phase.id: card for column in columns for card in column.cards}
    inner = [path for key, card in cards.items() for path in edges.inside(card, drawn[key].boxes, drawn[key].rails, work.done_boxes(drawn[key]))]
    return Graph(
        columns=columns,
        paths=(*edges.between(cards, work.parents, work.rank), *inner),
        width=columns[-1].x + columns[-1].width + SIDE if columns else 2 * SIDE,
        height=max((card.y + card.height for card in cards.values()), default=TOP) + TOP,
        blueprint=not any(phase.state for phase in phases),
        folds=any(card.folded or any(row.more for box in card.boxes for row in box.rows) for card in cards.values()),
        unfolds=bool(work.opened),
        activities=len(activities),
    )


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What is drawn of a phase, before it has a place. Without steps it is folded."""

    steps: Steps | None
    boxes: list[tuple[list[str], list[int]]]
    rails: dict[tuple[int, int], int]

    @property
    def lanes(self) -> int:
        return min(LANES, 1 + max(self.rails.values(), default=0))

    @property
    def height(self) -> float:
        if not self.boxes:
            return HEAD + 2 * BORDER
        rows = sum(len(keys) for keys, _ in self.boxes)
        return HEAD + 2 * BORDER + 2 * BODY + rows * ROW + len(self.boxes) * 2 * BORDER + (len(self.boxes) - 1) * LINK


def _drawn(steps: Steps | None) -> _Drawn:
    if steps is None:
        return _Drawn(None, [], {})
    boxes = steps.boxes()
    return _Drawn(steps, boxes, edges.rails([earlier for _, earlier in boxes]))


class _Work:
    """The given, looked up in the ways that the steps of the layout need."""

    def __init__(self, phases: Sequence[GraphPhase], activities: Sequence[GraphActivity], opened: Set[str], selected: str) -> None:
        self.phases = {phase.id: phase for phase in phases}
        self.activities = {activity.id: activity for activity in activities}
        self.inside: dict[str, dict[str, GraphActivity]] = {key: {} for key in self.phases}
        for activity in activities:
            if activity.phase in self.inside:
                self.inside[activity.phase][activity.id] = activity
        self.selected = selected
        self._parents: dict[str, Parents] = {}
        self.parents = reduced(acyclic(list(self.phases), {phase.id: phase.depends_on for phase in phases}, self._across()))
        self.rank = ranks(self.parents)
        self.finished_or_far = foldable_phases(phases, self.rank)
        self.foldable = {key for key, inner in self.inside.items() if key in self.finished_or_far or len(inner) > FOLD_OVER}
        self.switchable = [key for key, phase in self.phases.items() if key in self.foldable or phase.state == Run.PENDING]
        self.closed = frozenset(name[1:] for name in opened if name.startswith(BUT)) if EVERYTHING in opened else None
        self.opened = opened & frozenset(self.switchable) if self.closed is None else frozenset(self.switchable) - self.closed

    def _across(self) -> Mapping[str, Set[str]]:
        """Phases that come before another because of their activities: they order the columns where the phases themselves say nothing."""
        found: dict[str, set[str]] = {key: set() for key in self.phases}
        for key, inner in self.inside.items():
            for activity in inner.values():
                found[key] |= {self.activities[name].phase for name in activity.depends_on if name in self.activities and name not in inner}
        return found

    @cached_property
    def start(self) -> str:
        """The first phase where something happens: there the band starts."""
        active = [key for key in self.parents if self.phases[key].state and self.phases[key].state != Run.PENDING and not self.phases[key].satisfies]
        return min(active, key=self.rank.__getitem__, default="")

    def steps(self, phase: GraphPhase, most: int = 0) -> Steps | None:
        """What is drawn of that phase, at most so many rows; None where it is folded."""
        inner = self.inside[phase.id]
        if phase.id in self.finished_or_far and phase.id not in self.opened and self.selected not in inner:
            return None
        if phase.id not in self._parents:
            self._parents[phase.id] = reduced(acyclic(list(inner), {key: activity.depends_on for key, activity in inner.items()}))
        parents = self._parents[phase.id]
        folds = len(inner) > FOLD_OVER and phase.id not in self.opened
        return fold_steps(inner, parents, {self.selected}, folds=folds, most=most) if folds or most else Steps(parents)

    def done_boxes(self, drawn: _Drawn) -> list[bool]:
        """Of each box whether what follows it is satisfied."""
        several = drawn.steps.several if drawn.steps else {}
        return [all(several[key][1] in DONE if key in several else self.activities[key].satisfies for key in keys) for keys, _ in drawn.boxes]

    def switched(self, key: str) -> str:
        """The value of `?open=` after that phase was opened or closed."""
        if self.closed is not None:  # of very many, those that are closed are said: a list of the others in each link would be longer than the page
            return ",".join([EVERYTHING, *(f"{BUT}{name}" for name in sorted(self.closed ^ {key}))])
        return ",".join(name for name in self.switchable if name in self.opened ^ {key})

    def width(self, phase: GraphPhase, drawn: _Drawn) -> str:
        """The kind of column that it needs."""
        if drawn.steps is None:
            return FOLDED
        if phase.state and phase.state != Run.PENDING:
            return ACTIVE
        tight = drawn.lanes > 1 or any(len(activity.label) > WIDE_NAME for activity in self.inside[phase.id].values())
        return ACTIVE if tight and not phase.state else WAITING

    def row(self, key: str, phase: GraphPhase, steps: Steps) -> Row:
        """One line of a box."""
        if key in steps.several:
            label, state = steps.several[key]
            url = phase.all_url if steps.is_cut and key == LATER else ""
            return Row(id=f"{phase.id}{key}", label=label, state=state, kind="", end="", url=url, more=True, open=self.switched(phase.id))
        it = self.activities[key]
        return Row(it.id, it.label, it.state, it.kind, it.end, it.url, it.you, key == self.selected, after=self._after(it), critical=it.critical)

    def _after(self, activity: GraphActivity) -> str:
        before = [self.activities[name] for name in activity.depends_on if name in self.activities]
        return _listed([it.label if it.phase == activity.phase else f"{it.label} ({self._phase_label(it.phase)})" for it in before])

    def _phase_label(self, key: str) -> str:
        return self.phases[key].label if key in self.phases else key


def _columns(work: _Work, drawn: Mapping[str, _Drawn]) -> tuple[Column, ...]:
    by_rank: dict[int, list[GraphPhase]] = {}
    for key, phase in work.phases.items():
        by_rank.setdefault(work.rank[key], []).append(phase)
    x: float = SIDE
    columns = []
    for index in sorted(by_rank):
        kind = max((work.width(phase, drawn[phase.id]) for phase in by_rank[index]), key=WIDTHS.__getitem__)
        y: float = TOP
        cards = []
        for phase in by_rank[index]:
            cards.append(_card(work, phase, drawn[phase.id], x, y, WIDTHS[kind]))
            y += cards[-1].height + STACK
        columns.append(Column(kind, x, WIDTHS[kind], tuple(cards)))
        x += WIDTHS[kind] + GAP
    return tuple(columns)


def _card(work: _Work, phase: GraphPhase, drawn: _Drawn, x: float, y: float, width: float) -> Card:
    inner = work.inside[phase.id].values()
    done, total = sum(activity.is_done for activity in inner), len(inner)
    folded = drawn.steps is None
    active = bool(phase.state) and phase.state != Run.PENDING and not folded
    return Card(
        phase=phase,
        x=x,
        y=y,
        width=width,
        height=drawn.height,
        boxes=_boxes(work, phase, drawn, x, y, width),
        lanes=drawn.lanes,
        folded=folded,
        foldable=phase.id in work.foldable,
        quiet=phase.state == Run.PENDING,
        start=phase.id == work.start,
        opened=phase.id in work.opened,
        open=work.switched(phase.id),
        caption=_caption(phase, folded, active, done, total),
        after=_listed([work.phases[name].label for name in work.parents[phase.id]]),
        counts=tuple(Counter(activity.state for activity in inner).items()) if active else (),
        done=done,
        total=total,
    )


def _boxes(work: _Work, phase: GraphPhase, drawn: _Drawn, x: float, y: float, width: float) -> tuple[Box, ...]:
    if drawn.steps is None:
        return ()
    indent = BODY + LANE * (drawn.lanes - 1)
    top = y + BORDER + HEAD + BODY
    boxes = []
    for keys, _ in drawn.boxes:
        rows = tuple(work.row(key, phase, drawn.steps) for key in keys)
        boxes.append(Box(rows, x + BORDER + indent, top, width - 2 * BORDER - indent - BODY, len(rows) * ROW + 2 * BORDER))
        top += boxes[-1].height + LINK
    return tuple(boxes)


def _caption(phase: GraphPhase, folded: bool, active: bool, done: int, total: int) -> str:
    if folded and phase.state in FINISHED_PHASE:
        said = f"{done}/{total}"
    elif folded:
        return f"{total} later"
    elif active:
        said = f"{done} of {total} done"
    else:
        said = "1 activity" if total == 1 else f"{total} activities"
    return f"{said} · {phase.time}" if phase.time else said


def _listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b, c and 4 more`."""
    said = [*names[:NAMES], f"{len(names) - NAMES} more"] if len(names) > NAMES else list(names)
    return f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else "".join(said)
