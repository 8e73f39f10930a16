"""What people do with a published version: make it the draft again, and say that it is not to be started any more. Each asks first."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import re_path, reverse
from django.views.decorators.http import require_http_methods

from processes import deprecating, editing
from processes.access import Permission, may
from processes.blueprint import Blueprint
from processes.differences import difference
from processes.models import Process, ProcessVersion
from processes.versions import blueprint_of, newest
from processes.views import around, draft_of, has_changes, visible
from relorch.lib.errors import Conflict, DomainError, Invalid, NotAllowed


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def restore(request: HttpRequest, id: str, number: str) -> HttpResponse:
    """An old version as the draft again. What the draft has that no version has is said before it is lost; who saved meanwhile is not written over."""
    process, version = _of(request, id, number, Permission.AUTHOR, "edit this process")
    if process.archived_at:
        raise Conflict("archived", "An archived process is not edited; take it out of the archive first.", state="archived")
    late: DomainError | None = None
    if request.method == "POST":
        seen = request.POST.get("revision", "")
        try:
            revision = int(seen) if seen.isdecimal() and len(seen) < 10 else -1
            editing.write_draft(process, version.document, actor=request.user, expected_revision=revision)
        except (Conflict, Invalid) as refused:
            late = refused
        else:
            messages.success(request, f"Version {version.number} is the draft again. Nothing is published by it.")
            return HttpResponseRedirect(f"{reverse('processes:versions', args=[process.identifier])}?to=draft")
        process = visible(request, id)
    draft = draft_of(process)
    now, then = draft.blueprint, blueprint_of(version)
    context = around(request, process, "versions") | {
        "version": version,
        "verb": "restore",
        "late": late,
        "unpublished": has_changes(draft, newest(process)),
        "difference": difference(now, then) if isinstance(now, Blueprint) else None,
    }
    return render(request, "processes/version.html", context, status=late.status if late else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def deprecate(request: HttpRequest, id: str, number: str) -> HttpResponse:
    """Not to be started any more, and why."""
    return _deprecation(request, id, number, "deprecate", f"Version {number} is deprecated: it is not started any more. What runs goes on.")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def undeprecate(request: HttpRequest, id: str, number: str) -> HttpResponse:
    """It may be started again."""
    return _deprecation(request, id, number, "undeprecate", f"Version {number} may be started again.")


def _deprecation(request: HttpRequest, id: str, number: str, verb: str, done: str) -> HttpResponse:
    process, version = _of(request, id, number, Permission.PUBLISH, "deprecate versions of this process")
    late: DomainError | None = None
    if request.method == "POST":
        try:
            getattr(deprecating, verb)(version, actor=request.user, reason=request.POST.get("reason", "").strip())
        except (Conflict, Invalid) as refused:
            late = refused
        else:
            messages.success(request, done)
            return HttpResponseRedirect(f"{reverse('processes:versions', args=[process.identifier])}?to={version.number}")
    context = around(request, process, "versions") | {"version": version, "verb": verb, "late": late, "reason": request.POST.get("reason", "")}
    return render(request, "processes/version.html", context, status=late.status if late else 200)


def _of(request: HttpRequest, id: str, number: str, permission: Permission, what: str) -> tuple[Process, ProcessVersion]:
    process = visible(request, id)
    version = get_object_or_404(process.versions.select_related("published_by", "deprecation__by"), number=int(number))
    if not may(request.user, permission, process):
        raise NotAllowed("not_allowed", f"You may not {what}.")
    return process, version


def patterns(id: str) -> list[Any]:
    """Their addresses."""
    one = rf"{id}versions/(?P<number>[0-9]{{1,9}})/"
    return [
        re_path(rf"{one}restore/$", restore, name="version_restore"),
        re_path(rf"{one}deprecate/$", deprecate, name="version_deprecate"),
        re_path(rf"{one}undeprecate/$", undeprecate, name="version_undeprecate"),
    ]
