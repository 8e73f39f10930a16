"""Comments and attachments in the API. Whoever sees a release may read and add; a stranger gets 404. A file is given out by the address of its attachment."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.http.response import HttpResponseBase
from django.urls import re_path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view, inline_serializer
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from processes.problems import Problem
from releases import talking
from releases.api import MOST_DIGITS, actor_of, body_of
from releases.detail import said
from releases.flows import compiled
from releases.models import Attachment, Comment, Release
from releases.serializers import Body
from relorch.lib import files
from relorch.lib.errors import Invalid
from relorch.lib.rest import InstantField, Resources, TooLarge


class CommentBody(Body):
    """A comment. Its length is said by the verb."""

    text = serializers.CharField(trim_whitespace=False, allow_blank=True, help_text="Markdown; `@ann@example.com` mentions somebody.")
    proposes = serializers.CharField(required=False, allow_blank=True, default="", help_text="approve or reject: what whoever may not decide proposes.")
    mention = serializers.ListField(child=serializers.EmailField(), required=False, default=list, max_length=talking.MOST_MENTIONS)


class CommentChangeBody(Body):
    """What it says now."""

    text = serializers.CharField(trim_whitespace=False, allow_blank=True)


class EarlierShape(serializers.Serializer[Any]):
    """What a comment said before a change."""

    text = serializers.CharField()
    until = serializers.CharField()


class CommentShape(serializers.Serializer[Any]):
    """A comment; of a deleted one the text is empty."""

    id = serializers.IntegerField()
    activity = serializers.CharField(allow_null=True)
    attempt = serializers.IntegerField(allow_null=True)
    task = serializers.CharField(allow_null=True)
    by = serializers.EmailField()
    door = serializers.CharField()
    text = serializers.CharField()
    proposes = serializers.CharField(allow_null=True, help_text="approve or reject.")
    at = InstantField()
    edited_at = InstantField(allow_null=True)
    deleted_at = InstantField(allow_null=True)
    earlier = EarlierShape(many=True)


class MadeCommentShape(CommentShape):
    """A new comment, and who was mentioned and cannot be told: nobody, or they do not see the release."""

    not_told = serializers.ListField(child=serializers.CharField())


class AttachmentShape(serializers.Serializer[Any]):
    """A file. `link` is its page's address, `evidence` is what a form field of type `file` takes."""

    id = serializers.IntegerField()
    activity = serializers.CharField(allow_null=True)
    field = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    size = serializers.IntegerField()
    hash = serializers.CharField()
    media = serializers.CharField()
    by = serializers.EmailField()
    at = InstantField()
    link = serializers.CharField()


_UPLOAD = inline_serializer("AttachmentBody", {"file": serializers.FileField(), "field": serializers.CharField(required=False)})


class OfRelease(Resources):
    """What belongs to a release that the person sees, or to one of its activities."""

    queryset = Release.objects.all()
    lookup_url_kwarg = "id"

    def place(self, activity: str) -> Release:
        """The release; 404 for one that is not visible, and for an activity that its process has not."""
        release: Release = self.get_object()
        if activity and activity not in compiled(release.version_id).steps:
            raise Http404
        return release


class Comments(OfRelease):
    """The threads of a release, of its activities and of their tasks."""

    serializer_class = CommentShape

    @extend_schema(operation_id="comments_list", responses=CommentShape(many=True))
    def list(self, request: Request, id: str, activity: str = "", task: str = "") -> Response:
        """Oldest first. The thread of a release holds those of its activities too."""
        release = self.place(activity)
        rows = Comment.objects.filter(release=release).select_related("by", "run", "attempt")
        if activity:
            rows = rows.filter(run__key=activity)
        if task:
            rows = rows.filter(task=task)
        return self.get_paginated_response([comment_of(row) for row in self.page_of(rows, ("pk",))])

    @extend_schema(operation_id="comments_create", request=CommentBody, responses={201: MadeCommentShape})
    def create(self, request: Request, id: str, activity: str = "", task: str = "") -> Response:
        """Say something; who is mentioned and sees the release is told."""
        release = self.place(activity)
        wanted = body_of(CommentBody, request)
        made, missed = talking.comment(release=release.pk, activity=activity, task=task, actor=actor_of(request), **wanted)
        return Response({**comment_of(made), "not_told": missed}, status=201)

    @extend_schema(operation_id="comments_retrieve", responses=CommentShape)
    def retrieve(self, request: Request, id: str, number: str) -> Response:
        """One comment."""
        return Response(comment_of(self._comment(number)))

    @extend_schema(operation_id="comments_partial_update", request=CommentChangeBody, responses=CommentShape)
    def partial_update(self, request: Request, id: str, number: str) -> Response:
        """Change one's own; it bears a mark and what it said is kept."""
        found = self._comment(number)
        return Response(comment_of(talking.change(comment=found, actor=actor_of(request), text=body_of(CommentChangeBody, request)["text"])))

    @extend_schema(operation_id="comments_destroy", responses=CommentShape)
    def destroy(self, request: Request, id: str, number: str) -> Response:
        """Take one's own back; that there was one stays."""
        person: Any = request.user
        return Response(comment_of(talking.delete(comment=self._comment(number), actor=actor_of(request), by_superuser=person.is_superuser)))

    def _comment(self, number: str) -> Comment:
        found = Comment.objects.filter(release=self.get_object(), pk=int(number)).select_related("by", "run", "attempt").first()
        if found is None:
            raise Http404
        return found


class Attachments(OfRelease):
    """Files of a release and of its activities."""

    serializer_class = AttachmentShape
    parser_classes = (MultiPartParser,)
    body_limit = None

    @extend_schema(operation_id="attachments_list", responses=AttachmentShape(many=True))
    def list(self, request: Request, id: str, activity: str = "") -> Response:
        """Oldest first; what was removed is left out. Those of a release hold those of its activities too."""
        release = self.place(activity)
        rows = Attachment.objects.filter(release=release, removed_at=None).select_related("by", "run")
        if activity:
            rows = rows.filter(run__key=activity)
        return self.get_paginated_response([attachment_of(row) for row in self.page_of(rows, ("pk",))])

    @extend_schema(operation_id="attachments_create", request={"multipart/form-data": _UPLOAD}, responses={201: AttachmentShape})
    def create(self, request: Request, id: str, activity: str = "") -> Response:
        """Bring a file (`multipart/form-data`, part `file`; `field` for a form field that it will answer). 413 above the limit."""
        _limit(request)
        release = self.place(activity)
        body: Any = request.data  # of MultiPartParser: always a mapping
        upload = body.get("file")
        if not hasattr(upload, "chunks"):
            raise Invalid("invalid", "Send a file.", [Problem("required", "Send the file as the part `file` of multipart/form-data.", "/file")])
        field = str(body.get("field", ""))[:63]
        accept, most = limits_in(release, activity, field)
        kept = files.keep(upload.chunks(), upload.name or "", accept=accept, most=most)
        made = talking.attach(release=release.pk, activity=activity, actor=actor_of(request), kept=kept, field=field)
        return Response(attachment_of(made), status=201)

    @extend_schema(operation_id="attachments_retrieve", responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def retrieve(self, request: Request, id: str, number: str) -> HttpResponseBase:
        """The file itself, to be saved: nothing in it runs."""
        return files.given_out(request._request, kept_of(self._attachment(number)))

    @extend_schema(operation_id="attachments_destroy", responses={204: None})
    def destroy(self, request: Request, id: str, number: str) -> Response:
        """Remove one's own; evidence of a decision stays (409)."""
        person: Any = request.user
        talking.remove(attachment=self._attachment(number), actor=actor_of(request), by_superuser=person.is_superuser)
        return Response(status=204)

    def _attachment(self, number: str) -> Attachment:
        found = Attachment.objects.filter(release=self.get_object(), pk=int(number), removed_at=None).select_related("by", "run").first()
        if found is None:
            raise Http404
        return found


def _limit(request: Request) -> None:
    """By what the request says of itself, before anything of it is read. Raises TooLarge."""
    length = request.META.get("CONTENT_LENGTH") or ""
    most = files.LARGEST + 1024 * 1024
    if length.isdigit() and int(length) > most:
        raise TooLarge("too_large", f"A file may have {files.LARGEST:,} bytes.", limit=files.LARGEST)


def limits_in(release: Release, activity: str, field: str) -> tuple[tuple[str, ...], int]:
    """What the form field says of its file. Raises Invalid for a field that takes none."""
    if not field:
        return (), files.LARGEST
    fields = compiled(release.version_id).steps[activity].activity.fields if activity else {}
    if field not in fields or fields[field].type != "file":
        raise Invalid("invalid", "There is no such field.", [Problem("unknown_field", f'There is no field "{field}" here that takes a file.', "/field")])
    return talking.limits_of(fields[field])


def comment_of(row: Comment) -> dict[str, Any]:
    """Its shape; wants `by`, `run` and `attempt` selected."""
    return {
        "id": row.pk,
        "activity": row.run.key if row.run else None,
        "attempt": row.attempt.number if row.attempt else None,
        "task": row.task or None,
        "by": row.by.email,
        "door": row.door,
        "text": row.text,
        "proposes": row.proposes or None,
        "at": said(row.at),
        "edited_at": said(row.edited_at),
        "deleted_at": said(row.deleted_at),
        "earlier": row.earlier,
    }


def attachment_of(row: Attachment) -> dict[str, Any]:
    """Its shape; wants `by` and `run` selected."""
    return {
        "id": row.pk,
        "activity": row.run.key if row.run else None,
        "field": row.field or None,
        "name": row.name,
        "size": row.size,
        "hash": row.hash,
        "media": row.media,
        "by": row.by.email,
        "at": said(row.at),
        "link": talking.link_of(row),
    }


def kept_of(row: Attachment) -> files.Kept:
    """The file that the row names."""
    return files.Kept(row.name, row.size, row.hash, row.media)


def named(kind: type[Resources], prefix: str, *actions: str) -> type[Resources]:
    """The same view at another address, under a name of its own in the description."""
    again: type[Resources] = type(f"{prefix.title()}{kind.__name__}", (kind,), {"__doc__": kind.__doc__})
    names = {action: extend_schema(operation_id=f"{prefix}_{kind.__name__.lower()}_{action}") for action in actions}
    return extend_schema_view(**names)(again)


RELEASE = rf"^releases/(?P<id>[0-9]{{1,{MOST_DIGITS}}})"
RUN = rf"{RELEASE}/activities/(?P<activity>[a-z][a-z0-9_]{{0,62}})"
_NUMBER = rf"(?P<number>[0-9]{{1,{MOST_DIGITS}}})"
_many: Any = {"get": "list", "post": "create"}
routes = [
    re_path(rf"{RELEASE}/comments/$", Comments.as_view(_many), name="comments"),
    re_path(rf"{RELEASE}/comments/{_NUMBER}/$", Comments.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}), name="comment"),
    re_path(rf"{RUN}/comments/$", named(Comments, "activity", *_many.values()).as_view(_many), name="activity-comments"),
    re_path(rf"{RUN}/tasks/(?P<task>[a-z][a-z0-9_]{{0,62}})/comments/$", named(Comments, "task", *_many.values()).as_view(_many), name="task-comments"),
    re_path(rf"{RELEASE}/attachments/$", Attachments.as_view(_many), name="attachments"),
    re_path(rf"{RELEASE}/attachments/{_NUMBER}/$", Attachments.as_view({"get": "retrieve", "delete": "destroy"}), name="attachment"),
    re_path(rf"{RUN}/attachments/$", named(Attachments, "activity", *_many.values()).as_view(_many), name="activity-attachments"),
]
