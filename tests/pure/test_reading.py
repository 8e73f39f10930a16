"""The process file read: every problem at once, each with its place and line; nothing dangerous, nothing guessed (S27)."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from processes import blueprint as format_types
from processes import plain_text
from processes.blueprint import Activity, ActivityType, Blueprint, Part, Requirement, StoreActivity, ValueType, Variable
from processes.json_text import read_json
from processes.plain_text import MAX_DEPTH
from processes.problems import Problem, did_you_mean, within
from processes.reading import Reading, document, json_schema, parse, read, to_yaml
from processes.sentences import TITLES
from processes.shapes import keys_of
from processes.yaml_text import read_yaml
from tests.generators import EXAMPLES, STEP_OF_STORE, sound_documents
from tests.slips import UNREADABLE, unreadable_documents

EXAMPLE = (Path(__file__).parent / "data/standard_release.yaml").read_text()
PROCESS_SCHEMA = Draft202012Validator(json_schema())
STORE_SCHEMA = Draft202012Validator(json_schema("Activity"))


def found(reading: Reading) -> list[tuple[int | None, str, str]]:
    return [(problem.line, problem.code, problem.place) for problem in reading.problems]


def test_the_example_is_read_whole() -> None:
    reading = read(EXAMPLE)
    assert not reading.problems
    assert not reading.unreadable
    whole = reading.blueprint
    assert isinstance(whole, Blueprint)
    build, sign_off, deploy = whole.phases
    compile_, tests = build.activities
    assert compile_.arguments == {"run": "echo image=$IMAGE >> $RELORCH_OUTPUT", "env": {"IMAGE": "${{ variables.image }}"}}
    assert (compile_.timeout, compile_.retry.attempts, compile_.retry.backoff, compile_.retry.max_delay) == (1800, 3, 2, 300)
    assert (tests.uses, tests.depends_on) == ("run_tests@2", ("compile",))
    assert sign_off.condition == "inputs.region == 'eu'"
    approval = sign_off.activities[0].approval
    assert approval is not None
    assert approval.requires[1] == Requirement(count=1, of=("group:security", "user:ciso@example.com"))
    assert approval.due == 86_400
    assert whole.inputs["version"] == Variable(type=ValueType.STRING, required=True, pattern=r"\d+\.\d+\.\d+", description="What goes out")
    assert deploy.activities[0].type is ActivityType.SUBPROCESS
    assert reading.lines["/phases/1/activities/0/approval/due"] == 54
    assert reading.source == EXAMPLE


def test_as_json_it_is_the_same() -> None:
    whole = read(EXAMPLE).blueprint
    assert isinstance(whole, Blueprint)
    reading = read(json.dumps(document(whole), indent=2).encode())
    assert reading.blueprint == whole
    assert (reading.lines["/owners"], reading.lines["/owners/0"]) == (7, 8)


MANY = """\
kind: Proces
id: Std-Release
nam: x
owners: group:x
fail_fast: yes
inputs:
  api-key: {type: secrt}
  v: {required: "true", min_length: -1}
rules:
  - check: x
phases:
  - id: a
    needs: [b]
    depends_on:
    activities:
      - id: x
        timeout: 30
        retry: 3
        on_fail: hold
        requires: 3
      - id: x
        approval: {requires: [{count: 0, off: [a]}], exclude: starter, escalate: {after: 1 hour}}
      - name: foo
      - 5
      - id: ok
        tasks: [{id: t, required: 3}, {id: t}]
        if: true
        depends_on: [x, 3]
  - id: a
"""


def test_every_problem_at_once() -> None:
    reading = read(MANY)
    step = "/phases/0/activities"
    assert found(reading) == [
        (1, "bad_choice", "/kind"),
        (2, "bad_id", "/id"),
        (3, "unknown_key", "/nam"),
        (4, "wrong_type", "/owners"),
        (5, "wrong_type", "/fail_fast"),
        (7, "bad_name", "/inputs/api-key"),
        (7, "bad_choice", "/inputs/api-key/type"),
        (8, "out_of_range", "/inputs/v/min_length"),
        (8, "wrong_type", "/inputs/v/required"),
        (10, "missing_key", "/rules/0/message"),
        (13, "unknown_key", "/phases/0/needs"),
        (14, "wrong_type", "/phases/0/depends_on"),
        (17, "bad_duration", f"{step}/0/timeout"),
        (18, "wrong_type", f"{step}/0/retry"),
        (19, "unknown_key", f"{step}/0/on_fail"),
        (20, "unknown_key", f"{step}/0/requires"),
        (21, "duplicate_id", f"{step}/1/id"),
        (22, "bad_duration", f"{step}/1/approval/escalate/after"),
        (22, "missing_key", f"{step}/1/approval/escalate/to"),
        (22, "wrong_type", f"{step}/1/approval/exclude"),
        (22, "out_of_range", f"{step}/1/approval/requires/0/count"),
        (22, "unknown_key", f"{step}/1/approval/requires/0/off"),
        (23, "missing_key", f"{step}/2/id"),
        (24, "wrong_type", f"{step}/3"),
        (26, "wrong_type", f"{step}/4/tasks/0/required"),
        (26, "duplicate_id", f"{step}/4/tasks/1/id"),
        (27, "wrong_type", f"{step}/4/if"),
        (28, "wrong_type", f"{step}/4/depends_on/1"),
        (29, "duplicate_id", "/phases/1/id"),
    ]


def test_what_cannot_be_read_is_left_out_and_the_rest_stays_checkable() -> None:
    reading = read(MANY)
    assert reading.unreadable
    whole = reading.blueprint
    assert isinstance(whole, Blueprint)
    assert [activity.id for activity in whole.phases[0].activities] == ["x", "ok"]
    assert whole.phases[0].activities[1].depends_on == ("x",)
    assert [task.id for task in whole.phases[0].activities[1].tasks] == ["t"]
    assert parse(reading.document).problems == [Problem("missing_key", '"id" is missing; a process needs it.', "/id")]


def test_problems_of_what_is_left_are_told_where_they_were_written() -> None:
    reading = read(MANY)
    places = ("/phases/0/activities/1/depends_on/0", "/phases/0", "/inputs/v/7")
    told = reading.located([Problem("unsound", "?", place) for place in places])
    assert [(problem.line, problem.place) for problem in told] == [(28, "/phases/0/activities/4/depends_on/0"), (12, "/phases/0"), (8, "/inputs/v/7")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nam: x", '"nam" is not a key of a process. Did you mean "name"?'),
        ("conditon: x", "Its keys are apiVersion, kind, id,"),
        ("needs: []", "is not a key of a process"),
        ("timeout: 5m", "it is a key of an activity."),
        ("category: hotfixx", 'must be one of standard, hotfix, feature, system, rollback, not "hotfixx". Did you mean "hotfix"?'),
        ("apiVersion: relorch/v2", '"apiVersion" must be relorch/v1, not "relorch/v2".'),
        ("name: 1.10", '"name" must be text, not 1.1; put it in quotes.'),
        ("name:", '"name" has no value; give it one or leave the key out.'),
        ("owners: group:dev", '"owners" must be a list, not text; write [group:dev].'),
        ("fail_fast: on", 'not the text "on"; YAML 1.2 knows only true and false, without quotes.'),
        ("owners: [group:dev, 7]", 'Item 2 of "owners" must be text, not 7; put it in quotes.'),
        ("phases: {}", '"phases" must be a list, not a mapping.'),
        ("phases: [{id: aB-c, activities: []}]", 'Did you mean "a_b_c"?'),
        ("phases: [{id: a, needs: []}]", '"needs" is not a key of a phase; here it is called "depends_on".'),
        ("phases: [{id: a, condition: x}]", 'here it is called "if".'),
        ("phases: [{id: a, activities: [{id: b, due: 1h}]}]", "it is a key of approval."),
        ("phases: [{id: a, activities: [{id: b, timeout: 1 hour}]}]", "'1 hour' is not a duration; write 90s, 30m, 24h, 2d, 1d12h or ISO 8601"),
        ("phases: [{id: a, activities: [{id: b, retry: {attempts: 0}}]}]", '"attempts" must be at least 1.'),
        ("phases: [{id: a, activities: [{id: b, retry: {attempts: '2'}}]}]", 'must be a whole number, not the text "2"; leave the quotes out.'),
        ("phases: [{id: a, activities: [{id: b, retry: {attempts: 2.5}}]}]", "must be a whole number, not 2.5."),
        ("phases: [{id: a, activities: [{id: b, tasks: [{id: c, required: 3}]}]}]", "must be true or false or text, not 3."),
        ("inputs: {api key: {}}", "cannot be a name in an expression: a letter or _ first, then letters, digits and _, at most 63 characters."),
        ("inputs: {api key: {}}", 'Did you mean "api_key"?'),
        ("inputs: {a: {type: sting}}", 'Did you mean "string"?'),
        ("rules: [{check: x}]", '"message" is missing; a rule needs it.'),
    ],
)
def test_what_is_said(line: str, message: str) -> None:
    reading = read(f"id: one\n{line}\n")
    assert [problem.line for problem in reading.problems] == [2]
    assert message in reading.problems[0].message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b: c", [(1, "yaml_syntax", "")]),
        ("id: one\na:\n\t- b", [(3, "yaml_syntax", "")]),
        ("id: one\nname: 'x", [(2, "yaml_syntax", "")]),
        ("id: one\nname: {{ x }}", [(2, "bad_key", "/name")]),
        ("id: one\nname: {a: ${{ x }}}", [(2, "yaml_syntax", "")]),
        ("id: one\nname: @x", [(2, "yaml_syntax", "")]),
        ("id: one\n name: x", [(2, "yaml_syntax", "")]),
        ("id: one\nphases: [{id: a]", [(2, "yaml_syntax", "")]),
        ("id: one\nid: two", [(2, "duplicate_key", "/id")]),
        ("id: one\ninputs: {a: {type: text, type: string}}", [(2, "duplicate_key", "/inputs/a/type")]),
        ("id: one\nname: !!python/object:os.system x", [(2, "unknown_tag", "/name")]),
        ("id: one\nname: !secret x", [(2, "unknown_tag", "/name")]),
        ("id: one\nphases: !x []", [(2, "unknown_tag", "/phases")]),
        ("id: one\ninputs: {n: {min: !!int ten}}", [(2, "bad_tag", "/inputs/n/min")]),
        ("%TAG ! x\n---\nid: one", [(1, "unknown_tag", "")]),
        ("id: one\nname: *text", [(2, "unknown_alias", "/name")]),
        ("id: one\nvariables: {a: &a [*a]}", [(2, "alias_bomb", "/variables/a/0")]),
        ("id: one\nvariables: {<<: {a: 1}}", [(2, "merge_key", "/variables/<<")]),
        ("id: one\n? [a]\n: b", [(2, "bad_key", "")]),
        ("id: one\n---\nid: two", [(2, "several_documents", "")]),
        ("id: one\nname: a\x00b", [(2, "control_character", "")]),
        ('id: one\nname: "a\\0b"', [(2, "control_character", "/name")]),
        ("id: one\ninputs: {n: {min: .inf, max: 1e999}}", [(2, "bad_number", "/inputs/n/max"), (2, "bad_number", "/inputs/n/min")]),
        (f"id: one\ninputs: {{n: {{max: {2**63}}}}}", [(2, "bad_number", "/inputs/n/max")]),
        (f"id: one\ninputs: {{n: {{max: {'9' * 5000}}}}}", [(2, "bad_number", "/inputs/n/max")]),
        ("id: validate", [(1, "reserved_id", "/id")]),
        ("id: from_text", [(1, "reserved_id", "/id")]),
        ("name: one", [(1, "missing_key", "/id")]),
        ("", [(1, "not_a_mapping", "")]),
        ("# only a comment", [(1, "not_a_mapping", "")]),
        ("- id: one", [(1, "not_a_mapping", "")]),
        ("just text", [(1, "not_a_mapping", "")]),
        ('{"id": "one", "id": "two"}', [(1, "duplicate_key", "/id")]),
        ('{\n"id": "one",\n"nam": NaN,\n}', [(3, "unknown_key", "/nam")]),  # YAML, of which {…} is a form
        ('{\n"id": "one",\n"name": "x', [(3, "json_syntax", "/name")]),
        ('{"id": "one"} x', [(1, "json_syntax", "")]),
        ('{"id": "one", "name": "\\ud800"}', [(1, "control_character", "/name")]),
        ('{"id": "one", "inputs": {"n": {"max": 1e999}}}', [(1, "bad_number", "/inputs/n/max")]),
    ],
)
def test_texts_that_cannot_be_read(text: str, expected: list[tuple[int, str, str]]) -> None:
    reading = read(text)
    assert found(reading) == expected
    assert reading.unreadable
    assert all(problem.message.endswith((".", "?", ")")) for problem in reading.problems)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("id: one\n\tname: x", "use spaces"),
        ("id: one\nname: @x", "needs quotes"),
        ("name: a: b", "needs quotes"),
        ("name: {a: ${{ x }}}", "needs quotes inside brackets"),
        ("name: 'x", "not closed"),
    ],
)
def test_the_usual_slips_of_yaml_get_advice(text: str, advice: str) -> None:
    assert advice in read(text).problems[0].message


def test_not_utf_8() -> None:
    reading = read("id: one\nname: é\nnam: x".encode("latin-1"))
    assert found(reading) == [(2, "bad_encoding", ""), (3, "unknown_key", "/nam")]
    assert not read(b"\xef\xbb\xbfid: one").problems
    assert not read("\ufeffid: one").problems


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = """
numbers: [012, 0o14, 0xC, +3, -0, 1_000, 1., .5, 1e3, 0b1, 190:20:30, 1e17, -0.0]
words: [yes, no, on, off, y, True, FALSE, tRue, null, Null, ~, nULL, '', "null", !!str 12, !!float 3, ! 5]
dates: [2026-03-01, 2026-03-01T10:00:00Z, 12:30]
keys: {true: 1, 12: 2, ~: 3, 2026-03-01: 4, 'a b': 5}
empty:
folded: >
  one
  two
"""
    assert read_yaml(text).value == {
        "numbers": [12, 12, 12, 3, 0, "1_000", 1.0, 0.5, 1000.0, "0b1", "190:20:30", 10**17, 0.0],
        "words": ["yes", "no", "on", "off", "y", True, False, "tRue", None, None, None, "nULL", "", "null", "12", 3.0, "5"],
        "dates": ["2026-03-01", "2026-03-01T10:00:00Z", "12:30"],
        "keys": {"true": 1, "12": 2, "~": 3, "2026-03-01": 4, "a b": 5},
        "empty": None,
        "folded": "one two\n",
    }
    assert [type(value) for value in read_yaml("[1, 1.0, 1e17, -0.0]").value] == [int, float, int, float]


def test_line_breaks_of_yaml_1_1_are_characters() -> None:
    text = read_yaml("id: a\u2028b\x85c\u2029\nnext: d\n")
    assert (text.value, text.lines["/next"]) == ({"id": "a\u2028b\x85c\u2029", "next": "d"}, 2)


def test_aliases_within_bounds_are_read() -> None:
    reading = read("id: one\nowners: &dev [group:dev]\nphases: [{id: a, owners: *dev, activities: [{id: b, type: manual, owners: *dev}]}]")
    assert not reading.problems
    assert isinstance(reading.blueprint, Blueprint)
    assert reading.blueprint.phases[0].activities[0].owners == ("group:dev",)


def test_an_alias_is_a_copy() -> None:
    value = read_yaml("a: &x [1]\nb: *x\n").value
    value["a"].append(2)
    assert value["b"] == [1]


@pytest.mark.parametrize(
    ("name", "text", "codes"),
    [
        (
            "laughs",
            "id: one\nvariables:\n  a0: &a0 [x, x]\n" + "".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
            {"alias_bomb"},
        ),
        ("wide", "id: &a x\nvariables: {a: [" + "*a, " * 10_000 + "]}", {"alias_bomb"}),
        ("deep lists", "id: one\nvariables: {a: " + "[" * 500_000, {"too_deep"}),
        ("deep mappings", "id: one\nvariables: " + "{a: " * 200_000, {"too_deep"}),
        ("deep dashes", "- " * 300_000, {"too_deep"}),
        ("deep JSON", '{"a":' * 100_000, {"too_deep", "json_syntax"}),
        ("many declared tags", "".join(f"%TAG !a{n}! x\n" for n in range(60_000)) + "---\nid: one", {"unknown_tag"}),
        ("many unknown aliases", "- *a\n" * 50_000, {"unknown_alias", "too_many_problems"}),
        ("many unknown keys", "id: one\n" + "".join(f"dependson{n}: 1\n" for n in range(2_000)), {"unknown_key", "too_many_problems"}),
        ("many equal keys", "id: one\n" * 100_000, {"duplicate_key", "too_many_problems"}),
        ("control characters", "\x01" * 500_000, {"control_character", "not_a_mapping"}),
        ("one long line", "id: one\nname: [" + "x" * 900_000 + "]", {"wrong_type"}),
        ("a long key", "id: one\n" + "k" * 1000 + ": x", {"bad_key"}),
    ],
)
def test_bombs_are_refused_fast(name: str, text: str, codes: set[str]) -> None:
    start = time.process_time()
    reading = read(text)
    assert time.process_time() - start < 2
    assert {problem.code for problem in reading.problems} == codes
    assert len(reading.problems) <= 302
    assert sum(len(problem.message) + len(problem.place) for problem in reading.problems) < 200_000


@pytest.mark.parametrize("text", ["id: one\nvariables: {a: [%s1]}", '{"id": "one", "variables": {"a": [%s1]}}'])
def test_more_values_than_allowed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_text, "MAX_VALUES", 1_000)
    assert not read(text % ("1," * 990)).problems
    assert [problem.code for problem in read(text % ("1," * 1_000)).problems] == ["too_large"]
    assert [problem.code for problem in parse({"id": "one", "variables": {"a": [1] * 1_000}}).problems] == ["too_large"]


def test_as_deep_as_allowed_and_one_more() -> None:
    fits = "[" * (MAX_DEPTH - 3) + "]" * (MAX_DEPTH - 3)
    for text, deeper in (("id: one\nvariables: {a: [%s]}", "id: one\nvariables: {a: [[%s]], b: 1}"), ('{"id": "one", "variables": {"a": [%s]}}',) * 2):
        assert not read(text % fits).problems
        reading = read(deeper % ("[" + fits + "]"))
        assert [problem.code for problem in reading.problems] == ["too_deep"]
    assert isinstance(reading.blueprint, Blueprint)  # the rest is read
    anchored = "a: &a " + "[" * 20 + "]" * 20 + "\nb: " + "[" * 20 + "*a" + "]" * 20
    assert [problem.code for problem in read_yaml(anchored).problems] == ["too_deep"]


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_three_hundred_activities_take_less_than_300_ms(kind: str) -> None:
    step = {"type": "automated", "connector": "script", "with": {"run": "make", "env": {"A": "${{ inputs.a }}"}}, "timeout": "30m", "retry": {"attempts": 3}}
    phases = [{"id": f"p{n}", "activities": [{"id": f"a{n}_{m}", **step, "depends_on": []} for m in range(10)]} for n in range(30)]
    whole = parse({"id": "large", "inputs": {"a": {}}, "phases": phases}).blueprint
    assert isinstance(whole, Blueprint)
    text = to_yaml(whole) if kind == "yaml" else json.dumps(document(whole))
    times = []
    for _ in range(3):
        start = time.process_time()
        assert read(text).blueprint == whole
        times.append(time.process_time() - start)
    assert min(times) < 0.3


def test_parse_takes_only_plain_values() -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    reading = parse({"id": "one", "variables": {"a": {1, 2}, "b": float("nan"), "c": "\x00", "d": 2**70, "e": deep, "f": (1, -0.0), 7: 1}, "phases": ()})
    assert [(problem.line, problem.code, problem.place) for problem in reading.problems] == [
        (None, "bad_name", "/variables/7"),
        (None, "wrong_type", "/variables/a"),
        (None, "bad_number", "/variables/b"),
        (None, "control_character", "/variables/c"),
        (None, "bad_number", "/variables/d"),
        (None, "too_deep", "/variables/e" + "/0" * 30),
    ]
    assert reading.document["variables"]["f"] == [1, 0.0]
    assert parse([1]).unreadable
    assert parse(None).blueprint is None


def test_parse_tells_lines_where_they_are_known() -> None:
    assert parse({"id": "one", "nam": 1}, {"": 1, "/nam": 7}).problems[0].line == 7


def test_a_draft_may_be_nearly_empty() -> None:
    reading = parse({"id": "one", "phases": []})
    assert reading.blueprint == Blueprint(id="one")
    assert not reading.problems


def test_a_store_activity() -> None:
    text = "kind: Activity\nid: run_tests\ninputs: {target: {type: string}}\noutputs: {report: {type: file}}\nactivity:\n  connector: script\n  timeout: 90m\n"
    reading = read(text)
    assert not reading.problems
    assert isinstance(reading.blueprint, StoreActivity)
    assert reading.blueprint.activity == {"connector": "script", "timeout": "1h30m"}
    lines = ("uses: other", "depends_on: []", "on_fail: hold", "retry:", "tasks: [{id: a}, {id: a}]", "approval: {requires: [{count: 0}]}")
    broken = read(text + "".join(f"  {line}\n" for line in lines) + "phases: []\n")
    assert found(broken) == [
        (8, "unknown_key", "/activity/uses"),
        (9, "unknown_key", "/activity/depends_on"),
        (10, "unknown_key", "/activity/on_fail"),
        (11, "wrong_type", "/activity/retry"),
        (12, "duplicate_id", "/activity/tasks/1/id"),
        (13, "out_of_range", "/activity/approval/requires/0/count"),
        (14, "unknown_key", "/phases"),
    ]
    assert isinstance(broken.blueprint, StoreActivity)
    assert broken.blueprint.activity == {"connector": "script", "timeout": "1h30m", "tasks": [{"id": "a"}], "approval": {"requires": [{}]}}
    assert found(read("kind: Activty\nid: a\nactivity: {connector: 5}")) == [(1, "bad_choice", "/kind"), (3, "wrong_type", "/activity/connector")]


@settings(max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(unreadable_documents(), st.booleans())
def test_one_slip_is_one_problem_at_its_place(slip: tuple[dict[str, Any], str, str], as_text: bool) -> None:
    whole, code, place = slip
    reading = read(json.dumps(whole, indent=1)) if as_text else parse(whole)
    assert [(problem.code, problem.place) for problem in reading.problems] == [(code, place)]
    assert isinstance(reading.blueprint, Blueprint)
    assert parse(reading.document).blueprint == reading.blueprint


@settings(max_examples=EXAMPLES // 8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sound_documents(), unreadable_documents())
def test_the_schema_and_the_reader_agree(whole: dict[str, Any], slip: tuple[dict[str, Any], str, str]) -> None:
    assert PROCESS_SCHEMA.is_valid(whole)
    broken, code, _ = slip
    # JSON Schema cannot compare ids, nor add up a duration.
    assert PROCESS_SCHEMA.is_valid(broken) <= (code in ("duplicate_id", "bad_duration"))


JUNK = st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5), lambda inside: st.lists(inside, max_size=3), max_leaves=4)


@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sound_documents(), st.integers(0, 2**32), JUNK)
def test_what_the_schema_refuses_the_reader_refuses(whole: dict[str, Any], choice: int, junk: Any) -> None:
    """Anything anywhere: the reader never raises, and lets nothing through that the schema stops."""
    broken = copy.deepcopy(whole)
    spots = list(_spots(broken))
    holder, key = spots[choice % len(spots)]
    holder[key] = junk
    reading = parse(broken)
    if not PROCESS_SCHEMA.is_valid(broken):
        assert reading.unreadable
    if reading.blueprint is not None:
        assert parse(document(reading.blueprint)).blueprint == reading.blueprint


def _spots(value: Any) -> Any:
    for key, inside in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inside, (dict, list)):
            yield from _spots(inside)


@settings(max_examples=EXAMPLES // 4, deadline=None)
@given(st.integers(0, 2**32))
def test_a_damaged_file_is_read_as_far_as_it_goes(seed: int) -> None:
    """Never an exception, always lines; and what has no problem is written and read as the same."""
    random = Random(seed)
    text = list(EXAMPLE)
    for _ in range(random.choice((1, 2, 5, 20))):
        place = random.randrange(len(text))
        if random.random() < 0.5:
            text.insert(place, random.choice([*"{}[]:,-?&*!|>'\"%@`#\n \t\\~\x00\x85\u2028", "&a ", "*a", "<<: ", "---\n", "\ud800"]))
        else:
            del text[place : place + random.choice((1, 2, 10))]
    reading = read("".join(text))
    assert all(problem.line and problem.message for problem in reading.problems)
    if not reading.unreadable:
        assert reading.blueprint is not None
        assert read(to_yaml(reading.blueprint)).blueprint == reading.blueprint


def test_the_schema_describes_the_example() -> None:
    Draft202012Validator.check_schema(PROCESS_SCHEMA.schema)
    Draft202012Validator.check_schema(STORE_SCHEMA.schema)
    PROCESS_SCHEMA.validate(read(EXAMPLE).document)
    STORE_SCHEMA.validate(STEP_OF_STORE)
    assert not STORE_SCHEMA.is_valid({"kind": "Activity", "id": "a", "activity": {"uses": "b"}})
    assert not PROCESS_SCHEMA.is_valid({"id": "validate"})


def test_the_schema_helps_in_an_editor() -> None:
    schema = json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    activity = schema["$defs"]["Activity"]
    assert {"if", "with"} <= set(activity["properties"])
    assert not {"condition", "arguments"} & set(activity["properties"])
    assert activity["properties"]["timeout"]["type"] == "string"
    assert schema["$defs"]["RunWhen"]["enum"] == ["satisfied", "failed", "always"]
    assert activity["properties"]["lock_while_waiting"]["enum"] == ["keep", "release"]
    for part in [schema, *(inner for inner in schema["$defs"].values() if "properties" in inner)]:
        assert part["additionalProperties"] is False
        assert all(inner.get("description") for inner in part["properties"].values())
    assert '"null"' not in json.dumps(schema)
    schema["properties"].clear()
    assert json_schema()["properties"]  # each caller has its own


def test_every_key_of_the_format_has_a_description_and_every_mapping_a_title() -> None:
    parts = [found for found in vars(format_types).values() if isinstance(found, type) and issubclass(found, Part) and found is not Part]
    assert set(TITLES) == set(parts)
    assert [f"{part.__name__}.{name}" for part in parts for name, field in part.model_fields.items() if not field.description] == []


def test_slips_are_of_every_kind() -> None:
    assert {slip.code for slip in UNREADABLE} == {
        *("unknown_key", "wrong_type", "missing_key", "bad_id", "duplicate_id", "bad_duration", "bad_choice", "out_of_range", "bad_name")
    }


def test_near_misses_are_guessed_quickly() -> None:
    assert did_you_mean("dependson", keys_of(Activity)) == ' Did you mean "depends_on"?'
    assert did_you_mean("x" * 1_000_000, keys_of(Activity)) == ""
    start = time.process_time()
    did_you_mean("step_1", (f"stop_{number}" for number in range(1_000_000)))
    assert time.process_time() - start < 0.5


def test_json_text_has_lines() -> None:
    text = read_json('{\n "a": [1,\n  {"b": "x\\ny"}\n ],\n "c/d": {}}')
    assert text.value == {"a": [1, {"b": "x\ny"}], "c/d": {}}
    assert text.lines == {"": 1, "/a": 2, "/a/0": 2, "/a/1": 3, "/a/1/b": 3, "/c~1d": 5}


@pytest.mark.parametrize(("place", "around", "is_within"), [("/a/1", "/a/1", True), ("/a/1/b", "/a/1", True), ("/a/10", "/a/1", False), ("/a", "/a/1", False)])
def test_a_place_is_within_another(place: str, around: str, is_within: bool) -> None:
    assert within(place, around) is is_within
