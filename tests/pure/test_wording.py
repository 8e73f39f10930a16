"""How releases, runs and events are said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from releases import states
from releases.wording import Active, event_said, reason, release_look, run_look, short_reason
from relorch.lib.look import STATES

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
RUNS = Active("Load test", "running")
ASKS = Active("QA", "waiting_person", since=NOW - timedelta(minutes=24))
YOURS = Active("Compliance", "waiting_you", since=NOW - timedelta(minutes=9))
STUCK = Active("Deploy", "on_hold", attempts=2)


@pytest.mark.parametrize("state", list(states.Run))
@pytest.mark.parametrize("kind", ["automated", "manual", "subprocess"])
def test_every_run_has_a_look(state: states.Run, kind: str) -> None:
    assert run_look(state, kind) in STATES


def test_what_a_run_waits_for_is_told_apart() -> None:
    assert run_look("waiting", "manual", yours=True) == "waiting_you"
    assert run_look("waiting", "manual") == "waiting_person"
    assert run_look("waiting", "automated", connector="timer") == "waiting_time"
    assert run_look("waiting", "automated", connector="http") == "waiting_machine"
    assert run_look("waiting", "subprocess") == "waiting_child"
    assert run_look("queued", "automated", attempts=2) == "retrying"


def test_the_strongest_state_of_a_release_is_shown() -> None:
    assert release_look("running", [RUNS, ASKS, YOURS, STUCK]) == "on_hold"
    assert release_look("running", [RUNS, ASKS, YOURS]) == "waiting_you"
    assert release_look("running", [RUNS, ASKS]) == "waiting_person"
    assert release_look("running", [RUNS]) == "running"
    assert release_look("held", [STUCK]) == "held"


def test_reasons() -> None:
    assert short_reason("running", "", [STUCK], NOW) == "Deploy, 2 attempts"
    assert short_reason("running", "", [ASKS], NOW) == "QA, 24 min"
    assert short_reason("running", "", [ASKS, YOURS], NOW) == "2 questions, longest 24 min"
    assert short_reason("held", "vendor certificate", [], NOW) == "vendor certificate"
    assert short_reason("succeeded", "", [], NOW, 3720) == "1 h 2 min"
    assert reason("running", "", [ASKS, YOURS, RUNS], pending=17, took=None) == "2 questions to people hold up 17 activities. 1 activity is running."
    assert reason("running", "", [STUCK], pending=3, took=None) == "Deploy needs a decision."
    assert reason("failed", "", [Active("Tests", "failed")], pending=0, took=5) == "Tests ended badly. It took 5 s."
    assert reason("held", "lunch", [], pending=0, took=None) == "Nothing new starts until it is resumed: lunch."


@pytest.mark.parametrize("state", list(states.Release))
def test_every_release_has_a_reason(state: states.Release) -> None:
    assert isinstance(reason(state, "", [], pending=0, took=None), str)
    assert release_look(state, []) in STATES


def test_an_event_says_who_did_it_and_why() -> None:
    said = event_said("activity.retried", "deploy", "Priya", {"reason": "flaky", "data": {}}, {"deploy": "Deploy eu"})
    assert (said.subject, said.text, said.note) == ("Deploy eu", "was retried by Priya", "flaky")
    asked = event_said("activity.asked", "qa", "", {"data": {"of": ["group:qa", "user:ciso@example.com"]}}, {"qa": "QA sign-off"})
    assert asked.text == "asks qa and ciso@example.com"
    closed = event_said("phase.closed", "phase:build", "Priya", {"data": {}}, {"phase:build": "Build"})
    assert (closed.subject, closed.text) == ("Phase Build", "closed")
    assert event_said("something.new", "", "", {}, {}).look in STATES
