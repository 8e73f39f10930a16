"""A phase whose `if` cannot be evaluated does not keep the release open for ever (S1, S5)."""

from __future__ import annotations

from typing import Any

import pytest

from processes.blueprint import Blueprint
from processes.models import Process
from releases import operating
from releases.engine import Actor
from tests import factories
from tests.releases.driving import published, run_on, started

NOOP = {"type": "automated", "connector": "noop"}


def with_broken_phase(*activities: dict[str, Any]) -> Process:
    """A process whose middle phase asks for an output that is not there, and whose last runs always."""
    phases = [
        {"id": "q", "activities": [{"id": "z", **NOOP}]},
        {"id": "p", "if": "activities.z.outputs.nope == 1", "depends_on": ["q"], "activities": list(activities)},
        {"id": "r", "depends_on": ["p"], "run_when": "always", "activities": [{"id": "c", **NOOP}]},
    ]
    return published(Blueprint.model_validate({"id": "stuck", "phases": phases}))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("how", "result"), [("fail", "failed"), ("ignore", "partially_succeeded")])
def test_policy_closes_all_of_it(how: str, result: str) -> None:
    release = started(with_broken_phase({"id": "a", "on_failure": how, **NOOP}), factories.person())
    run_on(release)
    release.refresh_from_db()
    assert release.state == result


@pytest.mark.django_db(transaction=True)
def test_people_close_all_of_it() -> None:
    person = factories.person()
    release = started(with_broken_phase({"id": "a", **NOOP}, {"id": "b", "depends_on": ["a"], **NOOP}), person)
    run_on(release)
    actor = Actor(person.pk, person.email, "page")
    operating.fail(release=release.pk, activity="a", actor=actor, reason="x")
    operating.skip(release=release.pk, activity="b", actor=actor, reason="x")
    run_on(release)
    release.refresh_from_db()
    assert release.state == "failed"
