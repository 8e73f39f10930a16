"""People's verbs on a running release (semantics, section 4): effect, event, refusal naming the state, reason, preview."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from releases import evaluating, operating, sweep
from releases.attempts import exchange
from releases.models import ActivityRun, Attempt, PhaseRun, Release
from relorch.audit.chain import verify
from relorch.audit.models import Event
from relorch.lib.errors import Conflict, Invalid
from tests import factories
from tests.releases.driving import published, run_on
from tests.releases.scenes import (
    ACTOR,
    attempts,
    bad,
    blueprint,
    child_of,
    claimed,
    end,
    events,
    fresh,
    later,
    manual,
    noop,
    phase,
    run,
    running,
    script,
    states,
    sub,
)

pytestmark = pytest.mark.django_db

WHY: dict[str, Any] = {"actor": ACTOR, "reason": "because"}


def on(release: Release, key: str) -> dict[str, Any]:
    """The arguments of a verb on an activity."""
    return {"release": release.pk, "activity": key, **WHY}


# --- every verb: refusals, reason, preview ------------------------------------------------------------------------------------------------


def _standing(kind: str) -> Release:
    if kind == "stop":
        release = running(script("it"), noop("then", "it"))
        claimed("slow")
        return release
    if kind == "skip":
        return running(manual("it"), noop("then", "it"))
    return running(bad("it"), noop("then", "it"), manual("beside"))


VERBS: dict[str, tuple[Callable[..., Any], str]] = {
    "hold": (operating.hold, "release.held"),
    "abort": (operating.abort, "release.aborted"),
    "stop": (operating.stop, "activity.stopped"),
    "retry": (operating.retry, "activity.retried"),
    "ignore": (operating.ignore, "activity.ignored"),
    "fail": (operating.fail, "activity.failed"),
    "skip": (operating.skip, "activity.skipped"),
    "succeed": (operating.succeed, "activity.overridden"),
}
OF_RELEASE = {"hold", "abort"}


def _arguments(name: str, release: Release) -> dict[str, Any]:
    return {"release": release.pk, **WHY} if name in OF_RELEASE else on(release, "it")


def _everything(release: Release) -> Any:
    tables = ("releases_release", "releases_phaserun", "releases_activityrun", "releases_attempt", "audit_event", "audit_stream")
    found = []
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT coalesce(json_agg(t ORDER BY t::text), '[]')::text FROM {table} t")
            found.append(cursor.fetchone()[0])
    return found


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_makes_the_moves_that_its_preview_tells_and_is_an_event_with_its_reason(name: str) -> None:
    verb, said = VERBS[name]
    release = _standing(name)
    before = _everything(release)
    told = verb(**_arguments(name, release), preview=True)
    assert _everything(release) == before
    assert told
    assert verb(**_arguments(name, release)) == told
    now = {(move.release, move.activity): move.after for move in told}
    for (of, key), after in now.items():
        assert (run(Release(pk=of), key).state if key else Release.objects.get(pk=of).state) == after
    event = Event.objects.get(stream=f"release:{release.pk}", verb=said, subject="" if name in OF_RELEASE else "it", record__contains='"reason":"because"')
    assert '"actor":"olga@example.com"' in event.record
    assert verify(f"release:{release.pk}").broken_at is None


@pytest.mark.parametrize("name", VERBS)
def test_without_a_reason_nothing_happens(name: str) -> None:
    verb, _ = VERBS[name]
    release = _standing(name)
    before = _everything(release)
    with pytest.raises(Invalid) as refusal:
        verb(**_arguments(name, release) | {"reason": "  "})
    assert refusal.value.code == "reason_needed"
    assert _everything(release) == before


@pytest.mark.parametrize("name", VERBS)
def test_in_a_state_that_does_not_fit_a_verb_is_refused_naming_it(name: str) -> None:
    verb, _ = VERBS[name]
    release = running(noop("it"))
    with pytest.raises(Conflict) as refusal:
        verb(**_arguments(name, release))
    assert refusal.value.data["state"] == "succeeded"
    assert "succeeded" in refusal.value.message


@pytest.mark.parametrize("name", sorted(set(VERBS) - OF_RELEASE))
def test_an_activity_that_is_not_there_is_not_found(name: str) -> None:
    release = running(manual("it"))
    with pytest.raises(LookupError):
        VERBS[name][0](**on(release, "nobody"))


def test_resume_is_refused_unless_held() -> None:
    release = running(manual("it"))
    with pytest.raises(Conflict) as refusal:
        operating.resume(release=release.pk, actor=ACTOR)
    assert refusal.value.data["state"] == "running"


FITS = {
    "stop": {"running"},
    "retry": {"on_hold", "interrupted", "failed", "rejected", "expired"},
    "ignore": {"on_hold", "interrupted"},
    "fail": {"on_hold", "interrupted"},
    "skip": {"pending", "queued", "waiting"},
    "succeed": {"on_hold", "waiting", "interrupted"},
}


def test_every_verb_in_every_state_of_a_run() -> None:
    """One release in which runs stand in every state that can be had at once; each verb is tried on each by preview."""
    release = running(
        noop("succeeded"),
        noop("skipped", **{"if": "false"}),
        bad("ignored", on_failure="ignore"),
        bad("failed", on_failure="fail"),
        bad("on_hold"),
        manual("waiting"),
        noop("pending", "waiting"),
        script("running", effect="once"),
        script("interrupted", effect="once"),
    )
    claimed("slow")
    ActivityRun.objects.filter(release=release, key="interrupted").update(state="interrupted")
    Attempt.objects.filter(run__release=release, run__key="interrupted").update(state="interrupted", lease_until=None, finished_at="2026-01-01T00:00:00Z")
    assert {key: state for key, state in states(release).items() if key != state} == {}
    for name, fits in FITS.items():
        for key in states(release):
            if key in fits:
                assert VERBS[name][0](**on(release, key), preview=True), (name, key)
                continue
            with pytest.raises(Conflict) as refusal:
                VERBS[name][0](**on(release, key), preview=True)
            assert refusal.value.data["state"] == key, name


# --- retry (S11) --------------------------------------------------------------------------------------------------------------------------


def test_retry_keeps_the_old_attempt_and_merges_inputs_from_then_on() -> None:
    release = running(bad("it", outputs={"colour": "${{ result.outputs.colour }}"}), noop("then", "it"))
    operating.retry(**on(release, "it"), inputs={"outputs": {"colour": "red"}})
    run_on(release)
    assert states(release) == {"it": "on_hold", "then": "pending"}, "outcome is still failed"
    operating.retry(**on(release, "it"), inputs={"outcome": "succeeded"})
    run_on(release)
    assert attempts(release, "it") == ["failed", "failed", "succeeded"]
    assert run(release, "it").outputs == {"colour": "red"}, "what an earlier retry gave holds on"
    assert fresh(release).state == "succeeded"


def test_retry_gives_inputs_also_to_an_activity_without_any_expression() -> None:
    release = running(bad("it"))
    operating.retry(**on(release, "it"), inputs={"outcome": "succeeded"})
    run_on(release)
    assert states(release) == {"it": "succeeded"}


def test_retry_of_a_finished_release_reopens_it_and_what_was_skipped_because_of_it_is_pending_again() -> None:
    release = running(
        phase("build", bad("it", on_failure="fail"), noop("then", "it"), noop("beside")),
        phase("deploy", noop("ship"), noop("after_beside", "beside"), depends_on=["build"]),
        phase("undo", noop("roll_back"), depends_on=["deploy"], run_when="failed"),
    )
    assert fresh(release).state == "failed"
    assert states(release) == {"it": "failed", "then": "skipped", "beside": "succeeded", "ship": "skipped", "after_beside": "skipped", "roll_back": "succeeded"}
    moves = operating.retry(**on(release, "it"), inputs={"outcome": "succeeded"})
    assert {(move.activity, move.before, move.after) for move in moves} == {
        ("", "failed", "running"),
        ("it", "failed", "queued"),
        *((key, "skipped", "pending") for key in ("then", "ship", "after_beside")),
    }
    assert fresh(release).finished_at is None
    assert PhaseRun.objects.get(release=release, key="deploy").decided == ""
    run_on(release)
    assert states(release) == dict.fromkeys(states(release), "succeeded")
    assert attempts(release, "roll_back") == ["succeeded"], "what ran because of it stays and does not run again"
    assert fresh(release).state == "succeeded"
    assert {"release.reopened", "activity.pending_again"} <= set(events(release))


def test_a_retry_that_fails_again_skips_them_again() -> None:
    release = running(phase("build", bad("it", on_failure="fail")), phase("deploy", noop("ship"), depends_on=["build"]))
    for _ in range(2):
        operating.retry(**on(release, "it"))
        run_on(release)
        assert states(release) == {"it": "failed", "ship": "skipped"}
        assert fresh(release).state == "failed"
    assert run(release, "ship").met == {"it": 3}


def test_what_was_skipped_because_of_two_stays_skipped_for_the_other() -> None:
    release = running(bad("one", on_failure="fail"), bad("two", on_failure="fail"), noop("join", "one", "two"))
    operating.retry(**on(release, "one"), inputs={"outcome": "succeeded"})
    run_on(release)
    assert states(release) == {"one": "succeeded", "two": "failed", "join": "skipped"}
    assert run(release, "join").met == {"two": 1}


def test_retry_withdraws_the_answers_to_the_old_attempt() -> None:
    release = running(bad("it", on_failure="fail"), noop("other_way", "it", run_when="failed", recovers=True), noop("then", "it", "other_way"))
    assert fresh(release).state == "partially_succeeded"
    assert states(release)["then"] == "succeeded"
    operating.retry(**on(release, "it"))
    run_on(release)
    assert attempts(release, "other_way") == ["succeeded"]
    assert fresh(release).state == "failed", "the second failure is answered by nobody"


def test_a_retry_after_fail_fast_makes_what_it_aborted_pending_again() -> None:
    release = running(
        phase("build", bad("it", on_failure="fail"), manual("asked"), noop("then", "asked"), bad("held"), noop("clean", "it", run_when="always")),
        fail_fast=True,
        go=False,
    )
    run_on(release)
    assert states(release) == {"it": "failed", "asked": "aborted", "then": "skipped", "held": "aborted", "clean": "succeeded"}
    operating.retry(**on(release, "it"), inputs={"outcome": "succeeded"})
    run_on(release)
    assert states(release) == {"it": "succeeded", "asked": "waiting", "then": "pending", "held": "on_hold", "clean": "succeeded"}


def test_attempts_by_policy_wait_longer_each_time() -> None:
    release = running(bad("it", retry={"attempts": 4, "delay": "10s", "backoff": 3, "max_delay": "1m"}), go=False)
    waits = []
    while states(release)["it"] != "on_hold":
        run_on(release)
        attempt = Attempt.objects.filter(run__release=release).latest("number")
        if attempt.next_at:
            assert states(release)["it"] == "queued"
            waits.append((attempt.next_at - attempt.queued_at).total_seconds())
            Attempt.objects.filter(pk=attempt.pk).update(next_at=attempt.queued_at)
    assert waits == [10, 30, 60]
    assert attempts(release, "it") == ["failed"] * 4
    assert len(set(Attempt.objects.filter(run__release=release).values_list("key", flat=True))) == 4, "each with a new key"


def test_retry_with_another_process_runs_that_one() -> None:
    other = blueprint(noop("spare"), outputs={})
    process = published(other)
    child = blueprint(bad("broken", on_failure="fail"))
    published(child)
    release = running(sub("it", child.id))
    operating.retry(**on(release, "it"), process=process.identifier)
    run_on(release)
    assert child_of(release, "it").process == process
    assert states(release) == {"it": "succeeded"}


def test_another_process_recovers_what_a_machine_could_not_do_and_once() -> None:
    """The new attempt is a child, whose end and outputs are those of the activity; a later retry is the machine's again."""
    spare = blueprint(noop("by_hand", **{"with": {"outputs": {"image": "${{ inputs.tag }}"}}}), inputs={"tag": {"type": "string", "required": True}})
    other = published(spare.model_copy(update={"outputs": {"image": "${{ activities.by_hand.outputs.image }}"}}))
    release = running(bad("it", outputs={"image": "${{ result.outputs.image }}"}, retry={"attempts": 1}), noop("then", "it"))
    moves = operating.retry(**on(release, "it"), process=other.identifier, inputs={"tag": "spare:1"})
    assert [(move.before, move.after) for move in moves if move.activity == "it"] == [("on_hold", "queued")]
    run_on(release)
    child = child_of(release, "it")
    assert (child.process, child.inputs, child.state) == (other, {"tag": "spare:1"}, "succeeded")
    assert (run(release, "it").outputs, fresh(release).state) == ({"image": "spare:1"}, "succeeded")
    assert attempts(release, "it") == ["failed", "succeeded"]


def test_a_recovery_that_fails_needs_a_person_again_and_stands_under_hold_and_abort() -> None:
    other = published(blueprint(bad("by_hand", on_failure="fail")))
    release = running(bad("it", retry={"attempts": 5, "delay": "1s"}))
    later(release, 60)
    for _ in range(5):
        sweep.sweep()
        run_on(release)
        later(release, 600)
    assert states(release) == {"it": "on_hold"}
    tries = len(attempts(release, "it"))
    operating.retry(**on(release, "it"), process=other.identifier)
    run_on(release)
    assert (states(release), len(attempts(release, "it")), run(release, "it").code) == ({"it": "on_hold"}, tries + 1, "child_failed")
    operating.retry(**on(release, "it"), inputs={"outcome": "succeeded"})
    run_on(release)
    assert fresh(release).state == "succeeded", "the machine again, with what it is given now"
    waits = published(blueprint(manual("ask")))
    held = running(bad("it", timeout="6h"), fail_fast=True)
    operating.retry(**on(held, "it"), process=waits.identifier)
    run_on(held)
    child = child_of(held, "it")
    assert (states(held), child.state) == ({"it": "waiting"}, "running")
    operating.hold(release=held.pk, **WHY)
    assert fresh(child).state == "held"
    operating.resume(release=held.pk, actor=ACTOR)
    later(held, 7 * 3600)
    sweep.sweep()
    run_on(held)
    assert (run(held, "it").code, fresh(child).state) == ("timeout", "aborted"), "a child that takes too long is aborted"
    operating.retry(**on(held, "it"), process=waits.identifier)
    run_on(held)
    operating.abort(release=held.pk, **WHY)
    assert fresh(child_of(held, "it")).state == "aborted"


def test_no_process_takes_the_place_of_people_and_none_runs_inside_itself() -> None:
    other = published(blueprint(noop("spare")))
    asked = running(manual("ask", approval={"due": "1h"}))
    later(asked, 3_601)
    sweep.sweep()
    with pytest.raises(Invalid) as refusal:
        operating.retry(**on(asked, "ask"), process=other.identifier)
    assert refusal.value.code == "asks_people"
    release = running(bad("it"))
    calls = published(blueprint(sub("again", release.process.identifier)))
    for identifier, code in ((release.process.identifier, "recursion"), (calls.identifier, "recursion"), ("nobody_knows_it", "unknown_process")):
        with pytest.raises(Invalid) as refusal:
            operating.retry(**on(release, "it"), process=identifier)
        assert (refusal.value.code, refusal.value.problems[0].place) == (code, "/process")
    assert states(release) == {"it": "on_hold"}


# --- ignore, fail, skip, succeed ----------------------------------------------------------------------------------------------------------


def test_ignore_wants_the_outputs_that_are_read_later_without_asking() -> None:
    release = running(
        bad("it", outputs={"image": "${{ result.outputs.image }}", "notes": "n", "spare": "s"}),
        noop("then", "it", **{"with": {"outputs": {"seen": "${{ activities.it.outputs.image }}"}}}),
        noop("maybe", "it", **{"if": "has(activities.it.outputs.notes) && activities.it.outputs.notes == 'x'"}),
    )
    with pytest.raises(Invalid) as refusal:
        operating.ignore(**on(release, "it"))
    assert refusal.value.code == "outputs_needed"
    assert [problem.place for problem in refusal.value.problems] == ["/outputs/image"]
    operating.ignore(**on(release, "it"), outputs={"image": "busybox"})
    run_on(release)
    assert states(release) == {"it": "ignored", "then": "succeeded", "maybe": "skipped"}
    assert run(release, "then").outputs == {"seen": "busybox"}
    assert fresh(release).state == "partially_succeeded"


@pytest.mark.parametrize(("outcome", "finds"), [("failed", "failed"), ("rejected", "rejected"), ("expired", "expired")])
def test_fail_accepts_the_outcome_that_was_kept(outcome: str, finds: str) -> None:
    release = running(bad("it"), noop("then", "it"))
    ActivityRun.objects.filter(release=release, key="it").update(outcome=outcome)
    operating.fail(**on(release, "it"))
    assert states(release) == {"it": finds, "then": "skipped"}
    assert run(release, "it").outcome == ""
    assert fresh(release).state == "failed"


def test_skip_what_is_pending_queued_or_waiting() -> None:
    release = running(script("queued"), manual("waiting"), noop("pending", "waiting"), noop("end", "queued", "pending"))
    assert states(release) == {"queued": "queued", "waiting": "waiting", "pending": "pending", "end": "pending"}
    for key in ("pending", "queued"):
        operating.skip(**on(release, key))
    assert states(release) == {"queued": "skipped", "waiting": "waiting", "pending": "skipped", "end": "queued"}
    operating.skip(**on(release, "waiting"))
    run_on(release)
    assert {row.key: row.skipped_because for row in ActivityRun.objects.filter(release=release, state="skipped")} == dict.fromkeys(
        ("queued", "waiting", "pending"), "person"
    )
    assert attempts(release, "waiting") == attempts(release, "queued") == ["skipped"]
    assert claimed("slow") == {}
    assert fresh(release).state == "succeeded"


def test_a_whole_phase_may_be_skipped_before_it_opens() -> None:
    release = running(phase("one", manual("wait")), phase("two", noop("a"), noop("b", "a"), depends_on=["one"]), phase("three", noop("c"), depends_on=["two"]))
    for key in ("b", "a"):
        operating.skip(**on(release, key))
    operating.skip(**on(release, "wait"))
    run_on(release)
    assert states(release) == {"wait": "skipped", "a": "skipped", "b": "skipped", "c": "succeeded"}
    assert fresh(release).state == "succeeded"


def test_skipping_a_run_that_waits_for_a_child_aborts_the_child() -> None:
    child = blueprint(script("slow"), manual("ask"))
    published(child)
    release = running(sub("it", child.id), noop("then", "it"))
    working = claimed("slow")["slow"]
    below = child_of(release, "it")
    operating.skip(**on(release, "it"))
    run_on(release)
    assert fresh(below).state == "aborted"
    assert states(below) == {"slow": "aborted", "ask": "aborted"}
    assert end(working) != [], "its result comes too late"
    assert fresh(release).state == "succeeded"


def test_fail_fast_aborts_the_child_of_what_it_ends() -> None:
    child = blueprint(manual("ask"))
    published(child)
    release = running(sub("it", child.id), script("breaks", on_failure="fail"), fail_fast=True)
    below = child_of(release, "it")
    end(claimed("slow")["breaks"], operating.Run.FAILED)
    run_on(release)
    assert states(release) == {"it": "aborted", "breaks": "failed"}
    assert fresh(below).state == "aborted"
    assert states(below) == {"ask": "aborted"}
    assert fresh(release).state == "failed"


def test_succeed_is_marked_for_ever_and_its_seal_lets_the_next_start() -> None:
    release = running(manual("asked"), noop("then", "asked"))
    operating.succeed(**on(release, "asked"), outputs={"answer": 42})
    run_on(release)
    assert states(release) == {"asked": "succeeded", "then": "succeeded"}
    assert run(release, "asked").overridden
    assert run(release, "asked").outputs == {"answer": 42}


def test_succeed_for_what_never_had_an_attempt() -> None:
    """Its `if` could not be evaluated, so it is on hold without any attempt."""
    release = running(manual("asked", **{"if": "inputs.nothing == 1"}), noop("then", "asked"))
    assert states(release) == {"asked": "on_hold", "then": "pending"}
    operating.succeed(**on(release, "asked"))
    run_on(release)
    assert states(release) == {"asked": "succeeded", "then": "succeeded"}


# --- hold and resume (S12a) ---------------------------------------------------------------------------------------------------------------


def test_while_held_nothing_is_claimed_what_runs_goes_on_and_resume_goes_on() -> None:
    release = running(
        script("first"), script("queued"), noop("then", "first"), noop("asks", "first", **{"if": "true"}), noop("skips", "first", run_when="failed")
    )
    working = {claim.run.key: claim for claim in exchange("test:1", "slow", 1).claims}["first"]
    operating.hold(release=release.pk, **WHY)
    assert claimed("slow") == {}
    assert end(working) == []
    run_on(release)
    assert claimed("slow") == claimed() == {}
    assert states(release) == {"first": "succeeded", "queued": "queued", "then": "pending", "asks": "pending", "skips": "skipped"}
    operating.resume(release=release.pk, actor=ACTOR)
    run_on(release)
    end(claimed("slow")["queued"])
    assert fresh(release).state == "succeeded"


def test_a_held_release_closes_only_after_resume() -> None:
    release = running(script("only"))
    working = claimed("slow")["only"]
    operating.hold(release=release.pk, **WHY)
    end(working)
    assert fresh(release).state == "held"
    operating.resume(release=release.pk, actor=ACTOR)
    run_on(release)
    assert fresh(release).state == "succeeded"


def test_due_dates_of_people_move_by_the_time_held() -> None:
    release = running(manual("asked", approval={"due": "1h", "on_expiry": "reject"}))
    due = Attempt.objects.get(run__release=release).due_at
    operating.hold(release=release.pk, **WHY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE releases_release SET held_at = held_at - interval '2 hours' WHERE id = %s", [release.pk])
    Attempt.objects.filter(run__release=release).update(due_at="2026-01-01T00:00:00Z")
    sweep.sweep()
    assert states(release) == {"asked": "waiting"}, "nothing expires while held"
    Attempt.objects.filter(run__release=release).update(due_at=due)
    operating.resume(release=release.pk, actor=ACTOR)
    moved = (Attempt.objects.get(run__release=release).due_at - due).total_seconds()
    assert 7_200 <= moved < 7_260


def test_hold_reaches_the_tree_and_is_taken_away_where_it_was_put() -> None:
    child = blueprint(manual("asked"), noop("then", "asked"))
    published(child)
    release = running(sub("it", child.id))
    below = child_of(release, "it")
    operating.hold(release=release.pk, **WHY)
    assert fresh(below).state == "held"
    with pytest.raises(Conflict) as refusal:
        operating.resume(release=below.pk, actor=ACTOR)
    assert refusal.value.data["release"] == release.pk
    operating.resume(release=release.pk, actor=ACTOR)
    assert fresh(below).state == fresh(release).state == "running"


def test_two_holds_in_one_tree_are_taken_away_from_above() -> None:
    child = blueprint(manual("asked"))
    published(child)
    release = running(sub("it", child.id))
    below = child_of(release, "it")
    operating.hold(release=below.pk, **WHY)
    operating.hold(release=release.pk, **WHY)
    with pytest.raises(Conflict) as refusal:
        operating.resume(release=below.pk, actor=ACTOR)
    assert refusal.value.data["release"] == release.pk, "a child does not run in a held tree"
    operating.resume(release=release.pk, actor=ACTOR)
    assert (fresh(release).state, fresh(below).state) == ("running", "held")
    operating.resume(release=below.pk, actor=ACTOR)
    assert fresh(below).state == "running"


# --- abort --------------------------------------------------------------------------------------------------------------------------------


def test_abort_ends_the_whole_tree_and_late_results_are_refused() -> None:
    grandchild = blueprint(script("deep"))
    published(grandchild)
    child = blueprint(sub("down", grandchild.id), manual("asked"))
    published(child)
    release = running(sub("it", child.id), bad("held"), noop("then", "it"), noop("done"))
    working = claimed("slow")["deep"]
    operating.abort(release=release.pk, **WHY)
    evaluating.settle(release.root_id)
    assert set(Release.objects.filter(root=release).values_list("state", flat=True)) == {"aborted"}
    assert set(ActivityRun.objects.filter(root=release).values_list("state", flat=True)) == {"aborted", "succeeded"}
    assert not Attempt.objects.filter(root=release, state__in=["queued", "running", "waiting"]).exists()
    assert Attempt.objects.get(pk=working.attempt).stop_asked_at is not None
    assert [late.run.key for late in end(working)] == ["deep"]
    assert "attempt.late_result_refused" in events(release)
    assert ActivityRun.objects.get(pk=working.run.id).state == "aborted"
    with pytest.raises(Conflict):
        operating.retry(**on(release, "held"))


def test_aborting_a_child_fails_the_run_that_waits_for_it() -> None:
    child = blueprint(manual("asked"))
    published(child)
    release = running(sub("it", child.id))
    operating.abort(release=child_of(release, "it").pk, **WHY)
    run_on(release)
    assert (run(release, "it").state, run(release, "it").outcome, run(release, "it").code) == ("on_hold", "failed", "child_aborted")


def test_a_held_release_can_be_aborted() -> None:
    release = running(manual("asked"))
    operating.hold(release=release.pk, **WHY)
    operating.abort(release=release.pk, **WHY)
    assert fresh(release).state == "aborted"


# --- reopening a child (section 4, retry) -------------------------------------------------------------------------------------------------


def _failed_below(on_failure: str = "fail", **keys: Any) -> tuple[Release, Release]:
    child = blueprint(bad("broken", on_failure="fail"))
    published(child)
    release = running(sub("it", child.id, on_failure=on_failure, **keys), noop("then", "it"))
    return release, child_of(release, "it")


@pytest.mark.parametrize("on_failure", ["fail", "hold"])
def test_retry_in_a_failed_child_reopens_what_waits_for_it(on_failure: str) -> None:
    release, below = _failed_below(on_failure, timeout="1h")
    operating.retry(**on(below, "broken"), inputs={"outcome": "succeeded"})
    assert (fresh(release).state, fresh(below).state) == ("running", "running")
    assert states(release) == {"it": "waiting", "then": "pending"}
    again = Attempt.objects.get(run__release=release, run__key="it", state="waiting")
    assert (again.due_at - again.started_at).total_seconds() == 3_600, "its time counts anew"
    run_on(release)
    assert (fresh(release).state, fresh(below).state) == ("succeeded", "succeeded")
    assert attempts(release, "it") == ["failed", "succeeded"]


def test_a_child_is_not_reopened_when_the_parent_has_gone_on() -> None:
    release, below = _failed_below("hold")
    operating.retry(**on(release, "it"))
    run_on(release)
    with pytest.raises(Conflict) as refusal:
        operating.retry(**on(below, "broken"))
    assert refusal.value.code == "parent_moved_on"
    release, below = _failed_below("hold")
    operating.ignore(**on(release, "it"))
    run_on(release)
    with pytest.raises(Conflict):
        operating.retry(**on(below, "broken"))


def test_a_child_reopened_in_a_held_tree_is_held_with_it() -> None:
    release, below = _failed_below("hold")
    operating.hold(release=release.pk, **WHY)
    operating.retry(**on(below, "broken"), inputs={"outcome": "succeeded"})
    assert fresh(below).state == "held"
    assert claimed() == {}
    operating.resume(release=release.pk, actor=ACTOR)
    run_on(release)
    assert fresh(release).state == "succeeded"


def test_the_starter_of_a_child_is_that_of_the_root() -> None:
    """S12."""
    starter = factories.person("sam")
    child = blueprint(manual("asked"))
    published(child)
    release = running(sub("it", child.id), starter=starter)
    assert child_of(release, "it").starter == starter


def test_a_recovery_that_takes_too_long_or_cannot_begin_is_not_run_again_by_policy() -> None:
    waits, needs = published(blueprint(manual("ask"))), published(blueprint(noop("x"), inputs={"count": {"type": "integer", "required": True}}))
    release = running(bad("it", retry={"attempts": 2, "delay": "1s"}, timeout="1h"))
    later(release, 60)
    run_on(release)
    assert attempts(release, "it") == ["failed"] * 2
    operating.retry(**on(release, "it"), process=waits.identifier)
    run_on(release)
    later(release, 7_200)
    sweep.sweep()
    run_on(release)
    assert (states(release), run(release, "it").code, len(attempts(release, "it"))) == ({"it": "on_hold"}, "timeout", 3)
    operating.retry(**on(release, "it"), process=needs.identifier)
    run_on(release)
    assert (states(release), len(attempts(release, "it"))) == ({"it": "on_hold"}, 4)
    assert run(release, "it").code not in ("timeout", "rehearsed")
