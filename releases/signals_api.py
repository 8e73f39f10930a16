"""The door for signals (S26). Who knows the address needs no account; an unknown address and a wrong signature are answered alike."""

from __future__ import annotations

from typing import Any

from django.urls import re_path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from releases import signals
from relorch.lib.errors import DomainError
from relorch.lib.rest import View


class NotKnown(DomainError):
    """Token or signature are not right."""

    status = 401
    title = "Not authenticated"


class Receive(View):
    """Signals in."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    body_limit = signals.LARGEST

    @extend_schema(operation_id="signals_receive", auth=[], request=OpenApiTypes.OBJECT, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, token: str) -> Response:
        """Hand a signal to the activity of this token. A JSON object becomes its outputs; where it names secrets, sign it (Standard Webhooks)."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            signals.receive(token, request._request.body, headers)
        except signals.Unknown:
            raise NotKnown("not_authenticated", "There is no such address, or the signal is not signed as it must be.") from None
        return Response({"accepted": True})


routes: list[Any] = [re_path(r"^signals/(?P<token>[0-9A-Za-z_.-]{1,200})/$", Receive.as_view(), name="signal")]
