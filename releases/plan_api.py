"""Plans in the API: what a release would do, before it starts. A GET that reads and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.urls import re_path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from processes.models import Process
from processes.problems import Problem
from releases import plans
from releases.api import MOST_DIGITS
from releases.models import Release
from relorch.lib.errors import Invalid
from relorch.lib.rest import View, found

_PREFIX = "inputs."


class EstimateShape(serializers.Serializer[Any]):
    """Seconds that something takes: half the time less than `p50`, four times of five less than `p80`."""

    p50 = serializers.FloatField()
    p80 = serializers.FloatField()
    runs = serializers.IntegerField(help_text="How many finished runs it is taken from; 0: the author's estimate.")


class PlannedShape(serializers.Serializer[Any]):
    """One activity of a plan."""

    id = serializers.CharField()
    name = serializers.CharField()
    type = serializers.CharField()
    phase = serializers.CharField()
    after = serializers.ListField(child=serializers.CharField())
    asks = serializers.ListField(child=serializers.CharField(), help_text="Who decides, as the process names them; of a subprocess whoever is asked in it.")
    people = serializers.ListField(child=serializers.CharField(), help_text="The active people whom `asks` means.")
    expected = EstimateShape(allow_null=True)
    skipped_because = serializers.CharField(required=False)


class PlanExpectedShape(serializers.Serializer[Any]):
    """How long the whole takes, in seconds."""

    likely = serializers.FloatField()
    spread = serializers.FloatField(help_text="Half of the 80 % range.")
    unestimated = serializers.ListField(child=serializers.CharField(), help_text="Activities that were taken as instant, because nobody knows.")


class PlanShape(serializers.Serializer[Any]):
    """A rehearsal by the real scheduler with made-up results."""

    waves = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()), help_text="Activities that may start together when every step takes the same time."
    )
    activities = PlannedShape(many=True)
    critical_path = serializers.ListField(child=serializers.CharField())
    expected = PlanExpectedShape()
    undecided = serializers.ListField(child=serializers.CharField(), help_text="Activities and phases (`phase:...`) whose `if` reads results; taken as true.")
    inputs = serializers.DictField(child=serializers.JSONField())
    problems = serializers.ListField(child=serializers.JSONField(), help_text="What a start with these inputs would be refused for.")


class ReleasePlan(View):
    """Of a release."""

    @extend_schema(operation_id="releases_plan", responses=PlanShape)
    def get(self, request: Request, id: str) -> Response:
        """What this release would do if it began now, with its inputs as they are."""
        rows = Release.objects.visible_to(request.user).select_related("process", "version", "starter")
        return Response(plans.shown(plans.of_release(found(rows.filter(pk=int(id)).first()))))


class ProcessPlan(View):
    """Of a process."""

    @extend_schema(
        operation_id="processes_plan",
        parameters=[
            OpenApiParameter("inputs", OpenApiTypes.STR, description="A JSON object of inputs; or one parameter `inputs.<name>` each, as text."),
            OpenApiParameter("version", OpenApiTypes.INT, description="A published version; else the newest."),
        ],
        responses=PlanShape,
    )
    def get(self, request: Request, id: str) -> Response:
        """What a release of this process would do, as far as the given inputs tell."""
        process = found(Process.objects.visible_to(request.user).filter(identifier=id).first())
        version = None
        if text := request.query_params.get("version", ""):
            version = found(process.versions.filter(number=int(text)).first() if text.isascii() and text.isdecimal() and len(text) < 10 else None)
        given, is_text = _inputs(request.query_params)
        return Response(plans.shown(plans.of_process(process, given, version=version, starter=request.user, form=is_text)))


def _inputs(query: Mapping[str, str]) -> tuple[dict[str, Any], bool]:
    """The inputs, and whether they are texts as from a form. Raises Invalid."""
    if text := query.get("inputs", ""):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise Invalid("invalid", "The plan cannot be made so.", [Problem("wrong_type", "inputs is a JSON object.", "/inputs")])
        return values, False
    named = {name.removeprefix(_PREFIX): query[name] for name in query if name.startswith(_PREFIX)}
    return named, bool(named)


routes = [
    re_path(rf"^releases/(?P<id>[0-9]{{1,{MOST_DIGITS}}})/plan/$", ReleasePlan.as_view(), name="release-plan"),
    re_path(r"^processes/(?P<id>[a-z][a-z0-9_]{0,62})/plan/$", ProcessPlan.as_view(), name="process-plan"),
]
