"""R-02: a worker dies at every named point of the engine, another goes on: nothing is lost, no keyed effect happens twice."""

from __future__ import annotations

import ast
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from releases.models import ActivityRun, Attempt, Release
from relorch.audit import chain
from relorch.audit.models import Event
from tests.chaos import life
from tests.chaos.forks import ROOT, Forks
from tests.releases import invariants

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

POINTS = (
    "abort.attempts_ended", "asked.written", "audit.before", "audit.chained", "audit.written", "begin.phases_written", "child.written", "claim.before",
    "claim.written", "count_down.before", "delete.dependents_gone", "doorbell.before", "effect.after", "effect.before", "evaluated",
    "exchange.before_commit", "exchange.committed", "exchange.ends_written", "exchange.locked", "exchange.settled", "exchange.waits_written",
    "lease.renewed", "lost.written", "phases.closed", "phases.decided", "queue.before", "queue.written", "release.ended", "retry.before", "skip.written",
    "sweep.answered", "sweep.begun", "verb.before_commit", "verb.committed", "verb.done", "verb.locked", "verdict.reached", "vote.written",
)  # fmt: skip


def test_every_point_in_the_code_is_tested_and_every_point_tested_is_in_the_code() -> None:
    found = [name for app in ("relorch", "processes", "releases", "approvals") for file in (ROOT / app).rglob("*.py") for name in names_in(file)]
    assert sorted(set(found)) == sorted(POINTS)
    assert len(found) == len(set(found)), "a name is one place"
    assert len(POINTS) >= 25


def names_in(file: Path) -> list[str]:
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call) and ast.unparse(node.func) == "faults.point"]
    return [ast.literal_eval(call.args[0]) for call in calls]


@pytest.fixture(scope="module")
def forks(django_db_setup: None) -> Iterator[Forks]:
    made = Forks()
    yield made
    made.end()


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    path = tmp_path / "effects"
    life.prepare(path)
    return path


def ends_right(path: Path) -> None:
    """Every release at its end, every effect there, each under one key; whatever ran twice was lost in between."""
    assert invariants.broken() == {}
    (deleted,) = Event.objects.filter(verb="release.deleted")
    assert chain.verify(deleted.stream).broken_at is None
    ends = dict(Release.objects.filter(parent_run=None).values_list("process__identifier", "state"))
    assert ends == {"whole": "partially_succeeded", "aborted": "aborted", "lost": "succeeded"}
    lines = [line.split() for line in path.read_text().splitlines()]
    assert {name for name, _ in lines} == set(life.EFFECTS)
    assert len({key for _, key in lines}) == len(life.EFFECTS), "one effect at a side that knows keys"
    for name, key in {(name, key) for name, key in lines}:
        assert lines.count([name, key]) <= 1 + Attempt.objects.get(key=key).lost
    assert ActivityRun.objects.get(key="breaks").attempt_count == 2
    assert Release.objects.filter(process__identifier="whole").count() == 1


def test_nobody_is_killed(forks: Forks, effects: Path) -> None:
    assert forks.live() == 0
    ends_right(effects)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("time", range(int(os.environ.get("RELORCH_CHAOS_TIMES", "1"))))
def test_killed_at(point: str, time: int, forks: Forks, effects: Path) -> None:
    assert forks.live(f"{point}:{1 + time}") == -signal.SIGKILL, "nobody came past this point"
    life.time_passes()
    assert forks.live() == 0
    ends_right(effects)
