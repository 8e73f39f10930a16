"""The connector `mail` with a real SMTP server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from releases.connectors.mail import Mail
from tests.connectors.test_contract import call

GOOD = {"to": ["ops@example.com", "qa@example.com"], "subject": "Version 2 is out", "text": "It is out.\n"}


class Trap:
    """Keeps what arrives; refuses addresses at refused.example."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.endswith("@refused.example"):
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.found.append(envelope)
        return "250 OK"


@pytest.fixture
def trap(settings: Any) -> Iterator[Trap]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    handler = Trap()
    server = Controller(handler, hostname="127.0.0.1", port=port)
    server.start()
    settings.RELORCH_MAIL = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.DEFAULT_FROM_EMAIL = "127.0.0.1", port, "relorch@example.com"
    try:
        yield handler
    finally:
        server.stop()


def test_it_arrives(trap: Trap, tmp_path: Path) -> None:
    done = Mail().start(GOOD, call(tmp_path))
    assert (done.succeeded, done.outputs) == (True, {"to": GOOD["to"]})
    (envelope,) = trap.found
    message = message_from_bytes(envelope.content)
    assert envelope.rcpt_tos == GOOD["to"]
    assert (message["Subject"], message["From"], message["Auto-Submitted"]) == ("Version 2 is out", "relorch@example.com", "auto-generated")
    assert message.get_payload() == "It is out.\r\n"


def test_an_address_that_the_server_refuses_fails_it(trap: Trap, tmp_path: Path) -> None:
    done = Mail().start({**GOOD, "to": ["x@refused.example"]}, call(tmp_path))
    assert (done.succeeded, done.code) == (False, "mail_not_sent")
    assert trap.found == []


def test_a_server_that_is_not_there_fails_it(trap: Trap, tmp_path: Path, settings: Any) -> None:
    settings.EMAIL_PORT = 1
    assert Mail().start(GOOD, call(tmp_path)).code == "mail_not_sent"


def test_without_mail_it_says_so(tmp_path: Path, settings: Any) -> None:
    settings.RELORCH_MAIL = False
    done = Mail().start(GOOD, call(tmp_path))
    assert done.code == "mail_not_configured"
    assert "RELORCH_EMAIL_URL" in done.message


@pytest.mark.parametrize(
    ("change", "place"),
    [({"subject": "a\nBcc: all@example.com"}, "/subject"), ({"to": ["nobody"]}, "/to/0"), ({"to": []}, "/to"), ({"text": 5}, "/text"), ({"cc": []}, "/cc")],
)
def test_what_does_not_fit_is_not_sent(trap: Trap, tmp_path: Path, change: dict[str, Any], place: str) -> None:
    assert [found.place for found in Mail().problems(GOOD | change)] == [place]
    assert not Mail().start(GOOD | change, call(tmp_path)).succeeded
    assert trap.found == []
