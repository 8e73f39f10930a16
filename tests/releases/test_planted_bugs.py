"""The comparison with the one-pass model sees a bug: three are planted, each turns it red."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import pytest

from releases import scheduler, statements
from releases.scheduler import Decision, Flow
from tests import factories
from tests.model.generate import generate
from tests.releases.test_engine_model import SEED, _compare

MOST = 60


def no_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """`recovers` means nothing to what comes after."""
    monkeypatch.setattr(scheduler, "_unanswered", lambda met, answers, upstream: dict(met))


def optional_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phase meets causes that are optional."""

    def decide_phase(flow: Flow, key: str, facts: Mapping[str, Any], answers: Any) -> Decision:
        met: dict[str, int] = {}
        for other in flow.phases[key].depends_on:
            for step in flow.phases[other].activities:
                if step.id in facts:
                    met |= scheduler.carried(step.id, facts[step.id])
        met = scheduler._unanswered(met, answers, lambda: flow.upstream_of_phase(key)) if met else met
        return scheduler._by_run_when(flow.phases[key].run_when, met)

    monkeypatch.setattr(scheduler, "decide_phase", decide_phase)


def skipped_phase_closes_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Activities of a skipped phase close without waiting for what they depend on."""
    early = "SET unmet = CASE WHEN phase.decided = 'skipped' THEN 0 ELSE run.unmet - 1 END"
    planted = statements.OPEN_RUNS.replace("SET unmet = run.unmet - 1", early)
    assert planted != statements.OPEN_RUNS
    monkeypatch.setattr(statements, "OPEN_RUNS", planted)


@pytest.mark.django_db
@pytest.mark.parametrize("plant", [no_answers, optional_counted, skipped_phase_closes_early])
def test_a_planted_bug_turns_the_comparison_red(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    random, starter = Random(SEED), factories.person()
    with pytest.raises(AssertionError):
        _compare_many(random, starter)


def _compare_many(random: Random, starter: object) -> None:
    for number in range(MOST):
        _compare(generate(random), number, starter, random)
