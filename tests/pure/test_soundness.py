"""Each code that the checks answer with, once; every problem at once, in order and fast (S27 and what it names)."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from processes.blueprint import Blueprint, StoreActivity
from processes.problems import Problem, Severity
from processes.soundness import CODES, ConnectorInfo, World, problems, problems_of_store_activity

ANN, BEN, CAT, DAN = "ann@example.com", "ben@example.com", "cat@example.com", "dan@example.com"


def auto(id_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "type": "automated", "connector": "noop", **more}


def manual(id_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "type": "manual", "owners": ["group:qa"], **more}


def phase(id_: str, *activities: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": id_, "activities": list(activities), **more}


def document(*phases: dict[str, Any], **more: Any) -> Blueprint:
    return Blueprint.model_validate({"id": "shop", "phases": list(phases) or [phase("build", auto("compile"))], **more})


def process(id_: str, *calls: str, **more: Any) -> Blueprint:
    activities = [{"id": f"call_{other}", "type": "subprocess", "process": other} for other in calls] or [auto("work")]
    return Blueprint.model_validate({"id": id_, "phases": [phase("all", *activities)], **more})


STORE = StoreActivity.model_validate(
    {
        "id": "check_health",
        "inputs": {"url": {"type": "string", "required": True}, "tries": {"type": "integer", "default": 3}},
        "outputs": {"status": {"type": "string"}},
        "activity": {"type": "automated", "connector": "http", "with": {"url": "${{ inputs.url }}"}, "timeout": "30s"},
    }
)


def connector_problems(arguments: dict[str, Any]) -> list[Problem]:
    return [] if "url" in arguments else [Problem("missing_key", "url is missing.", "/url")]


WORLD = World(
    processes={
        "deploy": process(
            "deploy", inputs={"image": {"required": True}, "region": {"type": "choice", "options": ["eu"], "default": "eu"}}, outputs={"url": "x"}
        ),
        "calls_shop": process("calls_shop", "between"),
        "between": process("between", "shop"),
        "deep_1": process("deep_1", "deep_2"),
        "deep_2": process("deep_2", "deep_3"),
        "deep_3": process("deep_3", "deep_4"),
        "deep_4": process("deep_4", "deep_5"),
        "deep_5": process("deep_5"),
        "ring_a": process("ring_a", "ring_b"),
        "ring_b": process("ring_b", "ring_a"),
    },
    store={("check_health", 1): STORE, ("check_health", 2): STORE, ("check_health", None): STORE},
    groups={"qa": frozenset({ANN, BEN, CAT}), "security": frozenset({CAT, DAN}), "lonely": frozenset({ANN}), "empty": frozenset()},
    users=frozenset({ANN, BEN, CAT, DAN}),
    connectors={
        "noop": ConnectorInfo(effect="keyed"),
        "script": ConnectorInfo(uses_scripts=True),
        "http": ConnectorInfo(problems=connector_problems),
        "timer": ConnectorInfo(effect="keyed"),
    },
    connections=frozenset({"staging"}),
    scripts_allowed=True,
)


def after(*names: str, **more: Any) -> dict[str, Any]:
    return {"depends_on": list(names), **more}


def approval(**keys: Any) -> Blueprint:
    return document(phase("a", manual("ask", approval=keys)))


A = "/phases/0/activities/0"
TABLE: list[tuple[str, Blueprint, str]] = [
    ("no_phases", Blueprint.model_validate({"id": "shop"}), "/phases"),
    ("empty_phase", document(phase("a", auto("x")), phase("b", depends_on=["a"])), "/phases/1"),
    ("duplicate_id", document(phase("a", auto("x")), phase("a", auto("y"), depends_on=["a"])), "/phases/1/id"),
    ("duplicate_id", document(phase("a", auto("x"), auto("x"))), "/phases/0/activities/1/id"),
    ("duplicate_id", document(phase("a", manual("x", tasks=[{"id": "t"}, {"id": "t"}]))), f"{A}/tasks/1/id"),
    ("unknown_dependency", document(phase("a", auto("x"), depends_on=["b"])), "/phases/0/depends_on/0"),
    ("unknown_dependency", document(phase("a", auto("x", **after("y")))), f"{A}/depends_on/0"),
    ("duplicate_dependency", document(phase("a", auto("x"), auto("y", **after("x", "x")))), "/phases/0/activities/1/depends_on/1"),
    ("duplicate_dependency", document(phase("a", auto("x")), phase("b", auto("y"), depends_on=["a", "a"])), "/phases/1/depends_on/1"),
    ("circle", document(phase("a", auto("x", **after("y")), auto("y", **after("x")))), f"{A}/depends_on/0"),
    ("circle", document(phase("a", auto("x", **after("x")))), f"{A}/depends_on/0"),
    ("circle", document(phase("a", auto("x"), depends_on=["a"])), "/phases/0/depends_on/0"),
    ("circle", document(phase("a", auto("x", **after("y"))), phase("b", auto("y"), depends_on=["a"])), f"{A}/depends_on/0"),
    ("phases_start_together", document(phase("a", auto("x")), phase("b", auto("y"))), "/phases/1"),
    ("never_runs", document(phase("a", auto("x", run_when="failed"))), f"{A}/run_when"),
    ("never_runs", document(phase("a", auto("x"), run_when="failed")), "/phases/0/run_when"),
    ("recovers_nothing", document(phase("a", auto("x", recovers=True))), f"{A}/recovers"),
    # expressions
    ("expression_error", document(phase("a", auto("x", **{"with": {"a": ["${{ 1 + }}"]}}))), f"{A}/with/a/0"),
    ("expression_error", document(phase("a", auto("x", **{"if": "true &&"}))), f"{A}/if"),
    ("expression_error", document(phase("a", auto("x"), **{"if": "f(1)"})), "/phases/0/if"),
    ("expression_error", document(rules=[{"check": "(", "message": "m"}]), "/rules/0/check"),
    ("expression_error", document(inputs={"a": {"required_if": "1 +"}}), "/inputs/a/required_if"),
    ("expression_error", document(phase("a", auto("x", lock="${{ 'a"))), f"{A}/lock"),
    ("expression_error", document(phase("a", manual("x", tasks=[{"id": "t", "required": "maybe("}]))), f"{A}/tasks/0/required"),
    ("expression_not_evaluated", document(phase("a", auto("x", name="Build ${{ inputs.v }}"))), f"{A}/name"),
    ("expression_not_evaluated", document(description="${{ inputs.v }}"), "/description"),
    ("expression_in_script", document(phase("a", auto("x", connector="script", **{"with": {"run": "echo ${{ inputs.v }}"}}))), f"{A}/with/run"),
    ("unknown_name", document(phase("a", auto("x", **{"if": "input.v == 1"}))), f"{A}/if"),
    ("unknown_name", document(phase("a", auto("x", **{"with": {"v": "${{ result.outputs.v }}"}}))), f"{A}/with/v"),
    ("unknown_name", document(variables={"v": "${{ activities.compile.state }}"}), "/variables/v"),
    ("unknown_name", document(outputs={"v": "${{ activities.compile.output.v }}"}), "/outputs/v"),
    ("unknown_name", document(outputs={"v": "${{ release.nmae }}"}), "/outputs/v"),
    ("unknown_name", document(outputs={"v": "${{ process.nmae }}"}), "/outputs/v"),
    ("unknown_name", document(phase("a", auto("x", outputs={"v": "${{ result.status }}"}))), f"{A}/outputs/v"),
    ("unknown_input", document(rules=[{"check": "inputs.v == 1", "message": "m"}]), "/rules/0/check"),
    ("unknown_input", document(inputs={"a": {"required_if": "inputs.b == 1"}}), "/inputs/a/required_if"),
    ("unknown_input", document(phase("a", {"id": "x", "type": "subprocess", "process": "deploy", "inputs": {"image": "i", "imge": 1}})), f"{A}/inputs/imge"),
    ("unknown_input", document(phase("a", {"id": "x", "uses": "check_health@2", "with": {"url": "u", "retries": 1}})), f"{A}/with/retries"),
    ("unknown_input", document(phase("a", manual("x", fields={"f": {"required_if": "inputs.g == 1"}}))), f"{A}/fields/f/required_if"),
    ("unknown_variable", document(phase("a", auto("x", **{"if": "variables.v == 1"}))), f"{A}/if"),
    ("unknown_variable", document(phase("a", auto("x", variables={"v": 1}), auto("y", **{"if": "variables.v == 1"}))), "/phases/0/activities/1/if"),
    ("unknown_variable", document(phase("a", auto("x"), variables={"v": 1}, **{"if": "variables.v == 1"})), "/phases/0/if"),
    ("unknown_activity", document(outputs={"v": "${{ activities.compil.state }}"}), "/outputs/v"),
    ("unknown_phase", document(outputs={"v": "${{ has(phases.built.outputs) }}"}), "/outputs/v"),
    ("unknown_output", document(phase("a", auto("x", outputs={"image": 1})), outputs={"v": "${{ activities.x.outputs.imge }}"}), "/outputs/v"),
    ("unknown_output", document(phase("a", manual("x", fields={"note": {}})), outputs={"v": "${{ activities.x.outputs.notes }}"}), "/outputs/v"),
    ("unknown_output", document(phase("a", auto("x", **{"with": {"outputs": {"a": 1}}})), outputs={"v": "${{ activities.x.outputs.b }}"}), "/outputs/v"),
    ("unknown_output", document(outputs={"v": "${{ phases.build.outputs.x }}"}), "/outputs/v"),
    (
        "unknown_output",
        document(phase("a", {"id": "x", "type": "subprocess", "process": "deploy", "inputs": {"image": "i"}, "outputs": {"u": "${{ result.outputs.ulr }}"}})),
        f"{A}/outputs/u",
    ),
    (
        "unknown_output",
        document(phase("a", {"id": "x", "uses": "check_health", "with": {"url": "u"}}), outputs={"v": "${{ activities.x.outputs.s }}"}),
        "/outputs/v",
    ),
    ("not_upstream", document(phase("a", auto("x"), auto("y", **{"if": "activities.x.state == 'succeeded'"}))), "/phases/0/activities/1/if"),
    ("not_upstream", document(phase("a", auto("x", **{"with": {"v": "${{ activities.x.state }}"}}))), f"{A}/with/v"),
    ("not_upstream", document(phase("a", auto("x", **{"with": {"v": "${{ phases.a.state }}"}}))), f"{A}/with/v"),
    ("not_upstream", document(phase("a", auto("x")), phase("b", auto("y"), depends_on=["a"], outputs={"v": "${{ phases.b.state }}"})), "/phases/1/outputs/v"),
    ("variable_circle", document(variables={"a": "${{ variables.b }}", "b": "${{ variables.a }}"}), "/variables/a"),
    ("invalid_bind", approval(binds=["inputs.a b"]), f"{A}/approval/binds/0"),
    ("unknown_activity", approval(binds=["activities.nope.outputs"]), f"{A}/approval/binds/0"),
    # descriptions of values
    ("file_only_in_forms", document(inputs={"f": {"type": "file"}}), "/inputs/f/type"),
    ("constraint_does_not_fit", document(inputs={"f": {"min": 1}}), "/inputs/f/min"),
    ("no_options", document(inputs={"f": {"type": "choice"}}), "/inputs/f"),
    ("invalid_option", document(inputs={"f": {"type": "choice", "options": [[]]}}), "/inputs/f/options/0"),
    ("duplicate_option", document(inputs={"f": {"type": "choice", "options": ["a", "a"]}}), "/inputs/f/options/1"),
    ("min_over_max", document(inputs={"f": {"type": "integer", "min": 2, "max": 1}}), "/inputs/f/min"),
    ("invalid_bound", document(inputs={"f": {"type": "integer", "min": "2"}}), "/inputs/f/min"),
    ("invalid_pattern", document(phase("a", manual("x", fields={"f": {"pattern": "("}}))), f"{A}/fields/f/pattern"),
    ("invalid_ending", document(phase("a", manual("x", fields={"f": {"type": "file", "accept": ["pdf"]}}))), f"{A}/fields/f/accept/0"),
    ("invalid_default", document(inputs={"f": {"type": "integer", "default": "1"}}), "/inputs/f/default"),
    ("secret_default", document(inputs={"f": {"type": "secret", "default": "x"}}), "/inputs/f/default"),
    ("required_with_default", document(inputs={"f": {"required": True, "default": "x"}}), "/inputs/f/required"),
    ("required_twice", document(inputs={"f": {"required": True, "required_if": "true"}}), "/inputs/f/required_if"),
    # activities
    ("missing_type", document(phase("a", {"id": "x"})), A),
    ("key_does_not_fit", document(phase("a", auto("x", approval={}))), f"{A}/approval"),
    ("key_does_not_fit", document(phase("a", manual("x", **{"with": {"a": 1}}))), f"{A}/with"),
    ("key_does_not_fit", document(phase("a", auto("x", inputs={"a": 1}))), f"{A}/inputs"),
    ("key_does_not_fit", document(phase("a", {"id": "x", "uses": "check_health", "with": {"url": "u"}, "instructions": "Look"})), f"{A}/instructions"),
    ("missing_connector", document(phase("a", {"id": "x", "type": "automated"})), A),
    ("missing_process", document(phase("a", {"id": "x", "type": "subprocess"})), A),
    ("unknown_connector", document(phase("a", auto("x", connector="scirpt"))), f"{A}/connector"),
    ("unknown_connection", document(phase("a", auto("x", connection="prod"))), f"{A}/connection"),
    ("effect_does_not_fit", document(phase("a", auto("x", effect="once"))), f"{A}/effect"),
    ("zero_duration", document(phase("a", auto("x", timeout="0s"))), f"{A}/timeout"),
    ("zero_duration", approval(due="0s"), f"{A}/approval/due"),
    ("times_contradict", document(phase("a", auto("x", timeout="1m", expected="2m"))), f"{A}/expected"),
    ("times_contradict", document(phase("a", {"id": "x", "type": "automated", "connector": "timer", "with": {"for": "3d"}, "timeout": "1h"})), f"{A}/timeout"),
    ("times_contradict", document(phase("a", auto("x", retry={"attempts": 2, "delay": "1h"}))), f"{A}/retry/delay"),
    ("times_contradict", approval(due="1h", reminders=["30m", "1h"]), f"{A}/approval/reminders/1"),
    ("times_contradict", approval(due="1h", escalate={"after": "2h", "to": ["group:qa"]}), f"{A}/approval/escalate/after"),
    ("no_effect", document(phase("a", auto("x", retry={"delay": "1m"}))), f"{A}/retry"),
    ("no_effect", approval(on_expiry="reject"), f"{A}/approval/on_expiry"),
    ("no_effect", document(phase("a", auto("x"), lock_while_waiting="release")), "/phases/0/lock_while_waiting"),
    ("empty_lock", document(phase("a", auto("x", lock=" "))), f"{A}/lock"),
    # calls
    ("unknown_process", document(phase("a", {"id": "x", "type": "subprocess", "process": "deplo"})), f"{A}/process"),
    ("recursion", document(phase("a", {"id": "x", "type": "subprocess", "process": "shop"})), f"{A}/process"),
    ("recursion", document(phase("a", {"id": "x", "type": "subprocess", "process": "calls_shop"})), f"{A}/process"),
    ("too_many_levels", document(phase("a", {"id": "x", "type": "subprocess", "process": "deep_1"})), f"{A}/process"),
    ("missing_input", document(phase("a", {"id": "x", "type": "subprocess", "process": "deploy"})), f"{A}/inputs"),
    ("missing_input", document(phase("a", {"id": "x", "uses": "check_health"})), f"{A}/with"),
    (
        "invalid_input",
        document(phase("a", {"id": "x", "type": "subprocess", "process": "deploy", "inputs": {"image": "i", "region": "us"}})),
        f"{A}/inputs/region",
    ),
    ("invalid_input", document(phase("a", {"id": "x", "uses": "check_health", "with": {"url": "u", "tries": "3"}})), f"{A}/with/tries"),
    ("unknown_store_activity", document(phase("a", {"id": "x", "uses": "check_helth"})), f"{A}/uses"),
    ("unknown_store_activity", document(phase("a", {"id": "x", "uses": "check_health@9"})), f"{A}/uses"),
    ("unknown_store_activity", document(phase("a", {"id": "x", "uses": "check_health@new"})), f"{A}/uses"),
    # people
    ("invalid_owner", document(owners=["qa"]), "/owners/0"),
    ("unknown_user", document(phase("a", auto("x"), owners=["user:eve@example.com"])), "/phases/0/owners/0"),
    ("unknown_group", document(phase("a", manual("x", tasks=[{"id": "t", "owners": ["group:qs"]}]))), f"{A}/tasks/0/owners/0"),
    ("unknown_group", approval(requires=[{"of": ["group:qa", "group:qs"]}]), f"{A}/approval/requires/0/of/1"),
    ("group_without_members", approval(escalate={"after": "1h", "to": ["group:empty"]}), f"{A}/approval/escalate/to/0"),
    ("duplicate_owner", document(owners=["group:qa", "group:qa"]), "/owners/1"),
    ("no_owner", document(phase("a", {"id": "x", "type": "manual"})), A),
    (
        "no_owner",
        document(phase("a", {"id": "x", "type": "manual", "approval": {"requires": [{"of": ["group:qa"]}, {"count": 1}]}})),
        f"{A}/approval/requires/1",
    ),
    ("duplicate_line", approval(requires=[{"of": ["group:qa"]}, {"of": ["group:qa"]}]), f"{A}/approval/requires/1"),
    ("approval_unmeetable", approval(requires=[{"count": 4, "of": ["group:qa"]}]), f"{A}/approval"),
    ("approval_unmeetable", approval(requires=[{"count": 2, "of": ["group:security"]}, {"count": 3, "of": ["group:qa"]}]), f"{A}/approval"),
    ("approval_blocks_starters", approval(requires=[{"count": 2, "of": ["group:security"]}], exclude=["starter"]), f"{A}/approval"),
    ("approval_needs_everybody", approval(requires=[{"count": 2, "of": ["group:security"]}]), f"{A}/approval"),
]
WARNINGS = {code for code, sentence in CODES.items() if "(warning)" in sentence}


@pytest.mark.parametrize(("code", "blueprint", "place"), TABLE, ids=[f"{code}-{number}" for number, (code, _, _) in enumerate(TABLE)])
def test_each_code(code: str, blueprint: Blueprint, place: str) -> None:
    found = problems(blueprint, WORLD)
    matching = [problem for problem in found if problem.code == code and problem.place == place]
    assert len(matching) == 1, found
    assert {problem.code for problem in found} - {code} <= {"approval_needs_everybody"}
    assert matching[0].severity is (Severity.WARNING if code in WARNINGS else Severity.ERROR)
    assert matching[0].message[-1] in '.?")'


def test_the_table_covers_every_code_and_the_codes_are_all_that_is_said() -> None:
    tried = {code for code, _, _ in TABLE} | {"scripts_disabled"}
    assert tried == set(CODES)
    root = Path(__file__).parents[2] / "processes"
    sources = [*(root / "soundness").glob("*.py"), root / "constraints.py"]
    said = {code for source in sources for code in re.findall(r'(?:say|Problem)\(\s*"([a-z_]+)"', source.read_text(encoding="utf-8"))}
    assert said == set(CODES)


def test_a_sound_document_has_no_problems() -> None:
    sound = document(
        phase(
            "build",
            auto(
                "compile",
                variables={"t": "${{ variables.image }}-${{ variables.kind }}"},
                **{"with": {"t": "${{ variables.t }}"}},
                outputs={"image": "${{ result.outputs.x }}"},
            ),
            auto("test", **after("compile"), **{"with": {"i": "${{ activities.compile.outputs.image }}"}}, retry={"attempts": 2}),
            variables={"kind": "dev"},
            outputs={"image": "${{ activities.compile.outputs.image }}"},
        ),
        phase(
            "sign_off",
            manual(
                "ask",
                instructions="Try ${{ activities.test.state }} of ${{ phases.build.outputs.image }}",
                fields={"note": {"type": "text", "required_if": "inputs.region == 'eu' && has(inputs.report)"}, "report": {"type": "file", "accept": [".pdf"]}},
                tasks=[{"id": "smoke", "required": "inputs.region == 'eu'"}],
                approval={
                    "requires": [{"count": 1, "of": ["group:qa"]}],
                    "exclude": ["starter"],
                    "due": "1d",
                    "reminders": ["1h"],
                    "binds": ["inputs", "activities.compile.outputs.image"],
                },
            ),
            depends_on=["build"],
            **{"if": "phases.build.state == 'satisfied' && activities.compile.outputs.image != ''"},
        ),
        phase(
            "deploy",
            {
                "id": "roll_out",
                "type": "subprocess",
                "process": "deploy",
                "inputs": {"image": "${{ variables.image }}"},
                "outputs": {"url": "${{ result.outputs.url }}", "note": "${{ activities.ask.outputs.note }}"},
                "timeout": "1h",
            },
            {"id": "healthy", "uses": "check_health@2", "with": {"url": "${{ activities.roll_out.outputs.url }}"}, "timeout": "2m", **after("roll_out")},
            depends_on=["sign_off"],
            lock="${{ inputs.region }}",
        ),
        phase("undo", auto("back"), depends_on=["deploy"], run_when="failed", **{"if": "activities.roll_out.state != 'skipped'"}),
        owners=["group:qa", f"user:{ANN.upper()}"],
        inputs={"version": {"required": True, "pattern": r"\d+"}, "region": {"type": "choice", "options": ["eu", "us"], "default": "eu"}},
        rules=[{"check": "inputs.region != 'us' || release.starter != ''", "message": "m"}],
        variables={"image": "shop:${{ inputs.version }}", "twice": "${{ variables.image + variables.image }}"},
        outputs={
            "url": "${{ activities.roll_out.outputs.url }}",
            "status": "${{ activities.healthy.outputs.status }}",
            "image": "${{ phases.build.outputs.image }}",
        },
    )
    assert problems(sound, WORLD) == []
    assert problems(sound) == []


def test_ten_problems_at_once_in_the_documents_order() -> None:
    found = problems(
        document(
            phase("build", auto("compile", **after("unit_test")), auto("unit_tests", run_when="failed"), auto("lint", connector="scirpt")),
            phase("empty", depends_on=["build"]),
            phase(
                "sign_off",
                manual("ask", instructions="${{ activities.lint.outputs.x }} ${{ inputs.verson }}", approval={"requires": [{"count": 9, "of": ["group:qa"]}]}),
                depends_on=["biuld"],
            ),
            phase("one", auto("a"), depends_on=["two"]),
            phase("two", auto("b", **{"if": "activities.a.state == "}), depends_on=["one"]),
            owners=["group:nobody"],
            inputs={"version": {"type": "integer", "default": "x"}},
            variables={"x": "${{ variables.y }}"},
        ),
        WORLD,
    )
    assert [(problem.code, problem.place) for problem in found] == [
        ("unknown_group", "/owners/0"),
        ("invalid_default", "/inputs/version/default"),
        ("unknown_variable", "/variables/x"),
        ("unknown_dependency", "/phases/0/activities/0/depends_on/0"),
        ("never_runs", "/phases/0/activities/1/run_when"),
        ("unknown_connector", "/phases/0/activities/2/connector"),
        ("empty_phase", "/phases/1"),
        ("unknown_dependency", "/phases/2/depends_on/0"),
        ("not_upstream", "/phases/2/activities/0/instructions"),
        ("unknown_input", "/phases/2/activities/0/instructions"),
        ("approval_unmeetable", "/phases/2/activities/0/approval"),
        ("circle", "/phases/3/depends_on/0"),
        ("expression_error", "/phases/4/activities/0/if"),
    ]
    assert 'Did you mean "unit_tests"?' in found[3].message
    assert 'Did you mean "script"?' in found[5].message
    assert 'Did you mean "build"?' in found[7].message
    assert 'Did you mean "version"?' in found[9].message


@pytest.mark.parametrize(
    ("blueprint", "path"),
    [
        (document(phase("a", auto("x", **after("z")), auto("y", **after("x")), auto("z", **after("y")))), "x → z → y → x"),
        (
            document(phase("a", auto("x", **after("y"))), phase("b", auto("y"), depends_on=["a"])),
            "x → y → start of phase b → end of phase a → x",
        ),
        (document(phase("a", auto("x"), depends_on=["b"]), phase("b", auto("y"), depends_on=["a"])), "start of phase a → end of phase b"),
    ],
)
def test_a_circle_is_named_with_its_path(blueprint: Blueprint, path: str) -> None:
    (found,) = [problem for problem in problems(blueprint) if problem.code == "circle"]
    assert path in found.message


def test_two_circles_are_two_problems() -> None:
    twice = document(phase("a", *(auto(f"{name}{n}", **after(f"{other}{n}")) for n in (1, 2) for name, other in (("x", "y"), ("y", "x")))))
    assert [problem.place for problem in problems(twice) if problem.code == "circle"] == [
        "/phases/0/activities/0/depends_on/0",
        "/phases/0/activities/2/depends_on/0",
    ]


def test_upstream_goes_through_phases_and_activities() -> None:
    found = problems(
        document(
            phase("a", auto("x")),
            phase("b", auto("y"), depends_on=["a"]),
            phase(
                "c",
                auto("z", **{"if": "activities.x.state == 'a' && activities.y.state == 'b' && phases.a.state == 'c' && phases.b.state == 'd'"}),
                depends_on=["b"],
            ),
            phase("d", auto("w", **after("y"), **{"if": "activities.x.state == 'a' && activities.y.state == 'b' && phases.a.state == 'c'"})),
            phase("e", auto("v", **after("y"), **{"if": "phases.b.state == 'a'"})),
        )
    )
    assert [(problem.code, problem.place) for problem in found] == [("phases_start_together", "/phases/3"), ("not_upstream", "/phases/4/activities/0/if")]


def test_names_that_are_not_known_are_not_checked() -> None:
    unknown = document(
        phase(
            "a",
            auto("x", connector="elsewhere", connection="c", **{"with": {"run": "x"}}),
            {"id": "y", "type": "subprocess", "process": "elsewhere", "inputs": {"a": 1}, "outputs": {"o": "${{ result.outputs.o }}"}},
            {"id": "z", "uses": "elsewhere@3", "with": {"a": 1}, "outputs": {"o": "${{ result.outputs.o }}"}},
            manual("w", owners=["group:elsewhere", "user:who@example.com"], approval={"requires": [{"count": 50, "of": ["group:elsewhere"]}]}),
        ),
        outputs={"a": "${{ activities.x.outputs.any }}", "b": "${{ activities.y.outputs.o }}", "c": "${{ activities.z.outputs.o }}"},
    )
    assert problems(unknown) == []


def test_scripts_that_are_not_allowed_are_one_warning() -> None:
    scripts = document(phase("a", auto("x"), auto("y", connector="script", **{"with": {"run": "a"}}), auto("z", connector="script", **{"with": {"run": "b"}})))
    (found,) = problems(scripts, World(scripts_allowed=False))
    assert (found.code, found.place, found.severity) == ("scripts_disabled", "/phases/0/activities/1/connector", Severity.WARNING)
    assert "2 activities" in found.message
    assert "RELORCH_ALLOW_SCRIPTS=1" in found.message
    assert problems(scripts) == []


def test_a_connectors_own_problems_stand_below_with() -> None:
    (found,) = problems(document(phase("a", auto("x", connector="http"))), WORLD)
    assert (found.code, found.place) == ("missing_key", f"{A}/with/url")


def test_interpolation_in_a_script_is_said_once_and_says_what_to_do() -> None:
    def judge(arguments: dict[str, Any]) -> list[Problem]:
        return [Problem("expression_in_script", "No.", "/run")]

    script = document(phase("a", auto("x", connector="script", **{"with": {"run": "echo ${{ nope( }}", "env": {"A": "${{ inputs.nope }}"}}})))
    found = problems(script, World(connectors={"script": ConnectorInfo(problems=judge)}))
    assert [(problem.code, problem.place) for problem in found] == [("expression_in_script", f"{A}/with/run"), ("unknown_input", f"{A}/with/env/A")]
    assert "use `env`" in found[0].message


def codes(blueprint: Blueprint, **world: Any) -> list[str]:
    known = {"groups": WORLD.groups, "users": WORLD.users} | world
    return [problem.code for problem in problems(blueprint, World(**known))]


def test_whether_the_people_suffice() -> None:
    pair = [{"count": 2, "of": ["group:security"]}]
    assert codes(approval(requires=pair, exclude=["starter"])) == ["approval_blocks_starters", "approval_needs_everybody"]
    assert codes(approval(requires=pair, exclude=["starter"]), starters=frozenset({CAT, DAN})) == ["approval_unmeetable"]
    assert codes(approval(requires=pair, exclude=["starter"]), starters=frozenset({ANN})) == ["approval_needs_everybody"]
    assert codes(approval(requires=pair, exclude=["author"])) == ["approval_needs_everybody"]
    assert codes(approval(requires=pair, exclude=["author"]), authors=frozenset({CAT})) == ["approval_unmeetable"]
    # One vote fills one place: cat is in both groups and counts once.
    assert codes(approval(requires=[{"count": 3, "of": ["group:qa"]}, {"count": 2, "of": ["group:security"]}])) == ["approval_unmeetable"]
    assert codes(approval(requires=[{"count": 3, "of": ["group:qa"]}, {"count": 1, "of": ["group:security"]}])) == ["approval_needs_everybody"]


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        ([{"count": 4, "of": ["group:qa"]}], "4 of group:qa need 4 different people, and there are 3."),
        (
            [{"count": 1, "of": ["group:lonely"]}, {"count": 3, "of": ["group:qa"]}, {"count": 1, "of": ["group:security"]}],
            "1 of group:lonely and 3 of group:qa together need 4 different people, and there are 3.",
        ),
        ([{"count": 1, "of": ["group:qa"]}, {"count": 3, "of": ["group:security"]}], "3 of group:security need 3 different people, and there are 2."),
    ],
)
def test_why_an_approval_cannot_be_met_names_the_fewest_lines(requires: list[Any], said: str) -> None:
    found = [problem for problem in problems(approval(requires=requires), WORLD) if problem.code == "approval_unmeetable"]
    assert [problem.message.partition(": ")[2] for problem in found] == [said]


def test_a_manual_activity_without_an_approval_asks_one_of_its_owners() -> None:
    assert codes(document(phase("a", {"id": "x", "type": "manual"}), owners=["group:qa"])) == []
    assert codes(document(phase("a", {"id": "x", "type": "manual"}, owners=["group:lonely"]), owners=["group:qa"])) == ["approval_needs_everybody"]
    found = problems(document(phase("a", {"id": "x", "type": "manual", "owners": ["group:empty"]})), WORLD)
    assert [(problem.code, problem.place) for problem in found] == [("approval_unmeetable", A), ("group_without_members", f"{A}/owners/0")]


def test_different_people_for_earlier_approvals() -> None:
    def two(first: str, second: str) -> list[str]:
        later = manual("two", owners=[second], approval={"exclude": ["earlier_approvers"]}, **after("one"))
        return [code for code in codes(document(phase("a", manual("one", owners=[first]), later))) if code != "approval_needs_everybody"]

    assert two("group:lonely", "group:lonely") == ["approval_unmeetable"]
    assert two("group:qa", "group:lonely") == []
    assert two("group:lonely", "group:security") == []


def test_a_ring_of_other_processes_is_their_own_problem() -> None:
    assert problems(document(phase("a", {"id": "x", "type": "subprocess", "process": "ring_a"})), WORLD) == []


def test_recursion_has_its_path() -> None:
    (found,) = problems(document(phase("a", {"id": "x", "type": "subprocess", "process": "calls_shop"})), WORLD)
    assert "shop → calls_shop → between → shop" in found.message


def test_activities_of_the_store() -> None:
    assert problems_of_store_activity(STORE, WORLD) == []
    bad = StoreActivity.model_validate(
        {
            "id": "bad",
            "inputs": {"url": {"type": "choice"}},
            "activity": {"type": "automated", "connector": "htp", "with": {"url": "${{ inputs.ulr }}", "x": "${{ activities.other.state }}"}, "approval": {}},
        }
    )
    assert [(problem.code, problem.place) for problem in problems_of_store_activity(bad, WORLD)] == [
        ("no_options", "/inputs/url"),
        ("unknown_connector", "/activity/connector"),
        ("unknown_input", "/activity/with/url"),
        ("unknown_activity", "/activity/with/x"),
        ("key_does_not_fit", "/activity/approval"),
    ]
    assert problems_of_store_activity(StoreActivity.model_validate({"id": "ask", "activity": {"type": "manual"}}), WORLD) == []


def test_the_values_of_an_instance_win_over_the_stores() -> None:
    mine = document(phase("a", {"id": "x", "uses": "check_health", "with": {"url": "u"}, "timeout": "1m", "expected": "45s"}))
    stores = document(phase("a", {"id": "x", "uses": "check_health", "with": {"url": "u"}, "expected": "45s"}))
    assert problems(mine, WORLD) == []
    assert [problem.code for problem in problems(stores, WORLD)] == ["times_contradict"]


def chain(count: int, *, ring: bool = False) -> Blueprint:
    steps = [
        auto(
            f"s{n}",
            **(after(f"s{n - 1}") if n else after(f"s{count - 1}") if ring else {}),
            **{"with": {"v": f"${{{{ activities.s{n - 1}.outputs.v }}}}" if n else "x"}},
        )
        for n in range(count)
    ]
    return document(phase("a", *steps))


def test_five_thousand_activities_in_a_circle() -> None:
    blueprint = chain(5_000, ring=True)
    started = time.thread_time()
    (found,) = [problem for problem in problems(blueprint) if problem.code == "circle"]
    assert time.thread_time() - started < 5
    assert "s0 → s4999" in found.message
    assert "more …" in found.message


def test_three_hundred_activities_are_quick() -> None:
    names = [f"p{n}" for n in range(10)]
    phases = [
        phase(
            name,
            *(
                auto(
                    f"{name}_{n}", **(after(f"{name}_{n - 1}") if n else {}), **{"with": {"v": f"${{{{ inputs.version }}}}-{n}", "w": "${{ variables.image }}"}}
                )
                for n in range(29)
            ),
            manual(f"{name}_ask", approval={"requires": [{"count": 2, "of": ["group:qa"]}], "exclude": ["starter"]}),
            **(after(names[index - 1], **{"if": f"activities.{names[index - 1]}_3.state == 'succeeded' || inputs.version != '{index}'"}) if index else {}),
        )
        for index, name in enumerate(names)
    ]
    blueprint = document(*phases, inputs={"version": {}}, variables={"image": "shop:${{ inputs.version }}"})
    best = 9.0
    for _ in range(3):
        started = time.thread_time()
        found = problems(blueprint, WORLD)
        best = min(best, time.thread_time() - started)
    assert found == []
    assert best < 0.15  # measured: a tenth of it
