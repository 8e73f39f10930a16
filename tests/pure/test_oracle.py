"""The oracle against graphs worked out by hand, one or more for each sentence of S5 to S9: who judges must be judged first.

In the pictures `x!` fails, `x?` is optional, `x+` recovers, `x~` has `on_failure: ignore`; `[F]` is `run_when: failed`, `[A]` always, `[no]` an `if` that is
false; phases are boxes `P(…)`, `->` is `depends_on` read from left to right, `=>` the same between phases.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings

from tests.model.generate import Case, cases, counted, generate
from tests.model.oracle import End, Plan, Stage, Step, forecast, must_precede

EXAMPLES = int(os.environ.get("RELORCH_PROPERTY_EXAMPLES", "60"))
RAN = End("succeeded")
IGNORED = End("ignored")
BY_CONDITION = End("skipped", "condition")
NOT_NEEDED = End("skipped", "not_needed")


def failed(name: str) -> End:
    return End("failed", causes=frozenset({name}))


def bad_end(*causes: str) -> End:
    return End("skipped", "bad_end", frozenset(causes))


def step(words: str, *after: str) -> Step:
    """`step("a!?+~[F][no]", "b")`: marks as in the pictures, then what it comes after."""
    name = "".join(itertools.takewhile(str.isidentifier, words))
    more: dict[str, Any] = {"run_when": "failed" if "[F]" in words else "always" if "[A]" in words else "satisfied", "condition": "[no]" not in words}
    return Step(name, after, optional="?" in words, recovers="+" in words, ignores="~" in words, outcome="failed" if "!" in words else "succeeded", **more)


def stage(words: str, *steps: Step, after: tuple[str, ...] = ()) -> Stage:
    like = step(words)
    return Stage(like.id, steps, after, like.run_when, like.condition)


def one(*steps: Step) -> Plan:
    return Plan((stage("P", *steps),))


def ends(plan: Plan) -> dict[str, End]:
    return forecast(plan).steps


# --- S5: conditions and states of phases ---


def test_a_line_runs_to_its_end() -> None:
    # P( a -> b -> c )
    plan = one(step("a"), step("b", "a"), step("c", "b"))
    assert ends(plan) == {"a": RAN, "b": RAN, "c": RAN}
    assert forecast(plan).stages == {"P": "satisfied"}
    assert forecast(plan).result == "succeeded"
    assert forecast(plan).ran == {"a", "b", "c"}


def test_a_false_condition_skips_and_satisfies() -> None:
    # P( a -> b[no] -> c )
    plan = one(step("a"), step("b[no]", "a"), step("c", "b"))
    assert ends(plan) == {"a": RAN, "b": BY_CONDITION, "c": RAN}
    assert forecast(plan).result == "succeeded"


def test_a_skipped_phase_skips_all_its_activities_and_satisfies() -> None:
    # P( a ) => Q[no]( b -> c, d[F after b] ) => R( e )
    plan = Plan((stage("P", step("a")), stage("Q[no]", step("b"), step("c", "b"), step("d[F]", "b"), after=("P",)), stage("R", step("e"), after=("Q",))))
    assert ends(plan) == {"a": RAN, "b": BY_CONDITION, "c": BY_CONDITION, "d": BY_CONDITION, "e": RAN}
    assert forecast(plan).stages == {"P": "satisfied", "Q": "skipped", "R": "satisfied"}


def test_run_when_is_asked_before_if() -> None:
    # P( a! -> b[no] ; a -> c[F][no] ; ok -> d[F][no] )
    plan = one(step("a!"), step("b[no]", "a"), step("c[F][no]", "a"), step("ok"), step("d[F][no]", "ok"))
    assert ends(plan) == {"a": failed("a"), "b": bad_end("a"), "c": BY_CONDITION, "ok": RAN, "d": NOT_NEEDED}


def test_a_phase_is_skipped_when_all_in_it_were() -> None:
    # P( a[no], b[no] ) => Q( c )
    plan = Plan((stage("P", step("a[no]"), step("b[no]")), stage("Q", step("c"), after=("P",))))
    assert forecast(plan).stages == {"P": "skipped", "Q": "satisfied"}


def test_a_phase_with_one_run_is_satisfied() -> None:
    # P( a[no], b )
    assert forecast(one(step("a[no]"), step("b"))).stages == {"P": "satisfied"}


def test_a_phase_is_bad_when_one_depending_on_it_alone_would_meet_a_cause() -> None:
    # P( a!, b ) => Q( c ) => R( d )
    plan = Plan((stage("P", step("a!"), step("b")), stage("Q", step("c"), after=("P",)), stage("R", step("d"), after=("Q",))))
    assert forecast(plan).stages == {"P": "bad", "Q": "bad", "R": "bad"}
    assert ends(plan) == {"a": failed("a"), "b": RAN, "c": bad_end("a"), "d": bad_end("a")}


def test_a_phase_whose_only_bad_end_is_optional_is_not_bad() -> None:
    # P( a!? -> b )
    plan = one(step("a!?"), step("b", "a"))
    assert forecast(plan).stages == {"P": "satisfied"}
    assert ends(plan)["b"] == bad_end("a")


def test_a_phase_all_skipped_for_an_optional_failure_elsewhere_is_skipped() -> None:
    # P( a!? ) ; Q( b after a )
    plan = Plan((stage("P", step("a!?")), stage("Q", step("b", "a"))))
    assert ends(plan)["b"] == bad_end("a")
    assert forecast(plan).stages == {"P": "satisfied", "Q": "skipped"}


# --- S6: causes ---


def test_a_failure_is_met_by_what_depends_on_it_and_by_nothing_else() -> None:
    # P( a! -> b -> c ; d -> e )                      S8: independent branches go on
    plan = one(step("a!"), step("b", "a"), step("c", "b"), step("d"), step("e", "d"))
    assert ends(plan) == {"a": failed("a"), "b": bad_end("a"), "c": bad_end("a"), "d": RAN, "e": RAN}
    assert forecast(plan).result == "failed"


def test_causes_gather() -> None:
    # P( a!, b! -> c -> d )
    plan = one(step("a!"), step("b!"), step("c", "a", "b"), step("d", "c"))
    assert ends(plan)["d"] == bad_end("a", "b")


def test_an_ignored_failure_is_no_cause() -> None:
    # P( a!~ -> b ; a -> c[F] )
    plan = one(step("a!~"), step("b", "a"), step("c[F]", "a"))
    assert ends(plan) == {"a": IGNORED, "b": RAN, "c": NOT_NEEDED}
    assert forecast(plan).result == "partially_succeeded"


def test_an_optional_failure_stops_its_direct_dependants_and_not_the_phases_after_it() -> None:
    # P( a!? -> b ) => Q( c )
    plan = Plan((stage("P", step("a!?"), step("b", "a")), stage("Q", step("c"), after=("P",))))
    assert ends(plan) == {"a": failed("a"), "b": bad_end("a"), "c": RAN}
    assert forecast(plan).result == "partially_succeeded"


def test_an_optional_failure_is_met_across_phases_by_an_activity_that_depends_on_it() -> None:
    # P( a!? ) => Q( c, d after a )
    plan = Plan((stage("P", step("a!?")), stage("Q", step("c"), step("d", "a"), after=("P",))))
    assert ends(plan) == {"a": failed("a"), "c": RAN, "d": bad_end("a")}


def test_optional_is_asked_of_the_cause_not_of_who_carries_it() -> None:
    # P( a!? -> b ) => Q( c )     and     P( a! -> b? ) => Q( c )
    for marks, after in ((("a!?", "b"), RAN), (("a!", "b?"), bad_end("a"))):
        plan = Plan((stage("P", step(marks[0])), stage("R", step(marks[1], "a")), stage("Q", step("c"), after=("R",))))
        assert ends(plan)["c"] == after


def test_what_a_skipped_phase_carries_on_is_what_the_phase_met() -> None:
    # P( a!, x!? ) => Q( b ) ; R( c after b )          c meets a, and not x, which phases do not meet
    plan = Plan((stage("P", step("a!"), step("x!?")), stage("Q", step("b"), after=("P",)), stage("R", step("c", "b"))))
    assert ends(plan)["b"] == bad_end("a")
    assert ends(plan)["c"] == bad_end("a")


def test_an_activity_of_a_phase_skipped_for_another_reason_carries_nothing_on() -> None:
    # P( a! ) ; Q[no]( b after a ) ; R( c after b )
    plan = Plan((stage("P", step("a!")), stage("Q[no]", step("b", "a")), stage("R", step("c", "b"))))
    assert ends(plan) == {"a": failed("a"), "b": BY_CONDITION, "c": RAN}
    assert must_precede(plan, "c") == {"a", "b"}  # S5: b closes only when a has


def test_a_phase_skipped_by_its_condition_keeps_what_it_met_to_itself() -> None:
    # P( a! ) => Q[A][no]( b ) ; R( c after b )
    plan = Plan((stage("P", step("a!")), stage("Q[A][no]", step("b"), after=("P",)), stage("R", step("c", "b"))))
    assert ends(plan) == {"a": failed("a"), "b": BY_CONDITION, "c": RAN}


def test_what_is_not_needed_or_skipped_by_its_condition_carries_nothing_on() -> None:
    # P( a! -> b[A][no] -> c ; ok -> d[F] -> e )
    plan = one(step("a!"), step("b[A][no]", "a"), step("c", "b"), step("ok"), step("d[F]", "ok"), step("e", "d"))
    assert ends(plan) == {"a": failed("a"), "b": BY_CONDITION, "c": RAN, "ok": RAN, "d": NOT_NEEDED, "e": RAN}


def test_what_ran_in_spite_of_a_cause_does_not_carry_it_on() -> None:
    # P( a! -> b[A] -> c ) => Q( d )                   c meets nothing, Q still meets a
    plan = Plan((stage("P", step("a!"), step("b[A]", "a"), step("c", "b")), stage("Q", step("d"), after=("P",))))
    assert ends(plan) == {"a": failed("a"), "b": RAN, "c": RAN, "d": bad_end("a")}


# --- S6: answers ---


def test_a_fallback_that_succeeds_answers() -> None:
    # P( a! -> f+[F] -> c after a too ) => Q( d )
    plan = Plan((stage("P", step("a!"), step("f+[F]", "a"), step("c", "a", "f")), stage("Q", step("d"), after=("P",))))
    assert ends(plan) == {"a": failed("a"), "f": RAN, "c": RAN, "d": RAN}
    assert forecast(plan).stages == {"P": "satisfied", "Q": "satisfied"}
    assert forecast(plan).result == "partially_succeeded"
    assert forecast(plan).answered == {"a": frozenset({"f"})}


def test_an_answer_beside_is_not_upstream() -> None:
    # P( a! -> f+[F] ; a -> c )                        c does not depend on f: whether f was quicker must not matter
    plan = one(step("a!"), step("f+[F]", "a"), step("c", "a"))
    assert ends(plan)["c"] == bad_end("a")
    assert forecast(plan).stages == {"P": "satisfied"}
    assert forecast(plan).result == "partially_succeeded"


def test_an_answer_beside_is_not_upstream_of_a_phase_either() -> None:
    # P( a! ) => Q( c ) ; F( f+[F] after a )
    plan = Plan((stage("P", step("a!")), stage("F", step("f+[F]", "a")), stage("Q", step("c"), after=("P",))))
    assert ends(plan) == {"a": failed("a"), "f": RAN, "c": bad_end("a")}
    assert forecast(plan).stages == {"P": "bad", "F": "satisfied", "Q": "bad"}
    assert forecast(plan).result == "partially_succeeded"


def test_a_fallback_that_fails_answers_nothing_and_is_a_cause_of_its_own() -> None:
    # P( a! -> f+![F] -> c ) => Q( d )
    plan = Plan((stage("P", step("a!"), step("f+![F]", "a"), step("c", "f")), stage("Q", step("d"), after=("P",))))
    assert ends(plan) == {"a": failed("a"), "f": failed("f"), "c": bad_end("f"), "d": bad_end("a", "f")}
    assert forecast(plan).result == "failed"


def test_a_fallback_whose_failure_is_ignored_has_not_succeeded() -> None:
    # P( a! -> f+!~[F] ) => Q( d )
    plan = Plan((stage("P", step("a!"), step("f+!~[F]", "a")), stage("Q", step("d"), after=("P",))))
    assert ends(plan) == {"a": failed("a"), "f": IGNORED, "d": bad_end("a")}
    assert forecast(plan).result == "failed"


def test_a_roll_back_without_recovers_leaves_the_release_failed() -> None:
    # P( a! ) => R[F]( undo ) => S( report )
    plan = Plan((stage("P", step("a!")), stage("R[F]", step("undo"), after=("P",)), stage("S", step("report"), after=("R",))))
    assert ends(plan) == {"a": failed("a"), "undo": RAN, "report": RAN}
    assert forecast(plan).stages == {"P": "bad", "R": "satisfied", "S": "satisfied"}
    assert forecast(plan).result == "failed"


def test_a_run_answers_what_its_phase_met() -> None:
    # P( a! ) => R[F]( redo+, other ) => S( c ) ; P, R => T( d )
    plan = Plan(
        (
            stage("P", step("a!")),
            stage("R[F]", step("redo+"), step("other"), after=("P",)),
            stage("S", step("c"), after=("R",)),
            stage("T", step("d"), after=("P", "R")),
        )
    )
    assert ends(plan) == {"a": failed("a"), "redo": RAN, "other": RAN, "c": RAN, "d": RAN}
    assert forecast(plan).result == "partially_succeeded"
    assert forecast(plan).stages["P"] == "bad"  # seen alone, the answer is not upstream


def test_an_answer_is_upstream_through_the_phase_of_what_is_decided() -> None:
    # P( a! -> b ) ; F( f+[F] after a ) => Q( c after b )      b carries a; c depends on b only, but its phase on F
    plan = Plan((stage("P", step("a!"), step("b", "a")), stage("F", step("f+[F]", "a")), stage("Q", step("c", "b"), after=("F",))))
    assert ends(plan)["b"] == bad_end("a")
    assert ends(plan)["c"] == RAN


def test_an_answer_is_upstream_and_so_on_back() -> None:
    # F( f+[F] after a ) => G( g ) => Q( c after b ) ; P( a! -> b )
    plan = Plan(
        (
            stage("P", step("a!"), step("b", "a")),
            stage("F", step("f+[F]", "a")),
            stage("G", step("g"), after=("F",)),
            stage("Q", step("c", "b"), after=("G",)),
        )
    )
    assert ends(plan)["c"] == RAN


def test_a_recovering_run_that_met_nothing_answers_nothing() -> None:
    # P( a!, f+ ) => Q( c )
    plan = Plan((stage("P", step("a!"), step("f+")), stage("Q", step("c"), after=("P",))))
    assert forecast(plan).answered == {}
    assert ends(plan)["c"] == bad_end("a")


def test_a_recovering_run_answers_what_was_carried_to_it() -> None:
    # P( a! -> b -> f+[F] -> c )
    plan = one(step("a!"), step("b", "a"), step("f+[F]", "b"), step("c", "f", "b"))
    assert ends(plan) == {"a": failed("a"), "b": bad_end("a"), "f": RAN, "c": RAN}
    assert forecast(plan).result == "partially_succeeded"


def test_an_optional_cause_can_be_answered_for_its_dependants() -> None:
    # P( a!? -> f+[A] -> c after a too )
    plan = one(step("a!?"), step("f+[A]", "a"), step("c", "a", "f"))
    assert ends(plan)["c"] == RAN


def test_an_answered_cause_is_not_needed_by_a_second_fallback() -> None:
    # P( a! -> f+[F] -> g+[F] after a too )
    plan = one(step("a!"), step("f+[F]", "a"), step("g+[F]", "a", "f"))
    assert ends(plan)["g"] == NOT_NEEDED


# --- S7: run_when ---


def test_run_when_of_phases() -> None:
    # P( a! ) => Q( b ), R[F]( c ), S[A]( d )        and the same with a good end
    for mark, expected in (("a!", (bad_end("a"), RAN, RAN)), ("a", (RAN, NOT_NEEDED, RAN))):
        plan = Plan(
            (
                stage("P", step(mark)),
                stage("Q", step("b"), after=("P",)),
                stage("R[F]", step("c"), after=("P",)),
                stage("S[A]", step("d"), after=("P",)),
            )
        )
        assert tuple(ends(plan)[name] for name in "bcd") == expected


def test_an_activity_that_depends_on_no_activity_meets_no_cause() -> None:
    # P( a! ) => Q[A]( b, c[F after b], d[A] )         the phase answered that
    plan = Plan((stage("P", step("a!")), stage("Q[A]", step("b"), step("c[F]", "b"), step("d[A]"), after=("P",))))
    assert ends(plan) == {"a": failed("a"), "b": RAN, "c": NOT_NEEDED, "d": RAN}


def test_run_when_failed_on_an_activity_depending_on_nothing_never_runs() -> None:
    # P( a! ) => Q[F]( b[F] )                          a problem at publish; should it run all the same, it is not needed
    plan = Plan((stage("P", step("a!")), stage("Q[F]", step("b[F]"), after=("P",))))
    assert ends(plan)["b"] == NOT_NEEDED


def test_an_optional_failure_opens_the_failure_paths_of_activities_only() -> None:
    # P( a!? -> undo[F] ) => R[F]( roll_back )
    plan = Plan((stage("P", step("a!?"), step("undo[F]", "a")), stage("R[F]", step("roll_back"), after=("P",))))
    assert ends(plan) == {"a": failed("a"), "undo": RAN, "roll_back": NOT_NEEDED}


# --- S9: results ---


@pytest.mark.parametrize(
    ("plan", "result"),
    [
        (one(step("a")), "succeeded"),
        (one(step("a[no]")), "succeeded"),
        (one(step("a!")), "failed"),
        (one(step("a!?")), "partially_succeeded"),
        (one(step("a!~")), "partially_succeeded"),
        (one(step("a!?"), step("b!")), "failed"),
        (one(step("a!"), step("f+[F]", "a")), "partially_succeeded"),
        (one(step("a!"), step("b!"), step("f+[F]", "a")), "failed"),
        (one(step("a!"), step("f+!?[F]", "a")), "failed"),
    ],
)
def test_result(plan: Plan, result: str) -> None:
    assert forecast(plan).result == result


# --- S3, S5: what must have closed before ---


def test_must_precede_goes_through_phases_and_all_the_way_back() -> None:
    # P( a -> b ) => Q( c ) => R( d -> e after x ) ; X( x )
    plan = Plan(
        (
            stage("P", step("a"), step("b", "a")),
            stage("Q", step("c"), after=("P",)),
            stage("R", step("d"), step("e", "d", "x"), after=("Q",)),
            stage("X", step("x")),
        )
    )
    assert must_precede(plan, "a") == frozenset()
    assert must_precede(plan, "d") == {"a", "b", "c"}
    assert must_precede(plan, "e") == {"a", "b", "c", "d", "x"}


def test_must_precede_includes_what_a_phase_before_waits_for() -> None:
    # X( x ) ; P( a after x ) => Q( c )
    plan = Plan((stage("X", step("x")), stage("P", step("a", "x")), stage("Q", step("c"), after=("P",))))
    assert must_precede(plan, "c") == {"a", "x"}


# --- the generator, and properties that hold of every process ---


def test_200_random_processes_hold_every_hard_thing_a_hundred_times() -> None:
    found: Counter[str] = Counter()
    for seed in range(200):
        case = generate(Random(seed))
        found += counted(case, forecast(case.plan))
    hard = ("recovers", "optional", "run_when_failed", "run_when_always", "cross_phase_edges", "skipped_phases_with_cross_phase_edges")
    assert {name: found[name] for name in hard if found[name] < 100} == {}
    rest = ("answered", "ignored", "skipped_condition", "skipped_not_needed", "skipped_bad_end", "bad_phases", "failed", "succeeded")
    assert {name: found[name] for name in rest if found[name] < 40} == {}
    assert {name for name in ("succeeded", "partially_succeeded", "failed") if found[f"release_{name}"] < 20} == set()


def test_the_same_seed_makes_the_same_process() -> None:
    assert generate(Random(7)) == generate(Random(7))
    assert generate(Random(7)) != generate(Random(8))


def test_the_blueprint_says_what_the_plan_says() -> None:
    for seed in range(50):
        case = generate(Random(seed))
        assert 3 <= len(case.plan.steps) <= 25
        assert 1 <= len(case.plan.stages) <= 6
        for phase, planned in zip(case.blueprint.phases, case.plan.stages, strict=True):
            assert (phase.id, phase.depends_on, phase.run_when) == (planned.id, planned.after, planned.run_when)
            for activity, like in zip(phase.activities, planned.steps, strict=True):
                assert (activity.id, activity.depends_on, activity.run_when) == (like.id, like.after, like.run_when)
                assert (activity.optional, activity.recovers, activity.on_failure == "ignore") == (like.optional, like.recovers, like.ignores)
                assert activity.arguments.get("outcome", "succeeded") == like.outcome
            decided = {planned.id: planned.condition} | {like.id: like.condition for like in planned.steps}
            for item in (phase, *phase.activities):
                assert _python(item.condition or "true", case.inputs) == decided[item.id]


def _python(expression: str, inputs: dict[str, bool]) -> bool:
    """The few expressions that the generator writes, worked out without the product's own evaluator."""
    bare = expression.removeprefix("${{ ").removesuffix(" }}").replace("true", "True")
    return bool(eval(bare.replace("&&", " and ").replace("||", " or ").replace("!", " not "), {"inputs": SimpleNamespace(**inputs)}))


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_every_outcome_keeps_the_plain_promises(case: Case) -> None:
    """What can be said of any ending without working it out."""
    plan = case.plan
    found = forecast(plan)
    causes = {name for name, end in found.steps.items() if end.state == "failed"}
    assert set(found.steps) == set(plan.steps)
    for name, end in found.steps.items():
        before = must_precede(plan, name)
        assert name not in before
        assert (end.state == "skipped") == (end.because is not None)
        assert end.causes <= causes & (before | {name})
        assert bool(end.causes) == (end.state == "failed" or end.because == "bad_end")
        if end.ran and not plan.steps[name].ignores:
            assert (end.state == "failed") == (plan.steps[name].outcome == "failed")
    for stage_ in plan.stages:
        reasons = {found.steps[like.id].because for like in stage_.steps}
        if found.stages[stage_.id] == "skipped":
            assert None not in reasons
    if not causes:
        assert found.result != "failed"
        assert "bad" not in found.stages.values()
