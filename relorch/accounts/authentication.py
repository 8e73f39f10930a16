"""How a program says who it is: `Authorization: Bearer <token>`. `request.auth` is then the token, so that a verb can know by which door it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from relorch.accounts import tokens
from relorch.accounts.models import ApiToken, User

if TYPE_CHECKING:  # REST framework's views ask for this module while they load
    from rest_framework.views import APIView


class BearerToken(BaseAuthentication):
    """A wrong, expired and revoked token get the same answer, and so does one of a person who has left."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """None when no such header is there (another scheme may know); 401 when it does not fit."""
        kind, _, secret = get_authorization_header(request).partition(b" ")
        if kind.lower() != b"bearer":
            return None
        try:
            token = tokens.authenticate(secret.strip().decode("ascii"))
        except UnicodeDecodeError:
            token = None
        if token is None:
            raise AuthenticationFailed("This token is not valid.", code="token_not_valid")
        return token.person, token

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return 'Bearer realm="relorch"'


class ApiRate(SimpleRateThrottle):
    """Requests a minute and token (`RELORCH_API_RATE`; 0 = no limit); people in a browser count by person."""

    scope = "api"

    def get_rate(self) -> str | None:
        """In REST framework's words."""
        return f"{settings.RELORCH_API_RATE}/min" if settings.RELORCH_API_RATE else None

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        """By token, else by person, else by address."""
        if isinstance(request.auth, ApiToken):
            return f"api-rate-token-{request.auth.pk}"
        return f"api-rate-person-{request.user.pk}" if request.user.is_authenticated else f"api-rate-address-{self.get_ident(request)}"
