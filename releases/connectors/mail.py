"""Sends one mail through the installation's own way out (RELORCH_EMAIL_URL). A mail that was sent cannot be called back: the effect is `once`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email

from processes.problems import Problem, pointer
from releases.connectors.base import Call, Done, Effect, Lane, Later
from releases.connectors.checking import refused, templated, unknown_keys

MOST = 50
_KEYS = ("to", "subject", "text")


class Mail:
    """The connector `mail`."""

    name = "mail"
    title = "Mail"
    effects = frozenset({Effect.ONCE})
    default_effect = Effect.ONCE
    lane: Lane = "slow"
    uses_scripts = False

    def schema(self) -> dict[str, Any]:
        """JSON Schema of `with`."""
        address = {"type": "string", "title": "Address", "examples": ["team@example.com"]}
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["to", "subject", "text"],
            "properties": {
                "to": {"type": "array", "title": "To", "description": "E-mail addresses.", "items": address, "minItems": 1, "maxItems": MOST},
                "subject": {"type": "string", "title": "Subject", "description": "One line.", "maxLength": 200},
                "text": {"type": "string", "title": "Text", "description": "Plain text."},
            },
        }

    def problems(self, arguments: dict[str, Any]) -> list[Problem]:
        """What is wrong with `with`, as far as it holds no expressions."""
        found = unknown_keys(arguments, _KEYS)
        found += [Problem("missing_key", f"{key} is missing.", pointer(key)) for key in _KEYS if key not in arguments]
        to = arguments.get("to", [])
        if not templated(to):
            if not isinstance(to, list) or not 1 <= len(to) <= MOST:
                found.append(Problem("wrong_type", f"to is a list of 1 to {MOST} addresses.", pointer("to")))
            else:
                found += [Problem("wrong_value", f"{said!r} is not an e-mail address.", pointer("to", n)) for n, said in enumerate(to) if not _is_address(said)]
        for key in ("subject", "text"):
            if key in arguments and not isinstance(arguments[key], str):
                found.append(Problem("wrong_type", f"{key} is text.", pointer(key)))
        subject = arguments.get("subject")
        if isinstance(subject, str) and ("\n" in subject or "\r" in subject):
            found.append(Problem("wrong_value", "The subject is one line.", pointer("subject")))
        return found

    def start(self, arguments: dict[str, Any], call: Call) -> Done | Later:
        """Sends it. Whoever cannot be reached by the server is said in the message."""
        if found := self.problems(arguments):
            return refused(found)
        if not settings.RELORCH_MAIL:
            return Done(succeeded=False, message="No mail is sent here: an administrator sets RELORCH_EMAIL_URL.", code="mail_not_configured")
        message = EmailMessage(
            arguments["subject"], arguments["text"], to=list(arguments["to"]), headers={"Auto-Submitted": "auto-generated", "X-Relorch-Key": call.key}
        )
        try:
            message.send()
        except OSError as problem:  # whatever the mail server says is one of these too
            return Done(succeeded=False, message=f"The mail server did not take it: {problem}", code="mail_not_sent")
        return Done(succeeded=True, outputs={"to": list(arguments["to"])}, message=f"Sent to {len(arguments['to'])}.")

    def poll(self, reference: dict[str, Any], call: Call) -> Done | Later:
        """Never asked: it does not wait."""
        return Done(succeeded=True)

    def abort(self, reference: dict[str, Any], call: Call) -> None:
        """Nothing to stop."""


def _is_address(said: Any) -> bool:
    if templated(said):
        return True
    try:
        validate_email(said)
    except ValidationError:
        return False
    return isinstance(said, str)
