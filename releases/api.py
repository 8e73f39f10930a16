"""Releases in the API (semantics, section 7). What a person may not see is 404, what they may not do 403, what does not fit now 409."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db.models import F
from django.http import Http404, HttpResponse
from django.urls import re_path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from processes.blueprint import Category
from processes.models import Process
from processes.problems import Problem
from releases import deleting, finding, making, operating, overview, planning, restarting, scheduling, trying
from releases.access import may_delete, may_do, may_edit_draft, may_operate, may_reschedule, may_start
from releases.detail import detail_of, summaries
from releases.downstream import losers_of
from releases.engine import Actor, Move
from releases.flows import compiled
from releases.models import ActivityRun, Attempt, LogChunk, Release
from releases.serializers import (
    Body,
    EvaluateBody,
    EvaluatedShape,
    EventShape,
    OutputsBody,
    PhaseBody,
    PreviewShape,
    ReasonBody,
    ReleaseCreateShape,
    ReleaseDetailShape,
    ReleaseMovedShape,
    ReleasePatchShape,
    ReleaseShape,
    RescheduleBody,
    RetryBody,
    RunMovedShape,
    ScheduleBody,
)
from releases.states import Release as State
from relorch.accounts.models import ApiToken
from relorch.audit.chain import instant
from relorch.audit.models import Event
from relorch.lib import preconditions
from relorch.lib.errors import Conflict, Invalid
from relorch.lib.rest import Resources, View, allow, found

PREVIEW = OpenApiParameter("preview", OpenApiTypes.BOOL, description="Say what would move, and change nothing.")
IF_MATCH = OpenApiParameter("If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, required=True, description="The draft's ETag as you have seen it, or `*`.")

MOVED = PolymorphicProxySerializer("ReleaseMovedOrPreview", [ReleaseMovedShape, PreviewShape], resource_type_field_name=None)
RUN_MOVED = PolymorphicProxySerializer("RunMovedOrPreview", [RunMovedShape, PreviewShape], resource_type_field_name=None)


def actor_of(request: Request) -> Actor:
    """Who asks, and through which door: a token is a program."""
    person: Any = request.user
    return Actor(person.pk, person.email, "api" if isinstance(request.auth, ApiToken) else "page")


def tag_of(release: Release) -> str:
    """The ETag of a draft: changes with everything of it that can be changed."""
    fields = [getattr(release, name) for name in ("name", "version_id", "version_pinned", "inputs", *overview.FIELDS)]
    times = [at and instant(at) for at in (release.scheduled_for, release.expected_end)]
    what = json.dumps([release.pk, release.state, *fields, *times, release.auto_start], sort_keys=True)
    return f'"{hashlib.sha256(what.encode()).hexdigest()[:32]}"'


def check_tag(request: Request) -> Callable[[Release], None]:
    """For a verb to call under its lock. Raises ConditionMissing (428) and Stale (412)."""

    def check(release: Release) -> None:
        if release.state == State.DRAFT and not preconditions.seen(request._request, tag_of(release)):
            raise preconditions.Stale("Somebody has changed it since you looked; read it again and repeat your change.", etag=tag_of(release))

    return check


def moves_of(moves: Iterable[Move], release: int, activity: str, before: str) -> list[dict[str, Any]]:
    """`[{release, activity, from, to}]`: of each run the state it left and the one it has in the end; the thing itself is there even if its state stays."""
    first: dict[tuple[int, str], str] = {}
    last: dict[tuple[int, str], str] = {}
    for move in moves:
        first.setdefault((move.release, move.activity), str(move.before))
        last[move.release, move.activity] = str(move.after)
    if (release, activity) not in first:
        first = {(release, activity): before, **first}
        last[release, activity] = before
    return [{"release": one, "activity": key or None, "from": state, "to": last[one, key]} for (one, key), state in first.items()]


def wants_preview(request: Request) -> bool:
    """`?preview=true`."""
    return request.query_params.get("preview", "").lower() in ("true", "1")


def body_of(kind: type[Body], request: Request) -> dict[str, Any]:
    """The checked body. Raises ValidationError with every problem."""
    body = kind(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


class Releases(Resources):
    """Releases: made, listed, shown, and moved by the verbs of people."""

    queryset = Release.objects.select_related("process", "version", "starter", "parent_run").defer("version__document")
    serializer_class = ReleaseShape
    lookup_url_kwarg = "id"

    @extend_schema(
        operation_id="releases_list",
        parameters=[
            OpenApiParameter("state", OpenApiTypes.STR, description="One state, or several with commas."),
            OpenApiParameter("process", OpenApiTypes.STR, description="The id of a process."),
            OpenApiParameter("kind", OpenApiTypes.STR, enum=[str(one) for one in Category], description="The category of the version that it follows."),
            OpenApiParameter("source", OpenApiTypes.STR, enum=["ad_hoc", "subprocess"], description="Made for itself, or by an activity of another release."),
            OpenApiParameter("starter", OpenApiTypes.STR, description="An e-mail address, or `me`."),
            OpenApiParameter("tag", OpenApiTypes.STR, description="A tag that it bears."),
            OpenApiParameter("identifier", OpenApiTypes.STR),
            OpenApiParameter("release_version", OpenApiTypes.STR, description="What goes out: digits and dots."),
            OpenApiParameter("colour", OpenApiTypes.STR),
            OpenApiParameter("q", OpenApiTypes.STR, description="Part of the name, identifier or process's name; a tag, a version, or the number."),
            OpenApiParameter("version", OpenApiTypes.INT, description="The number of the process's version."),
            OpenApiParameter("person", OpenApiTypes.STR, description="Who started or owns it, or owns or decides something in it: an e-mail address, or `me`."),
            OpenApiParameter("value", OpenApiTypes.STR, description="What an input's value is or begins with; `name=value` looks at one input. Never secrets."),
            OpenApiParameter("from", OpenApiTypes.STR, description="A day or a time: still open then, or begun later."),
            OpenApiParameter("until", OpenApiTypes.STR, description="A day or a time: begun, planned or made before its end."),
            OpenApiParameter("archived", OpenApiTypes.STR, enum=["false", "true", "any"], description="Those over for long; left out by default."),
            OpenApiParameter("parent", OpenApiTypes.INT, description="Only the children of this release."),
            OpenApiParameter("level", OpenApiTypes.INT, description="1: only releases that belong to no other."),
        ],
        responses=ReleaseShape(many=True),
    )
    def list(self, request: Request) -> Response:
        """The releases this person may see, newest first."""
        page = self.page_of(self._filtered(request), ("-pk",))
        return self.get_paginated_response(summaries(page))

    @extend_schema(operation_id="releases_create", request=ReleaseCreateShape, responses={201: ReleaseDetailShape})
    def create(self, request: Request) -> Response:
        """A draft, or with `start` a release that runs. What is wrong with the inputs is said all at once, and then there is no release."""
        process, like = making.process_for(request.data, request.user)
        allow(may_start(request.user, process), "start this process")
        wanted = body_of(ReleaseCreateShape, request)
        release = making.make(process, like, wanted, actor=actor_of(request), starter=request.user)
        return self._shown(release.pk, status=201)

    @extend_schema(operation_id="releases_retrieve", responses=ReleaseDetailShape)
    def retrieve(self, request: Request, id: str) -> Response:
        """One release, complete: phases, activities with all their attempts, and what it waits for. A draft has an ETag."""
        return self._answer(self.get_object())

    @extend_schema(operation_id="releases_partial_update", parameters=[IF_MATCH], request=ReleasePatchShape, responses=ReleaseDetailShape)
    def partial_update(self, request: Request, id: str) -> Response:
        """Change a draft."""
        release = self._draft("change this release")
        wanted = body_of(ReleasePatchShape, request) if release.state == State.DRAFT else {}
        given = making.text_secrets(release, wanted["inputs"]) if "inputs" in wanted else None
        details = {name: wanted[name] for name in overview.FIELDS if name in wanted}
        version = making.version_of(release.process, wanted["version"]) if "version" in wanted else None
        planning.change_draft(
            release=release,
            actor=actor_of(request),
            seen=check_tag(request),
            name=wanted.get("name"),
            given=given,
            details=details,
            version=version,
            pinned=wanted["version"] is not None if "version" in wanted else None,
        )
        return self._shown(release.pk)

    @extend_schema(operation_id="releases_destroy", parameters=[IF_MATCH], responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:
        """Delete a draft."""
        release = self._draft("delete this release")
        planning.delete_draft(release=release, actor=actor_of(request), seen=check_tag(request))
        return Response(status=204)

    @extend_schema(operation_id="releases_start", parameters=[PREVIEW], request=ReasonBody, responses=MOVED)
    def start(self, request: Request, id: str) -> Response:
        """Start a draft: inputs checked, versions pinned, and what is ready begins."""
        release = self.get_object()
        allow(may_start(request.user, release.process), "start this process")
        body_of(ReasonBody, request)
        before = release.state
        return self._moved(release.pk, before, planning.moves_of_start(release=release, actor=actor_of(request), preview=wants_preview(request)))

    @extend_schema(operation_id="releases_schedule", parameters=[PREVIEW], request=ScheduleBody, responses=MOVED)
    def schedule(self, request: Request, id: str) -> Response:
        """A draft is to start later: its inputs are checked, and from now on locked."""
        release = self.get_object()
        allow(may_start(request.user, release.process), "schedule this release")
        if release.state != State.DRAFT:
            raise Conflict("wrong_state", f"This release is {release.state}: only a draft can be scheduled.", state=release.state)
        wanted = body_of(ScheduleBody, request)
        moves = scheduling.schedule(release=release, actor=actor_of(request), preview=wants_preview(request), **wanted)
        return self._moved(release.pk, State.DRAFT, moves)

    @extend_schema(operation_id="releases_reschedule", parameters=[PREVIEW], request=RescheduleBody, responses=MOVED)
    def reschedule(self, request: Request, id: str) -> Response:
        """Another time for a scheduled or missed release."""
        return self._operate(scheduling.reschedule, "reschedule this release", RescheduleBody, may_reschedule)

    @extend_schema(operation_id="releases_cancel", parameters=[PREVIEW], request=ReasonBody, responses=MOVED)
    def cancel(self, request: Request, id: str) -> Response:
        """A scheduled release will not start."""
        return self._operate(scheduling.cancel, "cancel this release", ReasonBody, may_reschedule)

    @extend_schema(operation_id="releases_delete", parameters=[PREVIEW], request=ReasonBody, responses={200: PreviewShape, 204: None})
    def delete_ended(self, request: Request, id: str) -> Response:
        """Remove a release that is over and no longer tracked, with everything below it; its events stay. 409 says every reason against it."""
        release: Release = self.get_object()
        allow(may_delete(request.user, release), "delete this release")
        given = body_of(ReasonBody, request)
        moves = deleting.delete(release=release.pk, actor=actor_of(request), preview=wants_preview(request), **given)
        return Response({"will": moves_of(moves, release.pk, "", release.state)}) if wants_preview(request) else Response(status=204)

    @extend_schema(operation_id="releases_hold", parameters=[PREVIEW], request=ReasonBody, responses=MOVED)
    def hold(self, request: Request, id: str) -> Response:
        """Nothing new is begun, in children too, until it is resumed."""
        return self._operate(operating.hold, "hold this release")

    @extend_schema(operation_id="releases_resume", parameters=[PREVIEW], request=ReasonBody, responses=MOVED)
    def resume(self, request: Request, id: str) -> Response:
        """Go on, where hold was put."""
        return self._operate(operating.resume, "resume this release")

    @extend_schema(operation_id="releases_abort", parameters=[PREVIEW], request=ReasonBody, responses=MOVED)
    def abort(self, request: Request, id: str) -> Response:
        """End everything that is open."""
        return self._operate(operating.abort, "abort this release")

    @extend_schema(operation_id="releases_restart_from", parameters=[PREVIEW], request=PhaseBody, responses=MOVED)
    def restart_from(self, request: Request, id: str) -> Response:
        """Run a phase and everything that depends on it again. Earlier work and attempts are kept."""
        return self._operate(restarting.restart_from, "start this release again", PhaseBody)

    @extend_schema(operation_id="releases_events_list", responses=EventShape(many=True))
    def events(self, request: Request, id: str) -> Response:
        """What happened, in its order, from the audit trail."""
        release = self.get_object()
        rows = Event.objects.filter(stream=f"release:{release.root_id}", release_id=release.pk)
        return self.get_paginated_response([_event(row) for row in self.page_of(rows, ("sequence",))])

    def _filtered(self, request: Request) -> Any:
        wanted = request.query_params
        asked = wanted.dict() | {"state": ",".join(wanted.getlist("state"))}
        if said := finding.wrong_in(asked):
            raise Invalid("invalid", "The list cannot be filtered so.", said)
        rows = finding.kept(finding.matching(self.get_queryset(), asked, request.user), asked.get("archived", ""))
        for name, column in (("parent", "parent_run__release"), ("level", "level")):
            if name in wanted:
                if (number := finding.number_in(wanted[name])) is None:
                    raise Invalid("invalid", "The list cannot be filtered so.", [Problem("wrong_type", f"{name} is a number.", f"/{name}")])
                rows = rows.filter(**{column: number})
        return rows

    def _draft(self, what: str) -> Release:
        release: Release = self.get_object()
        allow(may_edit_draft(self.request.user, release), what)
        check_tag(self.request)(release)
        return release

    def _operate(self, verb: Callable[..., operating.Moves], what: str, kind: type[Body] = ReasonBody, may: Callable[..., bool] = may_operate) -> Response:
        release: Release = self.get_object()
        allow(may(self.request.user, release), what)
        given = body_of(kind, self.request)
        preview = wants_preview(self.request)
        return self._moved(release.pk, release.state, verb(release=release.pk, actor=actor_of(self.request), preview=preview, **given))

    def _moved(self, pk: int, before: str, moves: operating.Moves) -> Response:
        moved = moves_of(moves, pk, "", before)
        if wants_preview(self.request):
            return Response({"will": moved})
        return Response(summaries([self.get_queryset().get(pk=pk)])[0] | {"moved": moved})

    def _shown(self, pk: int, status: int = 200) -> Response:
        return self._answer(Release.objects.select_related("process", "version", "starter", "parent_run").defer("version__document").get(pk=pk), status)

    def _answer(self, release: Release, status: int = 200) -> Response:
        headers = {"ETag": tag_of(release)} if release.state == State.DRAFT else {}
        return Response(detail_of(release, self.request.user), status=status, headers=headers)


class Runs(Resources):
    """The activities of a release, moved by the verbs of people."""

    queryset = Release.objects.select_related("process")
    serializer_class = RunMovedShape
    lookup_url_kwarg = "id"

    @extend_schema(operation_id="activities_stop", parameters=[PREVIEW], request=ReasonBody, responses=RUN_MOVED)
    def stop(self, request: Request, id: str, activity: str) -> Response:
        """Tell the running attempt to end; it fails with `stopped`."""
        return self._do(operating.stop, "stop", ReasonBody, activity)

    @extend_schema(operation_id="activities_retry", parameters=[PREVIEW], request=RetryBody, responses=RUN_MOVED)
    def retry(self, request: Request, id: str, activity: str) -> Response:
        """A new attempt; the old one is kept. A finished release reopens."""
        return self._do(operating.retry, "retry", RetryBody, activity)

    @extend_schema(operation_id="activities_ignore", parameters=[PREVIEW], request=OutputsBody, responses=RUN_MOVED)
    def ignore(self, request: Request, id: str, activity: str) -> Response:
        """It ended badly, and that does not matter."""
        return self._do(operating.ignore, "ignore", OutputsBody, activity)

    @extend_schema(operation_id="activities_fail", parameters=[PREVIEW], request=ReasonBody, responses=RUN_MOVED)
    def fail(self, request: Request, id: str, activity: str) -> Response:
        """Accept the bad end."""
        return self._do(operating.fail, "fail", ReasonBody, activity)

    @extend_schema(operation_id="activities_skip", parameters=[PREVIEW], request=ReasonBody, responses=RUN_MOVED)
    def skip(self, request: Request, id: str, activity: str) -> Response:
        """It will not run."""
        return self._do(operating.skip, "skip", ReasonBody, activity)

    @extend_schema(operation_id="activities_succeed", parameters=[PREVIEW], request=OutputsBody, responses=RUN_MOVED)
    def succeed(self, request: Request, id: str, activity: str) -> Response:
        """Break the glass: it counts as succeeded, marked for ever. Needs the permission to override."""
        return self._do(operating.succeed, "succeed", OutputsBody, activity)

    @extend_schema(
        operation_id="activities_log",
        parameters=[
            OpenApiParameter("after", OpenApiTypes.INT, description="Only what follows this line; lines count from 1."),
            OpenApiParameter("attempt", OpenApiTypes.INT, description="The attempt's number; else the newest."),
        ],
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def log(self, request: Request, id: str, activity: str) -> HttpResponse:
        """What the attempt wrote; `Last-Line` in the answer's head is what to ask `after` next."""
        run = self._run(activity)[1]
        after, number = (_number(request, name) for name in ("after", "attempt"))
        attempts = run.attempts.order_by("-number") if run else Attempt.objects.none()
        attempt = (attempts.filter(number=number) if number else attempts).only("id").first()
        if attempt is None and (number or run is None):
            raise Http404
        lines: list[str] = []
        last = after
        chunks = LogChunk.objects.filter(attempt=attempt, first_line__gt=after + 1 - F("lines")).order_by("first_line") if attempt else ()
        for chunk in chunks:
            fresh = chunk.text.removesuffix("\n").split("\n")[max(0, after + 1 - chunk.first_line) :]
            lines += fresh
            last = max(last, chunk.first_line + chunk.lines - 1)
        text = "".join(f"{line}\n" for line in lines)
        return HttpResponse(text, content_type="text/plain; charset=utf-8", headers={"Last-Line": str(last)})

    def _run(self, activity: str) -> tuple[Release, ActivityRun | None]:
        """The release and the run; None when the release has no runs yet, 404 for an activity that its process has not."""
        release: Release = self.get_object()
        run = release.runs.filter(key=activity).first()
        if run is None and activity not in compiled(release.version_id).steps:
            raise Http404
        return release, run

    def _do(self, verb: Callable[..., operating.Moves], name: str, kind: type[Body], activity: str) -> Response:
        request = self.request
        release, run = self._run(activity)
        allow(may_do(request.user, name, release, activity), f"{name} this activity")
        if run is None:
            raise Conflict("wrong_state", f"This release is {release.state}: its activities have not begun.", state=release.state)
        wanted = body_of(kind, request)
        if wanted.get("process"):
            # who may not see it is told what is told of one that is not there
            other = Process.objects.visible_to(request.user).filter(identifier=wanted["process"]).first()
            if other is not None:
                allow(may_start(request.user, other), "start that process")
            elif Process.objects.filter(identifier=wanted["process"]).exists():
                said = [Problem("unknown_process", f'The process "{wanted["process"]}" is not there or has never been published.', "/process")]
                raise Invalid("unknown_process", said[0].message, said)
        moves = verb(release=release.pk, activity=activity, actor=actor_of(request), preview=wants_preview(request), **wanted)
        moved = moves_of(moves, release.pk, activity, run.state)
        if wants_preview(request):
            losers = losers_of(compiled(release.version_id).flow.blueprint, activity, wanted.get("outputs") or {}) if name in ("skip", "fail", "ignore") else []
            return Response({"will": moved} | ({"loses": losers} if losers else {}))
        run.refresh_from_db(fields=["state"])
        return Response({"id": activity, "release": release.pk, "state": run.state, "moved": moved})


class Evaluate(View):
    """An expression, tried out."""

    @extend_schema(operation_id="processes_evaluate", request=EvaluateBody, responses=EvaluatedShape)
    def post(self, request: Request, id: str) -> Response:
        """The value, or what is wrong with the expression and at which column. The names are those of a release, else those of the newest version."""
        process = found(Process.objects.visible_to(request.user).filter(identifier=id).first())
        release = None
        if isinstance(request.data, Mapping) and isinstance(number := request.data.get("release"), int):
            release = found(Release.objects.visible_to(request.user).select_related("process", "version", "starter").filter(process=process, pk=number).first())
        wanted = body_of(EvaluateBody, request)
        return Response(trying.tried(wanted["expression"], process=process, release=release))


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not (text.isdecimal() and text.isascii() and len(text) <= 9):
        raise Invalid("invalid", "The log cannot be read so.", [Problem("wrong_type", f"{name} is a number of 0 or more.", f"/{name}")])
    return int(text)


def _event(row: Event) -> dict[str, Any]:
    said = json.loads(row.record)
    return {key: said[key] for key in ("sequence", "verb", "actor", "at", "door", "subject", "reason", "data")}


MOST_DIGITS = finding.MOST_DIGITS
_ID = rf"(?P<id>[0-9]{{1,{MOST_DIGITS}}})"
_RUN = rf"^releases/{_ID}/activities/(?P<activity>[a-z][a-z0-9_]{{0,62}})"
RELEASE_VERBS = ("start", "hold", "resume", "abort", "restart_from", "schedule", "reschedule", "cancel")
routes = [
    re_path(r"^releases/$", Releases.as_view({"get": "list", "post": "create"}), name="releases"),
    re_path(rf"^releases/{_ID}/$", Releases.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}), name="release"),
    *(re_path(rf"^releases/{_ID}/{verb}/$", Releases.as_view({"post": verb}), name=f"release-{verb}") for verb in RELEASE_VERBS),
    re_path(rf"^releases/{_ID}/delete/$", Releases.as_view({"post": "delete_ended"}), name="release-delete"),
    re_path(rf"^releases/{_ID}/events/$", Releases.as_view({"get": "events"}), name="release-events"),
    *(re_path(rf"{_RUN}/{verb}/$", Runs.as_view({"post": verb}), name=f"activity-{verb}") for verb in ("stop", "retry", "ignore", "fail", "skip", "succeed")),
    re_path(rf"{_RUN}/log/$", Runs.as_view({"get": "log"}), name="activity-log"),
    re_path(r"^processes/(?P<id>[a-z][a-z0-9_]{0,62})/evaluate/$", Evaluate.as_view(), name="process-evaluate"),
]
