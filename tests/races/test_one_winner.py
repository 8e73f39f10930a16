"""S-03: 32 threads want the same move at the same instant: one makes it, the others are told no, nobody sees a deadlock.

Tried without `FOR UPDATE` and `SKIP LOCKED` in the statements that lock roots: red in eight of the eleven kinds; hold, resume and claim are held by the
guards of their own statements.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from approvals import signing
from releases import doorbell, operating, planning, scheduling
from releases.attempts import exchange
from releases.engine import Actor, End
from releases.models import Release
from releases.states import Run
from relorch.lib.errors import DomainError
from tests import factories
from tests.releases import invariants
from tests.releases.driving import published
from tests.releases.scenes import ACTOR, bad, blueprint, claimed, manual, noop, running, script

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]

THREADS = 32
ROUNDS = int(os.environ.get("RELORCH_CHAOS_ROUNDS", "4"))
Act = Callable[[], bool]


@pytest.fixture
def threads(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadPoolExecutor]:
    """With a connection each, kept over the rounds."""
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    ends = Barrier(THREADS)

    def leave() -> None:
        connection.close()
        ends.wait(30)

    with ThreadPoolExecutor(THREADS) as pool:
        yield pool
        list(pool.map(lambda _: leave(), range(THREADS)))
    assert invariants.broken() == {}


def verb(name: str, **given: Any) -> Callable[[Release], Act]:
    def of(release: Release) -> Act:
        return lambda: bool(getattr(operating, name)(release=release.pk, actor=ACTOR, reason="me", **given))

    return of


def on_hold() -> Release:
    return running(bad("it"), noop("then", "it"))


def held() -> Release:
    release = running(manual("ask"))
    operating.hold(release=release.pk, actor=ACTOR, reason="wait")
    return release


def ending() -> tuple[Release, Act]:
    release = running(script("it"))
    claim = claimed("slow")["it"]
    end = End(claim.attempt, claim.run, Run.SUCCEEDED, claim.fence, number=1)
    return release, lambda: not exchange("test:1", "slow", 0, [end], search=False).late


def voting() -> tuple[Release, Act]:
    ann = factories.person()
    release = running(manual("ask", of=(f"user:{ann.email}",)))
    me = Actor(ann.pk, ann.email, "page")
    return release, lambda: bool(signing.sign_off(release=release.pk, activity="ask", person=ann, actor=me, decision="approve", comment="yes").verdict)


def claiming() -> tuple[Release, Act]:
    release = running(script("it"))
    return release, lambda: bool(exchange("test:1", "slow", 1).claims)


def cancelling() -> tuple[Release, Act]:
    release = _scheduled()
    return release, lambda: bool(scheduling.cancel(release=release.pk, actor=ACTOR, reason="me"))


def starting() -> tuple[Release, Act]:
    release = _scheduled()
    return release, lambda: bool(planning.moves_of_start(release=Release.objects.get(pk=release.pk), actor=ACTOR))


def _scheduled() -> Release:
    starter = factories.person()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at = cursor.fetchone()[0] + timedelta(hours=1)
    process = published(blueprint(noop("it")))
    return scheduling.save_scheduled(process=process, given={}, actor=ACTOR, starter=starter, scheduled_for=at)


def simple(scene: Callable[[], Release], act: Callable[[Release], Act]) -> Callable[[], tuple[Release, Act]]:
    def made() -> tuple[Release, Act]:
        release = scene()
        return release, act(release)

    return made


KINDS: dict[str, Callable[[], tuple[Release, Act]]] = {
    "hold": simple(lambda: running(manual("ask")), verb("hold")),
    "resume": simple(held, verb("resume")),
    "abort": simple(lambda: running(manual("ask")), verb("abort")),
    "retry": simple(on_hold, verb("retry", activity="it")),
    "ignore": simple(on_hold, verb("ignore", activity="it")),
    "skip": simple(lambda: running(manual("ask")), verb("skip", activity="ask")),
    "claim": claiming,
    "finish": ending,
    "vote": voting,
    "cancel": cancelling,
    "start": starting,
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_winner(kind: str, threads: ThreadPoolExecutor) -> None:
    for _ in range(ROUNDS):
        _, act = KINDS[kind]()
        at_once = Barrier(THREADS)

        def one(_: int, act: Act = act, at_once: Barrier = at_once) -> bool:
            connection.ensure_connection()
            at_once.wait(30)
            try:
                return act()
            except DomainError:
                return False

        assert sum(threads.map(one, range(THREADS))) == 1
