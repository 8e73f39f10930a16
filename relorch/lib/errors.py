"""The four ways in which a request can be refused. Each knows its HTTP status; one handler makes it JSON, one middleware a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar


class DomainError(Exception):
    """Base. `code` is for machines and stays within `v1`, the message is for people, `data` goes into the answer beside them."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Refused"

    def __init__(self, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Invalid(DomainError):
    """The request makes no sense; `problems` lists every one with its place (S27). Any object with `as_dict()` serves as a problem."""

    status = 422
    title = "Invalid"

    def __init__(self, code: str, message: str, problems: Sequence[Any] = (), **data: Any) -> None:
        super().__init__(code, message, **data)
        self.problems = tuple(problems)


class NotAllowed(DomainError):
    """You may see it, but not do this."""

    status = 403
    title = "Not allowed"


class Conflict(DomainError):
    """You may, but not now: the state does not fit, or somebody was faster. `data["state"]` names the state as it is."""

    status = 409
    title = "Conflict"


class Unavailable(DomainError):
    """The other side does not answer."""

    status = 503
    title = "Unavailable"
