"""S6: an answer counts from the moment it is given, also within one transaction of the engine."""

from __future__ import annotations

import pytest

from processes.blueprint import Blueprint
from releases import evaluating
from releases.attempts import exchange
from releases.draining import work_on
from releases.engine import Claim
from releases.models import ActivityRun, Release
from tests import factories
from tests.releases.driving import published, run_on, sorted_out, started

NOOP = {"type": "automated", "connector": "noop"}
CHILD = Blueprint.model_validate({"id": "fallback", "phases": [{"id": "work", "activities": [{"id": "redo", **NOOP}]}]})
PARENT = Blueprint.model_validate(
    {
        "id": "parent",
        "phases": [
            {
                "id": "work",
                "activities": [
                    {"id": "try", "with": {"outcome": "failed"}, "on_failure": "fail", **NOOP},
                    {"id": "recover", "type": "subprocess", "process": "fallback", "run_when": "failed", "recovers": True, "depends_on": ["try"]},
                    {"id": "go_on", "depends_on": ["recover", "try"], **NOOP},
                    {"id": "beside", **NOOP},
                    {"id": "asks", "depends_on": ["beside"], "if": "true", **NOOP},
                ],
            }
        ],
    }
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rounds", [[["beside"], ["redo"]], [["redo"], ["beside"]], [["beside", "redo"]]])
def test_an_answer_given_in_the_round_in_which_an_if_is_decided_counts(rounds: list[list[str]]) -> None:
    """The `if` of `asks` makes the engine read the causes; `recover` ends and answers in that very transaction."""
    published(CHILD)
    release = started(published(PARENT), factories.person())
    claims = _claimed()
    _end(release, [claims["try"]])
    claims |= _claimed()
    assert set(claims) == {"try", "beside", "redo"}
    for together in rounds:
        _end(release, [claims[key] for key in together])
    run_on(release)
    found = dict(ActivityRun.objects.filter(release=release).values_list("key", "state"))
    assert found == {"try": "failed", "recover": "succeeded", "go_on": "succeeded", "beside": "succeeded", "asks": "succeeded"}
    release.refresh_from_db()
    assert release.state == "partially_succeeded"


def _claimed() -> dict[str, Claim]:
    return {claim.run.key: claim for claim in exchange("test:1", "engine", 10).claims}


def _end(release: Release, claims: list[Claim]) -> None:
    """All in one transaction, and one round of evaluating after it."""
    exchange("test:1", "engine", 0, *sorted_out(work_on(claims, release.started_at)), search=False)
    evaluating.settle(release.root_id)
