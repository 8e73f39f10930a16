"""What every API view has in common: who may see what, the size of bodies, pages of lists, times, ETags, and keys that make a POST happen once.

Views are `View` (a verb) or `Resources` (things of a model, gotten only through `visible_to`). They contain no `try`: errors are raised as
`relorch.lib.errors` and one handler writes them. The order in which a request is refused is 413, 404, 403, 428 or 412, 409, 422:
`body_limit` comes before everything, bodies are parsed only when a view asks for `request.data`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import MAXYEAR, UTC, datetime
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import NotAcceptable, NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from relorch.audit.chain import instant
from relorch.lib import preconditions
from relorch.lib.errors import DomainError, Invalid, NotAllowed
from relorch.requests import claims
from relorch.requests.effects import Claim

MEBIBYTE = 1024 * 1024
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLAYED_HEADERS = ("Content-Type", "Location", "ETag")


class TooLarge(DomainError):
    """The body is larger than the view takes."""

    status = 413
    title = "Too large"


# Values in and out


class InstantField(serializers.DateTimeField):
    """A time: out as RFC 3339 in UTC with six digits and `Z`, in as RFC 3339 with its zone."""

    default_error_messages: ClassVar = {"no_zone": "A time needs its zone, for instance 2026-03-01T09:30:00Z."}

    def to_representation(self, value: Any) -> Any:
        """The one spelling."""
        return instant(value) if isinstance(value, datetime) else value

    def enforce_timezone(self, value: datetime) -> datetime:
        """A time without a zone means something else to everybody; it is refused."""
        if value.tzinfo is None:
            self.fail("no_zone")
        try:
            at = value.astimezone(UTC)
        except OverflowError:
            self.fail("overflow")
        if not 1 < at.year < MAXYEAR:  # within a day of the end of all times: it could not be shown in every zone
            self.fail("overflow")
        return value


class ModelShape(serializers.ModelSerializer[Any]):
    """A serializer of model fields, which it lists; times in the one spelling."""

    serializer_field_mapping: ClassVar = serializers.ModelSerializer.serializer_field_mapping | {DateTimeField: InstantField}


class Pages(CursorPagination):
    """`{results, next, previous}`; `?limit=` up to 200, more is capped. A view says `ordering`, ending in a unique column."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = "pk"

    def decode_cursor(self, request: Request) -> Any:
        """The place to go on from. A cursor is ours to make; what nobody was given is 404."""
        cursor = super().decode_cursor(request)
        if cursor is not None and "\x00" in str(cursor.position or ""):
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """The rows of the page."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError):  # a position that is none of the column's values
            raise NotFound(self.invalid_cursor_message) from None

    def get_paginated_response(self, data: Any) -> Response:
        """The shape of every list (semantics, section 7)."""
        return Response({"results": data, "next": self.get_next_link(), "previous": self.get_previous_link()})


class AnyAccept(DefaultContentNegotiation):
    """Who accepts only what we do not write gets what we do write: an answer helps more than 406."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The one asked for, else the first."""
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type


# Views


class _Replayed(Exception):
    def __init__(self, answer: claims.Answer) -> None:
        super().__init__("answered before")
        self.answer = answer


class Schema(AutoSchema):
    """Says of each POST that it takes an `Idempotency-Key`, and of each operation that it refuses with problem details."""

    def get_override_parameters(self) -> list[Any]:
        """Beside what the view declares."""
        found = list(super().get_override_parameters())
        if self.method == "POST":
            found.append(
                OpenApiParameter(
                    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The same key again gives the same answer; kept for 48 hours."
                )
            )
        return found

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        """With the one shape of all refusals."""
        operation = super().get_operation(*args, **kwargs)
        if operation is not None:
            operation["responses"].setdefault("default", _REFUSAL)
        return operation


_REFUSAL = {
    "description": "Refused (RFC 9457). A 409 says the `state`, a 422 every one of the `problems` with its place.",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "code", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "code": {"type": "string", "description": "For machines; stays within v1."},
                    "detail": {"type": "string", "description": "For people."},
                    "state": {"type": "string"},
                    "problems": {"type": "array", "items": {"type": "object"}},
                },
            }
        }
    },
}


class View(APIView):
    """Base of the API's views."""

    schema = Schema()
    content_negotiation_class = AnyAccept
    body_limit: ClassVar[int | None] = MEBIBYTE
    """Bytes; None where a view takes uploads and limits them itself."""

    _claim: Claim | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Size, then who asks, then whether it was asked before."""
        if self.body_limit is not None:
            limit_body(request._request, self.body_limit)
        super().initial(request, *args, **kwargs)
        check_parameters(request.query_params)
        key = request.headers.get("Idempotency-Key")
        if request.method == "POST" and key is not None and request.user.is_authenticated and self.body_limit is not None:
            taken = claims.take(person=request.user, key=key, fingerprint=fingerprint(request._request))
            if isinstance(taken, claims.Answer):
                raise _Replayed(taken)
            self._claim = taken
            claims.begin(taken)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As REST framework does; what was asked under a key is settled with the answer."""
        try:
            response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
            if self._claim is not None and isinstance(response, HttpResponse):
                claims.settle(self._claim, _answer_of(response))
        except BaseException:
            if self._claim is not None:
                claims.give_up(self._claim)
            raise
        return response

    def handle_exception(self, exc: Exception) -> Any:
        """An answer that is known already is given again, marked as such."""
        if isinstance(exc, _Replayed):
            headers = exc.answer.headers | {"Idempotent-Replayed": "true"}
            return HttpResponse(exc.answer.body, status=exc.answer.status, headers=headers)
        return super().handle_exception(exc)


class Resources(ViewSetMixin, View, GenericAPIView[Any]):
    """Things of one model. `queryset` is the model's whole table; what a request gets of it is `visible_to` its person, and a stranger gets 404."""

    pagination_class = Pages

    def get_queryset(self) -> Any:
        """Only through permission."""
        rows: Any = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows.none()
        return rows.visible_to(self.request.user)

    def page_of(self, rows: QuerySet[Any], ordering: tuple[str, ...] = ("pk",)) -> list[Any]:
        """The rows of the page that the request asks for; `ordering` ends in a unique column. The answer is `get_paginated_response(shapes)`."""
        pages: Any = self.paginator
        pages.ordering = ordering
        return list(self.paginate_queryset(rows) or ())


def limit_body(request: HttpRequest, limit: int) -> None:
    """Read the body, at most `limit` bytes of it. Raises TooLarge; after it nothing else reads from the network."""
    refusal = TooLarge("too_large", f"A body may have {limit:,} bytes.", limit=limit)
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdigit() and int(length) > limit:
        raise refusal
    if not hasattr(request, "_body"):
        request._body = request.read(limit + 1)
    if len(request._body) > limit:
        raise refusal
    # A chunked body says no length, and REST framework takes one without length for empty.
    request.META["CONTENT_LENGTH"] = str(len(request._body))


def check_parameters(parameters: Any) -> None:
    """Raises Invalid for a text in the query that no database column can hold, and that therefore finds nothing."""
    for name, values in parameters.lists():
        if any(UNSTORABLE.search(text) for text in (name, *values)):
            raise Invalid(
                "invalid",
                "The query holds a character that is no text.",
                [{"code": "control_character", "severity": "error", "message": "No text.", "place": ""}],
            )


def fingerprint(request: HttpRequest) -> str:
    """What a request asks for, as a digest: method, address with its query, content type, If-Match and body."""
    parts = [request.method or "", request.get_full_path(), request.content_type or "", request.headers.get("If-Match", "")]
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + request.body).hexdigest()


def allow(permitted: bool, what: str) -> None:
    """Raises NotAllowed (`not_allowed`) unless permitted; `what` completes “You may not …”."""
    if not permitted:
        raise NotAllowed("not_allowed", f"You may not {what}.")


def seen_revision(request: Request, current: str, revision: int) -> int | None:
    """The revision that a request with `If-Match` has seen, for the verb to check under its lock; None when any will do.

    Raises ConditionMissing (428) without the header and Stale (412) when it names another state than `current`.
    """
    if not preconditions.seen(request, current):
        raise preconditions.Stale("Somebody has changed it since you looked; read it again and repeat your change.", etag=current)
    return None if preconditions.is_any(request) else revision


def found(thing: Any) -> Any:
    """The thing, or 404 for None."""
    if thing is None:
        raise Http404
    return thing


def _answer_of(response: HttpResponse) -> claims.Answer:
    if isinstance(response, Response):
        response.render()
    headers: Mapping[str, str] = response.headers
    kept = {name: headers[name] for name in _REPLAYED_HEADERS if name in headers}
    return claims.Answer(response.status_code, kept, response.content.decode(settings.DEFAULT_CHARSET))
