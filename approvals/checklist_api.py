"""The form and the checklist of a question in the API: fill in without deciding, list tasks, change one."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.urls import re_path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import packets
from approvals.checklists import change_task
from approvals.filling import fill
from processes.problems import Problem, did_you_mean
from releases.api import MOST_DIGITS, actor_of, body_of
from releases.detail import said
from releases.flows import compiled
from releases.models import Attempt, Release, Task
from releases.serializers import Body
from releases.talk_api import named
from relorch.lib import secrets
from relorch.lib.errors import Invalid
from relorch.lib.rest import InstantField, Resources


class TaskBody(Body):
    """A change of a task."""

    status = serializers.CharField(required=False, help_text="todo, in_progress, done, failed or blocked.")
    name = serializers.CharField(required=False, allow_blank=True)
    description = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    actual = serializers.IntegerField(required=False, help_text="Seconds it took, where measuring from beginning to end is wrong.")
    note = serializers.CharField(required=False, allow_blank=True, default="", help_text="Why; kept in the history.")


class FillBody(Body):
    """Values of the form. A file is the number of an attachment of this activity; null takes a value away."""

    packet = serializers.CharField(required=False, allow_blank=True, default="", help_text="The hash of the packet that was seen: another one is refused.")

    def get_fields(self) -> dict[str, Any]:
        """`fields` is a word of REST framework's."""
        return {**super().get_fields(), "fields": serializers.DictField(child=serializers.JSONField(allow_null=True))}


class FilledShape(serializers.Serializer[Any]):
    """The form as it is now."""

    packet = serializers.CharField()
    fields_filled = serializers.DictField()


class TaskChangeShape(serializers.Serializer[Any]):
    """One change of its status."""

    before = serializers.CharField(help_text="todo, in_progress, done, failed or blocked.")
    after = serializers.CharField(help_text="todo, in_progress, done, failed or blocked.")
    by = serializers.EmailField()
    at = InstantField()
    note = serializers.CharField()


class TaskShape(serializers.Serializer[Any]):
    """A task of a checklist; times in seconds."""

    id = serializers.CharField()
    activity = serializers.CharField()
    attempt = serializers.IntegerField()
    name = serializers.CharField()
    description = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]
    owners = serializers.ListField(child=serializers.CharField())
    status = serializers.CharField(help_text="todo, in_progress, done, failed or blocked.")
    expected = serializers.IntegerField(allow_null=True)
    actual = serializers.IntegerField(allow_null=True)
    started_at = InstantField(allow_null=True)
    ended_at = InstantField(allow_null=True)


class TaskWithHistoryShape(TaskShape):
    """A task with how it got where it is, newest first."""

    history = TaskChangeShape(many=True)


class _OfRelease(Resources):
    queryset = Release.objects.all()
    lookup_url_kwarg = "id"

    def place(self, activity: str) -> Release:
        """The release; 404 for one that is not visible, and for what is no manual activity of it."""
        release: Release = self.get_object()
        step = compiled(release.version_id).steps.get(activity)
        if step is None or step.activity.type != "manual":
            raise Http404
        return release


class Tasks(_OfRelease):
    """The tasks of a release and of its activities."""

    serializer_class = TaskShape

    @extend_schema(
        operation_id="tasks_list",
        parameters=[OpenApiParameter("status", OpenApiTypes.STR, description="One status, or several with commas.")],
        responses=TaskShape(many=True),
    )
    def list(self, request: Request, id: str, activity: str = "") -> Response:
        """In the order of asking; those of an activity are of its newest attempt."""
        release = self.place(activity) if activity else self.get_object()
        rows = Task.objects.filter(release=release).select_related("attempt__run")
        if activity:
            rows = rows.filter(attempt=_newest(release, activity))
        if wanted := [word for text in request.query_params.getlist("status") for word in text.split(",") if word]:
            unknown = [word for word in wanted if word not in Task.Status.values]
            if unknown:
                problems = [Problem("not_an_option", f'There is no status "{w}".{did_you_mean(w, Task.Status.values)}', "/status") for w in unknown]
                raise Invalid("invalid", "The list cannot be filtered so.", problems)
            rows = rows.filter(status__in=wanted)
        return self.get_paginated_response([task_of(row) for row in self.page_of(rows, ("attempt", "position", "pk"))])

    @extend_schema(operation_id="tasks_retrieve", responses=TaskWithHistoryShape)
    def retrieve(self, request: Request, id: str, activity: str, task: str) -> Response:
        """One task with its history."""
        return Response(self._whole(self.place(activity), activity, task))

    @extend_schema(operation_id="tasks_partial_update", request=TaskBody, responses=TaskWithHistoryShape)
    def partial_update(self, request: Request, id: str, activity: str, task: str) -> Response:
        """Move it on, or say better what it is. Votes given before go stale."""
        release = self.place(activity)
        wanted = body_of(TaskBody, request)
        change_task(release=release.pk, activity=activity, task=task, person=request.user, actor=actor_of(request), **wanted)
        return Response(self._whole(release, activity, task))

    def _whole(self, release: Release, activity: str, task: str) -> dict[str, Any]:
        row = Task.objects.filter(attempt=_newest(release, activity), key=task).select_related("attempt__run").first()
        if row is None:
            raise Http404
        changes = row.changes.select_related("by")[:200]
        history = [{"before": c.before, "after": c.after, "by": c.by.email, "at": said(c.at), "note": c.note} for c in changes]
        return {**task_of(row), "history": history}


class Fill(_OfRelease):
    """The form of a question."""

    serializer_class = FilledShape

    @extend_schema(operation_id="activities_fill", request=FillBody, responses=FilledShape)
    def create(self, request: Request, id: str, activity: str) -> Response:
        """Fill in without deciding: by who is responsible or may decide. Votes given before go stale."""
        release = self.place(activity)
        wanted = body_of(FillBody, request)
        attempt = fill(release=release.pk, activity=activity, person=request.user, actor=actor_of(request), fields=wanted["fields"], packet=wanted["packet"])
        return Response({"packet": packets.current_hash(attempt), "fields_filled": secrets.hide(attempt.filled or {})})


def _newest(release: Release, activity: str) -> Attempt | None:
    return Attempt.objects.filter(run__release=release, run__key=activity).order_by("-number").first()


def task_of(row: Task) -> dict[str, Any]:
    """Its shape; wants `attempt__run` selected."""
    return {
        "id": row.key,
        "activity": row.attempt.run.key,
        "attempt": row.attempt.number,
        "name": row.name,
        "description": row.description,
        "required": row.required,
        "owners": row.owners,
        "status": row.status,
        "expected": row.expected,
        "actual": row.took,
        "started_at": said(row.started_at),
        "ended_at": said(row.ended_at),
    }


_RELEASE = rf"^releases/(?P<id>[0-9]{{1,{MOST_DIGITS}}})"
_RUN = rf"{_RELEASE}/activities/(?P<activity>[a-z][a-z0-9_]{{0,62}})"
routes = [
    re_path(rf"{_RELEASE}/tasks/$", Tasks.as_view({"get": "list"}), name="tasks"),
    re_path(rf"{_RUN}/tasks/$", named(Tasks, "activity", "list").as_view({"get": "list"}), name="activity-tasks"),
    re_path(rf"{_RUN}/tasks/(?P<task>[a-z][a-z0-9_]{{0,62}})/$", Tasks.as_view({"get": "retrieve", "patch": "partial_update"}), name="activity-task"),
    re_path(rf"{_RUN}/fill/$", Fill.as_view({"post": "create"}), name="activity-fill"),
]
