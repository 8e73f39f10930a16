"""API tokens in the API: one's own. The secret is in the answer to the request that made it, and nowhere else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.urls import re_path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from relorch.accounts import tokens
from relorch.accounts.models import LONGEST_TOKEN, USUAL_TOKEN, ApiToken
from relorch.lib.rest import ModelShape, Resources


class TokenShape(ModelShape):
    """A token, without its secret."""

    class Meta:
        model = ApiToken
        fields: ClassVar = ["id", "name", "prefix", "created_at", "expires_at", "last_used_at", "revoked_at"]
        read_only_fields: ClassVar = fields


class IssuedShape(TokenShape):
    """A token that was just made."""

    token = serializers.CharField(help_text="The secret, shown this once.")

    class Meta(TokenShape.Meta):
        fields: ClassVar = [*TokenShape.Meta.fields, "token"]


class TokenWriteShape(serializers.Serializer[Any]):
    """What a token is made with."""

    name = serializers.CharField(required=False, allow_blank=True, default="", max_length=100, help_text="What it is for.")
    days = serializers.IntegerField(required=False, default=USUAL_TOKEN.days, min_value=1, max_value=LONGEST_TOKEN.days, help_text="How long it lives.")


class Tokens(Resources):
    """The tokens of whoever asks."""

    queryset = ApiToken.objects.all()
    serializer_class = TokenShape
    lookup_url_kwarg = "id"

    def get_queryset(self) -> Any:
        """One's own; another's is not there."""
        return ApiToken.objects.none() if getattr(self, "swagger_fake_view", False) else ApiToken.objects.filter(person=self.request.user.pk)

    @extend_schema(operation_id="tokens_list")
    def list(self, request: Request) -> Response:
        """One's tokens, newest first, expired and revoked ones too."""
        return self.get_paginated_response(TokenShape(self.page_of(self.get_queryset(), ("-pk",)), many=True).data)

    @extend_schema(operation_id="tokens_create", request=TokenWriteShape, responses={201: IssuedShape})
    def create(self, request: Request) -> Response:
        """A token that acts with all rights of its person."""
        body = TokenWriteShape(data=request.data)
        body.is_valid(raise_exception=True)
        person: Any = request.user
        token, secret = tokens.issue(actor=person, person=person, name=body.validated_data["name"], lifetime=timedelta(days=body.validated_data["days"]))
        return Response(TokenShape(token).data | {"token": secret}, status=201)

    @extend_schema(operation_id="tokens_destroy", responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:
        """Revoke it: dead at the next request."""
        person: Any = request.user
        tokens.revoke(actor=person, token=self.get_object())
        return Response(status=204)


routes = [
    re_path(r"^tokens/$", Tokens.as_view({"get": "list", "post": "create"}), name="tokens"),
    re_path(r"^tokens/(?P<id>[0-9]{1,18})/$", Tokens.as_view({"delete": "destroy"}), name="token"),
]
