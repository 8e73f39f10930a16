"""Who may what in a process, in the API."""

from __future__ import annotations

from typing import Any

from django.urls import re_path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from processes import sharing
from processes.access import owns
from processes.models import Process
from relorch.lib.rest import Resources, allow

WORDS = list(sharing.SAID)


class GivenShape(serializers.Serializer[Any]):
    """One person or group that was named, and what they were given."""

    who = serializers.CharField(help_text="`user:<e-mail>` or `group:<name>`")
    name = serializers.CharField()
    owner = serializers.BooleanField(help_text="Named in the file; implies everything but override.")
    permissions = serializers.ListField(child=serializers.ChoiceField(WORDS))
    active = serializers.BooleanField(help_text="Can log in; of a group: somebody in it can.")
    members = serializers.IntegerField(allow_null=True, help_text="Of a group: how many of its people can log in.")


class StandingShape(serializers.Serializer[Any]):
    """One person, and why they may what."""

    email = serializers.EmailField()
    name = serializers.CharField()
    permissions = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()), help_text="Permission -> ways: `direct`, `owner`, `group:<name>`, `owner group:<name>`."
    )


class PeopleShape(serializers.Serializer[Any]):
    """Who may what here, and why."""

    given = GivenShape(many=True)
    people = StandingShape(many=True)
    administrators = serializers.ListField(child=serializers.EmailField(), help_text="They hold every permission everywhere.")


class GiveShape(serializers.Serializer[Any]):
    """What a person or group is to have from now on; what is not said stays."""

    who = serializers.CharField(max_length=300, help_text="`user:<e-mail>` or `group:<name>`")
    permissions = serializers.ListField(child=serializers.CharField(), required=False, max_length=20, help_text=", ".join(WORDS))
    owner = serializers.BooleanField(required=False)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=10_000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Unknown keys would be permissions that somebody believes to have taken."""
        unknown = set(self.initial_data) - set(self.fields) if isinstance(self.initial_data, dict) else set()
        if unknown:
            raise serializers.ValidationError({name: ["There is no such key."] for name in sorted(unknown)})
        return attrs


class ProcessPeople(Resources):
    """Who sees a process sees who may what in it; its owners give and take."""

    queryset = Process.objects.all()
    serializer_class = PeopleShape
    lookup_field = "identifier"
    lookup_url_kwarg = "id"

    @extend_schema(operation_id="processes_people_retrieve", responses=PeopleShape)
    def retrieve(self, request: Request, id: str) -> Response:
        """Who may what here, and why."""
        return self._shown(self.get_object())

    @extend_schema(operation_id="processes_people_give", request=GiveShape, responses=PeopleShape)
    def give(self, request: Request, id: str) -> Response:
        """From now on this person or group has just these permissions (none: they are taken away), and is an owner or not."""
        process = self.get_object()
        allow(owns(request.user, process), "say who may what here: its owners do")
        body = GiveShape(data=request.data)
        body.is_valid(raise_exception=True)
        return self._shown(sharing.give(process, actor=request.user, door="api", **body.validated_data))

    def _shown(self, process: Process) -> Response:
        found = sharing.people_of(process)
        emails = [email for email, _ in found.administrators]
        return Response(PeopleShape({"given": found.given, "people": found.people, "administrators": emails}).data)


routes = [re_path(r"^processes/(?P<id>[a-z][a-z0-9_]{0,62})/people/$", ProcessPeople.as_view({"get": "retrieve", "post": "give"}), name="process-people")]
