"""What holds for every connector (S22), and the smallest of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from releases.connectors.base import Call, Done, Effect, Later
from releases.connectors.noop import Noop
from releases.connectors.registry import connector, info, names

GOOD: dict[str, list[dict[str, Any]]] = {
    "noop": [{}, {"outputs": {"a": [1]}, "message": "rehearsed"}, {"outcome": "failed"}],
    "script": [{"run": "exit 0"}, {"run": "exit 0", "env": {"A": "x", "B": 1, "C": True}}],
    "http": [{"url": "http://127.0.0.1:81/"}, {"url": "http://x.invalid/", "method": "POST", "headers": {"A": "b"}, "body": {"a": 1}, "expect": [200, "4xx"]}],
    "mail": [{"to": ["a@example.com"], "subject": "Out", "text": "It is out."}],
    "signal": [{}, {"due": "30m"}, {"secrets": ["whsec_YWJj"]}],
    "timer": [{"for": "0s"}, {"until": "2020-01-01T00:00:00Z"}, {"daily": "22:00-04:00", "zone": "Europe/Berlin"}, {"weekly": {"days": ["mon"]}}],
}
NONSENSE: list[dict[str, Any]] = [
    {"no_such_key": 1},
    *(
        {key: value}
        for key in ("run", "env", "url", "headers", "method", "expect", "outputs", "outcome", "message")
        for value in (None, 5, "", [], [[]], {"a": {}}, "\0", True)
    ),
    *({key: value} for key in ("for", "until", "daily", "weekly", "zone", "due", "secrets") for value in (None, -5, "", [], {"days": {}}, "\0", True, 1e300)),
    *({"run": "true", "env": value} for value in (None, [], "x", {"": "x"}, {"A": []})),
    *({"url": "http://127.0.0.1:1/", "headers": value} for value in (None, [], "x", {"": "x"}, {"A": []})),
    *({"url": "http://127.0.0.1:1/", "body": value} for value in ("\ud800", {"\ud800": 1})),
]


@pytest.fixture(autouse=True)
def no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is kept: there is no database here."""
    monkeypatch.setattr("releases.connectors.signal._kept", [])


def call(tmp_path: Path, **more: Any) -> Call:
    return Call(**({"key": "k", "attempt": 1, "release": 1, "activity": "a", "workspace": tmp_path / "ws", "at": datetime.now(UTC), "timeout": 5.0} | more))


def test_each_is_described() -> None:
    assert names() == ("noop", "script", "http", "timer", "mail", "signal")
    for name in names():
        found = connector(name)
        assert found.name == name
        assert found.title
        assert found.default_effect in found.effects
        assert found.lane in ("engine", "slow")
    assert {name: (entry.effect, entry.uses_scripts) for name, entry in info().items()} == {
        "noop": ("keyed", False),
        "script": ("either", True),
        "http": ("either", False),
        "timer": ("keyed", False),
        "mail": ("once", False),
        "signal": ("keyed", False),
    }
    assert connector("script").default_effect is connector("http").default_effect is Effect.ONCE


def test_an_unknown_one_is_told_with_what_was_meant() -> None:
    with pytest.raises(KeyError, match="script"):
        connector("scrpit")


def described(schema: Mapping[str, Any]) -> bool:
    return all(part.get("title") and part.get("description", part.get("default", part.get("enum"))) is not None for part in schema["properties"].values())


@pytest.mark.parametrize("name", GOOD)
def test_a_form_can_be_built_from_its_schema(name: str) -> None:
    schema = connector(name).schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert described(schema)
    json.dumps(schema)
    for arguments in GOOD[name]:
        jsonschema.validate(arguments, schema, cls=jsonschema.Draft202012Validator)
        assert connector(name).problems(arguments) == []


@pytest.mark.parametrize("name", GOOD)
def test_nothing_that_an_author_writes_raises(name: str, tmp_path: Path, settings: Any) -> None:
    settings.RELORCH_ALLOW_SCRIPTS, settings.RELORCH_HOME, settings.RELORCH_EGRESS_ALLOW = True, tmp_path, ()
    known = set(connector(name).schema()["properties"])
    for arguments in NONSENSE:
        problems = connector(name).problems(arguments)
        assert all(problem.place == "" or problem.place.startswith("/") for problem in problems)
        end = connector(name).start(arguments, call(tmp_path))
        if set(arguments) - known:
            assert isinstance(end, Done)
            assert end.code == "bad_arguments"
        if isinstance(end, Done):
            assert end.succeeded or end.code
            json.dumps(end.outputs).encode()


@pytest.mark.parametrize("name", GOOD)
def test_ends_are_plain_and_say_why(name: str, tmp_path: Path, settings: Any) -> None:
    settings.RELORCH_ALLOW_SCRIPTS, settings.RELORCH_HOME, settings.RELORCH_EGRESS_ALLOW = True, tmp_path, ()
    for arguments in GOOD[name]:
        before = json.dumps(arguments)
        end = connector(name).start(arguments, call(tmp_path))
        assert json.dumps(arguments) == before, "arguments are not changed"
        if isinstance(end, Later):
            json.dumps(end.reference)
            assert end.due_at or end.poll_at, "nothing waits without an end"
            assert connector(name).poll(end.reference, call(tmp_path))
            connector(name).abort(end.reference, call(tmp_path))
        else:
            assert end.succeeded or (end.code and end.message) or name == "noop"


def test_noop_returns_its_outputs(tmp_path: Path) -> None:
    noop = Noop()
    assert noop.start({}, call(tmp_path)) == Done(succeeded=True)
    assert noop.start({"outputs": {"a": 1}, "message": "m"}, call(tmp_path)) == Done(True, {"a": 1}, "m")
    failed = noop.start({"outcome": "failed", "message": "as rehearsed"}, call(tmp_path))
    assert failed == Done(False, {}, "as rehearsed", "rehearsed")
    assert [problem.place for problem in noop.problems({"outputs": [], "outcome": "maybe", "message": 1, "output": {}})] == [
        "/output",
        "/outputs",
        "/outcome",
        "/message",
    ]
    assert "outputs" in noop.problems({"output": {}})[0].message
    assert noop.problems({"outputs": "${{ inputs.o }}", "outcome": "${{ inputs.x }}"}) == []


def test_noop_costs_nothing(tmp_path: Path) -> None:
    noop, here = Noop(), call(tmp_path)
    started = time.perf_counter()
    for _ in range(10_000):
        noop.start({}, here)
    assert time.perf_counter() - started < 0.2, "measured at 1 ms"
