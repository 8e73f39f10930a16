"""A real SMTP server that keeps what arrives."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Trap:
    """What arrived, in order; `refuse` answers such addresses with a lasting error, `busy` so many times with a passing one."""

    port: int = 0
    found: list[EmailMessage] = field(default_factory=list)
    refuse: str = "@refused.example"
    busy: int = 0

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.endswith(self.refuse):
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.busy:
            self.busy -= 1
            return "451 try again"
        message: Any = message_from_bytes(envelope.content, policy=policy.default)
        self.found.append(message)
        return "250 OK"

    def to(self, email: str) -> list[EmailMessage]:
        return [message for message in self.found if email in str(message["To"])]


@contextlib.contextmanager
def trapping() -> Iterator[Trap]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    trap = Trap(port)
    server = Controller(trap, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield trap
    finally:
        server.stop()


def texts(message: EmailMessage) -> tuple[str, str]:
    """Its plain text and its HTML."""
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def link_in(message: EmailMessage) -> str:
    """The personal link, without the host."""
    found = re.search(r"https?://[^/\s]+(/a/[A-Za-z0-9_-]+/)", texts(message)[0])
    assert found, texts(message)[0]
    return found[1]
