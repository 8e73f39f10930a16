"""The pages of whoever decides by a code: ask for it, type it, decide. Until a code fits, the pages are the same whatever the link is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from approvals import codes, links, signing
from approvals.forms import DecisionForm
from approvals.link_views import COOKIE
from approvals.models import LinkToken, MailCode, SignOff
from approvals.pages import Question
from releases.engine import Actor
from relorch.lib.errors import Conflict, Invalid, NotAllowed

AT_LEAST = 0.3
"""Seconds that an answer takes whatever the link is, so that its time does not tell; more than the work needs."""
OPENED = "opened_by_code"
"""In the session of somebody who is not signed in: the code that they have typed."""


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    """Say one's own address and have a code sent: a scanner that sends every form does not know it, and so changes nothing."""
    _only_where_allowed()
    if request.method == "POST":
        with _in_the_same_time():
            link = _link(request)
            if link is not None:
                codes.ask(link, request.POST.get("address", ""))
        return HttpResponseRedirect(reverse("approvals:code_enter"))
    return render(request, "approvals/code.html", {"step": "ask"})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest) -> HttpResponse:
    """Type it."""
    _only_where_allowed()
    if request.method == "POST":
        with _in_the_same_time():
            link = _link(request)
            code = codes.opened(link, request.POST.get("code", ""), address=request.META.get("REMOTE_ADDR") or "") if link is not None else None
        if code is not None:
            request.session[OPENED] = code.pk
            return HttpResponseRedirect(reverse("approvals:code_decide"))
        return render(request, "approvals/code.html", {"step": "enter", "wrong": True}, status=403)
    return render(request, "approvals/code.html", {"step": "enter"})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def decide(request: HttpRequest) -> HttpResponse:
    """The one question, and the one decision. Whether the person may is asked afresh with each request (A-09)."""
    _only_where_allowed()
    code = codes.still_good(request.session.get(OPENED))
    if code is None or (request.user.is_authenticated and request.user.pk != code.person_id):
        request.session.pop(OPENED, None)
        return render(request, "approvals/code.html", {"step": "enter", "over": True}, status=403)
    return _decided(request, code) if request.method == "POST" else _page(request, code)


def _link(request: HttpRequest) -> LinkToken | None:
    """The link that led here. Whoever is signed in as somebody else gets no further with it than on its own page (S20)."""
    link = links.found(request.COOKIES.get(COOKIE, ""))
    if link is not None and request.user.is_authenticated and link.person_id != request.user.pk:
        links.opened_by_another(link, request.user)
        raise Http404
    return link


def _decided(request: HttpRequest, code: MailCode) -> HttpResponse:
    person, attempt = code.person, code.attempt
    question = Question.of(attempt, person)
    form = DecisionForm({}, question.item.case.approval, request.POST)
    if not codes.take(code):
        raise Conflict("code_used", "This code has been used.", state=attempt.state)
    try:
        signed = signing.sign_off(
            release=attempt.release_id,
            activity=attempt.run.key,
            person=person,
            actor=Actor(person.pk, person.email, SignOff.Door.MAIL),
            decision=request.POST.get("decision", ""),
            comment=request.POST.get("comment", "").strip(),
            packet=code.packet,
            address=request.META.get("REMOTE_ADDR") or None,
            by_code=True,
        )
    except Invalid as refused:
        codes.give_back(code)
        form.refuse(refused.problems)
        return _page(request, code, form=form, status=422)
    except (Conflict, NotAllowed) as refused:
        # what was asked is not there any more: neither is the code
        request.session.pop(OPENED, None)
        return render(request, "approvals/code.html", {"step": "over", "said": refused.message}, status=409)
    except Exception:
        codes.give_back(code)  # a database that is busy, say: nothing was decided, and it can be sent again
        raise
    request.session.pop(OPENED, None)
    links.used(attempt, person)
    word = "approved" if signed.sign_off.decision == SignOff.Decision.APPROVE else "rejected"
    return render(request, "approvals/code.html", {"step": "done", "said": f"You {word} {question.item.title}."})


def _page(request: HttpRequest, code: MailCode, *, form: DecisionForm | None = None, status: int = 200) -> HttpResponse:
    question = Question.of(code.attempt, code.person)
    if question.packet != code.packet:
        messages.warning(request, "Something has changed since your code was sent. Ask for another one.")
        request.session.pop(OPENED, None)
        return HttpResponseRedirect(reverse("approvals:code"))
    context: dict[str, Any] = {"question": question, "form": form or DecisionForm({}, question.item.case.approval)}
    return render(request, "approvals/code_decide.html", context | {"chosen": context["form"].chosen}, status=status)


@contextmanager
def _in_the_same_time() -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        if not connection.in_atomic_block:
            connection.close()  # what waits here must not keep others from the database
        time.sleep(max(0.0, AT_LEAST - (time.monotonic() - began)))


def _only_where_allowed() -> None:
    if not settings.RELORCH_MAIL_CODES:
        raise Http404


urlpatterns = [
    path("a/code/", ask, name="code"),
    path("a/code/enter/", enter, name="code_enter"),
    path("a/code/decide/", decide, name="code_decide"),
]
