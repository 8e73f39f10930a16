"""What a click does about a warning: one person fewer or the owners too, a script handed to a person; and when there is nothing to offer."""

from __future__ import annotations

from typing import Any

from processes.mending import mended, offered
from processes.problems import Problem

PLACE = "/phases/0/activities/0/approval"


def asking(*requires: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "shop", **more, "phases": [{"id": "one", "activities": [{"id": "ask", "type": "manual", "approval": {"requires": list(requires)}}]}]}


def lines(document: dict[str, Any] | None) -> Any:
    return document and document["phases"][0]["activities"][0]["approval"]["requires"]


def test_one_person_fewer_where_several_are_asked() -> None:
    document = asking({"of": ["group:a"]}, {"count": 3, "of": ["group:b"]})
    assert lines(mended("approval_needs_everybody", PLACE, document)) == [{"of": ["group:a"]}, {"count": 2, "of": ["group:b"]}]
    assert lines(document)[1]["count"] == 3


def test_the_owners_too_where_one_is_asked() -> None:
    document = asking({"of": ["group:a"]}, owners=["group:a", "group:o"])
    assert lines(mended("approval_needs_everybody", PLACE, document)) == [{"of": ["group:a", "group:o"]}]


def test_nothing_is_offered_where_nothing_can_be_done() -> None:
    for document in (asking({"of": ["group:a"]}), asking({"of": ["group:a"]}, owners=["group:a"]), asking()):
        assert offered(Problem("approval_needs_everybody", "", PLACE), document) == ""
    assert offered(Problem("circle", ""), asking()) == ""
    assert mended("approval_needs_everybody", "/phases/7/activities/0", asking({"count": 2})) is None
    assert mended("approval_needs_everybody", f"/phases/{'7' * 5_000}/activities/0", asking({"count": 2})) is None


def test_what_is_read_of_a_script_is_asked_of_the_person() -> None:
    script = {"id": "build", "type": "automated", "connector": "script", "timeout": "5m", "with": {"run": "make\n"}}
    after = {"id": "use", "type": "automated", "connector": "noop", "if": "activities.build.outputs.image != ''"}
    found = mended("scripts_disabled", "/phases/0/activities/0/connector", {"phases": [{"id": "one", "activities": [script, after]}]})
    assert found is not None
    assert found["phases"][0]["activities"][0] == {
        "id": "build",
        "type": "manual",
        "instructions": "Do by hand what this script does:\n\n```\nmake\n```\n",
        "fields": {"image": {"type": "string", "required": True}},
    }
