"""Copy to tests/releases/ : a phase whose `if` cannot be evaluated must not keep the release open for ever (S1, S5)."""

import pytest
from processes.blueprint import Blueprint
from releases import operating
from releases.engine import Actor
from tests import factories
from tests.releases.driving import published, run_on, started

N = {"type": "automated", "connector": "noop"}


def plan(*activities):
    return published(
        Blueprint.model_validate(
            {
                "id": "stuck",
                "phases": [
                    {"id": "q", "activities": [{"id": "z", **N}]},
                    {"id": "p", "if": "activities.z.outputs.nope == 1", "depends_on": ["q"], "activities": list(activities)},
                    {"id": "r", "depends_on": ["p"], "run_when": "always", "activities": [{"id": "c", **N}]},
                ],
            }
        )
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("how", "result"), [("fail", "failed"), ("ignore", "partially_succeeded")])
def test_one_activity(how, result):
    release = started(plan({"id": "a", "on_failure": how, **N}), factories.person())
    run_on(release)
    release.refresh_from_db()
    assert release.state == result


@pytest.mark.django_db(transaction=True)
def test_a_person_skips_the_rest():
    person = factories.person()
    release = started(plan({"id": "a", **N}, {"id": "b", "depends_on": ["a"], **N}), person)
    run_on(release)
    actor = Actor(person.pk, person.email, "page")
    operating.fail(release=release.pk, activity="a", actor=actor, reason="x")
    operating.skip(release=release.pk, activity="b", actor=actor, reason="x")
    run_on(release)
    release.refresh_from_db()
    assert release.state == "failed"
