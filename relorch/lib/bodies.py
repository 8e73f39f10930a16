"""How much of a request's body is taken at all. Django keeps a whole body on the disk before any view is asked, so what is too large ends here."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from relorch.lib.files import LARGEST

Message = MutableMapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]

MOST = 4 * 1024 * 1024
"""Bytes of a body where nothing is uploaded; a view may take less."""
MOST_UPLOADED = LARGEST + 2 * 1024 * 1024
_UPLOADS = re.compile(r"/(?:attachments|sign_off|fill|uploads/[^/]+)/$")
_REFUSAL = json.dumps(
    {"type": "urn:relorch:error:too_large", "title": "Too large", "status": 413, "code": "too_large", "detail": "The body is larger than is taken here."}
).encode()


class _TooMuch(Exception):
    pass


def bounded(application: Application) -> Application:
    """The application behind a count of bytes: 413 by what a request says of its length, and by what really comes."""

    async def ask(scope: Any, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        most = MOST_UPLOADED if _UPLOADS.search(scope["path"]) else MOST
        taken, answered = 0, False

        async def count() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise _TooMuch
            return message

        async def answer(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        if _length(scope) > most:
            await _refuse(send)
            return
        try:
            await application(scope, count, answer)
        except _TooMuch:
            if not answered:
                await _refuse(send)

    return ask


def _length(scope: Any) -> int:
    said = dict(scope["headers"]).get(b"content-length", b"")
    return int(said) if said.isdigit() else 0


async def _refuse(send: Callable[[Message], Awaitable[None]]) -> None:
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(_REFUSAL)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL})
