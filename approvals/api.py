"""Sign-offs in the API. A release that a person may not see is 404, an activity that is no question to people too; deciding itself is `signing.sign_off`."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, Subquery
from django.http import Http404
from django.urls import path, re_path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import packets, signing
from approvals.cases import attempts_with_release
from approvals.changes import of_packets
from approvals.comparing import since_last
from approvals.deciding import Case, case_of
from approvals.models import SignOff
from approvals.querysets import cases_of, proposals_on
from approvals.serializers import GivenVoteShape, PendingShape, SignOffBody, SignOffsShape, proposal_of, signature_of, vote_of
from processes.blueprint import Approval
from processes.quorum import missing
from releases.api import actor_of
from releases.asking import hash_of, owners_of
from releases.detail import said
from releases.flows import compiled
from releases.models import ActivityRun, Attempt, Release
from relorch.accounts.confirming import Proof, confirm
from relorch.accounts.models import ApiToken
from relorch.lib import secrets
from relorch.lib.rest import Resources

_ENDED = {"succeeded": "approved", "rejected": "rejected", "expired": "expired"}


class SignOffs(Resources):
    """The decision on one activity of a release."""

    queryset = Release.objects.all()
    serializer_class = SignOffsShape
    lookup_url_kwarg = "id"

    @extend_schema(
        operation_id="sign_offs_retrieve",
        parameters=[OpenApiParameter("attempt", OpenApiTypes.INT, description="The attempt's number; else the newest.")],
        responses=SignOffsShape,
    )
    def retrieve(self, request: Request, id: str, activity: str) -> Response:
        """Who must agree, who did, and what it is about. Before anybody is asked there is no packet."""
        release: Release = self.get_object()
        if not _asks(release, activity):
            raise Http404
        number = request.query_params.get("attempt", "")
        attempts = Attempt.objects.filter(run__release=release, run__key=activity).order_by("-number")
        if number:
            attempts = attempts.filter(number=int(number) if number.isdecimal() and number.isascii() and len(number) < 10 else 0)
        attempts = attempts.select_related("run__release__version", "run__release__starter", "run__release__process").defer("run__release__version__document")
        attempt = attempts.first()
        if attempt is None and number:
            raise Http404
        return Response(_not_asked(release, activity) if attempt is None or attempt.request is None else _case(attempt))

    @extend_schema(operation_id="sign_offs_create", request=SignOffBody, responses={201: GivenVoteShape, 200: GivenVoteShape})
    def create(self, request: Request, id: str, activity: str) -> Response:
        """Give a vote (201) or change it (200). The vote that makes a verdict ends the activity."""
        release: Release = self.get_object()
        if not _asks(release, activity):
            raise Http404
        body = SignOffBody(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        person: Any = request.user
        signed = signing.sign_off(
            release=release.pk,
            activity=activity,
            person=person,
            actor=actor_of(request),
            decision=wanted["decision"],
            comment=wanted["comment"],
            fields=wanted.get("fields"),
            packet=wanted["packet"],
            behalf=wanted.get("for", "").strip().lower(),
            by_token=isinstance(request.auth, ApiToken),
            proof=_proof(request, release, activity, wanted),
            address=request.META.get("REMOTE_ADDR") or None,
        )
        vote = signed.sign_off
        vote.person = person
        return Response({"id": vote.pk, **vote_of(vote), "verdict": signed.verdict}, status=201 if signed.is_first else 200)


class Pending(Resources):
    """What waits for whoever asks."""

    queryset = ActivityRun.objects.all()
    serializer_class = PendingShape

    def get_queryset(self) -> Any:
        """Runs on which this person may decide and has no vote that holds."""
        rows = ActivityRun.objects.all()
        if getattr(self, "swagger_fake_view", False):
            return rows.none()
        newest = Attempt.objects.filter(run=OuterRef("pk"), number=OuterRef("attempt_count"))
        voted = SignOff.objects.filter(attempt__run=OuterRef("pk"), attempt__number=OuterRef("attempt_count"), person=self.request.user.pk, stale=False)
        return (
            rows.waiting_for(self.request.user)
            .annotate(attempt=Subquery(newest.values("pk")[:1]), due=Subquery(newest.values("due_at")[:1]), vote=Subquery(voted.values("pk")[:1]))
            .filter(vote=None)
        )

    @extend_schema(operation_id="sign_offs_pending_list", responses=PendingShape(many=True))
    def list(self, request: Request) -> Response:
        """The decisions that this person can give now, oldest first. A page may hold fewer than `limit`: lines not asked yet and exclusions are left out."""
        page = self.page_of(self.get_queryset(), ("pk",))
        attempts = attempts_with_release(run.attempt for run in page)
        cases = cases_of(attempts)
        email = request.user.email  # type: ignore[union-attr]
        shown = [_pending(attempt) for attempt in sorted(attempts, key=lambda attempt: attempt.run_id) if cases[attempt.pk].entitlement(email)[0] == "yes"]
        return self.get_paginated_response(shown)


def _asks(release: Release, activity: str) -> bool:
    step = compiled(release.version_id).steps.get(activity)
    return step is not None and step.activity.type == "manual"


def _proof(request: Request, release: Release, activity: str, wanted: dict[str, Any]) -> Proof | None:
    if isinstance(request.auth, ApiToken):
        return None
    wants = (compiled(release.version_id).steps[activity].activity.approval or Approval()).reauthenticate
    return confirm(request._request, wants=wants, password=wanted["password"], code=wanted["code"], identity=wanted["identity"])


def _case(attempt: Attempt) -> dict[str, Any]:
    votes = list(attempt.sign_offs.select_related("person", "for_person", "packet").prefetch_related("signatures"))
    case = case_of(attempt, votes)
    verdict = case.verdict
    asked = (attempt.request or {}).get("lines") or []
    content = packets.content_of(attempt)
    return {
        "verdict": _ENDED.get(attempt.state) or (verdict.state if attempt.state == "waiting" else "open"),
        "attempt": attempt.number,
        "asked_at": said(attempt.asked_at),
        "due_at": said(attempt.due_at),
        "lines": [
            {"count": line.count, "of": list(of["of"]), "filled_by": list(line.filled_by), "can_fill": sorted(line.can_fill), "asked": line.asked}
            for line, of in zip(verdict.lines, asked, strict=True)
        ],
        "votes": [{**vote_of(vote), **signature_of(vote), **_difference(vote, content)} for vote in votes],
        "proposals": [proposal_of(row) for row in proposals_on(attempt)],
        "packet": {
            "hash": hash_of(content),
            "binds": secrets.hide(attempt.bound or {}),
            "text": (attempt.request or {}).get("instructions", ""),
            "fields_filled": secrets.hide(attempt.filled or {}),
            "shown": secrets.hide(attempt.request or {}),
            "tasks": content.get("tasks", []),
        },
        "since_last": since_last(attempt).as_dict(),
        **standing_of(case, attempt),
    }


def _difference(vote: SignOff, content: dict[str, Any]) -> dict[str, Any]:
    """For whoever is asked again: what is different from what they decided on."""
    return {"changes": [change.as_dict() for change in of_packets(vote.packet.content, content)]} if vote.stale else {}


def standing_of(case: Case, attempt: Attempt) -> dict[str, Any]:
    """Whether the rule is `satisfied`, still `possible` (and who is missing) or `impossible`; a decided one is what it came to."""
    verdict = case.verdict.state
    if attempt.state != "waiting":
        return {"standing": "satisfied" if attempt.state == "succeeded" else "closed", "missing": []}
    standing = {"approved": "satisfied", "open": "possible"}.get(verdict, "impossible")
    return {"standing": standing, "missing": [{"line": m.line, "places": m.places, "people": sorted(m.people)} for m in missing(case.rule, case.votes)]}


def _not_asked(release: Release, activity: str) -> dict[str, Any]:
    step = compiled(release.version_id).steps[activity].activity
    owners = list(owners_of(release, activity))
    requires = (step.approval or Approval()).requires
    lines = [(line.count, list(line.of) or owners) for line in requires] or [(1, owners)]
    return {
        "verdict": "open",
        "attempt": None,
        "asked_at": None,
        "due_at": None,
        "lines": [{"count": count, "of": of, "filled_by": [], "can_fill": [], "asked": False} for count, of in lines],
        "votes": [],
        "proposals": [],
        "packet": None,
        "since_last": None,
        "standing": "not_asked",
        "missing": [],
    }


def _pending(attempt: Attempt) -> dict[str, Any]:
    release = attempt.run.release
    return {
        "release": release.pk,
        "release_name": release.name,
        "process": release.process.identifier,
        "activity": attempt.run.key,
        "name": attempt.title,
        "attempt": attempt.number,
        "asked_at": said(attempt.asked_at),
        "due_at": said(attempt.due_at),
    }


routes = [
    path("sign_offs/pending/", Pending.as_view({"get": "list"}), name="sign-offs-pending"),
    re_path(
        r"^releases/(?P<id>[0-9]{1,18})/activities/(?P<activity>[a-z][a-z0-9_]{0,62})/sign_offs/$",
        SignOffs.as_view({"get": "retrieve", "post": "create"}),
        name="sign-offs",
    ),
]
