"""The engine against the one-pass model: what runs, how everything ends, nothing early, nothing twice (S3 to S9)."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
from django.db import connection

from releases.flows import compiled
from releases.models import ActivityRun, Attempt, PhaseRun
from releases.names import answers_in
from releases.scheduler import Fact, phase_state
from releases.states import Run
from tests import factories
from tests.model.generate import Case, counted, generate
from tests.model.oracle import forecast, must_precede
from tests.releases.driving import published, run_on, started

EXAMPLES = int(os.environ.get("RELORCH_PROPERTY_EXAMPLES", "200"))
SEED = int(os.environ.get("RELORCH_PROPERTY_SEED", "20261123"))


@pytest.mark.django_db(transaction=True)
def test_random_processes_run_as_the_model_says() -> None:
    random = Random(SEED)
    order = Random(SEED + 1)  # of its own: what is generated does not depend on how the engine batches
    starter = factories.person()
    hard: Counter[str] = Counter()
    for number in range(EXAMPLES):
        case = generate(random)
        hard += counted(case, forecast(case.plan))
        _compare(case, number, starter, order)
    wanted = {"recovers", "optional", "run_when_failed", "run_when_always", "cross_phase_edges", "skipped_phases_with_cross_phase_edges"}
    print(f"seed {SEED}, {EXAMPLES} processes, {dict(hard)}")
    if EXAMPLES >= 200:
        assert {name for name in wanted if hard[name] < 100} == set()


def _compare(case: Case, number: int, starter: object, random: Random) -> None:
    expected = forecast(case.plan)
    process = published(case.blueprint.model_copy(update={"id": f"p{number}"}))
    release = started(process, starter, **case.inputs)
    run_on(release, random=random, batch=random.randint(1, 8))
    release.refresh_from_db()
    runs = {run.key: run for run in ActivityRun.objects.filter(release=release)}
    found = {key: (run.state, run.skipped_because or None) for key, run in runs.items()}
    assert found == {key: (str(end.state), end.because and str(end.because)) for key, end in expected.steps.items()}, f"process {number} of seed {SEED}"
    flow = compiled(release.version_id).flow
    facts = {key: Fact(Run(run.state), run.skipped_because, run.met, run.attempt_count) for key, run in runs.items()}
    phases = {}
    for phase in PhaseRun.objects.filter(release=release):
        mine = {key: fact for key, fact in facts.items() if flow.phase_of[key] == phase.key}
        phases[phase.key] = phase_state(
            flow, phase.key, decided=bool(phase.decided), closed=phase.closed_at is not None, facts=mine, answers=answers_in(release)
        )
    assert phases == expected.stages, f"process {number} of seed {SEED}"
    assert release.state == expected.result, f"process {number} of seed {SEED}"
    attempts = Counter(Attempt.objects.filter(release=release).values_list("run__key", flat=True))
    assert attempts == Counter(expected.ran), "nothing twice, and only what is to run"
    for key in expected.ran:
        early = [other for other in must_precede(case.plan, key) if runs[other].finished_at > runs[key].started_at]
        assert not early, f"{key} started before {early} were closed"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM releases_activityrun WHERE release_id = %s AND unmet <> 0 AND state <> 'skipped'", [release.pk])
        assert cursor.fetchone()[0] == 0
