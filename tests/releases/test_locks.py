"""Locks (S9a): one holder of a name, first come, first served; how they are freed, given up, and what a ring of waiters comes to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from approvals.signing import sign_off
from releases import doorbell, operating, restarting, sweep
from releases.engine import Actor
from releases.models import ActivityRun, Attempt, Lock, Release
from releases.states import Run
from relorch.lib.errors import Conflict
from tests import factories
from tests.releases import invariants
from tests.releases.driving import published, run_on, started
from tests.releases.scenes import ACTOR, blueprint, child_of, claimed, end, events, fresh, later, manual, noop, phase, run, running, script, states, sub

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    yield
    assert invariants.broken() == {}


def held(name: str) -> list[int]:
    """The releases that hold it, and those that wait for it, in order."""
    return list(Lock.objects.filter(name=name, state="held").values_list("release_id", flat=True))


def waiting(name: str) -> list[int]:
    return list(Lock.objects.filter(name=name, state="waiting").order_by("place").values_list("release_id", flat=True))


def of(key: str, lock: str, *depends_on: str, **keys: Any) -> dict[str, Any]:
    return script(key, *depends_on, lock=lock, **keys)


def three(*phases: dict[str, Any], **keys: Any) -> list[Release]:
    process = published(blueprint(*phases, **keys))
    starter = factories.person()
    found = [started(process, starter) for _ in range(3)]
    for one in found:
        run_on(one)
    return found


def test_first_come_first_served_over_all_releases() -> None:
    first, second, third = three(of("go", "eu"))
    assert [states(one)["go"] for one in (first, second, third)] == ["queued", "waiting", "waiting"]
    assert (held("eu"), waiting("eu")) == ([first.pk], [second.pk, third.pk])
    assert run(second, "go").code == "waiting_for_lock"
    for one in (first, second, third):
        claims = claimed("slow")
        assert [claim.run.release for claim in claims.values()] == [one.pk], "one at a time, in the order in which they came"
        end(claims["go"])
        assert fresh(one).state == "succeeded"
        sweep.sweep()
    assert (held("eu"), waiting("eu")) == ([], [])
    assert [verb for verb in events(second) if verb.startswith("lock.")] == ["lock.asked", "lock.taken", "lock.freed"]
    assert [verb for verb in events(first) if verb.startswith("lock.")] == ["lock.taken", "lock.freed"]


def test_a_phase_holds_its_lock_from_its_first_activity_to_its_close() -> None:
    first, second, _ = three(phase("deploy", script("a"), script("b", "a"), lock="${{ 'eu' }}"), phase("after", noop("c"), depends_on=["deploy"]))
    assert states(second) == {"a": "waiting", "b": "pending", "c": "pending"}
    end(claimed("slow")["a"])
    run_on(first)
    assert held("eu") == [first.pk]
    end(claimed("slow")["b"])
    run_on(first)
    assert fresh(first).state == "succeeded"
    sweep.sweep()
    assert (held("eu"), states(second)["a"]) == ([second.pk], "queued")


@pytest.mark.parametrize("how", ["abort", "skip", "fail", "ignore", "restart", "timeout of the other"])
def test_a_holder_that_ends_in_any_way_frees_it(how: str) -> None:
    first, second, _ = three(of("go", "eu"), noop("then"))
    claim = claimed("slow")["go"]
    if how == "abort":
        operating.abort(release=first.pk, actor=ACTOR, reason="no")
    elif how == "restart":
        restarting.restart_from(release=first.pk, phase="work", actor=ACTOR, reason="again")
        assert states(first)["go"] == "pending"
    elif how == "skip":
        end(claim, Run.FAILED)
        assert held("eu") == [first.pk], "who needs a decision keeps it"
        operating.retry(release=first.pk, activity="go", actor=ACTOR, reason="again")
        assert (held("eu"), states(first)["go"]) == ([first.pk], "queued")
        operating.skip(release=first.pk, activity="go", actor=ACTOR, reason="no")
    elif how == "timeout of the other":
        later(first, 100)  # its worker is lost: nobody knows, so it keeps the lock until a person has chosen
        sweep.sweep()
        assert (states(first)["go"], held("eu")) == ("interrupted", [first.pk])
        operating.fail(release=first.pk, activity="go", actor=ACTOR, reason="it was not done")
    else:
        end(claim, Run.FAILED)
        verb = operating.fail if how == "fail" else operating.ignore
        verb(release=first.pk, activity="go", actor=ACTOR, reason="so be it")
    sweep.sweep()
    assert held("eu") == [second.pk]
    assert states(second)["go"] == "queued"


def test_who_waits_and_is_skipped_or_aborted_leaves_the_queue() -> None:
    first, second, third = three(of("go", "eu"))
    operating.skip(release=second.pk, activity="go", actor=ACTOR, reason="no")
    assert (states(second)["go"], run(second, "go").code, waiting("eu")) == ("skipped", "", [third.pk])
    operating.abort(release=third.pk, actor=ACTOR, reason="no")
    assert waiting("eu") == []
    operating.abort(release=first.pk, actor=ACTOR, reason="no")
    assert Lock.objects.exclude(state="free").count() == 0


def test_a_held_release_keeps_what_it_holds_and_its_place() -> None:
    first, second, third = three(of("go", "eu"))
    operating.hold(release=first.pk, actor=ACTOR, reason="wait")
    operating.hold(release=second.pk, actor=ACTOR, reason="wait")
    assert held("eu") == [first.pk]
    operating.resume(release=first.pk, actor=ACTOR)
    end(claimed("slow")["go"])
    sweep.sweep()
    assert (held("eu"), waiting("eu")) == ([third.pk], [second.pk]), "passed over while it is held"
    operating.abort(release=third.pk, actor=ACTOR, reason="no")
    assert held("eu") == []
    operating.resume(release=second.pk, actor=ACTOR)
    assert (held("eu"), states(second)["go"]) == ([second.pk], "queued")


def test_what_was_given_while_it_is_put_on_hold_goes_on_to_the_next() -> None:
    _first, second, third = three(of("go", "eu"))
    end(claimed("slow")["go"])
    assert list(Lock.objects.filter(state="granted").values_list("release_id", flat=True)) == [second.pk]
    operating.hold(release=second.pk, actor=ACTOR, reason="wait")
    sweep.sweep()
    assert (held("eu"), waiting("eu")) == ([third.pk], [second.pk])


@pytest.mark.parametrize("policy", ["keep", "release"])
def test_peer_17_while_people_are_waited_for_it_is_kept_or_given_up(policy: str) -> None:
    boss = factories.person("boss")
    deploy = phase("deploy", script("a"), manual("ok", "a", of=(f"user:{boss.email}",)), script("b", "ok"), lock="eu", lock_while_waiting=policy)
    first, second, _ = three(deploy)
    end(claimed("slow")["a"])
    run_on(first)
    assert states(first)["ok"] == "waiting"
    sweep.sweep()
    if policy == "keep":
        assert (held("eu"), states(second)["a"]) == ([first.pk], "waiting")
        operating.succeed(release=first.pk, activity="ok", actor=ACTOR, reason="yes")
        assert states(first)["b"] == "queued"
        return
    assert (held("eu"), states(second)["a"]) == ([second.pk], "queued")
    operating.succeed(release=first.pk, activity="ok", actor=ACTOR, reason="yes")
    assert states(first)["b"] == "waiting", "it has given the lock up, and asks again, behind the others"
    assert waiting("eu")[-1] == first.pk


@pytest.mark.parametrize("policy", ["keep", "release"])
def test_peer_17_an_activity_that_needs_a_decision(policy: str) -> None:
    first, second, _ = three(of("go", "eu", lock_while_waiting=policy))
    end(claimed("slow")["go"], Run.FAILED)
    sweep.sweep()
    assert held("eu") == [first.pk if policy == "keep" else second.pk]
    operating.retry(release=first.pk, activity="go", actor=ACTOR, reason="again")
    assert states(first)["go"] == ("queued" if policy == "keep" else "waiting")


def test_what_something_around_it_holds_counts_as_held() -> None:
    factories.person("olga")
    child = published(blueprint(phase("inner", script("deep", lock="eu"), lock="eu")))
    top = running(phase("outer", sub("roll_out", child.identifier), lock="eu"))
    inner = child_of(top, "roll_out")
    assert states(inner)["deep"] == "queued"
    assert held("eu") == [top.pk]
    other = running(of("go", "eu"))
    assert waiting("eu") == [other.pk]
    end(claimed("slow")["deep"])
    run_on(top)
    assert fresh(top).state == "succeeded"
    sweep.sweep()
    assert held("eu") == [other.pk]


def test_a_ring_of_waiters_is_refused_and_named() -> None:
    def takes(one: str, other: str) -> Release:
        return running(phase("outer", script("a"), script("b", "a", lock=other), lock=one))

    first, second = takes("eu", "us"), takes("us", "eu")
    ends = {claim.run.release: claim for claim in [*claimed("slow", 1).values(), *claimed("slow", 1).values()]}
    end(ends[first.pk])
    run_on(first)
    assert states(first)["b"] == "waiting"
    end(ends[second.pk])
    run_on(second)
    broken = run(second, "b")
    assert (broken.state, broken.code) == ("on_hold", "lock_circle")
    assert f"eu (release {second.pk}) -> eu (release {first.pk}) -> us (release {first.pk}) -> us (release {second.pk}) -> eu" in broken.message
    operating.fail(release=second.pk, activity="b", actor=ACTOR, reason="so be it")
    run_on(second)
    sweep.sweep()
    assert states(first)["b"] == "queued"


def test_two_branches_of_two_releases_are_no_ring() -> None:
    """Each holds what the other's other branch waits for: both go on when the holders are done."""

    def takes(one: str, other: str) -> Release:
        return running(phase("left", script("a", lock=one)), phase("right", noop("b0"), script("b", "b0", lock=other)))

    first, second = takes("eu", "us"), takes("us", "eu")
    assert {(states(one)["a"], states(one)["b"]) for one in (first, second)} <= {("queued", "queued"), ("queued", "waiting"), ("waiting", "waiting")}
    for _ in range(4):
        for claim in [*claimed("slow", 1).values()]:
            end(claim)
        sweep.sweep()
    assert (fresh(first).state, fresh(second).state) == ("succeeded", "succeeded")


def test_a_lock_without_a_name_fails_with_its_expression() -> None:
    release = running(noop("a", **{"with": {"outputs": {"name": ""}}}), of("go", "${{ activities.a.outputs.name }}", "a"))
    assert (states(release)["go"], run(release, "go").code) == ("on_hold", "expression_error")


def test_nobody_is_asked_while_an_approval_waits_for_its_lock() -> None:
    boss = factories.person("boss")
    first, second, _ = three(manual("ok", of=(f"user:{boss.email}",), lock="eu"))
    assert (run(first, "ok").code, run(second, "ok").code) == ("", "waiting_for_lock")
    assert list(ActivityRun.objects.waiting_for(boss).values_list("release_id", flat=True)) == [first.pk]
    with pytest.raises(Conflict, match="nobody is asked"):
        sign_off(release=second.pk, activity="ok", person=boss, actor=Actor(boss.pk, boss.email, "page"), decision="approve")
    sign_off(release=first.pk, activity="ok", person=boss, actor=Actor(boss.pk, boss.email, "page"), decision="approve")
    sweep.sweep()
    assert list(ActivityRun.objects.waiting_for(boss).values_list("release_id", flat=True)) == [second.pk]
    sign_off(release=second.pk, activity="ok", person=boss, actor=Actor(boss.pk, boss.email, "page"), decision="approve")
    assert fresh(second).state == "succeeded"


def test_who_has_one_lock_and_waits_for_another_says_which() -> None:
    for key, lock in (("eu_go", "eu"), ("us_go", "us")):
        running(of(key, lock))
    third = running(phase("both", script("it", lock="us"), lock="eu"))
    assert run(third, "it").message == 'Waits for the lock "eu".'
    end(claimed("slow")["eu_go"])
    sweep.sweep()
    assert held("eu") == [third.pk]
    assert (run(third, "it").message, Attempt.objects.get(release=third).message) == ('Waits for the lock "us".',) * 2
