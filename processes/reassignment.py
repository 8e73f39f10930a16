"""Other people for a question that waits (semantics, section 4, `reassign`). Pure: the lines and who fills them in, other lines out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processes.quorum import LineState


@dataclass(frozen=True, slots=True)
class Reassigned:
    """The lines as they are asked from now on, and for each the number of the line it came from."""

    lines: tuple[dict[str, Any], ...]
    origins: tuple[int, ...]


def reassigned(
    asked: Sequence[Mapping[str, Any]], states: Sequence[LineState], entitlements: Mapping[str, str], owners: Sequence[str], only: int | None
) -> Reassigned:
    """`owners` replace `of` in every line that is not filled, or in line `only`.

    Filled places stay: a line that is filled in part is divided into one of just those people and one of the new ones for the places left.
    `entitlements` says through whom each voter fills a place. Lines that are not touched stay as they are; so does the order.
    """
    lines: list[dict[str, Any]] = []
    origins: list[int] = []
    for number, (line, state) in enumerate(zip(asked, states, strict=True)):
        if state.filled or only not in (None, number):
            lines.append(dict(line))
            origins.append(number)
            continue
        sitting = [f"user:{entitlements.get(voter, voter)}" for voter in state.filled_by]
        if sitting:
            lines.append({"count": len(sitting), "of": sitting})
            origins.append(number)
        lines.append({"count": state.count - len(sitting), "of": list(owners)})
        origins.append(number)
    return Reassigned(tuple(lines), tuple(origins))
