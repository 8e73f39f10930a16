"""What this version reads but does not do is said at publish, and blocks where a control would be weaker than written."""

from __future__ import annotations

from typing import Any

import pytest

from processes.blueprint import Blueprint
from processes.problems import Severity
from processes.unbuilt import problems


def with_activity(**keys: Any) -> Blueprint:
    """A process of one manual activity with these keys."""
    return Blueprint.model_validate({"id": "p", "phases": [{"id": "a", "activities": [{"id": "b", "type": "manual", **keys}]}]})


@pytest.mark.parametrize(
    ("keys", "place", "severity"),
    [
        ({"respects_freeze": True}, "/respects_freeze", Severity.WARNING),
    ],
)
def test_said_at_its_place(keys: dict[str, Any], place: str, severity: Severity) -> None:
    (found,) = problems(with_activity(**keys))
    assert (found.code, found.place, found.severity) == ("not_carried_out", f"/phases/0/activities/0{place}", severity)


def test_what_is_carried_out_is_not_said() -> None:
    fields = {"summary": {"type": "text", "required": True}, "report": {"type": "file", "required": True}, "key": {"type": "secret"}}
    silence = {"reminders": ["30m"], "escalate": {"after": "40m", "to": ["group:ops"]}}
    keys = {
        "lock": "eu",
        "fields": fields,
        "tasks": [{"id": "t", "required": True}],
        "approval": {"due": "1h", "exclude": ["starter"], "reauthenticate": True, **silence},
    }
    assert problems(with_activity(**keys)) == []
