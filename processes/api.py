"""Processes in the API (semantics, section 7). The person gets only what `visible_to` shows; everything else is 404."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from django.urls import path, re_path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from processes import deprecating, diffing, editing, publishing, reading
from processes.access import Permission, may, may_create
from processes.blueprint import Blueprint, Category
from processes.draft_text import typed
from processes.drafts import document_of
from processes.models import Process, ProcessVersion
from processes.problems import errors
from processes.serializers import (
    DifferenceShape,
    ProblemsShape,
    ProcessShape,
    PublishedShape,
    PublishShape,
    ReasonShape,
    SavedShape,
    VersionShape,
    VersionWithDocumentShape,
)
from processes.versions import blueprint_of, newest_of
from processes.writing import yaml_text
from relorch.lib.errors import Invalid
from relorch.lib.rest import Resources, View, allow, found, seen_revision

YAML = "application/yaml"
DRAFT = "draft"
ORDERS = {"name": ("name", "identifier"), "-name": ("-name", "-identifier"), "updated": ("updated_at", "pk"), "-updated": ("-updated_at", "-pk")}
FORMAT = OpenApiParameter("format", OpenApiTypes.STR, enum=["yaml", "json"], description="YAML instead of JSON.")
IF_MATCH = OpenApiParameter("If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, required=True, description="The draft's ETag as you have seen it, or `*`.")
DOCUMENT_ANSWER = {(200, "application/json"): OpenApiTypes.OBJECT, (200, YAML): OpenApiTypes.OBJECT}
DOCUMENT = {"application/json": OpenApiTypes.OBJECT, YAML: OpenApiTypes.OBJECT}


class Processes(Resources):
    """Processes and their drafts."""

    queryset = Process.objects.select_related("created_by", "updated_by")
    serializer_class = ProcessShape
    lookup_field = "identifier"
    lookup_url_kwarg = "id"

    def get_serializer_context(self) -> dict[str, Any]:
        """With the newest version of each process that is shown."""
        return {**super().get_serializer_context(), "newest": getattr(self, "newest", {})}

    @extend_schema(
        operation_id="processes_list",
        parameters=[
            OpenApiParameter("search", OpenApiTypes.STR, description="Part of the id, the name or the description."),
            OpenApiParameter("category", OpenApiTypes.STR, enum=[str(item) for item in Category]),
            OpenApiParameter("archived", OpenApiTypes.BOOL, description="Only archived ones; else only the others."),
            OpenApiParameter("order", OpenApiTypes.STR, enum=list(ORDERS)),
        ],
        responses=ProcessShape(many=True),
    )
    def list(self, request: Request) -> Response:
        """The processes this person may see."""
        wanted = request.query_params
        rows = self.get_queryset().filter(archived_at__isnull=wanted.get("archived") not in ("true", "1"))
        if text := wanted.get("search"):
            rows = rows.filter(Q(identifier__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text))
        if "category" in wanted:
            rows = rows.filter(category=wanted["category"])
        page = self.page_of(rows, ORDERS.get(wanted.get("order", ""), ORDERS["name"]))
        self.newest = newest_of(process.pk for process in page)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(operation_id="processes_create", request=DOCUMENT, responses={201: SavedShape})
    def create(self, request: Request) -> Response:
        """A new process with the document as its draft; what is unsound is said and stored nevertheless."""
        allow(may_create(request.user), "create processes")
        read = readable(request)
        process = editing.create_process(read.document, actor=request.user, door="api", text=typed(read))
        return self._saved(process, read, status=201)

    @extend_schema(operation_id="processes_retrieve")
    def retrieve(self, request: Request, id: str) -> Response:
        """One process."""
        process = self.get_object()
        self.newest = newest_of([process.pk])
        return Response(self.get_serializer(process).data, headers={"ETag": editing.revision_tag(process)})

    @extend_schema(operation_id="processes_destroy", responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:
        """Delete it; refused while anything refers to it."""
        process = self._allowed(Permission.AUTHOR, "delete this process")
        editing.delete(process, actor=request.user, door="api")
        return Response(status=204)

    @extend_schema(operation_id="processes_draft_retrieve", parameters=[FORMAT], responses=DOCUMENT_ANSWER)
    def draft(self, request: Request, id: str) -> HttpResponse:
        """The draft's document, with its ETag."""
        process = self.get_object()
        return document_answer(request, document_of(process), etag=editing.revision_tag(process))

    @extend_schema(operation_id="processes_draft_update", parameters=[IF_MATCH], request=DOCUMENT, responses=SavedShape)
    def write_draft(self, request: Request, id: str) -> Response:
        """Replace the draft; what is unsound is said and stored nevertheless."""
        process = self._allowed(Permission.AUTHOR, "edit this process")
        revision = seen_revision(request, editing.revision_tag(process), process.revision)
        read = readable(request)
        saved = editing.write_draft(process, read.document, actor=request.user, expected_revision=revision, door="api", text=typed(read))
        return self._saved(saved, read, status=200)

    @extend_schema(operation_id="processes_publish", parameters=[IF_MATCH], request=PublishShape, responses=PublishedShape)
    def publish(self, request: Request, id: str) -> Response:
        """Make the draft the next version."""
        process = self._allowed(Permission.PUBLISH, "publish this process")
        revision = seen_revision(request, editing.revision_tag(process), process.revision)
        body = PublishShape(data=request.data)
        body.is_valid(raise_exception=True)
        note = body.validated_data["note"]
        version, problems = publishing.publish(process, actor=request.user, note=note, expected_revision=revision, door="api")
        answer = {"number": version.number, "hash": version.hash, "published_at": version.published_at}
        return Response(answer | {"problems": [problem.as_dict() for problem in problems]})

    @extend_schema(operation_id="processes_archive", request=ReasonShape, responses=ProcessShape)
    def archive(self, request: Request, id: str) -> Response:
        """Out of the way: neither listed nor edited nor started; what runs goes on."""
        return self._put_away(request, editing.archive, "archive this process")

    @extend_schema(operation_id="processes_unarchive", request=ReasonShape, responses=ProcessShape)
    def unarchive(self, request: Request, id: str) -> Response:
        """Back in use."""
        return self._put_away(request, editing.unarchive, "take this process out of the archive")

    @extend_schema(operation_id="processes_versions_list", responses=VersionShape(many=True))
    def versions(self, request: Request, id: str) -> Response:
        """Its published versions, newest first."""
        rows = self.get_object().versions.select_related("published_by", "deprecation__by").prefetch_related("authors").defer("document")
        page = self.page_of(rows, ("-number",))
        return self.get_paginated_response(VersionShape(page, many=True).data)

    @extend_schema(operation_id="processes_versions_retrieve", parameters=[FORMAT], responses=VersionWithDocumentShape)
    def version(self, request: Request, id: str, number: int) -> HttpResponse:
        """One version with its document; `?format=yaml` gives just that."""
        version = self._version(number)
        if wants_yaml(request):
            return document_answer(request, version.document, etag=f'"{version.hash}"')
        return Response(VersionWithDocumentShape(version).data, headers={"ETag": f'"{version.hash}"'})

    @extend_schema(operation_id="processes_versions_restore", parameters=[IF_MATCH], request=None, responses=SavedShape)
    def restore(self, request: Request, id: str, number: int) -> Response:
        """An old version as the draft again; nothing is published by it."""
        process = self._allowed(Permission.AUTHOR, "edit this process")
        version = self._version(number)
        revision = seen_revision(request, editing.revision_tag(process), process.revision)
        saved = editing.write_draft(process, version.document, actor=request.user, expected_revision=revision, door="api")
        return self._saved(saved, reading.parse(version.document), status=200)

    @extend_schema(operation_id="processes_versions_deprecate", request=ReasonShape, responses=VersionShape)
    def deprecate(self, request: Request, id: str, number: int) -> Response:
        """Not to be started any more, and why; what runs goes on."""
        self._allowed(Permission.PUBLISH, "deprecate versions of this process")
        deprecating.deprecate(self._version(number), actor=request.user, reason=_reason(request), door="api")
        return Response(VersionShape(self._version(number)).data)

    @extend_schema(operation_id="processes_versions_undeprecate", request=ReasonShape, responses=VersionShape)
    def undeprecate(self, request: Request, id: str, number: int) -> Response:
        """It may be started again."""
        self._allowed(Permission.PUBLISH, "deprecate versions of this process")
        deprecating.undeprecate(self._version(number), actor=request.user, reason=_reason(request), door="api")
        return Response(VersionShape(self._version(number)).data)

    @extend_schema(operation_id="processes_versions_diff", responses=DifferenceShape)
    def difference(self, request: Request, id: str, before: str, after: str) -> Response:
        """What changed from one version to another, or to or from the draft (`draft` in the place of a number), by meaning."""
        changes = diffing.changes(self._side(before), self._side(after))
        return Response({"changes": [change.as_dict() for change in changes]})

    def _side(self, which: str) -> Blueprint:
        if which != DRAFT:
            return blueprint_of(self._version(int(which)))
        read = reading.parse(document_of(self.get_object()))
        if not isinstance(read.blueprint, Blueprint):
            raise Invalid("unreadable", "The draft cannot be read, so that it cannot be compared.", read.problems)
        return read.blueprint

    def _allowed(self, permission: Permission, what: str) -> Process:
        process: Process = self.get_object()
        allow(may(self.request.user, permission, process), what)
        return process

    def _version(self, number: int) -> ProcessVersion:
        rows = self.get_object().versions.select_related("published_by", "deprecation__by").prefetch_related("authors")
        version: ProcessVersion = found(rows.filter(number=number).first())
        return version

    def _saved(self, process: Process, read: reading.Reading, *, status: int) -> Response:
        self.newest = newest_of([process.pk])
        problems = [problem.as_dict() for problem in publishing.problems_in(read, actor=self.request.user)]
        return Response(self.get_serializer(process).data | {"problems": problems}, status=status, headers={"ETag": editing.revision_tag(process)})

    def _put_away(self, request: Request, verb: Any, what: str) -> Response:
        process = self._allowed(Permission.PUBLISH, what)
        body = ReasonShape(data=request.data)
        body.is_valid(raise_exception=True)
        process = verb(process, actor=request.user, reason=body.validated_data["reason"], door="api")
        self.newest = newest_of([process.pk])
        return Response(self.get_serializer(process).data)


def _reason(request: Request) -> str:
    body = ReasonShape(data=request.data)
    body.is_valid(raise_exception=True)
    reason: str = body.validated_data["reason"]
    return reason


class Validate(View):
    """A check without consequences."""

    @extend_schema(operation_id="processes_validate", request=DOCUMENT, responses=ProblemsShape)
    def post(self, request: Request) -> Response:
        """Everything that is wrong with a process file; always 200, nothing is stored."""
        problems = publishing.problems_in(reading.read(request._request.body), actor=request.user)
        return Response({"problems": [problem.as_dict() for problem in problems]})


class ProcessSchema(View):
    """For editors: no secret in it, so that it needs no log-in."""

    permission_classes = [AllowAny]
    authentication_classes = []

    @extend_schema(operation_id="process_schema", responses={(200, "application/schema+json"): OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """The JSON Schema (2020-12) of the process file."""
        return Response(reading.json_schema(), content_type="application/schema+json")


class ActivitySchema(ProcessSchema):
    """The same for an activity of the store."""

    @extend_schema(operation_id="activity_schema", responses={(200, "application/schema+json"): OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """The JSON Schema (2020-12) of the file of an activity of the store."""
        return Response(reading.json_schema("Activity"), content_type="application/schema+json")


def readable(request: Request) -> reading.Reading:
    """The request's body, read as a process file. Raises Invalid with every problem and its line; unsound is something else (S27)."""
    read = reading.read(request._request.body)
    if errors([*read.problems, *editing.unstorable(read)]):
        raise Invalid("unreadable", "The document cannot be read.", publishing.problems_in(read, actor=request.user))
    return read


def wants_yaml(request: Request) -> bool:
    """`?format=yaml`, or an Accept header that names YAML first."""
    wanted = request.query_params.get("format")
    return wanted == "yaml" if wanted else request.headers.get("Accept", "").startswith(YAML)


def document_answer(request: Request, document: dict[str, Any], *, etag: str) -> HttpResponse:
    """The document as JSON or YAML."""
    if wants_yaml(request):
        return HttpResponse(yaml_text(document), content_type=f"{YAML}; charset=utf-8", headers={"ETag": etag, "Vary": "Accept"})
    return Response(document, headers={"ETag": etag, "Vary": "Accept"})


_ID = r"(?P<id>[a-z][a-z0-9_]{0,62})"
_SIDE = rf"[0-9]{{1,9}}|{DRAFT}"
routes = [
    path("schema/process.json", ProcessSchema.as_view(), name="process-schema"),
    path("schema/activity.json", ActivitySchema.as_view(), name="activity-schema"),
    path("processes/", Processes.as_view({"get": "list", "post": "create"}), name="processes"),
    path("processes/validate/", Validate.as_view(), name="processes-validate"),
    re_path(rf"^processes/{_ID}/$", Processes.as_view({"get": "retrieve", "delete": "destroy"}), name="process"),
    re_path(rf"^processes/{_ID}/draft/$", Processes.as_view({"get": "draft", "put": "write_draft"}), name="process-draft"),
    re_path(rf"^processes/{_ID}/publish/$", Processes.as_view({"post": "publish"}), name="process-publish"),
    re_path(rf"^processes/{_ID}/archive/$", Processes.as_view({"post": "archive"}), name="process-archive"),
    re_path(rf"^processes/{_ID}/unarchive/$", Processes.as_view({"post": "unarchive"}), name="process-unarchive"),
    re_path(rf"^processes/{_ID}/versions/$", Processes.as_view({"get": "versions"}), name="process-versions"),
    re_path(rf"^processes/{_ID}/versions/(?P<number>[0-9]{{1,9}})/$", Processes.as_view({"get": "version"}), name="process-version"),
    re_path(rf"^processes/{_ID}/versions/(?P<number>[0-9]{{1,9}})/restore/$", Processes.as_view({"post": "restore"}), name="process-version-restore"),
    re_path(rf"^processes/{_ID}/versions/(?P<number>[0-9]{{1,9}})/deprecate/$", Processes.as_view({"post": "deprecate"}), name="process-version-deprecate"),
    re_path(
        rf"^processes/{_ID}/versions/(?P<number>[0-9]{{1,9}})/undeprecate/$", Processes.as_view({"post": "undeprecate"}), name="process-version-undeprecate"
    ),
    re_path(rf"^processes/{_ID}/versions/(?P<before>{_SIDE})/diff/(?P<after>{_SIDE})/$", Processes.as_view({"get": "difference"}), name="process-diff"),
]
