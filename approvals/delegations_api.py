"""Delegations in the API: one's own, given and received."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.urls import re_path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.delegating import delegate, end
from approvals.models import Delegation
from processes.models import Process
from processes.problems import Problem
from releases.api import MOST_DIGITS, actor_of, body_of
from releases.models import ActivityRun, Release
from releases.serializers import Body
from relorch.accounts.models import ApiToken
from relorch.audit.chain import instant
from relorch.lib.errors import Invalid, NotAllowed
from relorch.lib.rest import InstantField, Resources


class DelegationBody(Body):
    """Who decides for oneself, where and how long."""

    to = serializers.CharField(help_text="The e-mail address of who may decide for you.")
    process = serializers.CharField(required=False, allow_blank=True, default="", help_text="Only in this process.")
    release = serializers.IntegerField(required=False, allow_null=True, default=None, help_text="With `activity`: only on this one.")
    activity = serializers.CharField(required=False, allow_blank=True, default="")
    starts_at = InstantField(required=False, allow_null=True, default=None, help_text="Else now.")
    ends_at = InstantField(required=False, allow_null=True, default=None, help_text="Else until it is ended.")
    reason = serializers.CharField(required=False, allow_blank=True, default="")


class DelegationShape(serializers.Serializer[Any]):
    """A delegation."""

    id = serializers.IntegerField()
    delegate = serializers.EmailField(help_text="Who may decide.")
    scope = serializers.ChoiceField(["all", "process", "approval"])
    process = serializers.CharField(allow_null=True)
    release = serializers.IntegerField(allow_null=True)
    activity = serializers.CharField(allow_null=True)
    starts_at = InstantField()
    ends_at = InstantField(allow_null=True)
    ended_at = InstantField(allow_null=True)
    reason = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of the language."""
        return {**super().get_fields(), "from": serializers.EmailField(help_text="For whom.")}


def shape_of(row: Delegation) -> dict[str, Any]:
    """As `DelegationShape`; wants people, process and run selected."""
    return {
        "id": row.pk,
        "from": row.person.email,
        "delegate": row.delegate.email,
        "scope": row.scope,
        "process": row.process.identifier if row.process else None,
        "release": row.run.release_id if row.run else None,
        "activity": row.run.key if row.run else None,
        "starts_at": instant(row.starts_at),
        "ends_at": instant(row.ends_at) if row.ends_at else None,
        "ended_at": instant(row.ended_at) if row.ended_at else None,
        "reason": row.reason,
    }


class Delegations(Resources):
    """The delegations of whoever asks, given and received."""

    queryset = Delegation.objects.all()
    serializer_class = DelegationShape
    lookup_url_kwarg = "id"

    def get_queryset(self) -> Any:
        """One's own; another's is not there."""
        if getattr(self, "swagger_fake_view", False):
            return Delegation.objects.none()
        mine = Q(person=self.request.user.pk) | Q(delegate=self.request.user.pk)
        return Delegation.objects.filter(mine).select_related("person", "delegate", "process", "run")

    @extend_schema(operation_id="delegations_list", responses=DelegationShape(many=True))
    def list(self, request: Request) -> Response:
        """Given and received, newest first, ended ones too."""
        return self.get_paginated_response([shape_of(row) for row in self.page_of(self.get_queryset(), ("-pk",))])

    @extend_schema(operation_id="delegations_create", request=DelegationBody, responses={201: DelegationShape})
    def create(self, request: Request) -> Response:
        """Let somebody decide for you. Takes a person who is signed in: a token cannot hand on what it may not do itself."""
        _person_only(request)
        wanted = body_of(DelegationBody, request)
        user: Any = request.user
        problems = []
        to = get_user_model().objects.filter(email=wanted["to"], is_active=True).first()
        if to is None:
            problems.append(Problem("unknown_person", f"There is no active person {wanted['to']}.", "/to"))
        process = Process.objects.visible_to(user).filter(identifier=wanted["process"]).first() if wanted["process"] else None
        if wanted["process"] and process is None:
            problems.append(Problem("unknown_process", f"There is no process {wanted['process']}.", "/process"))
        run, wrong = _run(wanted, user)
        if problems + wrong:
            raise Invalid("invalid_delegation", "It cannot be delegated so.", problems + wrong)
        times = {name: wanted[name] for name in ("starts_at", "ends_at", "reason")}
        made = delegate(actor=actor_of(request), by=user, person=user, to=to, process=process, run=run, **times)
        return Response(shape_of(made), status=201)

    @extend_schema(operation_id="delegations_destroy", responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:
        """End it, given or received: dead at the next request."""
        end(actor=actor_of(request), by=request.user, delegation=self.get_object())
        return Response(status=204)


def _person_only(request: Request) -> None:
    if isinstance(request.auth, ApiToken):
        raise NotAllowed("token_may_not_delegate", "A token may not delegate; that takes a person who is signed in.")


def _run(wanted: dict[str, Any], user: Any) -> tuple[ActivityRun | None, list[Problem]]:
    if wanted["release"] is None and not wanted["activity"]:
        return None, []
    if wanted["process"]:
        return None, [Problem("one_scope", "Either a process or one activity.", "/process")]
    seen = Release.objects.visible_to(user).filter(pk=wanted["release"]).values("pk")
    run = ActivityRun.objects.select_related("release").filter(release__in=seen, key=wanted["activity"], type="manual").first()
    return run, [] if run else [Problem("unknown_activity", "There is no such question to people.", "/activity")]


routes = [
    re_path(r"^delegations/$", Delegations.as_view({"get": "list", "post": "create"}), name="delegations"),
    re_path(rf"^delegations/(?P<id>[0-9]{{1,{MOST_DIGITS}}})/$", Delegations.as_view({"delete": "destroy"}), name="delegation"),
]
