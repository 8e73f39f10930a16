"""The example processes as files: readable, sound, complete, and as careful as our own advice to authors."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from processes import expressions, reading
from processes.blueprint import Activity, ActivityType, Blueprint, OnFailure, RunWhen
from processes.problems import Severity, errors
from processes.soundness import World, problems, problems_of_store_activity
from processes.variables import resolve_inputs
from releases.connectors.registry import info
from tests.chaos.examples import INPUTS, examples

EXAMPLES = Path(__file__).parents[2] / "examples"
GUIDE = EXAMPLES.parent / "docs" / "authoring.md"
DEMO: dict[str, Any] = YAML(typ="safe", pure=True).load(EXAMPLES / "demo.yaml")
TEXTS = {file.name: file.read_text(encoding="utf-8") for file in sorted(EXAMPLES.glob("*.yaml")) if file.name != "demo.yaml"}
# What a place that runs nothing by itself may use: no process of ours is called by it.
CALLED = {"deploy_region.yaml", "deploy_service.yaml"}
GIVEN = {"RELORCH_WORKSPACE", "RELORCH_OUTPUT", "RELORCH_IDEMPOTENCY_KEY", "HOME", "PATH", "LANG"}

each_file = pytest.mark.parametrize("file", list(TEXTS))


def blueprint(file: str) -> Blueprint:
    found = reading.read(TEXTS[file]).blueprint
    assert isinstance(found, Blueprint)
    return found


def activities(file: str) -> Iterator[Activity]:
    for phase in blueprint(file).phases:
        yield from phase.activities


def scripts(file: str) -> Iterator[tuple[Activity, str, dict[str, Any]]]:
    for activity in activities(file):
        if activity.connector == "script":
            yield activity, activity.arguments["run"], activity.arguments["env"]


def groups() -> dict[str, frozenset[str]]:
    named = {group for person in DEMO["people"] for group in person["groups"]}
    return {group: frozenset(person["email"] for person in DEMO["people"] if group in person["groups"]) for group in named}


def world() -> World:
    return World(
        connectors=info(),
        processes={blueprint(file).id: blueprint(file) for file in TEXTS},
        store={},
        groups=groups(),
        users=frozenset(person["email"] for person in DEMO["people"]),
        scripts_allowed=True,
    )


@each_file
def test_it_can_be_read(file: str) -> None:
    found = reading.read(TEXTS[file])
    assert found.problems == []
    assert blueprint(file).id == Path(file).stem


@each_file
def test_it_is_sound(file: str) -> None:
    found = problems(blueprint(file), world())
    assert [problem for problem in found if problem.severity in (Severity.ERROR, Severity.WARNING)] == []


@each_file
def test_it_survives_the_way_out_and_in_again(file: str) -> None:
    text = reading.to_yaml(blueprint(file))
    again = reading.read(text).blueprint
    assert again == blueprint(file)
    assert reading.to_yaml(again) == text


@each_file
def test_a_comment_on_top_says_what_it_shows_and_needs(file: str) -> None:
    comment = TEXTS[file].partition("apiVersion:")[0]
    assert all(line.startswith("#") for line in comment.splitlines())
    assert "# What it shows" in comment
    assert "# What it needs" in comment
    for name, spec in blueprint(file).inputs.items():
        if spec.required:
            assert re.search(rf"\b{name}\b", comment), f"the comment does not name the required input {name}"
    for group in set(re.findall(r"group:([a-z-]+)", TEXTS[file])):
        assert group in comment, f"the comment does not name the group {group}"


@each_file
def test_everything_automated_is_bounded_in_time(file: str) -> None:
    assert [activity.id for activity in activities(file) if activity.type is not ActivityType.MANUAL and not activity.timeout] == []


@each_file
def test_its_scripts_are_sound_shell(file: str) -> None:
    for activity, run, env in scripts(file):
        ended = subprocess.run(["/bin/sh", "-n"], input=run, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{activity.id}: {ended.stderr}"
        used = set(re.findall(r"\$\{?([A-Z][A-Z_]*)", run))
        assert used <= GIVEN | set(env), f"{activity.id} uses what it is not given"
        assert set(env) <= used, f"{activity.id} is given what it does not use"
        assert not expressions.has_expression(run)
        assert set(re.findall(r"https?://([^/:\"]+)", run)) <= {"127.0.0.1"}


@each_file
def test_what_it_starts_it_stops(file: str) -> None:
    if file in CALLED:
        return
    last = blueprint(file).phases[-1]
    assert last.run_when is RunWhen.ALWAYS
    assert any("stop.py" in str(activity.arguments.get("run")) for activity in last.activities)
    # …and the way there asks nobody: what may fail on the way to it fails, it does not hold for ever.
    subprocesses = [activity for activity in activities(file) if activity.type is ActivityType.SUBPROCESS]
    assert all(activity.on_failure is OnFailure.FAIL for activity in subprocesses)


@each_file
def test_silence_never_approves_and_a_rejection_reaches_the_failure_path(file: str) -> None:
    for activity in activities(file):
        if activity.type is ActivityType.MANUAL:
            assert activity.approval
            assert activity.approval.due
            assert activity.approval.on_reject == "fail"
            assert activity.approval.binds, "say what the decision is about"


def test_the_demo_publishes_every_process_what_is_called_first() -> None:
    assert sorted(DEMO["processes"]) == sorted(TEXTS)
    seen: set[str] = set()
    for file in DEMO["processes"]:
        assert {activity.process for activity in activities(file) if activity.process} <= seen
        seen.add(blueprint(file).id)
    assert len(seen - {Path(file).stem for file in CALLED}) >= 5


def test_six_people_and_no_group_that_hangs_on_one_of_them() -> None:
    assert len({person["email"] for person in DEMO["people"]}) == 6
    assert all(person["email"].endswith("@demo.example") and person["name"] for person in DEMO["people"])
    used = {group for text in TEXTS.values() for group in re.findall(r"group:([a-z-]+)", text)} | {"security"}
    assert set(groups()) == used
    assert all(len(members) >= 2 for members in groups().values())


@pytest.mark.parametrize("given", DEMO["input_sets"], ids=lambda given: f"{given['process']}: {given['name']}")
def test_an_input_set_can_start_its_process(given: dict[str, Any]) -> None:
    process = blueprint(f"{given['process']}.yaml")
    values = {name: value.replace("{examples}", str(EXAMPLES)) if isinstance(value, str) else value for name, value in given["values"].items()}
    _, found = resolve_inputs(process.inputs, values, rules=process.rules)
    assert errors(found) == []
    assert (Path(values["app_dir"]) / "tools" / "deploy.py").is_file()
    assert given["description"]


def test_every_process_has_an_input_set_under_its_own_name() -> None:
    named = [(given["process"], given["name"]) for given in DEMO["input_sets"]]
    assert len(named) == len(set(named))
    assert {process for process, _ in named} == {Path(file).stem for file in TEXTS if file not in CALLED}


@pytest.mark.parametrize(("version", "text"), [("1.4", "version"), (None, "version")])
def test_a_wrong_start_is_refused_with_the_name_of_the_input(version: str | None, text: str) -> None:
    process = blueprint("standard_release.yaml")
    given = {"app_dir": "/somewhere", "base_port": 80} | ({"version": version} if version else {})
    _, found = resolve_inputs(process.inputs, given, rules=process.rules)
    assert any(text in problem.place for problem in errors(found))


def yaml_blocks() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_whole_documents_in_the_guide_for_authors_are_sound() -> None:
    whole = [block for block in yaml_blocks() if "apiVersion:" in block]
    assert len(whole) >= 3
    for block in whole:
        found = reading.read(block)
        assert found.problems == [], block.splitlines()[:4]
        assert found.blueprint
        connectors = World(connectors=info())
        sound = problems(found.blueprint, connectors) if isinstance(found.blueprint, Blueprint) else problems_of_store_activity(found.blueprint, connectors)
        assert sound == [], block.splitlines()[:4]


def test_every_piece_of_yaml_in_the_guide_is_yaml() -> None:
    for block in yaml_blocks():
        YAML(typ="safe", pure=True).load(block)


def test_every_example_is_killed_in_chaos_itself_or_inside_its_caller() -> None:
    called = {activity.process for name in INPUTS for activity in activities(f"{name}.yaml") if activity.process}
    assert set(examples()) == set(INPUTS) | called
