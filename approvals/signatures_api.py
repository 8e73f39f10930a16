"""The signatures of a release in the API, as they are exported: each with its packet and, where it was given by passkey, what proves it."""

from __future__ import annotations

from typing import Any

from django.urls import re_path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.models import Signature
from approvals.signatures import document_of
from releases.models import Release
from relorch.lib.rest import Resources


class SignatureShape(serializers.Serializer[Any]):
    """One signature. All but `sealed`, which only this installation can verify, is enough to verify one by passkey."""

    format = serializers.CharField()
    record = serializers.DictField(help_text="name, email, for, meaning, reason, packet: as printed.")
    sealed = serializers.DictField(help_text="id, at, method, door, address, and whether all of it verifies here.")
    packet = serializers.DictField(allow_null=True, help_text="What was decided on; its canonical SHA-256 is record.packet.")
    statement = serializers.DictField(allow_null=True, help_text="What the passkey signed: its challenge is the canonical SHA-256 of this.")
    passkey = serializers.DictField(allow_null=True, help_text="relying_party, origin, public_key, client_data, authenticator_data, signature.")


class Signatures(Resources):
    """Signatures of a release."""

    queryset = Release.objects.all()
    serializer_class = SignatureShape
    lookup_url_kwarg = "id"

    @extend_schema(operation_id="signatures_list", responses=SignatureShape(many=True))
    def list(self, request: Request, id: str) -> Response:
        """Every signature, oldest first; one that was given anew stands beside the earlier one."""
        release: Release = self.get_object()
        rows = Signature.objects.filter(sign_off__attempt__release=release).select_related(
            "sign_off__person", "sign_off__for_person", "sign_off__packet", "sign_off__attempt"
        )
        page = self.page_of(rows.prefetch_related("sign_off__signatures", "sign_off__attempt__packets"), ("pk",))
        return self.get_paginated_response([document_of(row) for row in page])


routes = [re_path(r"^releases/(?P<id>[0-9]{1,18})/signatures/$", Signatures.as_view({"get": "list"}), name="release-signatures")]
