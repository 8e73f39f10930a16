"""Pages of those who talk: comments and files of a release and of its activities. A form leads back to where it stood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from releases import talking
from releases.flows import compiled
from releases.models import Attachment, Comment, Release
from releases.starting_views import acting
from releases.talk_api import kept_of
from relorch.lib import files
from relorch.lib.errors import Conflict, DomainError, Invalid, NotAllowed
from relorch.lib.rest import TooLarge


def _release(request: HttpRequest, pk: int, key: str = "") -> Release:
    release: Release = get_object_or_404(Release.objects.visible_to(request.user), pk=pk)
    if key and key not in compiled(release.version_id).steps:
        raise Http404
    return release


def _back(request: HttpRequest, pk: int, key: str) -> HttpResponse:
    here = request.POST.get("next", "")
    if here and url_has_allowed_host_and_scheme(here, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return redirect(here)
    where = reverse("releases:activity", args=[pk, key]) if key else reverse("releases:detail", args=[pk])
    return redirect(f"{where}?tab=comments#comments" if key else f"{where}#comments")


def _said(request: HttpRequest, do: Callable[[], Any], done: str) -> Any:
    """What came of it; a refusal is said where the reader comes back to, and nothing was changed."""
    try:
        made = do()
    except (Invalid, Conflict, NotAllowed, TooLarge) as refused:
        messages.error(request, _words(refused))
        return None
    messages.success(request, done)
    return made


def _words(refused: DomainError) -> str:
    problems = [getattr(found, "message", "") or found.get("message", "") for found in refused.problems] if isinstance(refused, Invalid) else []
    return " ".join(problems) or refused.message


@login_required
@require_POST
def comment(request: HttpRequest, pk: int, key: str = "") -> HttpResponse:
    """Say something in the thread of a release or an activity."""
    _release(request, pk, key)
    given: dict[str, Any] = {"text": request.POST.get("text", ""), "task": request.POST.get("task", ""), "mention": request.POST.getlist("mention")}
    made = _said(request, lambda: talking.comment(release=pk, activity=key, actor=acting(request), **given), "Your comment was added.")
    if made and made[1]:
        messages.warning(request, f"Not told, because they do not see this release: {', '.join(made[1])}.")
    return _back(request, pk, key)


@login_required
@require_POST
def change_comment(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Say it differently, or take it back (`delete`)."""
    found = get_object_or_404(Comment.objects.select_related("run"), release=_release(request, pk), pk=number)
    person: Any = request.user
    if "delete" in request.POST:
        _said(request, lambda: talking.delete(comment=found, actor=acting(request), by_superuser=person.is_superuser), "The comment was deleted.")
    else:
        _said(request, lambda: talking.change(comment=found, actor=acting(request), text=request.POST.get("text", "")), "The comment was changed.")
    return _back(request, pk, found.run.key if found.run else "")


@login_required
@require_POST
def attach(request: HttpRequest, pk: int, key: str = "") -> HttpResponse:
    """Bring a file."""
    _release(request, pk, key)
    upload: Any = request.FILES.get("file")
    if upload is None:
        messages.error(request, "Choose a file first.")
        return _back(request, pk, key)
    _said(
        request,
        lambda: talking.attach(release=pk, activity=key, actor=acting(request), kept=files.keep(upload.chunks(), upload.name or "")),
        f"{upload.name} was attached.",
    )
    return _back(request, pk, key)


@login_required
@require_safe
def attachment(request: HttpRequest, pk: int, number: int) -> HttpResponseBase:
    """The file, to be saved."""
    found = get_object_or_404(Attachment, release=_release(request, pk), pk=number, removed_at=None)
    return files.given_out(request, kept_of(found))


@login_required
@require_POST
def remove_attachment(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Take a file back."""
    found = get_object_or_404(Attachment.objects.select_related("run"), release=_release(request, pk), pk=number, removed_at=None)
    person: Any = request.user
    _said(request, lambda: talking.remove(attachment=found, actor=acting(request), by_superuser=person.is_superuser), "The file was removed.")
    return _back(request, pk, found.run.key if found.run else "")
