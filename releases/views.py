"""Pages of releases. Each address answers HTMX with its fragment and everybody else with the whole page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified, QueryDict, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from releases import access, confirming, deleting, listing, operating, plan_pages, planning, plans, restarting, saving, scheduling, states
from releases.activity_list import Asked
from releases.activity_pages import VERBS, ActivityPage, lines_of
from releases.models import LogChunk, Release, SavedFilter
from releases.pages import Page, visible
from releases.starting_views import acting
from relorch.lib.errors import NotAllowed
from relorch.lib.htmx import page_or_fragment

_ACTIVITY = re.compile(r"/activities/([a-z][a-z0-9_]*)/")
RELEASE_VERBS: Mapping[str, Callable[..., Any]] = {
    "start": planning.moves_of_start,
    "hold": operating.hold,
    "resume": operating.resume,
    "abort": operating.abort,
    "restart_from": restarting.restart_from,
    "cancel": scheduling.cancel,
    "reschedule": scheduling.reschedule,
    "delete": deleting.delete,
}


def _may_start(user: Any, release: Release) -> bool:
    return access.may_start(user, release.process)


_MAY: Mapping[str, Callable[[Any, Release], bool]] = {
    "start": _may_start,
    "delete": access.may_delete,
    "cancel": access.may_reschedule,
    "reschedule": access.may_reschedule,
}
"""Who may do what, as in the API; the other verbs are for those who operate."""
_WHO_ELSE = {"delete": "an administrator, who gives the right to delete", "start": "an owner of its process"}
"""Who can help somebody who may not, where it is not whoever operates the release."""


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The list."""
    if not request.GET and not getattr(request, "htmx", False):
        default = SavedFilter.objects.visible_to(request.user).filter(default_of=request.user).first()
        if default is not None:
            return redirect(saving.address(default))
    return page_or_fragment(request, "releases/list.html", "releases/_list.html", listing.page_of_list(request))


def _page(request: HttpRequest, pk: int, selected: str = "") -> Page:
    release = get_object_or_404(visible(request.user), pk=pk)
    page = Page(release, request.user, opened=request.GET.get("open", ""), selected=selected, asked=Asked.of(request.GET))
    if selected and selected not in page.flow.steps:
        raise Http404
    return page


def _activity_page(request: HttpRequest, pk: int, key: str) -> ActivityPage:
    page = _page(request, pk, key)
    line = next((line for line in page.lines if line.run.key == key), None)
    if line is None:
        raise Http404
    return ActivityPage(page, line, tab=request.GET.get("tab", ""))


def _context(page: Page, **more: Any) -> dict[str, Any]:
    release, user = page.release, page.user
    can = access.may_edit_draft(user, release) if release.state == states.Release.DRAFT else access.may_operate(user, release)
    if release.state in (states.Release.SCHEDULED, states.Release.MISSED):
        can = access.may_reschedule(user, release)
    may = {"can_operate": can, "can_start": access.may_start(user, release.process), "can_restart": can and release.state in restarting.RESTARTABLE}
    may["can_delete"] = access.may_delete(user, release)
    return {"page": page, "release": release, "nav": "releases:list", "live": release.state in states.LIVE, **may, **more}


@login_required
@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One release."""
    page = _page(request, pk)
    plan = plan_pages.shown(plans.of_release(page.release), page.release.version_id) if page.release.started_at is None else None
    return render(request, "releases/release.html", _context(page, plan=plan))


@login_required
@require_safe
def live(request: HttpRequest, pk: int, shown: str) -> HttpResponse:
    """What changed on the page of a release since the reader's version; `shown` is the state for which its buttons were drawn."""
    address = urlsplit(request.headers.get("HX-Current-URL", ""))
    request.GET = QueryDict(address.query)  # links of the fragments lead back to the page as the reader sees it
    selected = _ACTIVITY.search(address.path)
    release = get_object_or_404(visible(request.user), pk=pk)
    page = Page(release, request.user, opened=request.GET.get("open", ""), selected=selected[1] if selected else "", asked=Asked.of(request.GET))
    if request.headers.get("HX-PTag") == page.version and shown == release.state:
        return HttpResponseNotModified(headers={"HX-PTag": page.version})
    response = render(request, "releases/_live.html", _context(page, changed=shown != release.state))
    response["HX-PTag"] = page.version
    return response


@login_required
@require_safe
def activity(request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """One activity: the drawer, or the release with its drawer open."""
    it = _activity_page(request, pk, key)
    return page_or_fragment(request, "releases/activity.html", "releases/_drawer.html", _drawer(it))


def _drawer(it: ActivityPage, **more: Any) -> dict[str, Any]:
    addresses = {"close_url": it.page.url, "previous_url": it.previous_url, "next_url": it.next_url}
    return _context(it.page, it=it, **addresses, **more)


@login_required
@require_safe
def activity_live(request: HttpRequest, pk: int, key: str, shown: str) -> HttpResponse:
    """The drawer again, once its activity has moved."""
    request.GET = QueryDict(urlsplit(request.headers.get("HX-Current-URL", "")).query)
    it = _activity_page(request, pk, key)
    return HttpResponse(status=204) if it.version == shown else render(request, "releases/_drawer_live.html", _drawer(it))


@login_required
@require_safe
def log(request: HttpRequest, pk: int, key: str) -> Any:
    """The log of the newest attempt: as text, or for HTMX the lines after `?after=` as more rows."""
    it = _activity_page(request, pk, key)
    after = request.GET.get("after", "")
    if not getattr(request, "htmx", False):
        chunks = LogChunk.objects.filter(attempt=it.attempt).order_by("first_line").values_list("text", flat=True) if it.attempt else LogChunk.objects.none()
        response = StreamingHttpResponse((text for text in list(chunks)), content_type="text/plain; charset=utf-8")
        response["X-Content-Type-Options"] = "nosniff"
        return response
    lines = lines_of(it.attempt.pk, int(after)) if it.attempt and after.isdecimal() and len(after) < 10 else []
    if not lines and it.follows:
        return HttpResponse(status=204)
    return render(request, "releases/_log_more.html", {"it": it, "release": it.release, "lines": lines, "after": lines[-1].number if lines else after})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def operate(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A verb on the whole release. GET asks once more and says what would happen."""
    page = _page(request, pk)
    if verb not in RELEASE_VERBS:
        raise Http404
    context = _context(page)
    if not _MAY.get(verb, access.may_operate)(request.user, page.release):
        others = _WHO_ELSE.get(verb, "its starter or an owner of its process")
        raise NotAllowed("not_allowed", f"You may see this release, but not do this: ask {others}.")
    actor = acting(request)
    if verb == "delete" and page.release.state == states.Release.DRAFT:
        if request.method != "POST":
            return redirect("releases:detail", pk)
        planning.delete_draft(release=page.release, actor=actor)
        return redirect("releases:list")
    asked = confirming.of_release(page, verb, RELEASE_VERBS[verb], actor, request.POST if request.method == "POST" else request.GET or None)
    return confirming.answer(request, asked, context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, pk: int, key: str, verb: str) -> HttpResponse:
    """Retry, ignore, fail, skip, stop, override. GET asks once more and says what would happen."""
    it = _activity_page(request, pk, key)
    if verb not in VERBS:
        raise Http404
    if not access.may_do(request.user, verb, it.release, key):
        raise NotAllowed("not_allowed", "You may see this activity, but not do this: ask its owners, or who operates the release.")
    asked = confirming.of_activity(it, VERBS[verb], acting(request))
    return confirming.answer(request, asked, _drawer(it))
