"""Starting again from a phase: the exact set, what is kept, what is refused, and that the release then ends as the model says (section 4)."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest

from processes.models import Process
from releases import evaluating, operating, planning, sweep
from releases.attempts import confirm_stopped, exchange
from releases.models import ActivityRun, Attempt, PhaseRun, Release
from releases.restarting import restart_from
from relorch.audit.chain import verify
from relorch.lib.errors import Conflict, Invalid
from tests import factories
from tests.model.generate import Case, generate
from tests.model.oracle import forecast, graph
from tests.processes.conftest import Api
from tests.processes.test_api import problem
from tests.releases import invariants
from tests.releases.driving import published, run_on, started
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

EXAMPLES = min(200, int(os.environ.get("RELORCH_PROPERTY_EXAMPLES", "50")))  # each is two whole releases
SEED = int(os.environ.get("RELORCH_PROPERTY_SEED", "20261128"))
WHY: dict[str, Any] = {"actor": ACTOR, "reason": "a bad build"}


def again(release: Release, key: str, **more: Any) -> list[tuple[str, str, str]]:
    """Restart from there; the moves of its runs."""
    moves = restart_from(release=release.pk, phase=key, **{**WHY, **more})
    return [(move.activity, move.before, move.after) for move in moves if move.activity and move.release == release.pk]


def line(**more: Any) -> Release:
    """build (compile, test) -> check -> ship; docs beside them, whose `publish` depends on `test`."""
    return running(
        phase("build", noop("compile"), noop("test", "compile")),
        phase("check", noop("probe"), depends_on=["build"]),
        phase("ship", noop("deploy"), depends_on=["check"]),
        phase("docs", noop("write"), noop("publish", "write", "test")),
        phase("tell", noop("mail"), depends_on=["docs"]),
        **more,
    )


def test_the_exact_set_moves_and_everything_else_stays() -> None:
    release = line()
    before = {key: run(release, key).finished_at for key in states(release)}
    told = again(release, "check", preview=True)
    assert told == [("probe", "succeeded", "pending"), ("deploy", "succeeded", "pending")]
    assert fresh(release).state == "succeeded"
    assert again(release, "check") == told
    now = fresh(release)
    assert (now.state, now.finished_at) == ("running", None)
    run_on(release)
    assert fresh(release).state == "succeeded"
    assert attempts(release, "probe") == attempts(release, "deploy") == ["succeeded", "succeeded"]
    assert {key for key in before if run(release, key).finished_at != before[key]} == {"probe", "deploy"}
    assert invariants.broken() == {}
    assert verify(f"release:{release.pk}").broken_at is None
    assert events(release, "release.restarted") == ["phase:check"]


def test_an_edge_between_activities_of_other_phases_takes_only_what_hangs_on_it() -> None:
    release = line()
    assert {key for key, *_ in again(release, "build")} == {"compile", "test", "probe", "deploy", "publish", "mail"}
    docs, tell = (PhaseRun.objects.get(release=release, key=key) for key in ("docs", "tell"))
    assert (docs.decided, docs.closed_at, docs.remaining) == ("open", None, 1)
    assert (tell.decided, tell.unmet) == ("", 1)
    run_on(release)
    assert fresh(release).state == "succeeded"
    assert attempts(release, "write") == ["succeeded"]
    assert attempts(release, "mail") == ["succeeded", "succeeded"]


def test_something_upstream_that_is_not_satisfied_is_refused_naming_where_one_can_start() -> None:
    release = running(
        phase("build", bad("compile", on_failure="fail")),
        phase("check", noop("probe"), depends_on=["build"]),
        phase("ship", noop("deploy"), depends_on=["check"]),
    )
    assert fresh(release).state == "failed"
    for key in ("check", "ship"):
        with pytest.raises(Conflict) as refusal:
            again(release, key)
        assert refusal.value.data["phase"] == "build"
        assert "(build)" in refusal.value.message
    assert len(again(release, "build")) == 3


def test_what_is_still_open_upstream_is_refused_and_a_failure_path_can_start_again() -> None:
    release = running(
        phase("build", manual("look")),
        phase("ship", noop("deploy"), depends_on=["build"]),
    )
    with pytest.raises(Conflict) as refusal:
        again(release, "ship")
    assert refusal.value.data["phase"] == "build"
    failed = running(
        phase("ship", bad("deploy", on_failure="fail")),
        phase("back", noop("roll_back"), depends_on=["ship"], run_when="failed"),
    )
    assert again(failed, "back") == [("roll_back", "succeeded", "pending")]
    run_on(failed)
    assert fresh(failed).state == "failed"


@pytest.mark.parametrize("state", ["draft", "scheduled", "cancelled", "missed"])
def test_a_release_that_has_not_run_is_refused_naming_its_state(state: str) -> None:
    starter = factories.person()
    release = planning.save_draft(process=published(blueprint(noop("it"))), given={}, actor=ACTOR, starter=starter)
    for step in {"draft": (), "scheduled": ("scheduled",)}.get(state, ("scheduled", state)):
        Release.objects.filter(pk=release.pk).update(state=step, scheduled_for="2027-01-01T00:00:00Z", expected_end="2027-01-08T00:00:00Z")
    with pytest.raises(Conflict) as refusal:
        again(release, "work")
    assert refusal.value.data["state"] == state


def test_an_unknown_phase_and_no_reason_are_invalid() -> None:
    release = line()
    for given in ({"phase": "chek"}, {"phase": ""}, {"phase": "check", "reason": " "}):
        with pytest.raises(Invalid) as refusal:
            restart_from(release=release.pk, **{**WHY, **given})
        assert [problem.place for problem in refusal.value.problems] == ["/reason" if given["phase"] == "check" else "/phase"]
    assert fresh(release).state == "succeeded"


def test_decisions_are_asked_afresh_and_the_old_seal_stays_with_its_attempt() -> None:
    release = running(phase("check", manual("qa")), phase("ship", noop("deploy"), depends_on=["check"]))
    operating.succeed(release=release.pk, activity="qa", **WHY)
    run_on(release)
    assert fresh(release).state == "succeeded"
    old = Attempt.objects.get(run__release=release, run__key="qa")
    again(release, "check")
    run_on(release)
    now = run(release, "qa")
    assert (now.state, now.overridden, now.outputs) == ("waiting", False, {})
    new = Attempt.objects.get(run=now, number=2)
    assert (new.seal, new.decision) == ("", None)
    assert Attempt.objects.get(pk=old.pk).seal == old.seal != ""


@pytest.mark.parametrize("answers", [True, False])
def test_what_is_open_is_stopped_first_and_the_phase_waits_for_the_end_of_its_worker(answers: bool) -> None:
    release = running(phase("build", script("compile")), phase("ship", manual("ask"), depends_on=["build"]))
    claim = claimed("slow")["compile"]
    assert again(release, "build") == [("compile", "running", "pending")]
    old = Attempt.objects.get(run__release=release)
    assert (old.state, old.stop_asked_at is None, old.lease_until) == ("aborted", False, None)
    evaluating.settle(release.pk)
    sweep.sweep()
    assert states(release)["compile"] == "pending", "its worker may still be at it"
    if answers:
        assert [late.attempt for late in end(claim)] == [claim.attempt], "the old answer is refused"
    else:
        confirm_stopped(claim)
    sweep.sweep()
    assert states(release)["compile"] == "queued"
    assert end(claimed("slow")["compile"]) == []
    assert states(release)["compile"] == "succeeded"
    assert invariants.broken() == {}


def test_a_silent_worker_is_waited_for_a_minute_only() -> None:
    release = running(phase("build", script("compile")))
    claimed("slow")
    again(release, "build")
    Attempt.objects.filter(release=release).update(stop_asked_at="2026-01-01T00:00:00Z")
    sweep.sweep()
    assert states(release)["compile"] == "queued"


def test_children_are_aborted_first_and_each_new_attempt_is_a_new_child() -> None:
    inner = published(blueprint(manual("inside")))
    release = running(phase("deploy", sub("roll_out", inner.identifier)))
    first = child_of(release, "roll_out")
    moves = restart_from(release=release.pk, phase="deploy", **WHY)
    assert {(move.release, move.activity, move.after) for move in moves} == {
        (first.pk, "inside", "aborted"),
        (first.pk, "", "aborted"),
        (release.pk, "roll_out", "pending"),
    }
    run_on(release)
    second = child_of(release, "roll_out")
    assert (fresh(first).state, second.state, second.pk != first.pk) == ("aborted", "running", True)
    assert invariants.broken() == {}


def test_on_a_child_as_with_retry() -> None:
    inner = published(blueprint(phase("one", noop("a")), phase("two", bad("b", on_failure="fail"), depends_on=["one"])))
    release = running(phase("deploy", sub("roll_out", inner.identifier)))
    child = child_of(release, "roll_out")
    assert (fresh(child).state, states(release)) == ("failed", {"roll_out": "on_hold"})
    again(child, "one")
    assert states(release) == {"roll_out": "waiting"}
    run_on(release)
    assert attempts(child, "a") == ["succeeded", "succeeded"]
    operating.ignore(release=release.pk, activity="roll_out", **WHY)
    with pytest.raises(Conflict) as refusal:
        again(child, "one")
    assert refusal.value.code == "parent_moved_on" or refusal.value.data["state"]


def test_a_child_that_succeeded_or_whose_parent_was_aborted_is_refused() -> None:
    inner = published(blueprint(noop("a")))
    release = running(phase("deploy", sub("roll_out", inner.identifier)))
    with pytest.raises(Conflict):
        again(child_of(release, "roll_out"), "work")
    waiting = published(blueprint(manual("a")))
    other = running(phase("deploy", sub("roll_out", waiting.identifier)))
    operating.abort(release=other.pk, **WHY)
    with pytest.raises(Conflict):
        again(child_of(other, "roll_out"), "work")
    assert again(other, "deploy")


def test_an_aborted_release_runs_again_and_what_was_aborted_beside_it_stays_a_cause() -> None:
    release = running(phase("ship", manual("ask")), phase("beside", manual("other")))
    operating.abort(release=release.pk, **WHY)
    again(release, "ship")
    run_on(release)
    operating.succeed(release=release.pk, activity="ask", **WHY)
    run_on(release)
    assert states(release) == {"ask": "succeeded", "other": "aborted"}
    assert fresh(release).state == "failed"
    again(release, "beside")
    run_on(release)
    operating.succeed(release=release.pk, activity="other", **WHY)
    run_on(release)
    assert fresh(release).state == "succeeded"
    assert invariants.broken() == {}


def test_what_fail_fast_stopped_elsewhere_comes_along_with_its_cause() -> None:
    release = running(
        phase("ship", manual("gate"), bad("deploy", "gate", on_failure="fail")), phase("beside", manual("other"), noop("more", "other")), fail_fast=True
    )
    operating.succeed(release=release.pk, activity="gate", **WHY)
    run_on(release)
    assert states(release) == {"gate": "succeeded", "deploy": "failed", "other": "aborted", "more": "skipped"}
    assert {key for key, *_ in again(release, "ship")} == {"gate", "deploy", "other", "more"}
    run_on(release)
    assert states(release) == {"gate": "waiting", "deploy": "pending", "other": "waiting", "more": "pending"}


def test_in_a_held_release_nothing_begins_before_it_is_resumed() -> None:
    release = running(phase("build", noop("compile")), phase("ask", manual("qa"), depends_on=["build"]))
    operating.hold(release=release.pk, **WHY)
    again(release, "build")
    run_on(release)
    assert states(release) == {"compile": "pending", "qa": "pending"}
    operating.resume(release=release.pk, actor=ACTOR)
    run_on(release)
    assert states(release) == {"compile": "succeeded", "qa": "waiting"}


def test_the_phase_computes_its_variables_again_and_the_process_does_not() -> None:
    release = running(
        phase("build", noop("compile", outputs={"image": "${{ result.outputs.image }}"}, **{"with": {"outputs": {"image": "a"}}})),
        phase("ship", noop("deploy"), depends_on=["build"], variables={"image": "${{ activities.compile.outputs.image }}"}),
    )
    values = fresh(release).variables
    ActivityRun.objects.filter(release=release, key="compile").update(outputs={"image": "b"})
    again(release, "ship")
    run_on(release)
    assert PhaseRun.objects.get(release=release, key="ship").variables == {"image": "b"}
    assert fresh(release).variables == values


# --- against the model --------------------------------------------------------------------------------------------------------------------


def downstream(plan: Any, stage: str) -> set[str]:
    """By the model's own graph: every step after the opening of this stage."""
    later: dict[Any, set[Any]] = {}
    for node, before in graph(plan).items():
        for other in before:
            later.setdefault(other, set()).add(node)
    todo, seen = [("open", stage)], set()
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo += later.get(node, ())
    return {name for kind, name in seen if kind == "step"}


def _where_refused(release: Release, stage: str) -> str | None:
    try:
        again(release, stage, preview=True)
    except Conflict as refusal:
        return str(refusal.data["phase"])
    return None


def _goes_again(case: Case, release: Release, stage: str, before: dict[str, list[str]], random: Random, what: str) -> None:
    expected, taken = forecast(case.plan), downstream(case.plan, stage)
    moves = again(release, stage)
    assert {key for key, *_ in moves} <= taken, what
    assert {state for key, state in states(release).items() if key in taken} <= {"pending"}, what
    # nobody is at work here any more: as if their workers had said so, or their leases had run out
    Attempt.objects.filter(release=release, stop_asked_at__isnull=False).update(stop_confirmed_at="2027-01-01T00:00:00Z")
    later(release, 3600)
    sweep.sweep()
    run_on(release, random=random)
    for key, tries in before.items():
        now = attempts(release, key)
        assert now[: len(tries)] == [state if state not in ("queued", "running") or key not in taken else "aborted" for state in tries] or tries[-1] in (
            "queued",
            "running",
        ), what
        if key in taken & expected.ran:
            assert len(now) == len(tries) + 1, (what, key)
        elif tries and tries[-1] in ("succeeded", "failed"):
            assert now == tries, (what, key)
    found = {one.key: (one.state, one.skipped_because or None) for one in ActivityRun.objects.filter(release=release)}
    assert found == {key: (str(end.state), end.because and str(end.because)) for key, end in expected.steps.items()}, what
    assert fresh(release).state == expected.result, what


@pytest.mark.django_db(transaction=True)  # each release in transactions of its own: one for all grows slower with each
def test_random_releases_started_again_end_as_the_model_says() -> None:
    """Once more from a random phase, at a random moment or at the end: the same end, and exactly the steps after it have another attempt."""
    random = Random(SEED)
    starter = factories.person()
    refused = restarted = 0
    for number in range(EXAMPLES):
        case = generate(random)
        process = published(case.blueprint.model_copy(update={"id": f"r{number}"}))
        release = started(process, starter, **case.inputs)
        if random.random() < 0.3:
            for _ in range(random.randint(1, 6)):
                exchange("test:1", "engine", 2)
                evaluating.settle(release.pk)
        else:
            run_on(release, random=random)
        stage = random.choice(case.plan.stages).id
        before = {key: attempts(release, key) for key in states(release)}
        first = _where_refused(release, stage)
        if first is not None:
            refused += 1
            assert first in {one.id for one in case.plan.stages} - {stage}, (number, stage)
            assert _where_refused(release, first) is None, "what it names can be started from"
            continue
        restarted += 1
        _goes_again(case, release, stage, before, random, f"process {number} of seed {SEED}, from {stage}")
    assert invariants.broken() == {}
    print(f"seed {SEED}: {restarted} started again, {refused} refused")
    assert restarted > EXAMPLES / 4
    assert refused > EXAMPLES / 40


@pytest.mark.django_db(transaction=True)
def test_in_the_api(api: dict[str, Api], shop: Process) -> None:
    steve = api["steve"]
    release = Release.objects.get(pk=steve.post("releases/", {"process": "shop", "inputs": {"version": "1.2"}, "start": True}).json()["id"])
    run_on(release)
    place = f"releases/{release.pk}/restart_from/"
    problem(api["sam"].post(place, {"phase": "build", "reason": "x"}), 404, "not_found")
    problem(api["rita"].post(place, {"phase": "build", "reason": "x"}), 403, "not_allowed")
    problem(steve.post(place, {"phase": "build"}), 422, "reason_needed")
    problem(steve.post(place, {"phase": "bild", "reason": "x"}), 422, "unknown_phase")
    refused = problem(steve.post(place, {"phase": "ship", "reason": "x"}), 409, "upstream_not_satisfied")
    assert (refused["state"], refused["phase"]) == ("running", "check")
    will = steve.post(f"{place}?preview=true", {"phase": "build", "reason": "x"}).json()["will"]
    assert [(one["activity"], one["to"]) for one in will] == [(None, "running"), ("compile", "pending"), ("qa", "pending")]
    assert steve.post(place, {"phase": "build", "reason": "x"}).json()["moved"] == will
    draft = steve.post("releases/", {"process": "shop"}).json()["id"]
    assert problem(steve.post(f"releases/{draft}/restart_from/", {"phase": "build", "reason": "x"}), 409, "wrong_state")["state"] == "draft"
