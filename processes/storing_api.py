"""The activity store in the API."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Q
from django.http import HttpResponse
from django.urls import path, re_path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from processes import reading, storing
from processes.access import may_change_template, may_create
from processes.api import DOCUMENT, FORMAT, IF_MATCH, document_answer, wants_yaml
from processes.models import ActivityTemplate, TemplateVersion
from processes.problems import errors
from processes.serializers import DocumentField, ProblemShape, ReasonShape
from relorch.lib.errors import Invalid
from relorch.lib.rest import ModelShape, Resources, allow, found, seen_revision

ORDERS = {"name": ("name", "identifier"), "-name": ("-name", "-identifier"), "updated": ("updated_at", "pk"), "-updated": ("-updated_at", "-pk")}


class TemplateShape(ModelShape):
    """An activity of the store, without its document."""

    id = serializers.CharField(source="identifier")
    created_by = serializers.EmailField(source="created_by.email", default=None)
    updated_by = serializers.EmailField(source="updated_by.email", default=None)
    newest_version = serializers.IntegerField(source="newest_number", allow_null=True, default=None, help_text="None: it was never sound.")

    class Meta:
        model = ActivityTemplate
        fields: ClassVar = [
            *("id", "name", "category", "description", "shared", "shipped", "revision", "newest_version"),
            *("created_at", "created_by", "updated_at", "updated_by", "archived_at"),
        ]


class TemplateDetailShape(TemplateShape):
    """The same with its document, what is wrong with it, and what uses it."""

    document = DocumentField()
    problems = ProblemShape(many=True)
    used_by = serializers.ListField(child=serializers.CharField())

    class Meta(TemplateShape.Meta):
        fields: ClassVar = [*TemplateShape.Meta.fields, "document", "problems", "used_by"]


class TemplateVersionShape(ModelShape):
    """A published version."""

    published_by = serializers.EmailField(source="published_by.email", default=None)
    document = DocumentField()

    class Meta:
        model = TemplateVersion
        fields: ClassVar = ["number", "hash", "note", "published_at", "published_by", "document"]


class ActivityTemplates(Resources):
    """Reusable activities. A sound one that is saved is its next version at once."""

    queryset = ActivityTemplate.objects.select_related("created_by", "updated_by")
    serializer_class = TemplateShape
    lookup_field = "identifier"
    lookup_url_kwarg = "id"

    def get_queryset(self) -> Any:
        """With the number of the newest version."""
        return super().get_queryset().with_newest()

    @extend_schema(
        operation_id="activity_templates_list",
        parameters=[
            OpenApiParameter("search", OpenApiTypes.STR, description="Part of the id, the name or the description."),
            OpenApiParameter("category", OpenApiTypes.STR),
            OpenApiParameter("archived", OpenApiTypes.BOOL, description="Only archived ones; else only the others."),
            OpenApiParameter("order", OpenApiTypes.STR, enum=list(ORDERS)),
        ],
        responses=TemplateShape(many=True),
    )
    def list(self, request: Request) -> Response:
        """The activities this person may use."""
        wanted = request.query_params
        rows = self.get_queryset().filter(archived_at__isnull=wanted.get("archived") not in ("true", "1"))
        if text := wanted.get("search"):
            rows = rows.filter(Q(identifier__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text))
        if "category" in wanted:
            rows = rows.filter(category=wanted["category"])
        page = self.page_of(rows, ORDERS.get(wanted.get("order", ""), ORDERS["name"]))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="activity_templates_create",
        parameters=[OpenApiParameter("shared", OpenApiTypes.BOOL, description="false keeps it to whoever makes it.")],
        request=DOCUMENT,
        responses={201: TemplateDetailShape},
    )
    def create(self, request: Request) -> Response:
        """A new activity; what is unsound is said and stored nevertheless, without a version."""
        allow(may_create(request.user), "add to the activity store")
        read = _readable(request)
        shared = request.query_params.get("shared") not in ("false", "0")
        template = storing.create(read, actor=request.user, shared=shared, door="api")
        return self._answer(template, read, status=201)

    @extend_schema(operation_id="activity_templates_retrieve", parameters=[FORMAT], responses=TemplateDetailShape)
    def retrieve(self, request: Request, id: str) -> HttpResponse:
        """One; `?format=yaml` gives just its document."""
        template = self.get_object()
        if wants_yaml(request):
            return document_answer(request, template.document, etag=storing.revision_tag(template))
        return self._answer(template, reading.parse(template.document))

    @extend_schema(operation_id="activity_templates_update", parameters=[IF_MATCH], request=DOCUMENT, responses=TemplateDetailShape)
    def update(self, request: Request, id: str) -> Response:
        """Replace it. What uses a number, and what runs, goes on as it is."""
        template = self._mine("change this activity")
        revision = seen_revision(request, storing.revision_tag(template), template.revision)
        read = _readable(request)
        return self._answer(storing.write(template, read, actor=request.user, expected_revision=revision, door="api"), read)

    @extend_schema(operation_id="activity_templates_destroy", responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:
        """Delete it; refused while it is used or has versions, saying by what."""
        storing.delete(self._mine("delete this activity"), actor=request.user, door="api")
        return Response(status=204)

    @extend_schema(operation_id="activity_templates_archive", request=ReasonShape, responses=TemplateDetailShape)
    def archive(self, request: Request, id: str) -> Response:
        """Not listed and not newly used any more; what uses it goes on."""
        return self._put_away(request, True)

    @extend_schema(operation_id="activity_templates_unarchive", request=ReasonShape, responses=TemplateDetailShape)
    def unarchive(self, request: Request, id: str) -> Response:
        """Back in use."""
        return self._put_away(request, False)

    @extend_schema(operation_id="activity_templates_versions_list", responses=TemplateVersionShape(many=True))
    def versions(self, request: Request, id: str) -> Response:
        """Its versions, newest first."""
        page = self.page_of(self.get_object().versions.select_related("published_by"), ("-number",))
        return self.get_paginated_response(TemplateVersionShape(page, many=True).data)

    @extend_schema(operation_id="activity_templates_versions_retrieve", parameters=[FORMAT], responses=TemplateVersionShape)
    def version(self, request: Request, id: str, number: int) -> HttpResponse:
        """One version; `?format=yaml` gives just its document."""
        version = found(self.get_object().versions.select_related("published_by").filter(number=number).first())
        if wants_yaml(request):
            return document_answer(request, version.document, etag=f'"{version.hash}"')
        return Response(TemplateVersionShape(version).data, headers={"ETag": f'"{version.hash}"'})

    def _mine(self, what: str) -> ActivityTemplate:
        template: ActivityTemplate = self.get_object()
        allow(may_change_template(self.request.user, template), what)
        return template

    def _put_away(self, request: Request, away: bool) -> Response:
        template = self._mine("archive this activity")
        body = ReasonShape(data=request.data)
        body.is_valid(raise_exception=True)
        template = storing.put_away(template, away, actor=request.user, reason=body.validated_data["reason"], door="api")
        return self._answer(template, reading.parse(template.document))

    def _answer(self, template: ActivityTemplate, read: reading.Reading, *, status: int = 200) -> Response:
        shown: Any = self.get_queryset().get(pk=template.pk)
        shown.problems = [problem.as_dict() for problem in storing.problems_in(read, actor=self.request.user)]
        shown.used_by = storing.used_by(template, self.request.user)
        return Response(TemplateDetailShape(shown).data, status=status, headers={"ETag": storing.revision_tag(shown)})


def _readable(request: Request) -> reading.Reading:
    read = reading.read(request._request.body)
    if errors(read.problems):
        raise Invalid("unreadable", "The document cannot be read.", storing.problems_in(read, actor=request.user))
    return read


_ID = r"(?P<id>[a-z][a-z0-9_]{0,62})"
_AT = rf"^activity_templates/{_ID}/"
routes = [
    path("activity_templates/", ActivityTemplates.as_view({"get": "list", "post": "create"}), name="activity-templates"),
    re_path(rf"{_AT}$", ActivityTemplates.as_view({"get": "retrieve", "put": "update", "delete": "destroy"}), name="activity-template"),
    re_path(rf"{_AT}archive/$", ActivityTemplates.as_view({"post": "archive"}), name="activity-template-archive"),
    re_path(rf"{_AT}unarchive/$", ActivityTemplates.as_view({"post": "unarchive"}), name="activity-template-unarchive"),
    re_path(rf"{_AT}versions/$", ActivityTemplates.as_view({"get": "versions"}), name="activity-template-versions"),
    re_path(rf"{_AT}versions/(?P<number>[0-9]{{1,9}})/$", ActivityTemplates.as_view({"get": "version"}), name="activity-template-version"),
]
