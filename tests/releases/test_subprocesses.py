"""A subprocess is a child release (S12), with conditions, failures and outputs on both sides (S1, S7 to S9)."""

from __future__ import annotations

import os
from collections import Counter
from itertools import permutations
from random import Random

import pytest

from approvals import signing
from processes.blueprint import Blueprint
from releases import operating
from releases.engine import Actor
from releases.models import PhaseRun, Release
from relorch.lib.errors import Conflict, Invalid
from tests import factories
from tests.releases.driving import published, run_on
from tests.releases.scenes import ACTOR, attempts, bad, blueprint, child_of, events, fresh, manual, noop, phase, run, running, states, sub

pytestmark = pytest.mark.django_db


def test_inputs_go_down_outputs_come_up_and_variables_stay() -> None:
    child = blueprint(
        noop("build", **{"with": {"outputs": {"image": "${{ inputs.name }}:${{ variables.tag }}"}}}),
        inputs={"name": {"type": "string", "required": True}},
        variables={"tag": "child"},
        outputs={"image": "${{ activities.build.outputs.image }}"},
    )
    published(child)
    release = running(
        sub("it", child.id, inputs={"name": "${{ inputs.name }}"}),
        noop("then", "it", **{"with": {"outputs": {"seen": "${{ activities.it.outputs.image }} ${{ variables.tag }}"}}}),
        inputs={"name": {"type": "string"}},
        variables={"tag": "parent"},
        given={"name": "shop"},
    )
    assert fresh(release).state == "succeeded"
    assert run(release, "then").outputs == {"seen": "shop:child parent"}
    below = child_of(release, "it")
    assert (below.level, below.root_id, below.inputs, below.outputs) == (2, release.pk, {"name": "shop"}, {"image": "shop:child"})


def test_inputs_that_do_not_fit_start_no_child() -> None:
    child = blueprint(noop("x"), inputs={"count": {"type": "integer", "required": True}})
    published(child)
    release = running(sub("it", child.id, inputs={"count": "many"}))
    assert (run(release, "it").state, run(release, "it").outcome) == ("on_hold", "failed")
    assert not Release.objects.filter(parent_run__release=release).exists()
    operating.retry(release=release.pk, activity="it", actor=ACTOR, reason="again", inputs={"count": 3})
    run_on(release)
    assert child_of(release, "it").inputs == {"count": 3}
    assert fresh(release).state == "succeeded"


@pytest.mark.parametrize(("optional", "state", "result"), [(True, "partially_succeeded", "succeeded"), (False, "failed", "running")])
def test_a_child_that_succeeded_in_part_succeeded(optional: bool, state: str, result: str) -> None:
    child = blueprint(bad("it", optional=optional, on_failure="fail"))
    published(child)
    release = running(sub("it", child.id))
    assert (child_of(release, "it").state, fresh(release).state) == (state, result)
    if not optional:
        assert (run(release, "it").state, run(release, "it").code) == ("on_hold", "child_failed")
        assert child_of(release, "it").name in run(release, "it").message


def test_each_attempt_is_a_new_child_and_the_old_ones_stay() -> None:
    child = blueprint(bad("it", on_failure="fail"))
    published(child)
    release = running(sub("it", child.id))
    operating.retry(release=release.pk, activity="it", actor=ACTOR, reason="again")
    run_on(release)
    assert list(Release.objects.filter(parent_run__release=release).values_list("state", flat=True)) == ["failed", "failed"]
    assert attempts(release, "it") == ["failed", "failed"]


def test_recursion_and_depth_are_refused_at_the_start_naming_the_path() -> None:
    published(Blueprint.model_validate({"id": "loop", "phases": [phase("p", sub("it", "loop"))]}))
    with pytest.raises(Invalid) as refusal:
        running(sub("it", "loop"))
    assert "loop -> loop" in refusal.value.problems[0].message
    published(Blueprint.model_validate({"id": "level6", "phases": [phase("p", noop("x"))]}))
    for level in range(5, 1, -1):
        published(Blueprint.model_validate({"id": f"level{level}", "phases": [phase("p", sub("it", f"level{level + 1}"))]}))
    with pytest.raises(Invalid) as refusal:
        running(sub("it", "level2"))
    assert refusal.value.problems[0].code == "too_deep"
    release = running(sub("it", "level3"))
    assert fresh(release).state == "succeeded"
    assert max(Release.objects.filter(root=release).values_list("level", flat=True)) == 5


def test_peer_15_three_levels_of_two_approvals_in_every_order() -> None:
    """Two at each level beside the subprocess. The two of a level are alike, which leaves 90 orders: all with many examples, else a sample."""
    ann = factories.person("ann")
    who = ("user:ann@example.com",)
    bottom = blueprint(manual("a3", of=who), manual("b3", of=who))
    published(bottom)
    middle = blueprint(manual("a2", of=who), manual("b2", of=who), sub("down2", bottom.id))
    published(middle)
    every = sorted(set(permutations((1, 1, 2, 2, 3, 3))))
    assert len(every) == 90
    few = [every[0], every[-1], *Random(7).sample(every, 5)]
    for order in every if int(os.environ.get("RELORCH_PROPERTY_EXAMPLES", "0")) >= 200 else few:
        release = running(manual("a1", of=who), manual("b1", of=who), sub("down1", middle.id))
        second = child_of(release, "down1")
        where = {1: release, 2: second, 3: child_of(second, "down2")}
        asked: Counter[int] = Counter()
        for n, level in enumerate(order):
            assert fresh(release).state == "running", order[:n]
            key = f"{'ab'[asked[level]]}{level}"
            asked[level] += 1
            signing.sign_off(release=where[level].pk, activity=key, person=ann, actor=Actor(ann.pk, ann.email, "page"), decision="approve")
            run_on(release)
        assert set(Release.objects.filter(root=release).values_list("state", flat=True)) == {"succeeded"}, order


def test_hold_resume_and_abort_reach_through_five_levels() -> None:
    below = blueprint(manual("ask"))
    published(below)
    for _ in range(3):
        above = blueprint(sub("down", below.id))
        published(above)
        below = above
    release = running(sub("down", below.id))
    tree = Release.objects.filter(root=release).order_by("level")
    assert list(tree.values_list("level", "state")) == [(level, "running") for level in range(1, 6)]
    operating.hold(release=release.pk, actor=ACTOR, reason="wait")
    assert set(tree.values_list("state", flat=True)) == {"held"}
    deepest = tree.last()
    assert deepest is not None
    with pytest.raises(Conflict) as refusal:
        operating.resume(release=deepest.pk, actor=ACTOR)
    assert refusal.value.data["release"] == release.pk
    operating.resume(release=release.pk, actor=ACTOR)
    assert set(tree.values_list("state", flat=True)) == {"running"}
    operating.abort(release=release.pk, actor=ACTOR, reason="enough")
    assert set(tree.values_list("state", flat=True)) == {"aborted"}
    assert states(deepest) == {"ask": "aborted"}


# --- conditions ---------------------------------------------------------------------------------------------------------------------------


def test_conditions_of_phases_and_activities() -> None:
    release = running(
        phase("one", noop("a", **{"with": {"outputs": {"n": 3}}}), noop("b", **{"if": "inputs.go"}), outputs={"n": "${{ activities.a.outputs.n }}"}),
        phase("two", noop("c", "b"), depends_on=["one"], **{"if": "phases.one.outputs.n > 5"}),
        phase(
            "three",
            noop("d", **{"if": "variables.double == 6 && phases.two.state == 'skipped'"}),
            depends_on=["two", "one"],
            variables={"double": "${{ phases.one.outputs.n * 2 }}"},
        ),
        inputs={"go": {"type": "boolean"}},
        given={"go": False},
    )
    assert states(release) == {"a": "succeeded", "b": "skipped", "c": "skipped", "d": "succeeded"}
    assert (run(release, "b").skipped_because, run(release, "c").skipped_because) == ("condition", "condition")
    assert fresh(release).state == "succeeded"


def test_an_if_that_cannot_be_evaluated_puts_on_hold_and_its_retry_decides_anew() -> None:
    release = running(
        bad("a", on_failure="ignore"),
        noop("b", "a", **{"if": "activities.a.outputs.n == 1"}),
        noop("c", "b"),
    )
    assert (run(release, "b").state, run(release, "b").code, run(release, "b").outcome) == ("on_hold", "expression_error", "failed")
    assert "activities.a.outputs.n == 1" in run(release, "b").message
    operating.retry(release=release.pk, activity="b", actor=ACTOR, reason="again")
    run_on(release)
    assert states(release)["b"] == "on_hold", "nothing has changed"
    operating.fail(release=release.pk, activity="b", actor=ACTOR, reason="no")
    run_on(release)
    assert states(release) == {"a": "ignored", "b": "failed", "c": "skipped"}
    assert fresh(release).state == "failed"


def test_a_phase_that_cannot_be_decided_fails_its_first_activities_and_opens_by_a_retry() -> None:
    release = running(
        phase("one", bad("a", on_failure="ignore")),
        phase("two", noop("b"), noop("c"), noop("d", "b", "c"), depends_on=["one"], **{"if": "activities.a.outputs.n == 1"}),
    )
    assert states(release) == {"a": "ignored", "b": "on_hold", "c": "on_hold", "d": "pending"}
    assert PhaseRun.objects.get(release=release, key="two").decided == ""
    operating.retry(release=release.pk, activity="b", actor=ACTOR, reason="again")
    run_on(release)
    assert states(release) == {"a": "ignored", "b": "on_hold", "c": "on_hold", "d": "pending"}
    operating.skip(release=release.pk, activity="d", actor=ACTOR, reason="x")
    for key in ("b", "c"):
        operating.fail(release=release.pk, activity=key, actor=ACTOR, reason="x")
    run_on(release)
    assert fresh(release).state == "failed"
    assert "phase.not_decided" in events(release)


# --- failures -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "it", "then", "next_phase", "result"),
    [
        ({"on_failure": "hold"}, "on_hold", "pending", "pending", "running"),
        ({"on_failure": "fail"}, "failed", "skipped", "skipped", "failed"),
        ({"on_failure": "ignore"}, "ignored", "succeeded", "succeeded", "partially_succeeded"),
        ({"on_failure": "fail", "optional": True}, "failed", "skipped", "succeeded", "partially_succeeded"),
    ],
)
def test_on_failure_and_optional(keys: dict[str, object], it: str, then: str, next_phase: str, result: str) -> None:
    release = running(phase("one", bad("it", **keys), noop("then", "it")), phase("two", noop("next"), depends_on=["one"]))
    assert states(release) == {"it": it, "then": then, "next": next_phase}
    assert fresh(release).state == result


def test_fail_fast_spares_the_failure_paths_and_an_optional_failure_sets_it_off_not() -> None:
    def of(**keys: object) -> Release:
        return running(
            phase(
                "one",
                bad("it", on_failure="fail", **keys),
                manual("asked"),
                noop("after", "asked"),
                noop("undo", "it", run_when="failed"),
                noop("more", "undo"),
            ),
            phase("clean", noop("sweep_up"), depends_on=["one"], run_when="always"),
            fail_fast=True,
        )

    release = of()
    assert states(release) == {"it": "failed", "asked": "aborted", "after": "skipped", "undo": "succeeded", "more": "succeeded", "sweep_up": "succeeded"}
    assert (run(release, "after").skipped_because, run(release, "asked").met) == ("bad_end", {"it": 1})
    assert fresh(release).state == "failed"
    assert states(of(optional=True))["asked"] == "waiting"
