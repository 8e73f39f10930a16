"""The strokes of the picture, as SVG path data. Edges only go forward: right between phases, down inside one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from releases.graph.ordering import Parents
from releases.graph.parts import BORDER, GAP, LANE, LANES, TOP, Card, Path

HEAD_LINE = 20  # where an edge meets a card, below its top
CORNER = 6
ARROW = 5
BYPASS = 5  # between the first bypass above the row and the cards, and between two of them
BYPASSES = 3
RAIL_CORNER = 4
RAIL_FOOT = 9  # where a rail leaves and meets a box, from its edge


def rails(before: Sequence[Sequence[int]]) -> dict[tuple[int, int], int]:
    """The lane of each edge that skips boxes, by (from, to): the first that is free on the way."""
    taken: list[list[tuple[int, int]]] = []
    found: dict[tuple[int, int], int] = {}
    for to, earlier in enumerate(before):
        for start in earlier:
            if start == to - 1:
                continue
            lane = next((index for index, spans in enumerate(taken) if all(end <= start or begin >= to for begin, end in spans)), len(taken))
            if lane == len(taken):
                taken.append([])
            taken[lane].append((start, to))
            found[start, to] = lane
    return found


def between(cards: Mapping[str, Card], parents: Parents, rank: Mapping[str, int]) -> Iterator[Path]:
    """From phase to phase: straight at head height, by a bus in the middle of the gap, or above the row where a column is skipped. Done ones on top."""
    strokes, heads = [], []
    bypasses = 0
    for key, names in parents.items():
        for name in names:
            bypass = rank[key] - rank[name] > 1
            strokes.append(Path(_stroke(cards[name], cards[key], bypasses % BYPASSES if bypass else None), head=False, done=cards[name].phase.satisfies))
            bypasses += bypass
        if names:
            x, y = cards[key].x, cards[key].y + BORDER + HEAD_LINE
            heads.append(Path(f"M{x - ARROW:g} {y - 3.5:g}l5 3.5-5 3.5z", head=True, done=all(cards[name].phase.satisfies for name in names)))
    yield from sorted(strokes, key=lambda path: path.done)
    yield from heads


def _stroke(source: Card, target: Card, bypass: int | None) -> str:
    x1, y1 = source.x + source.width, source.y + BORDER + HEAD_LINE
    x2, y2 = target.x, target.y + BORDER + HEAD_LINE
    end = f"H{x2 - ARROW + 1:g}"
    if bypass is not None:
        above = TOP - BYPASS * (bypass + 1)
        return f"M{x1:g} {y1:g}{_bend(x1 + GAP / 2, y1, above)}{_bend(x2 - GAP / 2, above, y2)}{end}"
    if y1 == y2:
        return f"M{x1:g} {y1:g}{end}"
    return f"M{x1:g} {y1:g}{_bend(x2 - GAP / 2, y1, y2)}{end}"


def _bend(x: float, y1: float, y2: float) -> str:
    """Right to x, then up or down to y2, and on to the right: two round corners."""
    turn = CORNER if y2 > y1 else -CORNER
    return f"H{x - CORNER:g}q{CORNER} 0 {CORNER} {turn}V{y2 - turn:g}q0 {turn} {CORNER} {turn}"


def inside(card: Card, boxes: Sequence[tuple[list[str], list[int]]], lanes: Mapping[tuple[int, int], int], done: Sequence[bool]) -> Iterator[Path]:
    """From box to box of one phase: straight down to the next, by a rail on the left past others."""
    for to, (_, earlier) in enumerate(boxes):
        for start in earlier:
            source, target = card.boxes[start], card.boxes[to]
            if start == to - 1:
                x = source.x + 15
                yield Path(f"M{x:g} {source.y + source.height:g}V{target.y - ARROW + 1:g}", head=False, done=done[start])
                yield Path(f"M{x - 3.5:g} {target.y - ARROW:g}l3.5 5 3.5-5z", head=True, done=done[start])
                continue
            x, rail = source.x, source.x - LANE + 0.5 - LANE * min(lanes[start, to], LANES - 1)
            y1, y2, turn = source.y + source.height - RAIL_FOOT, target.y + RAIL_FOOT, RAIL_CORNER
            line = f"M{x:g} {y1:g}H{rail + turn:g}q-{turn} 0-{turn} {turn}V{y2 - turn:g}q0 {turn} {turn} {turn}H{x - 3:g}"
            yield Path(line, head=False, done=done[start])
            yield Path(f"M{x - 4:g} {y2 - 3:g}l4 3-4 3z", head=True, done=done[start])
