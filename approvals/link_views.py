"""Where mail links lead. GET and HEAD change nothing and burn nothing; without a session everybody sees the same log-in page, whatever the link is.

The token leaves the address at once: it travels in a cookie of its own over the log-in, so that neither a Referer nor a later address holds it.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, re_path, reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_safe

from approvals import links, packets
from releases.states import LIVE, Run

COOKIE = "__Host-relorch-link" if settings.PRODUCTION else "relorch-link"
ARRIVED = "arrived_by_mail"
"""The attempt to which a person's link has brought them, in their session: a decision on it has come in by mail."""


@require_safe
def arrive(request: HttpRequest, token: str) -> HttpResponse:
    """Take the token out of the address."""
    answer = HttpResponseRedirect(reverse("approvals:link"))
    answer.set_cookie(COOKIE, token[:200], max_age=3600, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax")
    add_never_cache_headers(answer)
    return answer


@require_safe
def follow(request: HttpRequest) -> HttpResponse:
    """To the log-in page, or to the question."""
    if not request.user.is_authenticated:
        return HttpResponseRedirect(f"{reverse(settings.LOGIN_URL)}?next={reverse('approvals:link')}")
    link = links.found(request.COOKIES.get(COOKIE, ""))
    if link is None:
        raise Http404
    if link.person_id != request.user.pk:
        links.opened_by_another(link, request.user)
        raise Http404
    attempt = link.attempt
    is_over = links.is_over(link)
    if link.used_at is None and not is_over:
        request.session[ARRIVED] = link.attempt_id
    if attempt.state == Run.WAITING and attempt.run.release.state in LIVE:
        if is_over:
            messages.info(request, "The link in your mail has expired. This is the question as it is now.")
        elif link.packet != packets.current_hash(attempt):
            messages.warning(request, "Something has changed since the mail was sent. Look at it again before you decide.")
    answer = HttpResponseRedirect(reverse("approvals:show", args=[attempt.release_id, attempt.run.key]))
    answer.delete_cookie(COOKIE, samesite="Lax")
    return answer


urlpatterns = [path("a/", follow, name="link"), re_path(r"^a/(?P<token>[A-Za-z0-9_-]{1,200})/$", arrive, name="link_arrive")]
