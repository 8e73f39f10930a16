"""What happens to machines' attempts: lost workers, fences, timers, time-outs (S22)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.db.models import F

from releases import operating, sweep
from releases.attempts import confirm_stopped, exchange, give_up_lost, renew
from releases.connectors import registry
from releases.connectors.base import Call, Done, Later
from releases.connectors.noop import Noop
from releases.models import Attempt
from releases.states import Run
from releases.waiting import waiting_for
from tests.releases.driving import published, run_on
from tests.releases.scenes import ACTOR, attempts, blueprint, child_of, claimed, end, events, fresh, later, manual, noop, run, running, script, states, sub

pytestmark = pytest.mark.django_db


def test_a_lost_keyed_attempt_is_repeated_with_its_key_five_times_and_then_a_person_decides() -> None:
    release = running(script("it", effect="keyed", retry={"attempts": 9}), noop("then", "it"))
    keys, fences = set(), []
    for _ in range(6):
        assert states(release)["it"] == "queued"
        claim = claimed("slow")["it"]
        keys.add(claim.key)
        fences.append(claim.fence)
        later(release, 60)
        assert give_up_lost(release.pk) == 1
    assert states(release) == {"it": "interrupted", "then": "pending"}
    assert len(keys) == 1
    assert fences == sorted(set(fences))
    assert attempts(release, "it") == ["interrupted"], "none of it counts as an attempt"
    operating.retry(release=release.pk, activity="it", actor=ACTOR, reason="again")
    assert claimed("slow")["it"].key not in keys


def test_a_lost_once_attempt_is_interrupted_at_once() -> None:
    release = running(script("it", effect="once", retry={"attempts": 9}))
    claimed("slow")
    later(release, 60)
    sweep.sweep()
    assert (states(release)["it"], run(release, "it").code) == ("interrupted", "worker_lost")
    operating.fail(release=release.pk, activity="it", actor=ACTOR, reason="it did not happen")
    assert fresh(release).state == "failed"


def test_the_fence_refuses_what_a_lost_worker_still_answers() -> None:
    release = running(script("it", effect="keyed"))
    old = claimed("slow")["it"]
    later(release, 60)
    sweep.sweep()
    new = claimed("slow")["it"]
    assert [late.fence for late in end(old, Run.FAILED)] == [old.fence]
    assert states(release)["it"] == "running"
    assert renew(old) == "lost"
    assert renew(new) == "ours"
    assert end(new) == []
    assert fresh(release).state == "succeeded"
    assert end(new) != [], "an answer counts once"


def test_a_lease_that_is_renewed_is_not_given_up() -> None:
    release = running(script("it", effect="once"))
    claim = claimed("slow")["it"]
    later(release, 60)
    assert renew(claim) == "ours"
    assert give_up_lost(release.pk) == 0
    assert states(release)["it"] == "running"


def test_a_worker_is_told_to_stop_and_says_when_it_has() -> None:
    release = running(script("it", retry={"attempts": 9}), noop("then", "it"))
    claim = claimed("slow")["it"]
    operating.stop(release=release.pk, activity="it", actor=ACTOR, reason="enough")
    assert (states(release)["it"], run(release, "it").code, attempts(release, "it")) == ("on_hold", "stopped", ["failed"])
    assert renew(claim) != "ours"
    confirm_stopped(claim)
    assert Attempt.objects.get(pk=claim.attempt).stop_confirmed_at is not None
    assert end(claim) != []
    assert states(release)["it"] == "on_hold"


def test_a_timer_waits_as_a_row_and_fires() -> None:
    release = running({"id": "it", "type": "automated", "connector": "timer", "with": {"for": "1h"}}, noop("then", "it"))
    assert states(release) == {"it": "waiting", "then": "pending"}
    sweep.sweep()
    assert states(release)["it"] == "waiting"
    operating.hold(release=release.pk, actor=ACTOR, reason="wait")
    later(release, 3_601)
    sweep.sweep()
    assert states(release)["it"] == "waiting"
    operating.resume(release=release.pk, actor=ACTOR)
    sweep.sweep()
    run_on(release)
    assert fresh(release).state == "succeeded"


def test_a_timer_that_waits_longer_than_its_time_out_fails_when_that_is_over() -> None:
    """Without a time-out of its author it waits until its time, however far."""
    timer = {"type": "automated", "connector": "timer", "with": {"for": "3d"}}
    release = running({"id": "it", "timeout": "1h", **timer}, {"id": "free", **timer}, {"id": "longer", "timeout": "4d", **timer})
    looked_at = {one.run.key: one.poll_at and (one.poll_at - one.started_at).total_seconds() for one in Attempt.objects.filter(release=release)}
    assert looked_at == {"it": 3_600, "free": None, "longer": None}
    Attempt.objects.filter(release=release).update(started_at=F("started_at") - timedelta(hours=2))
    later(release, 3_590)
    sweep.sweep()
    assert states(release)["it"] == "waiting"
    later(release, 20)
    sweep.sweep()
    assert (states(release), run(release, "it").code) == ({"it": "on_hold", "free": "waiting", "longer": "waiting"}, "timeout")


def test_a_timer_can_be_skipped() -> None:
    release = running({"id": "it", "type": "automated", "connector": "timer", "with": {"for": "1h"}}, noop("then", "it"))
    operating.skip(release=release.pk, activity="it", actor=ACTOR, reason="now")
    run_on(release)
    assert fresh(release).state == "succeeded"


def test_a_child_that_takes_too_long_is_aborted_and_its_run_failed() -> None:
    child = blueprint(manual("ask"))
    published(child)
    release = running(sub("it", child.id, timeout="1h", retry={"attempts": 2, "delay": "1s"}))
    first = child_of(release, "it")
    later(release, 3_601)
    sweep.sweep()
    assert fresh(first).state == "aborted"
    assert attempts(release, "it") == ["failed", "queued"]
    later(release, 60)
    sweep.sweep()
    run_on(release)
    assert child_of(release, "it") != first
    later(release, 3_601)
    sweep.sweep()
    assert (run(release, "it").state, run(release, "it").code, run(release, "it").outcome) == ("on_hold", "timeout", "failed")


def test_an_unknown_effect_of_time_is_no_event() -> None:
    """A sweep that finds nothing says nothing."""
    release = running(manual("ask"), noop("a"))
    before = events(release)
    sweep.sweep()
    assert exchange("test:1", "engine", 10).claims == []
    assert events(release) == before


class Remote(Noop):
    """A pipeline elsewhere that is asked again and again and never ends."""

    name = "remote"

    def __init__(self) -> None:
        self.aborted: list[dict[str, Any]] = []

    def start(self, inputs: Any, call: Call) -> Done | Later:
        """It runs there."""
        return Later(reference={"run": 7}, poll_at=call.at)

    def poll(self, reference: dict[str, Any], call: Call) -> Done | Later:
        """Still."""
        return Later(reference=reference, poll_at=call.at)

    def abort(self, reference: dict[str, Any], call: Call) -> None:
        """Told."""
        self.aborted.append(reference)


class Odd(Remote):
    """One whose other side answers in words that nobody knows: it says so, or it breaks."""

    name = "odd"
    answers: ClassVar[list[Any]] = []

    def poll(self, reference: dict[str, Any], call: Call) -> Done | Later:
        """The next answer."""
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Done) else Later(reference=reference, poll_at=call.at, message=answer)


def test_peer_24_an_unknown_state_of_the_other_side_is_asked_again_and_said_and_never_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Odd()
    odd.answers = ['Unknown state "PARKED".', KeyError("status"), TimeoutError("no answer"), ValueError("not JSON"), Done(succeeded=True, outputs={"ok": True})]
    monkeypatch.setitem(registry._ALL, "odd", odd)
    release = running(noop("it", connector="odd", retry={"attempts": 3}))
    for said in ('Unknown state "PARKED".', "Cannot tell yet: 'status'", "Cannot tell yet: no answer", "Cannot tell yet: not JSON"):
        later(release, 60)
        sweep.sweep()
        assert (states(release), attempts(release, "it"), run(release, "it").code) == ({"it": "waiting"}, ["waiting"], ""), said
        (entry,) = waiting_for(fresh(release))
        assert (entry["kind"], said in entry["text"]) == ("machine", True), entry["text"]
    later(release, 60)
    sweep.sweep()
    run_on(release)
    assert (fresh(release).state, attempts(release, "it")) == ("succeeded", ["succeeded"])


def test_what_runs_elsewhere_and_takes_too_long_is_told_to_stop_and_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Remote()
    monkeypatch.setitem(registry._ALL, "remote", remote)
    release = running(noop("it", connector="remote", timeout="1h"))
    assert states(release) == {"it": "waiting"}
    sweep.sweep()
    assert states(release) == {"it": "waiting"}
    Attempt.objects.filter(release=release).update(started_at="2026-01-01T00:00:00Z")
    sweep.sweep()
    assert (states(release), run(release, "it").code, remote.aborted) == ({"it": "on_hold"}, "timeout", [{"run": 7}])
