"""A release procedure in plain text becomes a draft: phases, activities, owners, order, and questions for what is left open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processes import reading
from processes.describing import Description, Known, describe, wording
from processes.problems import errors
from processes.soundness import World, problems

TEXTS = Path(__file__).parent.parent / "processes" / "descriptions"
KNOWN = Known(groups=("release-managers", "qa", "dev", "security"), users={"ana@example.com": "Ana Lopez"}, processes={"deploy_region": "Deploy a region"})


def described(name: str) -> Description:
    return describe((TEXTS / f"{name}.md").read_text(), KNOWN)


def phases(found: Description) -> dict[str, dict[str, Any]]:
    return {phase["id"]: phase for phase in found.document["phases"]}


def activities(found: Description) -> dict[str, dict[str, Any]]:
    return {activity["id"]: activity for phase in found.document["phases"] for activity in phase["activities"]}


def order(found: Description) -> list[tuple[str, tuple[str, ...]]]:
    return [(phase["id"], tuple(phase.get("depends_on", ()))) for phase in found.document["phases"]]


@pytest.mark.parametrize("path", sorted(TEXTS.glob("*.md")), ids=lambda path: path.stem)
def test_every_draft_can_be_read_and_has_no_fault_but_what_is_asked(path: Path) -> None:
    found = describe(path.read_text(), KNOWN)
    read = reading.parse(found.document)
    assert read.problems == []
    assert reading.document(read.blueprint)["phases"], "steps were found"  # type: ignore[arg-type]
    world = World(groups={name: frozenset(f"{name}-{number}@example.com" for number in range(3)) for name in KNOWN.groups}, users=frozenset(KNOWN.users))
    faults = {problem.code for problem in errors(problems(read.blueprint, world))}  # type: ignore[arg-type]
    assert faults <= {"unknown_group", "no_owner"}
    assert not faults or found.questions


def test_eight_steps_become_stages_with_parallel_builds_and_approvals() -> None:
    found = described("eight_steps")
    assert found.document["name"] == "Release procedure for the web shop"
    assert [identifier for identifier, _ in order(found)][:4] == ["prepare", "build", "test", "deploy"]
    builds = phases(found)["build"]["activities"]
    assert [(step["id"], step.get("depends_on")) for step in builds] == [("build_backend", None), ("build_frontend", None)]
    assert phases(found)["build"]["owners"] == ["group:dev"]
    steps = activities(found)
    assert steps["manual_uat_by_the_qa_team"]["type"] == "manual"
    assert steps["approval_by_product_and_security"]["approval"] == {"requires": [{"of": ["group:product"]}, {"of": ["group:security"]}]}
    assert steps["deploy_to_production"]["depends_on"] == ["approval_by_product_and_security"], "after step 6, by its number"
    assert steps["final_sign_off_from_the_release_manager"]["approval"] == {"requires": [{"of": ["group:release-managers"]}], "due": "1d"}


def test_a_company_s_document() -> None:
    found = described("company_release")
    assert found.document["owners"] == ["group:release-managers"]
    assert order(found) == [
        ("preparation", ()),
        ("build_and_test", ("preparation",)),
        ("acceptance", ("build_and_test",)),
        ("documentation", ("build_and_test",)),
        ("go_live", ("acceptance", "documentation")),
        ("rollback_if_something_goes_wrong", ("preparation", "build_and_test", "acceptance", "documentation", "go_live")),
    ]
    assert phases(found)["rollback_if_something_goes_wrong"]["run_when"] == "failed"
    steps = activities(found)
    assert steps["announce_the_freeze_in_chat"]["owners"] == ["user:ana@example.com"], "a label among the inner items"
    assert "tasks" not in steps["announce_the_freeze_in_chat"]
    assert [task["name"] for task in steps["manual_uat_on_staging"]["tasks"]] == ["Payment with card", "Refund", "Export of the day"]
    assert [task.get("required", False) for task in steps["manual_uat_on_staging"]["tasks"]] == [True, True, False]
    assert steps["run_the_regression_tests_by_the_nightly"]["depends_on"] == ["build_the_backend", "build_the_web_client", "build_the_mobile_apps"]
    assert steps["build_the_mobile_apps"]["expected"] == "45m"
    assert steps["approval_by_qa_and_security"]["approval"]["requires"] == [{"count": 2, "of": ["group:qa"]}, {"count": 2, "of": ["group:security"]}]
    assert steps["approval_by_qa_and_security"]["depends_on"] == ["manual_uat_on_staging", "performance_test"]
    assert steps["run_the_deploy_region_process"]["process"] == "deploy_region"
    assert found.document["inputs"]["version"]["required"]
    assert "Nothing here applies to hotfixes." in found.document["description"]
    assert "on-call rota" in found.document["description"], "prose without steps describes"
    assert any("CAB" in question.text for question in found.questions)
    assert found.summary.startswith("6 phases (Preparation, ")


def test_commands_timers_and_checks_of_a_library_s_procedure() -> None:
    found = described("library_release")
    steps = activities(found)
    assert len(found.document["phases"]) == 1
    assert steps["make_sure_that_your_main_branch_is_up"]["with"]["run"] == "git switch main\ngit pull upstream main\n"
    tag = steps["tag_the_release_and_push_the_tag"]["with"]
    assert tag["env"] == {"VERSION": "${{ inputs.version }}"}
    assert steps["wait_30_minutes_for_the_index_to_take"]["with"] == {"for": "30m"}
    assert steps["write_a_release_summary"]["type"] == "manual"
    assert steps["write_a_release_summary"]["instructions"].endswith("the notes of the release and the web page.\n"), "a step over several lines"
    assert len(steps["look_over_whats_new_md"]["tasks"]) == 3
    assert "calendar versions" in found.document["description"]
    assert not any("git remote" in str(step) for step in steps.values()), "commands before the first step describe"
    assert [question.place for question in found.questions] == ["/phases/0/activities/3/if", "/owners"]


def test_check_boxes_under_headings_of_the_other_style_and_commands_that_are_not_indented() -> None:
    found = described("checklist_release")
    assert order(found) == [("main_release", ()), ("windows", ("main_release",)), ("publicise", ("windows",))]
    steps = activities(found)
    assert steps["open_a_release_ticket"]["type"] == "manual"
    assert steps["run_the_pre_release_check_via_make_pre"]["with"]["run"] == "make pre\n"
    assert steps["create_branch_and_tag_for_the_release"]["with"]["run"] == "git branch 2.9.x\ngit tag 2.9.0\ngit push --tags\n", "prompts are no commands"
    assert "setup.cfg" in steps["in_accordance_with_our_numbering_update"]["instructions"], "what is no command stays text"
    assert steps["download_them_and_run_twine_upload_dist"]["name"] == "Download them and run twine upload dist/*"
    assert steps["announce_it"]["optional"]
    assert "## Linux" in found.document["description"]


def test_phases_as_lines_of_text() -> None:
    found = described("plain_text")
    assert [phase["name"] for phase in found.document["phases"]] == ["Code complete", "Store submission", "Roll-out"]
    assert activities(found)["product_owner_signs_off"]["approval"]["requires"] == [{"of": ["group:product-owner"]}]
    assert any("product-owner" in question.text for question in found.questions)


@pytest.mark.parametrize("text", ["", "   \n\n", "Only prose here.\n\nAnd more of it.", "# A title", "```sh\nmake\n```"])
def test_without_steps_nothing_becomes_an_activity(text: str) -> None:
    found = describe(text)
    assert found.document["phases"] == []
    assert reading.parse(found.document).problems == []
    assert [question.place for question in found.questions] == [""]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("**Build**: compile everything and wait", "Build"),
        ("Phase 3 - Go live (Owner: Ops)", "Go live"),
        ("2.1 Update the `VERSION` file.", "Update the VERSION file"),
        ("Ask [the board](https://example.org/board) for the go", "Ask the board for the go"),
        ("Stage the files (optional)", "Stage the files"),
        ("Deploy to production after step 6", "Deploy to production"),
        ("Run `make *` twice", "Run make * twice"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert wording.name_of(text) == name


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("Approval by QA and Security", ["QA", "Security"]),
        ("Get the CTO's approval", ["CTO"]),
        ("Sign-off from the release manager before noon", ["release manager"]),
        ("The product owner signs off", ["product owner"]),
        ("CAB approval", ["CAB"]),
        ("Approved by: ana@example.com, QA", ["ana@example.com", "QA"]),
        ("Final approval", []),
        ("Update the changelog", []),
    ],
)
def test_approvers(text: str, who: list[str]) -> None:
    assert wording.approvers_in(text) == who


def test_an_expression_in_the_text_is_text() -> None:
    found = describe("- Do the thing with ${{ inputs.token }} and tell nobody; really nobody\n- Run it: \n  ```sh\n  echo ${{ secrets.x }}\n  ```\n")
    steps = list(activities(found).values())
    assert "$${{ inputs.token }}" in steps[0]["instructions"]
    assert steps[1]["type"] == "manual", "commands with an expression are not run"
    assert "$${{ secrets.x }}" in steps[1]["instructions"]


WORDS = st.sampled_from(
    ["build", "deploy", "the", "release", "approval by QA", "(Owner: X)", "in parallel", "after step 2", "`make`", "[a](b)", "2 days", "${{ x }}", "é", "#"]
)
LEADS = st.sampled_from(["", "# ", "## ", "- ", "  - ", "1. ", "* [ ] ", "> ", "    ", "```\n", "**", "|"])
LINES = st.builds(lambda lead, words: lead + " ".join(words), LEADS, st.lists(WORDS, max_size=7))


@settings(max_examples=150)
@given(st.lists(LINES, max_size=25).map("\n".join) | st.text(max_size=300))
def test_any_text_gives_a_draft_that_can_be_read(text: str) -> None:
    found = describe(text, KNOWN)
    read = reading.parse(found.document)
    assert [problem for problem in read.problems if problem.code != "control_character"] == []
    ids = [activity["id"] for phase in found.document["phases"] for activity in phase["activities"]]
    assert len(ids) == len(set(ids))
    for question in found.questions:
        assert re.fullmatch(r"(/[\w-]+)*", question.place)
    assert not any(problem.code == "circle" for problem in problems(read.blueprint, World()))  # type: ignore[arg-type]


def test_very_long_numbers_and_chains_of_phases_beside_each_other_are_no_trouble() -> None:
    found = describe(f"- Build\n- Deploy after step {'9' * 5_000}\n", KNOWN)
    assert len(activities(found)) == 2
    text = "".join(f"## Part {number} in parallel with part {number - 1}\n\n- Do {number} after step {'7' * 12}\n\n" for number in range(1, 1_200))
    follows = describe(text, KNOWN)
    assert [question.text for question in follows.questions] == list(dict.fromkeys(question.text for question in follows.questions)), "each is asked once"
