"""Waits as a row for a signal from outside (S26): somebody posts to the address of the activity, and the payload becomes its outputs.

A signal may come before the activity waits and is kept for it. Where one is kept is known by `releases/signals.py`, which provides it here. A signal
that does not come in time is `expired`, because whoever should have answered has not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from processes.durations import parse_duration
from processes.problems import Problem, pointer
from releases.connectors.base import Call, Done, Effect, Lane, Later
from releases.connectors.checking import instant_text, refused, templated, unknown_keys

MOST_SECRETS = 2
LOOK_AGAIN = timedelta(seconds=15)
"""How soon a signal is found whose arrival met the beginning of the wait."""
_kept: list[Callable[[int, str, int], dict[str, Any] | None]] = []


def provide(kept: Callable[[int, str, int], dict[str, Any] | None]) -> None:
    """Called once: `kept(release, activity, attempt)` gives the payload that this attempt may take, or None."""
    _kept[:] = [kept]


class Signal:
    """The connector `signal`."""

    name = "signal"
    title = "Wait for a signal"
    effects = frozenset({Effect.KEYED})
    default_effect = Effect.KEYED
    lane: Lane = "engine"
    uses_scripts = False

    def schema(self) -> dict[str, Any]:
        """JSON Schema of `with`."""
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "due": {
                    "type": ["string", "integer"],
                    "title": "Due",
                    "description": "How long the signal may take; then the activity is expired. Without it, for ever.",
                    "examples": ["30m", "24h"],
                },
                "secrets": {
                    "type": "array",
                    "title": "Secrets",
                    "description": "Then the signal must be signed by one of them (Standard Webhooks); a second one for the time of a change.",
                    "maxItems": MOST_SECRETS,
                    "items": {"type": "string"},
                },
            },
        }

    def problems(self, arguments: dict[str, Any]) -> list[Problem]:
        """What is wrong with `with`, as far as it holds no expressions."""
        found = unknown_keys(arguments, ("due", "secrets"))
        if "due" in arguments and not templated(arguments["due"]):
            try:
                timedelta(seconds=parse_duration(arguments["due"])) + datetime(2100, 1, 1, tzinfo=UTC)
            except (ValueError, TypeError, OverflowError):
                found.append(Problem("wrong_value", f"{arguments['due']!r} is no duration; write 30m or 24h.", pointer("due")))
        secrets = arguments.get("secrets", [])
        if not templated(secrets) and (not isinstance(secrets, list) or len(secrets) > MOST_SECRETS or not all(isinstance(item, str) for item in secrets)):
            found.append(Problem("wrong_type", f"secrets is a list of at most {MOST_SECRETS} texts.", pointer("secrets")))
        return found

    def start(self, arguments: dict[str, Any], call: Call) -> Done | Later:
        """Takes the signal that is kept, else waits."""
        if found := self.problems(arguments):
            return refused(found)
        due = call.at + timedelta(seconds=parse_duration(arguments["due"])) if "due" in arguments else None
        return self.poll({"due": instant_text(due)} if due else {}, call)

    def poll(self, reference: dict[str, Any], call: Call) -> Done | Later:
        """Is there one? Else: is it too late?"""
        payload = _kept[0](call.release, call.activity, call.attempt) if _kept else None
        if payload is not None:
            return Done(succeeded=True, outputs=payload)
        due = datetime.fromisoformat(reference["due"]).astimezone(UTC) if "due" in reference else None
        if due is not None and due <= call.at:
            return Done(succeeded=False, code="expired", message="No signal came in time.")
        again = call.at + LOOK_AGAIN
        return Later(reference=reference, poll_at=min(again, due) if due else again, message="waits for a signal")

    def abort(self, reference: dict[str, Any], call: Call) -> None:
        """Nothing runs."""
