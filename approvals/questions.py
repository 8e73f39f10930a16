"""The question that a page is about, if its reader may see it."""

from __future__ import annotations

from django.http import Http404, HttpRequest

from releases.models import Attempt, Release


def seen_attempt(request: HttpRequest, release: str, activity: str) -> Attempt:
    """The last attempt of a manual activity that this person may see; else 404, and so while nobody was asked."""
    seen = Release.objects.visible_to(request.user).filter(pk=int(release)).values("pk")
    found = (
        Attempt.objects.filter(release__in=seen, run__key=activity, run__type="manual", asked_at__isnull=False)
        .select_related("run__release__process", "run__release__starter", "run__release__version__published_by")
        .order_by("-number")
        .first()
    )
    if found is None:
        raise Http404
    return found
