"""Changing only what one has seen: ETag and If-Match, without a framework, so that verbs and edges share the words."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpRequest
from django.utils.http import parse_etags

from relorch.lib.errors import Conflict


class ConditionMissing(Conflict):
    """The request must say which state it has seen."""

    status = 428
    title = "Precondition required"

    def __init__(self) -> None:
        super().__init__("precondition_required", 'Say what you have seen: send If-Match with the ETag, or with "*" for whatever is there.')


class Stale(Conflict):
    """What the request has seen is no longer what is there. `data["etag"]` is the present one."""

    status = 412
    title = "Changed meanwhile"

    def __init__(self, message: str, *, etag: str, **data: object) -> None:
        super().__init__("stale", message, etag=etag, **data)


def etag(*parts: object) -> str:
    """A strong ETag of what identifies a state, e.g. the row's number and its revision."""
    return '"{}"'.format(".".join(str(part) for part in parts))


def seen(request: HttpRequest, current: str) -> bool:
    """Whether `If-Match` fits `current`. Raises ConditionMissing without the header. `W/` is forgiven: proxies that compress add it."""
    header = request.headers.get("If-Match")
    if not header:
        raise ConditionMissing
    return _fits(parse_etags(header), current)


def _fits(tags: Iterable[str], current: str) -> bool:
    return any(tag == "*" or tag.removeprefix("W/") == current for tag in tags)


def is_any(request: HttpRequest) -> bool:
    """Whether the request says `If-Match: *`: any state will do."""
    return "*" in parse_etags(request.headers.get("If-Match", ""))
