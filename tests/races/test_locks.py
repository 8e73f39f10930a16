"""Locks with racing releases and killed workers: never two holders, nobody forgotten, no deadlock (S9a)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from releases import doorbell, draining, evaluating, operating, sweep
from releases.models import Lock, Release
from relorch.audit.models import Event
from tests import factories
from tests.releases import invariants
from tests.releases.driving import published, started
from tests.releases.scenes import ACTOR, blueprint, claimed, end, fresh, later, noop, phase, running, script, states, sub

pytestmark = pytest.mark.django_db(transaction=True)
RELEASES, WORKERS = 8, 4


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    yield
    assert invariants.broken() == {}


def in_threads(work: list[object], do: object) -> None:
    def one(item: object) -> None:
        try:
            do(item)  # type: ignore[operator]
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as pool:
        list(pool.map(one, work))


def spans(name: str) -> list[tuple[int, str]]:
    """Who took and freed it, in the order of the events' times; the database clock is one for all trees."""
    found = Event.objects.filter(verb__in=["lock.taken", "lock.freed"]).order_by("at", "pk")
    return [(row.release_id, row.verb) for row in found if f'"name":"{name}"' in row.record.replace(" ", "")]


def test_racing_releases_hold_it_one_after_the_other() -> None:
    """Every release takes two locks in the same or the other order; workers and sweeps race over all of them."""
    child = published(blueprint(noop("deep", lock="us")))
    there = published(blueprint(phase("deploy", noop("a"), noop("b", "a", lock="us"), noop("c", "b"), lock="eu")))
    back = published(blueprint(phase("deploy", noop("x"), sub("y", child.identifier, "x"), noop("z", "y", lock="eu"))))
    starter = factories.person()
    found = [started(process, starter) for _ in range(RELEASES // 2) for process in (there, back)]
    stop = threading.Event()

    def sweeper(_: object) -> None:
        while not stop.is_set():
            sweep.sweep()

    def worker(_: object) -> None:
        for _ in range(400):
            draining.drain("engine", seconds=0.05)
            for one in found:
                evaluating.settle(one.pk)
            if not Release.objects.filter(state="running").exists():
                break

    def go(item: object) -> None:
        try:
            if item == "sweep":
                sweeper(item)
            else:
                worker(item)
        finally:
            if item != "sweep":
                stop.set()

    in_threads(["sweep", *range(WORKERS)], go)
    assert {fresh(one).state for one in found} == {"succeeded"}
    assert not Lock.objects.exclude(state="free").exists()
    for name in ("eu", "us"):
        taken = spans(name)
        assert len(taken) == 2 * RELEASES
        assert all(before[0] == after[0] for before, after in zip(taken[::2], taken[1::2], strict=True)), f"two held {name} at once: {taken}"


def test_asked_freed_held_and_aborted_at_the_same_instant() -> None:
    for _ in range(4):
        first, *others = [running(script("go", lock="eu")) for _ in range(5)]
        barrier = threading.Barrier(5)

        def act(number: int, first: Release = first, others: list[Release] = others, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            if number == 0:
                operating.abort(release=first.pk, actor=ACTOR, reason="no")
            elif number == 1:
                operating.hold(release=others[0].pk, actor=ACTOR, reason="no")
            elif number == 2:
                operating.abort(release=others[1].pk, actor=ACTOR, reason="no")
            elif number == 3:
                operating.skip(release=others[2].pk, activity="go", actor=ACTOR, reason="no")
            else:
                sweep.sweep()

        in_threads(list(range(5)), act)  # type: ignore[arg-type]
        sweep.sweep()
        sweep.sweep()
        assert list(Lock.objects.filter(state="held").values_list("release_id", flat=True)) == [others[3].pk]
        assert list(Lock.objects.filter(state="waiting").values_list("release_id", flat=True)) == [others[0].pk]
        for one in others:
            if fresh(one).state in ("running", "held"):
                operating.abort(release=one.pk, actor=ACTOR, reason="clean")


def test_the_worker_of_a_holder_is_killed() -> None:
    """`keyed`: it goes on with the lock; `once`: nobody knows, so it is kept until a person has chosen. Whoever waits is not forgotten."""
    keyed, once, third = running(script("go", effect="keyed", lock="eu")), running(script("go", lock="eu")), running(script("go", lock="eu"))
    assert claimed("slow")["go"].run.release == keyed.pk
    later(keyed, 100)
    sweep.sweep()
    assert (states(keyed)["go"], states(once)["go"]) == ("queued", "waiting")
    end(claimed("slow")["go"])
    sweep.sweep()
    assert claimed("slow")["go"].run.release == once.pk
    later(once, 100)
    sweep.sweep()
    assert (states(once)["go"], states(third)["go"]) == ("interrupted", "waiting")
    operating.fail(release=once.pk, activity="go", actor=ACTOR, reason="it was not done")
    sweep.sweep()
    assert states(third)["go"] == "queued"


def test_nobody_rang_for_the_next_in_line() -> None:
    """The one that freed it was killed after its commit: the sweep finds who was given it."""
    first, second = running(script("go", lock="eu")), running(script("go", lock="eu"))
    operating.abort(release=first.pk, actor=ACTOR, reason="no")
    assert states(second)["go"] == "waiting"
    sweep.sweep()
    assert states(second)["go"] == "queued"
