"""`docs/lifecycle.md` says what `releases/states.py` does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from releases import states

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "lifecycle.md").read_text()


@pytest.mark.parametrize(
    ("title", "table"),
    [("## A run of an activity", states.RUN_MOVES), ("## A release", states.RELEASE_MOVES), ("## An attempt", states.ATTEMPT_MOVES)],
)
def test_the_document_shows_the_tables(title: str, table: Mapping[str, frozenset[str]]) -> None:
    section = TEXT.split(f"{title}\n")[1].split("\n## ")[0]
    shown = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if found := re.fullmatch(r"`(\w+)`", cells[0]):
            shown[found.group(1)] = set(re.findall(r"`(\w+)`", cells[-1]))
    assert shown == {str(state): {str(move) for move in moves} for state, moves in table.items()}
