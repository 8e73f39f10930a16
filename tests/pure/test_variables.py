"""Inputs and form fields by type, at both doors; rules; variables that read each other (semantics section 1, S2)."""

from __future__ import annotations

import time
from datetime import timedelta, timezone
from typing import Any

import pytest

from processes.blueprint import Rule, ValueType, Variable
from processes.expressions import ExpressionError
from processes.problems import Severity
from processes.variables import check_value, resolve_inputs, resolve_variables, restored, spec_problems, variable_circle


def spec(type_: str = "string", **more: Any) -> Variable:
    return Variable(type=ValueType(type_), **more)


def code(spec_: Variable, value: Any, **more: Any) -> str:
    plain, problems = check_value(spec_, value, name="it", **more)
    assert (plain is None) or not problems
    assert all(problem.place == "/inputs/it" and problem.message.startswith("it") for problem in problems)
    return " ".join(problem.code for problem in problems)


def taken(spec_: Variable, value: Any, **more: Any) -> Any:
    plain, problems = check_value(spec_, value, name="it", **more)
    assert problems == []
    return plain


REGION = {"options": ["eu", "us"]}


@pytest.mark.parametrize(
    ("spec_", "value", "plain"),
    [
        (spec("string"), "a", "a"),
        (spec("string"), "", ""),
        (spec("text"), "a\nb", "a\nb"),
        (spec("integer"), 3, 3),
        (spec("integer"), -(2**63), -(2**63)),
        (spec("number"), 3, 3.0),
        (spec("number"), 0.5, 0.5),
        (spec("boolean"), False, False),
        (spec("choice", **REGION), "us", "us"),
        (spec("choice", options=[1, True, 1.0, "1"]), 1, 1),
        (spec("choice", options=[1, True, 1.0, "1"]), True, True),
        (spec("multi_choice", **REGION), ["us", "eu"], ["us", "eu"]),
        (spec("multi_choice", **REGION), [], []),
        (spec("date"), "2028-02-29", "2028-02-29"),
        (spec("datetime"), "2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
        (spec("datetime"), "2026-03-01t10:00:00.5+02:00", "2026-03-01T10:00:00.500000+02:00"),
        (spec("duration"), "90m", "1h30m"),
        (spec("duration"), "PT36H", "1d12h"),
        (spec("list"), [1, {"a": None}], [1, {"a": None}]),
        (spec("object"), {"a": [1.5]}, {"a": [1.5]}),
        (spec("user"), " ann@example.com ", "ann@example.com"),
        (spec("group"), "qa", "qa"),
        (spec("secret"), " s3cret ", " s3cret "),
        (spec("file"), {"id": 1, "name": "a.pdf", "size": 10}, {"id": 1, "name": "a.pdf", "size": 10}),
    ],
)
def test_taken_as_json(spec_: Variable, value: Any, plain: Any) -> None:
    found = taken(spec_, value)
    assert found == plain
    assert type(found) is type(plain)


@pytest.mark.parametrize(
    ("spec_", "value", "problem"),
    [
        (spec("string"), 3, "wrong_type"),
        (spec("string"), None, "wrong_type"),
        (spec("string"), ["a"], "wrong_type"),
        (spec("string"), "a\0b", "invalid_character"),
        (spec("string"), "\ud800", "invalid_character"),
        (spec("string"), "x" * 1_000_001, "too_long"),
        (spec("integer"), "3", "wrong_type"),
        (spec("integer"), 3.0, "wrong_type"),
        (spec("integer"), True, "wrong_type"),
        (spec("integer"), 2**63, "too_large"),
        (spec("integer"), -(2**63) - 1, "too_small"),
        (spec("number"), "0.5", "wrong_type"),
        (spec("number"), True, "wrong_type"),
        (spec("number"), float("nan"), "wrong_type"),
        (spec("number"), 10**400, "wrong_type"),
        (spec("boolean"), "true", "wrong_type"),
        (spec("boolean"), 1, "wrong_type"),
        (spec("choice", **REGION), "EU", "not_an_option"),
        (spec("choice", **REGION), ["eu"], "not_an_option"),
        (spec("choice", options=[1]), True, "not_an_option"),
        (spec("choice", options=[1]), 1.0, "not_an_option"),
        (spec("choice", options=[1]), "1", "not_an_option"),
        (spec("multi_choice", **REGION), "eu", "wrong_type"),
        (spec("multi_choice", **REGION), ["eu", "asia"], "not_an_option"),
        (spec("multi_choice", **REGION), ["eu", "eu"], "duplicate"),
        (spec("date"), "2026-02-29", "wrong_type"),
        (spec("date"), "2026-03-01T00:00:00Z", "wrong_type"),
        (spec("date"), "20260301", "wrong_type"),
        (spec("datetime"), "2026-03-01T10:00:00", "wrong_type"),
        (spec("datetime"), "2026-03-01", "wrong_type"),
        (spec("datetime"), "2026-13-01T10:00:00Z", "wrong_type"),
        (spec("duration"), 90, "wrong_type"),
        (spec("duration"), "soon", "wrong_type"),
        (spec("duration"), "", "wrong_type"),
        (spec("list"), "[]", "wrong_type"),
        (spec("list"), {}, "wrong_type"),
        (spec("list"), [0] * 1_001, "too_large"),
        (spec("list"), ["x" * 600_000, "x" * 600_000], "too_large"),
        (spec("list"), ["\0"], "invalid_character"),
        (spec("list"), [float("inf")], "wrong_type"),
        (spec("list"), [b"a"], "wrong_type"),
        (spec("object"), [], "wrong_type"),
        (spec("object"), {1: 2}, "wrong_type"),
        (spec("user"), "  ", "too_short"),
        (spec("user"), 7, "wrong_type"),
        (spec("secret"), "", "too_short"),
        (spec("secret"), 7, "wrong_type"),
        (spec("file"), "a.pdf", "wrong_type"),
        # constraints
        (spec("string", pattern=r"\d+\.\d+"), "1.2.3", "pattern"),
        (spec("string", pattern="a|b"), "ab", "pattern"),
        (spec("string", pattern="a"), "a\n", "pattern"),
        (spec("string", pattern="("), "a", "pattern"),
        (spec("string", pattern="a)|(?:b"), "abc", "pattern"),
        (spec("string", min_length=2, pattern="b+"), "a", "too_short pattern"),
        (spec("text", max_length=2), "abc", "too_long"),
        (spec("secret", min_length=9), "short", "too_short"),
        (spec("list", min_length=1), [], "too_short"),
        (spec("object", max_length=1), {"a": 1, "b": 2}, "too_long"),
        (spec("multi_choice", max_length=1, **REGION), ["eu", "us"], "too_long"),
        (spec("integer", min=1), 0, "too_small"),
        (spec("integer", max=5), 6, "too_large"),
        (spec("number", min=0.5), 0.25, "too_small"),
        (spec("date", min="2026-01-01", max="2026-12-31"), "2025-12-31", "too_small"),
        (spec("datetime", max="2026-03-01T10:00:00+02:00"), "2026-03-01T08:00:01Z", "too_large"),
        (spec("duration", min="1h"), "59m", "too_small"),
        (spec("duration", max="1h"), "1h1s", "too_large"),
        (spec("file", accept=[".pdf"], max_size="1KB"), {"name": "a.exe", "size": 1_001}, "not_an_option too_large"),
    ],
)
def test_refused_as_json(spec_: Variable, value: Any, problem: str) -> None:
    assert code(spec_, value) == problem


@pytest.mark.parametrize(
    ("spec_", "value", "plain"),
    [
        (spec("string"), " 1.2 ", "1.2"),
        (spec("text"), "a\r\nb ", "a\nb "),
        (spec("integer"), " 42 ", 42),
        (spec("number"), "3", 3.0),
        (spec("number"), "1.5e3", 1500.0),
        (spec("boolean"), "on", True),
        (spec("boolean"), "false", False),
        (spec("boolean"), True, True),
        (spec("choice", options=[1, 2.5, True, "x"]), "1", 1),
        (spec("choice", options=[1, 2.5, True, "x"]), "2.5", 2.5),
        (spec("choice", options=[1, 2.5, True, "x"]), "true", True),
        (spec("choice", options=["1", 1]), "1", "1"),
        (spec("multi_choice", options=["a", 2]), ["a", "2", ""], ["a", 2]),
        (spec("multi_choice", options=["a", 2]), "2", [2]),
        (spec("list"), "a\r\n\r\n b \n", ["a", "b"]),
        (spec("list"), '[1, "a"]', [1, "a"]),
        (spec("list"), ["a"], ["a"]),
        (spec("object"), '{"a": 1}', {"a": 1}),
        (spec("string"), ["a"], "a"),
        (spec("datetime"), " 2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
        (spec("secret"), " a ", " a "),
    ],
)
def test_taken_from_a_form(spec_: Variable, value: Any, plain: Any) -> None:
    found = taken(spec_, value, form=True)
    assert found == plain
    assert type(found) is type(plain)


def test_a_form_knows_its_zone() -> None:
    berlin = timezone(timedelta(hours=1))
    assert taken(spec("datetime"), "2026-03-01T10:00", form=True, zone=berlin) == "2026-03-01T10:00:00+01:00"
    assert code(spec("datetime"), "2026-03-01T10:00", form=True) == "wrong_type"
    assert code(spec("datetime"), "2026-03-01T10:00", zone=berlin) == "wrong_type"


@pytest.mark.parametrize(
    ("spec_", "value", "problem"),
    [
        (spec("integer"), "4.5", "wrong_type"),
        (spec("integer"), "٣", "wrong_type"),
        (spec("integer"), "99999999999999999999", "wrong_type"),
        (spec("integer"), "1_000", "wrong_type"),
        (spec("number"), "1,5", "wrong_type"),
        (spec("number"), "nan", "wrong_type"),
        (spec("number"), "1e999", "wrong_type"),
        (spec("boolean"), "maybe", "wrong_type"),
        (spec("choice", options=["a"]), "b", "not_an_option"),
        (spec("object"), "{", "wrong_type"),
        (spec("object"), '{"a": NaN}', "wrong_type"),
        (spec("object"), "[" * 100_000, "wrong_type"),
        (spec("list"), "[1,", "wrong_type"),
        (spec("string"), ["a", "b"], "wrong_type"),
    ],
)
def test_refused_from_a_form(spec_: Variable, value: Any, problem: str) -> None:
    assert code(spec_, value, form=True) == problem


def test_people_are_looked_up() -> None:
    def people(kind: str, name: str) -> bool:
        return (kind, name) in {("user", "ann@example.com"), ("group", "qa")}

    assert code(spec("user"), "ann@example.com", people=people) == ""
    assert code(spec("group"), "ann@example.com", people=people) == "not_found"
    assert code(spec("user"), "qa", people=people) == "not_found"


def test_a_pattern_takes_linear_time() -> None:
    started = time.thread_time()
    assert code(spec("string", pattern="(a+)+b"), "a" * 100_000) == "pattern"
    assert time.thread_time() - started < 1


def test_no_message_holds_a_secret() -> None:
    secret = "hunter2hunter2"
    cases = [spec("secret", min_length=99), spec("secret", max_length=1), spec("secret", pattern="x")]
    problems = [problem for each in cases for problem in check_value(each, secret, name="key")[1]]
    rules = [
        Rule(check="timestamp(inputs.key) > timestamp('2026-01-01T00:00:00Z')", message="m"),
        Rule(check="inputs.key", message="m"),
        Rule(check="bool(inputs.key)", message="m"),
    ]
    problems += resolve_inputs({"key": spec("secret")}, {"key": secret}, rules=rules)[1]
    assert len(problems) == 6
    assert not [problem for problem in problems if "hunter2" in problem.message]


SPECS = {
    "version": spec("string", name="Version", required=True, pattern=r"\d+\.\d+\.\d+"),
    "region": spec("choice", default="eu", **REGION),
    "percent": spec("number", default=10),
    "wait": spec("duration", default="90m"),
    "ticket": spec("string", required_if="inputs.region == 'us'"),
    "careful": spec("boolean", default=True),
    "tags": spec("multi_choice", options=["a", "b"], required=False),
    "key": spec("secret"),
}


def test_defaults_and_absent_inputs() -> None:
    values, problems = resolve_inputs(SPECS, {"version": "1.2.3"})
    assert problems == []
    assert values == {"version": "1.2.3", "region": "eu", "percent": 10.0, "wait": "1h30m", "careful": True}
    assert type(values["percent"]) is float


def test_every_problem_at_once_in_order() -> None:
    rules = [
        Rule(check="inputs.percent < 5.0", message="At most five percent"),
        Rule(check="${{ inputs.version != '0.0.0' }}", message="never asked: the version is wrong already"),
        Rule(check="inputs.nope == 1", message="Broken"),
        Rule(check="release.id > 5", message="Not this release"),
    ]
    given = {"version": "1.2", "region": "asia", "percnt": 1, "careful": "yes", "key": ""}
    values, problems = resolve_inputs(SPECS, given, rules=rules, names={"release": {"id": 3}})
    assert [(problem.code, problem.place) for problem in problems] == [
        ("pattern", "/inputs/version"),
        ("not_an_option", "/inputs/region"),
        ("wrong_type", "/inputs/careful"),
        ("too_short", "/inputs/key"),
        ("unknown_input", "/inputs/percnt"),
        ("rule", "/inputs/percent"),
        ("expression_error", "/inputs"),
        ("rule", "/inputs"),
    ]
    assert problems[0].message == r"Version must match the pattern \d+\.\d+\.\d+"
    assert 'Did you mean "percent"?' in problems[4].message
    assert problems[5].message == "At most five percent"
    assert set(values) == {"percent", "wait"}
    assert all(problem.severity is Severity.ERROR for problem in problems)


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ({}, ["required"]),
        ({"version": ""}, ["required"]),
        ({"version": "  "}, ["required"]),
        ({"version": None}, ["wrong_type"]),
        ({"version": "1.2.3", "region": "us"}, ["required"]),
        ({"version": "1.2.3", "region": "us", "ticket": "T-1"}, []),
        ({"version": "1.2.3", "region": "mars"}, ["not_an_option"]),
    ],
)
def test_required(given: dict[str, Any], codes: list[str]) -> None:
    assert [problem.code for problem in resolve_inputs(SPECS, given)[1]] == codes


def test_required_if_that_cannot_be_evaluated_says_so() -> None:
    specs = {"a": spec("string"), "b": spec("string", required_if="inputs.a == 'x'"), "c": spec("string", required_if="has(inputs.a) && inputs.a == 'x'")}
    values, problems = resolve_inputs(specs, {})
    assert [(problem.code, problem.place) for problem in problems] == [("expression_error", "/inputs/b")]
    assert 'no input "a"' in problems[0].message
    assert values == {}


def test_a_form() -> None:
    values, problems = resolve_inputs(
        SPECS, {"version": " 1.2.3 ", "region": "", "percent": "5", "wait": "", "ticket": "", "tags": ["b"], "key": ""}, form=True
    )
    assert problems == []
    assert values == {"version": "1.2.3", "region": "eu", "percent": 5.0, "wait": "1h30m", "careful": False, "tags": ["b"]}
    again, problems = resolve_inputs(SPECS, values, form=True)  # values that were stored already are taken as they are
    assert (again, problems) == (values, [])
    assert [problem.code for problem in resolve_inputs({"tags": spec("multi_choice", options=["a"], required=True)}, {"tags": [""]}, form=True)[1]] == [
        "required"
    ]


def test_variables_read_each_other_in_any_order() -> None:
    names = {"inputs": {"v": "1.2"}, "variables": {"outer": "o", "b": "hidden"}}
    variables = {"a": "${{ variables.b.x[0] }}!", "b": {"x": ["${{ inputs.v }}-${{ variables.outer }}"]}, "c": 3}
    found = resolve_variables(variables, names)
    assert found == {"a": "1.2-o!", "b": {"x": ["1.2-o"]}, "c": 3}
    assert list(found) == ["a", "b", "c"]
    assert resolve_variables({}, {}) == {}


def test_a_variable_read_by_a_computed_name_waits_for_the_others() -> None:
    assert resolve_variables({"pick": "${{ variables[inputs.n] }}", "x": "${{ 1 + 1 }}"}, {"inputs": {"n": "x"}}) == {"pick": 2, "x": 2}


def test_variables_in_a_circle() -> None:
    circle = {"a": "${{ variables.b }}", "b": ["${{ variables.c }}"], "c": "x ${{ variables.a + variables.d }}", "d": "1"}
    assert variable_circle(circle) == ["a", "b", "c", "a"]
    assert variable_circle({"a": "${{ variables.a }}"}) == ["a", "a"]
    assert variable_circle({"a": "${{ variables.b }}", "b": "$${{ variables.a }}"}) is None
    with pytest.raises(ExpressionError, match="in a circle") as caught:
        resolve_variables(circle, {})
    assert caught.value.expression == "a → b → c → a"


def test_a_long_chain_of_variables_is_no_recursion() -> None:
    variables: dict[str, Any] = {"v0": 1} | {f"v{n}": f"${{{{ variables.v{n - 1} + 1 }}}}" for n in range(1, 1_500)}
    assert resolve_variables(dict(reversed(variables.items())), {})["v1499"] == 1_500


def test_a_variable_that_does_not_resolve() -> None:
    with pytest.raises(ExpressionError, match="Did you mean"):
        resolve_variables({"a": "${{ inputs.versoin }}"}, {"inputs": {"version": "1"}})


def test_stored_numbers_are_doubles_again() -> None:
    assert restored({"n": spec("number"), "i": spec("integer")}, {"n": 10**16, "i": 3, "x": 1}) == {"n": 1e16, "i": 3, "x": 1}
    assert type(restored({"n": spec("number")}, {"n": 10**16})["n"]) is float


@pytest.mark.parametrize(
    ("spec_", "places"),
    [
        (spec("string", required=True, pattern=r"\d+"), {}),
        (spec("choice", default="eu", **REGION), {}),
        (spec("integer", min=1, max=5, default=3), {}),
        (spec("date", min="2026-01-01", required_if="inputs.a == 1"), {}),
        (spec("choice"), {"no_options": ""}),
        (spec("choice", options=["a", "a", [1], ""]), {"duplicate_option": "/options/1", "invalid_option": "/options/3"}),
        (spec("string", options=["a"]), {"constraint_does_not_fit": "/options"}),
        (spec("string", min=1), {"constraint_does_not_fit": "/min"}),
        (spec("integer", pattern="1"), {"constraint_does_not_fit": "/pattern"}),
        (spec("string", accept=[".a"]), {"constraint_does_not_fit": "/accept"}),
        (spec("integer", min=5, max=1), {"min_over_max": "/min"}),
        (spec("string", min_length=5, max_length=1), {"min_over_max": "/min_length"}),
        (spec("date", min="soon"), {"invalid_bound": "/min"}),
        (spec("integer", max="5"), {"invalid_bound": "/max"}),
        (spec("datetime", max="2026-01-01"), {"invalid_bound": "/max"}),
        (spec("duration", min="x"), {"invalid_bound": "/min"}),
        (spec("string", pattern="("), {"invalid_pattern": "/pattern"}),
        (spec("string", pattern="(?=a)"), {"invalid_pattern": "/pattern"}),
        (spec("string", pattern="a" * 1_001), {"invalid_pattern": "/pattern"}),
        (spec("integer", default="3"), {"invalid_default": "/default"}),
        (spec("choice", default="x", **REGION), {"invalid_default": "/default"}),
        (spec("string", default="x", pattern="y"), {"invalid_default": "/default"}),
        (spec("secret", default="x"), {"secret_default": "/default"}),
        (spec("file"), {"file_only_in_forms": "/type"}),
        (spec("string", required=True, default="x"), {"required_with_default": "/required"}),
        (spec("string", required=True, required_if="true"), {"required_twice": "/required_if"}),
        (spec("string", required_if="1 +"), {"expression_error": "/required_if"}),
    ],
)
def test_spec_problems(spec_: Variable, places: dict[str, str]) -> None:
    found = spec_problems(spec_, "/inputs/x")
    assert {problem.code: problem.place.removeprefix("/inputs/x") for problem in found} == places


def test_spec_problems_of_files() -> None:
    found = spec_problems(spec("file", accept=["pdf", ".png"], max_size="10 apples", default={}), "/f", form=True)
    assert {problem.code: problem.place for problem in found} == {
        "invalid_ending": "/f/accept/0",
        "invalid_bound": "/f/max_size",
        "invalid_default": "/f/default",
    }
    assert spec_problems(spec("file", accept=[".pdf"], max_size="10MB"), "/f", form=True) == []
