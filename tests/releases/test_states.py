"""The moves between states: one table each in `releases/states.py`, the same in the database and in docs/lifecycle.md."""

from __future__ import annotations

import importlib
import re
from enum import StrEnum
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction

from releases import states
from releases.models import ActivityRun, Release
from tests.releases.scenes import manual, running

MOVES_NOW = {
    "releases_activityrun": importlib.import_module("releases.migrations.0002_legal_moves").RUN,
    "releases_release": importlib.import_module("releases.migrations.0004_starting_again").RELEASE,
    "releases_attempt": importlib.import_module("releases.migrations.0007_locks").ATTEMPT,
}
LIFECYCLE = Path(__file__).parents[2] / "docs" / "lifecycle.md"
TABLES: dict[str, dict[StrEnum, frozenset[StrEnum]]] = {
    "releases_activityrun": dict(states.RUN_MOVES),
    "releases_release": dict(states.RELEASE_MOVES),
    "releases_attempt": dict(states.ATTEMPT_MOVES),
}


@pytest.mark.parametrize("table", TABLES)
def test_the_lists_of_the_triggers_are_the_tables(table: str) -> None:
    frozen = MOVES_NOW[table].split()
    assert sorted(frozen) == sorted(f"{before}>{after}" for before, moves in TABLES[table].items() for after in moves)


def test_every_state_has_its_moves_and_what_is_closed_comes_back_only_to_the_start() -> None:
    assert set(states.RUN_MOVES) == set(states.Run)
    assert set(states.RELEASE_MOVES) == set(states.Release)
    assert all(moves <= {states.Run.PENDING, states.Run.QUEUED} for state, moves in states.RUN_MOVES.items() if state in states.CLOSED)


@pytest.mark.django_db
@pytest.mark.parametrize("table", TABLES)
def test_the_database_refuses_every_other_move(table: str) -> None:
    """The real trigger, on a table of one column, with every pair of states."""
    names = sorted({state for before, moves in TABLES[table].items() for state in (before, *moves)})
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'legal_move' AND tgrelid = %s::regclass", [table])
        made = re.sub(r" ON \S+ ", " ON probe ", cursor.fetchone()[0], count=1)
        cursor.execute("CREATE TEMP TABLE probe (state varchar(20)) ON COMMIT DROP")
        cursor.execute(made)
        wrong = []
        for before in names:
            for after in names:
                cursor.execute("TRUNCATE probe")
                cursor.execute("INSERT INTO probe VALUES (%s)", [before])
                try:
                    with transaction.atomic():
                        cursor.execute("UPDATE probe SET state = %s", [after])
                    passed = True
                except IntegrityError:
                    passed = False
                if passed != (before == after or after in TABLES[table].get(before, ())):  # type: ignore[call-overload]
                    wrong.append((before, after))
        assert wrong == []


@pytest.mark.django_db
def test_the_triggers_are_on_the_real_tables() -> None:
    release = running(manual("ask"))
    for rows, state in ((Release.objects.filter(pk=release.pk), "draft"), (ActivityRun.objects.filter(release=release), "interrupted")):
        if rows.model is ActivityRun:
            rows.update(state="succeeded", finished_at=release.started_at)
        with pytest.raises(IntegrityError, match="cannot move"), transaction.atomic():
            rows.update(state=state)


@pytest.mark.parametrize(
    ("heading", "table"), [("A run of an activity", "releases_activityrun"), ("A release", "releases_release"), ("An attempt", "releases_attempt")]
)
def test_the_page_about_the_lifecycle_shows_the_tables(heading: str, table: str) -> None:
    section = LIFECYCLE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    shown = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            shown[cells[0].strip("`")] = set(re.findall(r"`(\w+)`", cells[-1]))
    assert shown == {str(before): {str(after) for after in moves} for before, moves in TABLES[table].items()}
