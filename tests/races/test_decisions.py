"""Many people at one gate at once (S16, reliability A-03, A-04): it opens exactly once, with distinct people, on what they saw.

Tried with `FOR UPDATE` taken out of `statements.LOCK_ROOTS` and `LOCK_FREE_ROOTS`: the first three turned red; the last holds by the transaction alone, and
turned red when the votes were not made stale in it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from threading import Event
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from approvals import packets, signing
from approvals.checklists import change_task
from approvals.filling import fill
from approvals.models import SignOff
from releases import doorbell, draining, evaluating, operating
from releases.attempts import exchange
from releases.engine import Actor
from releases.models import Attempt, Release
from releases.states import Run
from relorch.lib.errors import DomainError
from tests import factories
from tests.processes.conftest import Api
from tests.races.test_engine import at_once
from tests.releases import invariants
from tests.releases.driving import run_on
from tests.releases.scenes import ACTOR, claimed, end, events, manual, noop, phase, running, script, states

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = int(os.environ.get("RELORCH_RACE_ROUNDS") or max(3, int(os.environ.get("RELORCH_PROPERTY_EXAMPLES", "0")) // 40))


@pytest.fixture(autouse=True)
def nothing_is_broken(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No worker hears the doorbell here; at the end every invariant holds, and nothing ran on votes about something else."""
    signed_in.cache_clear()
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    yield
    assert invariants.broken() == {}
    assert gone_through_wrongly() == []


def gone_through_wrongly() -> list[Any]:
    """Approved attempts whose verdict names another packet than the one that is there, or rests on a vote about another (SQL of A-03)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT a.id FROM releases_attempt a JOIN approvals_signoff vote ON vote.attempt_id = a.id AND NOT vote.stale
            JOIN approvals_packet packet ON packet.id = vote.packet_id
            WHERE a.state = 'succeeded' AND a.decision ->> 'verdict' = 'approved'
                AND vote.decision = 'approve' AND packet.hash <> a.decision ->> 'packet'
            """
        )
        found = [row[0] for row in cursor.fetchall()]
    approved = Attempt.objects.select_related("run__release__process", "run__release__version").filter(state=Run.SUCCEEDED, run__type="manual")
    return found + [one.pk for one in approved if (one.decision or {}).get("packet") != packets.current_hash(one)]


@cache
def signed_in(who: Any, kind: str) -> Any:
    """A person's browser or script; logging in once is enough for all rounds of a test."""
    if kind == "api":
        return Api(who)
    client = Client()
    client.force_login(who)
    return client


def door(who: Any, release: Release, kind: str, decision: str = "approve") -> Callable[[], Any]:
    """One person through one of the doors; what they were told, as a short word."""
    place = f"{release.pk}/activities/ask/sign_offs/"
    if kind == "api":
        api = signed_in(who, kind)
        return lambda: api.post(f"releases/{place}", {"decision": decision, "comment": "said"}).status_code
    if kind == "page":
        client = signed_in(who, kind)
        return lambda: client.post(f"/approvals/{release.pk}/ask/sign_off/", {"decision": decision, "comment": "said"}).status_code
    actor = Actor(who.pk, who.email, "mail")

    def by_mail() -> Any:
        try:
            signing.sign_off(release=release.pk, activity="ask", person=who, actor=actor, decision=decision, comment="said")
        except DomainError as refusal:
            return refusal.status
        return 201

    return by_mail


def test_a_04_of_twenty_people_at_once_the_gate_opens_once_and_with_distinct_people() -> None:
    """5 of 20, three doors, and three of them through two or three doors at the same instant."""
    people = [factories.person(f"voter{n}") for n in range(20)]
    crowd = factories.group("crowd", *people)
    doors = ("page", "mail", "api")
    for _ in range(ROUNDS):
        approval = {"requires": [{"count": 5, "of": [f"group:{crowd.name}"]}], "allow_tokens": True}
        release = running(manual("ask", approval=approval), noop("then", "ask"))
        acts = [door(who, release, doors[n % 3]) for n, who in enumerate(people)]
        acts += [door(people[0], release, "mail"), door(people[0], release, "api"), door(people[1], release, "api")]
        random.shuffle(acts)
        counts = Counter(at_once(*acts))
        assert set(counts) <= {200, 201, 302, 409}, counts
        assert events(release, "activity.succeeded").count("ask") == 1
        voters = list(SignOff.objects.filter(attempt__run__release=release).values_list("person", flat=True))
        assert len(voters) == len(set(voters)) == 5
        assert Attempt.objects.filter(release=release, run__key="then").count() == 1
        assert states(release) == {"ask": "succeeded", "then": "queued"}
        given = len(events(release, "sign_off.given")) + len(events(release, "sign_off.changed"))
        assert counts[200] + counts[201] + counts[302] == given
        assert counts[409] == len(events(release, "sign_off.refused"))
        run_on(release)


def test_a_04_the_first_committed_decides_and_a_rejection_before_the_verdict_always_rejects() -> None:
    people = [factories.person(f"voter{n}") for n in range(8)]
    of = [f"user:{who.email}" for who in people]
    for _ in range(ROUNDS):
        release = running(manual("ask", approval={"requires": [{"count": 4, "of": of}], "on_reject": "fail"}), noop("then", "ask"))
        at_once(*(door(who, release, ("page", "mail")[n % 2], "reject" if n == 7 else "approve") for n, who in enumerate(people)))
        cast = list(SignOff.objects.filter(attempt__run__release=release).values_list("decision", flat=True))
        state = states(release)["ask"]
        assert (state == "rejected") == ("reject" in cast)
        assert cast.count("approve") == 4 if state == "succeeded" else cast.count("approve") < 4
        assert len(events(release, "activity.succeeded")) + len(events(release, "activity.rejected")) >= 1
        run_on(release)


def voted(release: Release, who: Any, packet: str = "") -> Any:
    """A vote on what was seen."""
    return signing.sign_off(
        release=release.pk, activity="ask", person=who, actor=Actor(who.pk, who.email, "page"), decision="approve", comment="said", packet=packet
    ).verdict


def test_a_03_approve_against_edit_against_start() -> None:
    """Two approve what they saw, the owner fills in the form and moves a task, a run upstream answers anew, workers drain: nothing starts on another packet."""
    ann, bob, olga = (factories.person(name) for name in ("ann", "bob", "olga"))
    of = [f"user:{who.email}" for who in (ann, bob)]
    olgas = Actor(olga.pk, olga.email, "page")
    ends: Counter[str] = Counter()
    for n in range(ROUNDS * 2):
        ask = manual(
            "ask",
            owners=["user:olga@example.com"],
            approval={"requires": [{"count": 2, "of": of}]},
            fields={"note": {"type": "string"}},
            tasks=[{"id": "look"}],
            instructions="${{ has(activities.scan.outputs.found) ? activities.scan.outputs.found : 'nothing' }}",
        )
        release = running(phase("one", script("scan", optional=True, on_failure="fail")), phase("two", ask, noop("then", "ask"), depends_on=["one"]))
        end(claimed("slow")["scan"], Run.FAILED, code="exit")
        run_on(release)
        operating.retry(release=release.pk, activity="scan", actor=ACTOR, reason="again")
        scan = claimed("slow")["scan"]
        attempt = Attempt.objects.select_related("run__release__process", "run__release__version").get(run__release=release, run__key="ask")
        seen = packets.current_hash(attempt)
        edits: list[Callable[[], Any]] = [
            lambda r=release: fill(release=r.pk, activity="ask", person=olga, actor=olgas, fields={"note": "changed"}) and "filled",
            lambda r=release: change_task(release=r.pk, activity="ask", task="look", person=olga, actor=olgas, status="done") and "moved",
            lambda s=scan: end(s, Run.SUCCEEDED, outputs={"found": "7"}, settle=False) == [] and "answered",
        ]
        answers = at_once(
            lambda r=release, p=seen: voted(r, ann, p),
            lambda r=release, p=seen: voted(r, bob, p),
            edits[n % 3],
            lambda r=release: draining.drain("engine", seconds=1),
        )
        state = states(release)["ask"]
        ends[state] += 1
        if state == "waiting":
            assert "packet_changed" in answers or SignOff.objects.filter(attempt=attempt, stale=True).exists()
            assert states(release)["then"] == "pending"
        evaluating.settle(release.root_id)
        for who in (ann, bob):
            if states(release)["ask"] == "waiting":
                voted(release, who)
        exchange("test:1", "engine", 5)
        run_on(release)
        assert states(release)["ask"] == "succeeded"
    assert sum(ends.values()) == ROUNDS * 2


def test_a_03_nobody_ever_sees_a_changed_question_with_votes_that_still_count() -> None:
    """One who only reads, again and again, finds form and votes always agreeing: both change in one transaction."""
    ann, bob, olga = (factories.person(name) for name in ("ann", "bob", "olga"))
    of = [f"user:{who.email}" for who in (ann, bob)]
    release = running(manual("ask", owners=["user:olga@example.com"], approval={"requires": [{"count": 2, "of": of}]}, fields={"note": {"type": "string"}}))
    olgas = Actor(olga.pk, olga.email, "page")

    done = Event()

    def disagreeing() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT count(*) FROM approvals_signoff vote JOIN approvals_packet packet ON packet.id = vote.packet_id
                JOIN releases_attempt a ON a.id = vote.attempt_id
                WHERE NOT vote.stale AND packet.content -> 'filled' ->> 'note' IS DISTINCT FROM a.filled ->> 'note'
                """
            )
            return int(cursor.fetchone()[0])

    def edit() -> int:
        wrong = 0
        for n in range(6):
            fill(release=release.pk, activity="ask", person=olga, actor=olgas, fields={"note": str(n)})
            wrong += disagreeing()
            voted(release, ann)
        done.set()
        return wrong

    def read() -> int:
        wrong = 0
        while not done.is_set():
            wrong += disagreeing()
        return wrong

    assert at_once(edit, read, read) == [0, 0, 0]
