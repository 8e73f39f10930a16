"""Why is it not moving? Over every kind of wait: the first of `who` performs `verb` through the API, and the entry is gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from releases import doorbell, operating, planning, scheduling, sweep, waiting
from releases.models import ActivityRun, Attempt, Release
from releases.states import Run
from releases.waiting import waiting_for
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api
from tests.releases.driving import published, run_on
from tests.releases.scenes import ACTOR, bad, blueprint, child_of, claimed, end, fresh, later, manual, noop, phase, running, script, sub

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    monkeypatch.setattr(waiting, "_workers", [lambda: {"engine", "prepare", "slow"}])


@pytest.fixture
def olga() -> User:
    return factories.person("olga")


OWNED = {"owners": ["user:olga@example.com"]}


def _timer(olga: User) -> Release:
    return running({"id": "it", "type": "automated", "connector": "timer", "with": {"for": "1h"}, **OWNED}, starter=olga)


def _lock(olga: User) -> Release:
    running(script("it", lock="eu"), starter=olga)
    return running(script("it", lock="eu", **OWNED), starter=olga)


def _child(olga: User) -> Release:
    inner = published(blueprint(script("deep")))
    return running(sub("it", inner.identifier, **OWNED), starter=olga)


def _running(olga: User) -> Release:
    release = running(script("it", **OWNED), starter=olga)
    claimed("slow")
    return release


def _retry(olga: User) -> Release:
    return running(bad("it", retry={"attempts": 2, "delay": "1h"}, **OWNED), starter=olga)


def _impossible(olga: User) -> Release:
    gone = factories.person("gone")
    release = running(manual("it", of=(f"user:{gone.email}",), **OWNED), starter=olga)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    return release


def _broken(olga: User) -> Release:
    release = running(manual("ok", of=("user:olga@example.com",)), script("it", "ok", **OWNED), starter=olga)
    operating.succeed(release=release.pk, activity="ok", actor=ACTOR, reason="so")
    Attempt.objects.filter(run__release=release, run__key="ok").update(seal="forged")
    claimed("slow")
    return release


def _interrupted(olga: User) -> Release:
    release = running(script("it", **OWNED), starter=olga)
    claimed("slow")
    later(release, 100)
    sweep.sweep()
    return release


def _held(olga: User) -> Release:
    release = running(script("it", **OWNED), starter=olga)
    operating.hold(release=release.pk, actor=ACTOR, reason="wait")
    return fresh(release)


def _draft(olga: User, blocked: bool = False) -> Release:
    process = factories.process("later", actor=olga, owners=["user:olga@example.com"], phases=[phase("work", noop("it"))])
    version = factories.version(process, actor=olga)
    at = planning.next_id()[1]
    return scheduling.save_scheduled(
        process=process, given={}, actor=ACTOR, starter=olga, scheduled_for=at + scheduling.timedelta(hours=1), version=version, name="later"
    )


def _due(olga: User) -> Release:
    release = _draft(olga)
    Release.objects.filter(pk=release.pk).update(scheduled_for=planning.next_id()[1] - scheduling.timedelta(seconds=1))
    sweep.sweep()
    return fresh(release)


WAITS: dict[str, tuple[Callable[[User], Release], str, str]] = {
    "a person decides": (
        lambda olga: running(manual("it", of=("user:olga@example.com",), approval={"allow_tokens": True}), starter=olga),
        "person",
        "sign_off",
    ),
    "a person chooses after a failure": (lambda olga: running(bad("it", **OWNED), starter=olga), "person", "retry"),
    "nobody knows whether it happened": (_interrupted, "person", "retry"),
    "the approval before it is forged": (_broken, "person", "fail"),
    "nobody here can meet the rule": (_impossible, "person", "skip"),
    "a worker is busy with it": (_running, "machine", "stop"),
    "no worker has taken it yet": (lambda olga: running(script("it", **OWNED), starter=olga), "machine", "skip"),
    "a time": (_timer, "time", "skip"),
    "a signal": (lambda olga: running({"id": "it", "type": "automated", "connector": "signal", **OWNED}, starter=olga), "signal", "skip"),
    "the next try": (_retry, "time", "skip"),
    "a lock": (_lock, "lock", "skip"),
    "a child": (_child, "child", "skip"),
    "hold": (_held, "hold", "resume"),
    "its scheduled time": (_draft, "time", "start"),
    "a person to start it": (_due, "person", "start"),
}


@pytest.mark.parametrize("name", WAITS)
def test_the_first_of_who_does_the_verb_and_the_entry_is_gone(name: str, olga: User) -> None:
    make, kind, verb = WAITS[name]
    release = make(olga)
    api = Api(olga)
    entry = next(e for e in api.get(f"releases/{release.pk}/").json()["waiting_for"] if e["kind"] == kind)
    assert (entry["verb"], entry["verbs"][0]) == (verb, verb) or name == "nobody here can meet the rule"
    assert entry["since"]
    assert entry["text"].endswith(".")
    who = User.objects.get(email=entry["who"][0], is_active=True)
    before = ActivityRun.objects.get(release=release, key="it").attempt_count if entry["activity"] else 0
    place = f"releases/{entry['release']}/" + (f"activities/{entry['activity']}/" if entry["activity"] else "")
    path = f"{place}sign_offs/" if verb == "sign_off" else f"{place}{verb}/"
    body = {"decision": "approve"} if verb == "sign_off" else {"reason": "because"}
    answer = Api(who).post(path, body)
    assert answer.status_code in (200, 201), answer.content
    left = Api(olga).get(f"releases/{release.pk}/").json()["waiting_for"]
    mine = [e for e in left if (e["activity"], e["release"], e["kind"]) == (entry["activity"], entry["release"], kind)]
    assert mine == [] or ActivityRun.objects.get(release=release, key="it").attempt_count > before


def test_without_a_worker_it_says_so_and_names_who_can_change_that(olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = factories.person("admin")
    User.objects.filter(pk=admin.pk).update(is_superuser=True)
    monkeypatch.setattr(waiting, "_workers", [lambda: {"engine"}])
    release = running(script("it", **OWNED), starter=olga)
    (entry,) = waiting_for(fresh(release))
    assert (entry["kind"], entry["nobody"]) == ("machine", False), "it has only just been queued"
    Attempt.objects.filter(run__release=release).update(queued_at=planning.next_id()[1] - scheduling.timedelta(minutes=1))
    (entry,) = waiting_for(fresh(release))
    assert (entry["nobody"], entry["who"], entry["verb"]) == (True, [admin.email], "start_workers")
    assert "No worker" in entry["text"]
    other = running(script("other"), starter=olga)
    assert {claim.run.release for claim in claimed("slow", 1).values()} == {release.pk}
    Attempt.objects.filter(run__release=other).update(queued_at=planning.next_id()[1] - scheduling.timedelta(minutes=1))
    (entry,) = waiting_for(fresh(other))
    assert entry["nobody"] is False, "the lane is at work: a claim keeps its lease"
    later(release, 100)
    (entry,) = waiting_for(fresh(release))
    assert entry["nobody"] is True
    assert "worker has not been heard of" in entry["text"]


def test_it_looks_through_subprocesses_and_falls_back_to_who_operates(olga: User) -> None:
    inner = published(blueprint(manual("deep", of=("user:olga@example.com",)), bad("broken")))
    top = running(sub("it", inner.identifier), starter=olga)
    child = child_of(top, "it")
    found = {(e["activity"], e["kind"]): e for e in waiting_for(fresh(top))}
    assert set(found) == {("it", "child"), ("deep", "person"), ("broken", "person")}
    assert found["it", "child"]["child"] == child.pk
    assert found["broken", "person"]["who"] == [olga.email], "no owners anywhere: the starter"
    assert {e["release"] for e in waiting_for(fresh(child))} == {child.pk}


def test_a_lock_says_who_holds_it_and_in_which_order_others_wait(olga: User) -> None:
    stranger = factories.person("stranger")
    first = running(script("it", lock="eu"), starter=stranger)
    second = running(script("it", lock="eu"), starter=olga)
    third = running(phase("go", script("it"), lock="eu"), starter=olga)
    (entry,) = waiting_for(fresh(third), olga)
    assert entry["lock"]["place"] == 2
    assert entry["lock"]["held_by"] == {"release": None, "name": None, "activity": "", "phase": "", "since": entry["lock"]["held_by"]["since"]}
    assert [one["release"] for one in entry["lock"]["queue"]] == [second.pk, third.pk]
    assert entry["text"] == 'Waits for the lock "eu", held by another release; number 2 of 2 in line.'
    end(claimed("slow")["it"], Run.SUCCEEDED)
    sweep.sweep()
    (entry,) = waiting_for(fresh(third), olga)
    assert entry["lock"]["held_by"]["release"] == second.pk
    assert entry["text"] == f'Waits for the lock "eu", held by {second.name}, it; number 1 of 1 in line.'
    assert fresh(first).state == "succeeded"


def test_the_number_of_queries_does_not_grow(olga: User) -> None:
    def of(number: int) -> int:
        steps = []
        for n in range(number):
            steps += [manual(f"m{n}", of=("user:olga@example.com",)), bad(f"b{n}"), script(f"s{n}"), script(f"l{n}", lock="eu")]
        release = fresh(running(*steps, starter=olga))
        waiting_for(release, olga)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert len(waiting_for(release, olga)) == 4 * number
        return len(seen)

    assert of(2) == of(6)


def test_between_two_steps_it_is_being_worked_out(olga: User) -> None:
    release = running(noop("a", **{"if": "true"}), starter=olga, go=False)
    (entry,) = waiting_for(fresh(release))
    assert (entry["kind"], entry["text"]) == ("machine", "What comes next is being worked out.")
    run_on(release)
    assert waiting_for(fresh(release)) == []
