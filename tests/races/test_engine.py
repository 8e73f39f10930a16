"""Real threads on PostgreSQL: whoever comes first decides, nothing happens twice, nothing is left standing.

That these tests see anything was tried by hand, with `FOR UPDATE` taken out of `statements.LOCK_ROOTS` and `LOCK_FREE_ROOTS`: each says whether
it turned red then. Where it stayed green the guards in the statements' own WHERE hold alone, and the test is about these.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from approvals import signing
from approvals.models import SignOff
from releases import doorbell, draining, evaluating, operating, sweep
from releases.attempts import exchange
from releases.engine import Actor, End, locked
from releases.models import ActivityRun, Attempt, Release
from releases.restarting import restart_from
from releases.states import Run
from relorch.audit.chain import verify
from relorch.audit.models import Event
from relorch.lib.errors import DomainError
from tests import factories
from tests.releases import invariants
from tests.releases.driving import published, run_on
from tests.releases.scenes import ACTOR, blueprint, child_of, claimed, end, events, fresh, later, manual, noop, phase, run, running, script, states, sub

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_is_broken(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No worker hears the doorbell here; at the end every invariant holds."""
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    yield
    assert invariants.broken() == {}


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each of these simultaneous calls gave; a refusal as its code."""
    barrier = Barrier(len(acts))

    def one(act: Callable[[], Any]) -> Any:
        connection.ensure_connection()
        barrier.wait()
        try:
            return act()
        except DomainError as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(one, acts))


def vote(release: Release, who: Any, decision: str = "approve") -> str:
    return signing.sign_off(release=release.pk, activity="ask", person=who, actor=Actor(who.pk, who.email, "page"), decision=decision, comment="said").verdict


def test_peer_01_of_fifty_votes_at_once_one_decides() -> None:
    """Tried without the lock: red."""
    crowd = factories.group("crowd", *(factories.person() for _ in range(50)))
    everybody = list(crowd.user_set.order_by("id"))
    release = running(manual("ask", of=("group:crowd",), approval={"on_reject": "fail"}), noop("then", "ask"), noop("undo", "ask", run_when="failed"))
    answers = at_once(*(lambda who=who, n=n: vote(release, who, ("approve", "reject")[n % 2]) for n, who in enumerate(everybody)))
    counts = Counter(answers)
    assert counts["approved"] + counts["rejected"] == 1
    assert counts["settled"] == 49
    assert SignOff.objects.count() == 1
    state = states(release)
    assert state["ask"] == ("succeeded" if counts["approved"] else "rejected")
    assert sorted((state["then"], state["undo"])) == ["queued", "skipped"]
    assert Attempt.objects.filter(release=release).exclude(run__key="ask").count() == 1, "one dispatch"
    run_on(release)
    assert len(events(release, "sign_off.given")) == 1


def test_two_sign_offs_that_together_fill_the_lines_give_one_dispatch() -> None:
    """Tried without the lock: red (both votes were open, nobody was last)."""
    ann, bob = factories.person("ann"), factories.person("bob")
    for _ in range(8):
        release = running(manual("ask", approval={"requires": [{"count": 2, "of": ["user:ann@example.com", "user:bob@example.com"]}]}), noop("then", "ask"))
        assert sorted(at_once(lambda r=release: vote(r, ann), lambda r=release: vote(r, bob))) == ["approved", "open"]
        assert states(release) == {"ask": "succeeded", "then": "queued"}
        run_on(release)
        assert fresh(release).state == "succeeded"


def test_peer_02_a_vote_meets_its_expiry() -> None:
    """First committed wins: either the vote, or the expiry, and the vote is refused. Tried without the lock: red."""
    ann = factories.person("ann")
    ends = Counter()
    for _ in range(10):
        release = running(manual("ask", of=("user:ann@example.com",), approval={"due": "1h", "on_expiry": "reject"}), noop("then", "ask"))
        later(release, 3_601)
        attempt = Attempt.objects.get(run__release=release).pk
        answer, _ = at_once(lambda r=release: vote(r, ann), lambda a=attempt: sweep.come_due(a))
        state = states(release)["ask"]
        ends[state] += 1
        assert (answer, state) in {("approved", "succeeded"), ("settled", "expired")}
        assert SignOff.objects.filter(attempt=attempt).exists() == (state == "succeeded")
        run_on(release)
        assert fresh(release).state == ("succeeded" if state == "succeeded" else "failed")
    assert sum(ends.values()) == 10


def test_resume_moves_the_date_before_the_sweep_reads_it() -> None:
    """The sweep saw an attempt overdue, waited for the lock, and must read the date as the resume left it. Without the lock: green, by its guard."""
    release = running(manual("ask", approval={"due": "1h", "on_expiry": "reject"}))
    attempt = Attempt.objects.get(run__release=release)
    later(release, 3_601)
    operating.hold(release=release.pk, actor=ACTOR, reason="wait")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE releases_release SET held_at = held_at - interval '2 hours' WHERE id = %s", [release.pk])
    at_once(lambda: operating.resume(release=release.pk, actor=ACTOR), lambda: sweep.come_due(attempt.pk))
    sweep.come_due(attempt.pk)
    assert states(release) == {"ask": "waiting"}


def test_finish_meets_abort() -> None:
    """Tried without the lock: red. Whoever is second changes nothing; what came too late is said."""
    ends = Counter()
    for _ in range(12):
        release = running(script("it"), noop("then", "it"))
        claim = claimed("slow")["it"]
        end = End(claim.attempt, claim.run, Run.SUCCEEDED, claim.fence, number=1)
        got, _ = at_once(
            lambda e=end: exchange("test:1", "slow", 0, [e], search=False), lambda r=release: operating.abort(release=r.pk, actor=ACTOR, reason="stop")
        )
        state = states(release)
        ends[state["it"]] += 1
        assert fresh(release).state == "aborted"
        assert state["then"] == "aborted"
        assert bool(got.late) == (state["it"] == "aborted")
        assert bool(events(release, "attempt.late_result_refused")) == bool(got.late)
        if not got.late:
            assert state["it"] == "succeeded"


def test_finish_meets_hold_and_nothing_is_claimed_once_hold_has_answered() -> None:
    """Tried without the lock: red."""
    for _ in range(8):
        release = running(*(noop(f"n{n}") for n in range(6)), noop("end", *(f"n{n}" for n in range(6))), go=False)

        def hold(of: Release = release) -> int:
            operating.hold(release=of.pk, actor=ACTOR, reason="wait")
            return Attempt.objects.filter(release=of, started_at__isnull=False).count()

        before, *_ = at_once(hold, *(lambda: exchange("test:1", "engine", 1) for _ in range(3)))
        assert Attempt.objects.filter(release=release, started_at__isnull=False).count() == before


def test_eight_threads_claim_each_attempt_once() -> None:
    """Tried without the lock: green, the claim's own guard holds."""
    releases = [running(*(noop(f"n{n}") for n in range(10)), go=False) for _ in range(6)]

    def claim_all() -> list[int]:
        mine: list[int] = []
        until = time.monotonic() + 30
        while Attempt.objects.filter(release__in=releases, state="queued").exists() and time.monotonic() < until:
            mine += [claim.attempt for claim in exchange("test:1", "engine", 4).claims]
        return mine

    found = [attempt for mine in at_once(*[claim_all] * 8) for attempt in mine]
    assert len(found) == len(set(found)) == 60
    assert set(Attempt.objects.filter(release__in=releases).values_list("fence", flat=True)) == {1}


def test_a_doorbell_rung_many_times_does_everything_once() -> None:
    """Tried without the lock: green, each statement's guard holds."""
    child = blueprint(phase("a", noop("x"), noop("y"), noop("z", "x", "y")), outputs={"out": "1"})
    published(child)
    wide = [noop(f"n{n}", **({"if": "true"} if n % 2 else {})) for n in range(12)]
    releases = [
        running(
            phase("one", *wide, noop("join", *(step["id"] for step in wide)), sub("below", child.id)), phase("two", noop("last"), depends_on=["one"]), go=False
        )
        for _ in range(4)
    ]
    for _ in range(3):
        at_once(*[lambda: draining.drain("engine", seconds=20)] * 6, *[sweep.sweep] * 2)
        for release in releases:
            evaluating.settle(release.pk)
    for release in releases:
        assert fresh(release).state == "succeeded"
        assert set(Attempt.objects.filter(root=release).values_list("number", flat=True)) == {1}
        assert len(events(release, "activity.started")) == len(set(events(release, "activity.started")))


def test_wide_work_takes_a_transaction_a_batch_and_a_chain_never_looks_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the ends of a full batch comes the next one; a chain would look in vain at each step."""
    asked: list[bool] = []

    def counted(*args: Any, **keys: Any) -> Any:
        asked.append(keys["search"])
        return exchange(*args, **keys)

    monkeypatch.setattr(draining, "exchange", counted)
    monkeypatch.setattr(draining, "BATCH", {"engine": 5})
    wide = running(*(noop(f"n{n}") for n in range(22)), noop("join", *(f"n{n}" for n in range(22))), go=False)
    draining.drain("engine", seconds=60)
    assert (fresh(wide).state, asked) == ("succeeded", [True] * 5 + [False] * 2 + [True])
    asked.clear()
    chain = running(noop("a"), noop("b", "a"), noop("c", "b"), noop("d", "c"), go=False)
    draining.drain("engine", seconds=60)
    assert (fresh(chain).state, asked) == ("succeeded", [True] + [False] * 4 + [True])


def test_a_doorbell_never_heard_costs_time_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the sweep finds the work; the ring that it sends is the one that is answered."""
    heard: list[str] = []
    release = running(noop("a"), noop("b", "a", **{"if": "true"}), noop("c", "b", retry={"attempts": 2, "delay": "1s"}), go=False)
    monkeypatch.setattr(doorbell, "ring", lambda lane, _: heard.append(lane))
    for _ in range(20):
        with connection.cursor() as cursor:  # half a second has passed
            cursor.execute("UPDATE releases_attempt SET queued_at = queued_at - interval '1 second' WHERE state = 'queued'")
            cursor.execute("UPDATE releases_release SET stirred_at = stirred_at - interval '1 second'")
        heard.clear()
        sweep.sweep()
        if heard:
            claims = exchange("test:1", "engine", 1).claims
            exchange("test:1", "engine", 0, [End(c.attempt, c.run, Run.SUCCEEDED, c.fence, number=c.number) for c in claims], search=False)
        if fresh(release).state == "succeeded":
            break
    assert fresh(release).state == "succeeded"


def test_two_evaluate_the_same_tree() -> None:
    """Both find the same chores; the second's answers no longer fit. Tried without the lock: green, by the guards."""
    child = blueprint(manual("ask"))
    published(child)
    release = running(*(noop(f"n{n}", **{"if": "true"}) for n in range(4)), sub("below", child.id), manual("ask"), go=False)
    at_once(*[lambda: evaluating.settle(release.pk)] * 6)
    assert Release.objects.filter(parent_run__release=release).count() == 1
    assert events(release, "activity.asked").count("ask") == 2
    assert states(child_of(release, "below")) == {"ask": "waiting"}
    assert set(Attempt.objects.filter(root=release).values_list("number", flat=True)) == {1}


def test_verbs_of_many_people_on_one_activity() -> None:
    """Of many who ignore, fail, retry and skip at once exactly one is first. Tried without the lock: red."""
    for _ in range(5):
        release = running(noop("it", **{"with": {"outcome": "failed"}}), noop("then", "it"))
        verbs = (operating.ignore, operating.fail, operating.retry)
        answers = at_once(*(lambda verb=verb, r=release: verb(release=r.pk, activity="it", actor=ACTOR, reason="me") for verb in verbs * 4))
        assert sum(isinstance(answer, list) for answer in answers) == 1 or run(release, "it").attempt_count == 2
        assert all(isinstance(answer, list) or answer == "wrong_state" for answer in answers)
        run_on(release)


def test_who_waits_for_the_lock_reads_the_stream_as_it_is_after_the_wait() -> None:
    """The head used to be read unlocked in the locking statement: under READ COMMITTED it was as before the wait, and the chain forked.

    Tried without the lock, and with the lock on the release's row alone: red.
    """
    release = running(manual("ask"))
    before = verify(f"release:{release.pk}").events
    many = 8

    def say() -> None:
        for _ in range(5):
            with locked(release.pk, actor=ACTOR) as work:
                work.say("comment.made", release.pk)

    at_once(*[say] * many)
    answer = verify(f"release:{release.pk}")
    assert (answer.broken_at, answer.events) == (None, before + many * 5)
    times = list(Event.objects.filter(stream=f"release:{release.pk}").order_by("sequence").values_list("at", flat=True))
    assert times == sorted(times)


def test_a_waiting_writer_sees_what_the_one_before_it_wrote() -> None:
    """The same, with the order made certain: the second begins to wait while the first holds the lock. Tried both ways: red."""
    release = running(manual("ask"))

    def second() -> int:
        with locked(release.pk) as work:
            work.say("comment.made", release.pk)
            return work.trees[release.pk].head.sequence

    with ThreadPoolExecutor(1) as pool:
        with locked(release.pk) as work:
            work.say("comment.made", release.pk)
            held = work.trees[release.pk].head.sequence
            waiting = pool.submit(lambda: (second(), connection.close())[0])
            _until_somebody_waits()
        assert waiting.result(20) == held + 1
    assert verify(f"release:{release.pk}").broken_at is None


def _until_somebody_waits() -> None:
    for _ in range(200):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


def test_a_lease_that_runs_out_meets_its_end() -> None:
    """Either the answer was in time or the run is interrupted (`once`); never both. Without the lock: green, by the fence."""
    for _ in range(8):
        release = running(script("it", effect="once"))
        claim = claimed("slow")["it"]
        later(release, 60)
        end = End(claim.attempt, claim.run, Run.SUCCEEDED, claim.fence, number=1)
        got, _ = at_once(lambda e=end: exchange("test:1", "slow", 0, [e], search=False), sweep.sweep)
        state = ActivityRun.objects.get(pk=claim.run.id).state
        assert state == ("interrupted" if got.late else "succeeded")


def test_starting_again_meets_an_end_a_hold_and_another_starting_again() -> None:
    """Each new attempt is one, whoever came first, and the release comes to its end. Tried without the lock: red (an attempt is made twice)."""
    for n in range(8):
        release = running(phase("build", noop("compile"), script("test", "compile")), phase("ship", noop("deploy"), depends_on=["build"]))
        claim = claimed("slow")["test"]
        ended = End(claim.attempt, claim.run, Run.SUCCEEDED, claim.fence, number=1)

        def again(key: str, one: int = release.pk) -> int:
            return len(restart_from(release=one, phase=key, actor=ACTOR, reason="because"))

        at_once(
            lambda: again("build"),
            lambda: again("build"),
            lambda end=ended: len(exchange("test:1", "engine", 0, [end], search=False).late),
            lambda one=release.root_id: evaluating.settle(one),
            *((lambda one=release.pk: operating.hold(release=one, actor=ACTOR, reason="because"),) if n % 2 else ()),
        )
        assert invariants.broken() == {}
        if fresh(release).state == "held":
            operating.resume(release=release.pk, actor=ACTOR)
        Attempt.objects.filter(stop_asked_at__isnull=False).update(stop_asked_at="2026-01-01T00:00:00Z")
        run_on(release)
        later(release, 60)
        for _ in range(3):
            sweep.sweep()
            for new in claimed("slow").values():
                end(new)
            run_on(release)
        assert fresh(release).state == "succeeded", states(release)
        tries = Attempt.objects.filter(run__release=release, run__key="compile").count()
        assert 2 <= tries <= 3
