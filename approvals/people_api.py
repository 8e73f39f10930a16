"""In the API: asking other people (`reassign`), and asking those again who have not answered (`nudge`)."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.urls import re_path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.reassigning import reassign
from approvals.reminding import nudge
from releases.access import may_do
from releases.api import MOST_DIGITS, PREVIEW, RUN_MOVED, actor_of, body_of, moves_of, wants_preview
from releases.flows import compiled
from releases.models import Release
from releases.serializers import Body, ReasonBody, RunMovedShape
from relorch.lib.errors import Conflict
from relorch.lib.rest import Resources, allow


class ReassignBody(ReasonBody):
    """Who is asked instead."""

    owners = serializers.ListField(child=serializers.CharField(), required=False, default=list, help_text="`user:<e-mail>` or `group:<name>`.")
    line = serializers.IntegerField(required=False, allow_null=True, default=None, help_text="Only this line, from 0; else every line that is not filled.")


class NudgeBody(Body):
    """What is said to them."""

    message = serializers.CharField(required=False, allow_blank=True, default="", help_text="A sentence for those who are asked.")


class NudgedShape(serializers.Serializer[Any]):
    """Who was told."""

    to = serializers.ListField(child=serializers.EmailField())


class Asking(Resources):
    """Verbs on a question to people."""

    queryset = Release.objects.select_related("process")
    serializer_class = RunMovedShape
    lookup_url_kwarg = "id"

    @extend_schema(operation_id="activities_reassign", parameters=[PREVIEW], request=ReassignBody, responses=RUN_MOVED)
    def reassign(self, request: Request, id: str, activity: str) -> Response:
        """Ask other people, in every line that is not filled or in one. Filled places stay."""
        release = self._release(activity)
        allow(may_do(request.user, "reassign", release, activity), "reassign this activity")
        run = release.runs.filter(key=activity).first()
        if run is None:
            raise Conflict("wrong_state", f"This release is {release.state}: its activities have not begun.", state=release.state)
        if run.type != "manual":
            raise Conflict("wrong_state", f"{activity} asks nobody: only a question to people is reassigned.", state=run.state)
        preview = wants_preview(request)
        moves = reassign(release=release.pk, activity=activity, actor=actor_of(request), preview=preview, **body_of(ReassignBody, request))
        moved = moves_of(moves, release.pk, activity, run.state)
        if preview:
            return Response({"will": moved})
        run.refresh_from_db(fields=["state"])
        return Response({"id": activity, "release": release.pk, "state": run.state, "moved": moved})

    @extend_schema(operation_id="activities_nudge", request=NudgeBody, responses=NudgedShape)
    def nudge(self, request: Request, id: str, activity: str) -> Response:
        """Ask those who have not answered once more; for each question at most once an hour."""
        release = self._release(activity)
        if compiled(release.version_id).steps[activity].activity.type != "manual":
            raise Http404
        return Response({"to": nudge(release=release.pk, activity=activity, actor=actor_of(request), **body_of(NudgeBody, request))})

    def _release(self, activity: str) -> Release:
        release: Release = self.get_object()
        if activity not in compiled(release.version_id).steps:
            raise Http404
        return release


_RUN = rf"^releases/(?P<id>[0-9]{{1,{MOST_DIGITS}}})/activities/(?P<activity>[a-z][a-z0-9_]{{0,62}})"
routes = [re_path(rf"{_RUN}/{verb}/$", Asking.as_view({"post": verb}), name=f"activity-{verb}") for verb in ("reassign", "nudge")]
