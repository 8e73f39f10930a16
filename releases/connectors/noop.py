"""Does nothing and says so: for rehearsals, drafts and benchmarks. Returns `with.outputs` as its outputs."""

from __future__ import annotations

from typing import Any

from processes.problems import Problem, pointer
from releases.connectors.base import Call, Done, Effect, Lane, Later
from releases.connectors.checking import refused, templated, unknown_keys

_SUCCEEDED = Done(succeeded=True)


class Noop:
    """The connector `noop`."""

    name = "noop"
    title = "Nothing (rehearsal)"
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
                "outputs": {"type": "object", "title": "Outputs", "description": "Returned as they are.", "default": {}},
                "outcome": {
                    "type": "string",
                    "title": "Outcome",
                    "description": "How the rehearsed activity ends.",
                    "enum": ["succeeded", "failed"],
                    "default": "succeeded",
                },
                "message": {"type": "string", "title": "Message", "description": "What the attempt says about its end.", "default": ""},
            },
        }

    def problems(self, arguments: dict[str, Any]) -> list[Problem]:
        """What is wrong with `with`."""
        found = unknown_keys(arguments, ("outputs", "outcome", "message"))
        outputs, outcome, message = arguments.get("outputs", {}), arguments.get("outcome", "succeeded"), arguments.get("message", "")
        if not isinstance(outputs, dict) and not templated(outputs):
            found.append(Problem("wrong_type", "outputs is a mapping of names to values.", pointer("outputs")))
        if outcome not in ("succeeded", "failed") and not templated(outcome):
            found.append(Problem("wrong_value", "outcome is succeeded or failed.", pointer("outcome")))
        if not isinstance(message, str):
            found.append(Problem("wrong_type", "message is text.", pointer("message")))
        return found

    def start(self, arguments: dict[str, Any], call: Call) -> Done | Later:
        """Ends at once."""
        if not arguments:
            return _SUCCEEDED
        if found := self.problems(arguments):
            return refused(found)
        succeeded = arguments.get("outcome", "succeeded") == "succeeded"
        return Done(succeeded, dict(arguments.get("outputs", {})), arguments.get("message", ""), "" if succeeded else "rehearsed")

    def poll(self, reference: dict[str, Any], call: Call) -> Done | Later:
        """Never asked: it does not wait."""
        return _SUCCEEDED

    def abort(self, reference: dict[str, Any], call: Call) -> None:
        """Nothing to stop."""
