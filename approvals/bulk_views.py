"""The page on which several questions that ask the same are decided with one form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from approvals import together as several
from approvals.forms import COMMENT_HINTS
from approvals.models import SignOff
from approvals.pages import Question
from processes.problems import Problem
from releases.engine import Actor
from relorch.lib.errors import Invalid


@login_required
@require_safe
def together(request: HttpRequest) -> HttpResponse:
    """What was selected, as it is now: one form for each set of questions that ask the same. Looking changes nothing (S20)."""
    return _page(request, request.GET.getlist("item"))


@login_required
@require_POST
def decide(request: HttpRequest) -> HttpResponse:
    """One record for each of the chosen, through the same door as a single decision; what has changed since drops out and is said."""
    user: Any = request.user
    said = request.POST.getlist("item")
    comment = request.POST.get("comment", "").strip()
    try:
        outcome = several.decide(
            several.places(said),
            person=user,
            actor=Actor(user.pk, user.email, SignOff.Door.PAGE),
            decision=request.POST.get("decision", ""),
            comment=comment,
            address=request.META.get("REMOTE_ADDR") or None,
        )
    except Invalid as refused:
        return _page(request, said, problems=[problem for problem in refused.problems if isinstance(problem, Problem)], comment=comment, status=422)
    return render(request, "approvals/together.html", {"outcome": outcome, "left": outcome.left})


def _page(request: HttpRequest, said: Sequence[str], *, problems: Sequence[Problem] = (), comment: str = "", status: int = 200) -> HttpResponse:
    selection = several.selected([(release, activity) for release, activity, _ in several.places(said)], request.user)
    groups = [
        {"question": Question(asked[0].item, request.user), "asked": asked, "comment_hint": COMMENT_HINTS[asked[0].item.case.approval.comment]}
        for asked in selection.groups
    ]
    return render(request, "approvals/together.html", {"groups": groups, "left": selection.left, "problems": problems, "comment": comment}, status=status)
