"""Signed addresses for uploads: whoever may bring a file to a release gets one for just that name, kind and size, and a camera or a script without an account
of its own can send it there, once, within a quarter of an hour. The address is the permission, and only as long as its person has theirs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import signing
from django.http import Http404, HttpRequest
from django.urls import re_path, reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from processes.problems import Problem
from releases import talking
from releases.api import actor_of, body_of
from releases.engine import Actor
from releases.models import Release
from releases.serializers import Body
from releases.talk_api import RELEASE, RUN, AttachmentShape, OfRelease, attachment_of, limits_in, named
from relorch.lib import clock, files, sniffing
from relorch.lib.errors import Invalid
from relorch.lib.rest import InstantField, TooLarge, View
from relorch.requests import claims

LASTS = timedelta(minutes=15)
_SALT = "upload"
_PIECE = 64 * 1024


class AddressBody(Body):
    """What will be sent."""

    name = serializers.CharField(max_length=sniffing.LONGEST_NAME, help_text="Of the file; its ending says its kind.")
    size = serializers.IntegerField(min_value=1, max_value=files.LARGEST, help_text="Bytes; more are not taken.")
    media = serializers.CharField(required=False, allow_blank=True, default="", help_text="Such as image/png: refused where the ending says another.")
    field = serializers.CharField(required=False, allow_blank=True, default="", max_length=63, help_text="A form field that the file will answer.")


class AddressShape(serializers.Serializer[Any]):
    """Where to send it: `PUT` with the bytes as the body, without any log-in."""

    url = serializers.CharField()
    method = serializers.CharField()
    name = serializers.CharField()
    media = serializers.CharField()
    size = serializers.IntegerField()
    expires_at = InstantField()


class Addresses(OfRelease):
    """Addresses for uploads."""

    serializer_class = AddressShape

    @extend_schema(operation_id="attachments_address", request=AddressBody, responses=AddressShape)
    def create(self, request: Request, id: str, activity: str = "") -> Response:
        """A signed address for one file of this name, kind and size."""
        release = self.place(activity)
        wanted = body_of(AddressBody, request)
        accept, most = limits_in(release, activity, wanted["field"])
        name, media = _checked(wanted, accept, most)
        # as whom: actor_of refuses whoever is nobody
        said = [release.pk, activity, wanted["field"], name, wanted["size"], actor_of(request).id, secrets.token_hex(16)]
        address = reverse("api:upload", args=[signing.dumps(said, salt=_SALT)])
        base = settings.RELORCH_BASE_URL or settings.RELORCH_LOCAL_URL
        expires = clock.now() + LASTS
        return Response({"url": base + address, "method": "PUT", "name": name, "media": media, "size": wanted["size"], "expires_at": expires})


class Upload(View):
    """One file, to its signed address."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    body_limit = None

    @extend_schema(operation_id="attachments_upload", auth=[], request={"application/octet-stream": OpenApiTypes.BINARY}, responses={201: AttachmentShape})
    def put(self, request: Request, token: str) -> Response:
        """The bytes. Sent again, the first answer is given again; 413 above the size that was said, and nothing is kept."""
        try:
            pk, activity, field, name, size, who, nonce = signing.loads(token, salt=_SALT, max_age=LASTS)
        except signing.BadSignature:
            raise Http404 from None
        person = get_user_model().objects.filter(pk=who, is_active=True).first()
        release = Release.objects.visible_to(person).filter(pk=pk).first() if person is not None else None
        if person is None or release is None:
            raise Http404
        length = request.META.get("CONTENT_LENGTH") or ""
        if length.isdigit() and int(length) > size:
            raise TooLarge("too_large", f"This address takes {size:,} bytes.", limit=size)
        taken = claims.take(person=person, key=f"upload:{nonce}", fingerprint=_SALT)
        if isinstance(taken, claims.Answer):
            return Response(json.loads(taken.body), status=taken.status)
        self._claim = taken  # settled or given up with the answer
        claims.begin(taken)
        accept, _ = limits_in(release, activity, field)
        kept = files.keep(_pieces(request._request), name, accept=accept, most=size)
        made = talking.attach(release=release.pk, activity=activity, actor=Actor(person.pk, person.email, "api"), kept=kept, field=field)
        return Response(attachment_of(made), status=201)


def _checked(wanted: Any, accept: tuple[str, ...], most: int) -> tuple[str, str]:
    """Name and kind of the file. Raises Invalid with every problem."""
    problems = []
    name, media = wanted["name"], ""
    try:
        name = sniffing.clean_name(name)
        media = sniffing.kind_of(name).media
    except sniffing.NotTaken as refused:
        problems.append(Problem(refused.code, str(refused), "/name"))
    if accept and not name.lower().endswith(tuple(ending.lower() for ending in accept)):
        problems.append(Problem("file_kind", f"Here files of the kind {', '.join(accept)} are taken.", "/name"))
    if media and wanted["media"] not in ("", media.partition(";")[0]):
        problems.append(Problem("file_kind", f"A file {name} is {media.partition(';')[0]}.", "/media"))
    if wanted["size"] > most:
        problems.append(Problem("too_large", f"Here a file may have {most:,} bytes.", "/size"))
    if problems:
        raise Invalid("invalid_file", "This file would not be taken.", problems)
    return name, media


def _pieces(request: HttpRequest) -> Iterator[bytes]:
    while piece := request.read(_PIECE):
        yield piece


routes: list[Any] = [
    re_path(rf"{RELEASE}/attachments/address/$", Addresses.as_view({"post": "create"}), name="upload-address"),
    re_path(rf"{RUN}/attachments/address/$", named(Addresses, "activity", "create").as_view({"post": "create"}), name="activity-upload-address"),
    re_path(r"^uploads/(?P<token>[0-9A-Za-z_.:-]{1,1000})/$", Upload.as_view(), name="upload"),
]
