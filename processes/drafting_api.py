"""Drafts from plain text in the API: nothing is stored, whoever asked decides."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from processes.access import may_create
from processes.drafting import drafted
from processes.serializers import ProblemsShape
from relorch.lib.rest import View, allow


class TextShape(serializers.Serializer[Any]):
    """What is to be read, and by what."""

    text = serializers.CharField(trim_whitespace=False, allow_blank=True, help_text="A release procedure: headings, lists, check boxes, Markdown or not.")
    using = serializers.CharField(required=False, default="rules", help_text="rules, or model where an administrator has set one.")


class QuestionShape(serializers.Serializer[Any]):
    """What the text leaves open."""

    place = serializers.CharField(help_text="A JSON Pointer into the process.")
    text = serializers.CharField()


class DraftShape(ProblemsShape):
    """A proposal."""

    yaml = serializers.CharField()
    process: Any = serializers.DictField(child=serializers.JSONField())
    questions = QuestionShape(many=True)
    summary = serializers.CharField()


class FromText(View):
    """A proposal without consequences."""

    @extend_schema(operation_id="processes_from_text", request=TextShape, responses={200: DraftShape, (503, "application/problem+json"): OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        """The process that a text describes, what is wrong with it, and what the text leaves open; nothing is stored."""
        allow(may_create(request.user), "draft processes")
        body = TextShape(data=request.data)
        body.is_valid(raise_exception=True)
        draft = drafted(body.validated_data["text"], actor=request.user, using=body.validated_data["using"], door="api")
        return Response(
            {
                "yaml": draft.yaml,
                "process": draft.document,
                "problems": [problem.as_dict() for problem in draft.problems],
                "questions": [question.as_dict() for question in draft.questions],
                "summary": draft.summary,
            }
        )


routes = [path("processes/from_text/", FromText.as_view(), name="processes-from-text")]
