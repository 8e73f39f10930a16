"""What goes into the layout, what comes out, and the measures that `static/css/graph.css` repeats (a test compares them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from releases.states import Run, Skipped

# Measures in px at a root of 16 px; the page says them in rem, so that text zoom keeps edges and cards together.
FOLDED, WAITING, ACTIVE = "folded", "waiting", "active"
WIDTHS = {FOLDED: 124, WAITING: 192, ACTIVE: 248}
GAP = 22  # between columns
ROW = 28
HEAD = 64
BODY = 8  # padding of a card's body
LINK = 12  # between boxes
SIDE, TOP = 24, 20  # padding of the band
STACK = 16  # between cards of one column
BORDER = 1
LANE = 5  # between two rails
LANES = 6  # the most rails beside each other

DONE = frozenset({Run.SUCCEEDED, Run.SKIPPED, Run.IGNORED})
"""Counts as done in "7 of 10 done"."""
FINISHED_PHASE = frozenset({"satisfied", "skipped"})


@dataclass(frozen=True, slots=True)
class GraphActivity:
    """One activity. `state` is a state of a run, or "" in a blueprint; `kind` a key of `relorch.lib.look.KINDS`; `end` the short text on the right."""

    id: str
    phase: str
    label: str
    state: str = ""
    depends_on: tuple[str, ...] = ()
    kind: str = "automated"
    end: str = ""
    url: str = ""
    you: bool = False
    because: str = ""  # why it was skipped
    critical: bool = False  # on the path that decides when the release ends

    @property
    def is_done(self) -> bool:
        """Whether it counts as done."""
        return self.state in DONE

    @property
    def satisfies(self) -> bool:
        """Whether what comes after it is satisfied, so that its edges are drawn as done."""
        return self.state in DONE and self.because != Skipped.BAD_END


@dataclass(frozen=True, slots=True)
class GraphPhase:
    """One phase. `state` is a state of a phase, or "" in a blueprint; `owner` is whatever the `person` tag takes; `time` its duration, said."""

    id: str
    label: str
    state: str = ""
    depends_on: tuple[str, ...] = ()
    owner: Any = None
    time: str = ""
    url: str = ""
    because: str = ""  # why all of it was skipped
    all_url: str = ""  # where all its activities are listed

    @property
    def satisfies(self) -> bool:
        """Whether its edges are drawn as done."""
        return self.state in FINISHED_PHASE and self.because != Skipped.BAD_END


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a box: an activity, or (`more`) several folded into one, with the value of `?open=`
    that shows them, or the `url` of a list where they are more than a picture can hold."""

    id: str
    label: str
    state: str
    kind: str
    end: str
    url: str
    you: bool = False
    selected: bool = False
    more: bool = False
    open: str = ""
    after: str = ""
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """Activities with the same predecessors and successors: they read as parallel."""

    rows: tuple[Row, ...]
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Card:
    """One phase where it stands. `open` is the value of `?open=` after it was switched; `foldable` says whether that changes the picture on a wide screen
    (on a phone every phase that has not begun is folded until it is `opened`)."""

    phase: GraphPhase
    x: float
    y: float
    width: float
    height: float
    boxes: tuple[Box, ...]
    lanes: int
    folded: bool
    foldable: bool
    opened: bool
    quiet: bool
    start: bool
    open: str
    caption: str
    after: str
    counts: tuple[tuple[str, int], ...]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Column:
    """Phases of one rank, stacked. `kind` names its width."""

    kind: str
    x: float
    width: float
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """One stroke of an edge, or one arrow head."""

    d: str
    head: bool
    done: bool

    @property
    def css(self) -> str:
        """Its class in the stylesheet."""
        name = "edge-head" if self.head else "edge"
        return f"{name} {name}--done" if self.done else name


@dataclass(frozen=True, slots=True)
class Graph:
    """The whole picture. `folds`: something is folded; `unfolds`: something is open because the reader asked."""

    columns: tuple[Column, ...]
    paths: tuple[Path, ...]
    width: float
    height: float
    blueprint: bool
    folds: bool
    unfolds: bool
    activities: int

    @property
    def cards(self) -> tuple[Card, ...]:
        """All cards, column by column."""
        return tuple(card for column in self.columns for card in column.cards)

    @property
    def width_rem(self) -> str:
        """The width for an SVG attribute."""
        return f"{self.width / 16:g}rem"

    @property
    def height_rem(self) -> str:
        """The height for an SVG attribute."""
        return f"{self.height / 16:g}rem"
