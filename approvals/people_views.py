"""Pages beside a question: to ask other people, and to ask those again who have not answered."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from approvals.pages import Question
from approvals.questions import seen_attempt
from approvals.reassigning import change_by
from approvals.reassigning import reassign as ask_others
from approvals.reminding import nudge as ask_again
from releases.access import may_do
from releases.starting_views import acting
from relorch.lib.errors import Conflict, Invalid, NotAllowed

_PLACES = {"/owners": "owners", "/line": "line", "/reason": "reason"}


class ReassignForm(forms.Form):
    """Who instead, where, and why."""

    owners = forms.CharField(
        label="Who is asked instead", help_text="user:<e-mail> or group:<name>, one a line or with commas.", widget=forms.Textarea(attrs={"rows": 3})
    )
    line = forms.ChoiceField(label="Which places", required=False)
    reason = forms.CharField(label="Why", help_text="Kept in the audit trail.", widget=forms.Textarea(attrs={"rows": 2}), max_length=10_000)

    def __init__(self, data: Any, question: Question) -> None:
        super().__init__(data)
        left = [(str(n), f"{line.missing} of {', '.join(line.of)}") for n, line in enumerate(question.lines) if line.missing]
        field: Any = self.fields["line"]
        field.choices = [("", "All that are not filled"), *left]

    @property
    def names(self) -> list[str]:
        """The names, however they were separated."""
        return [name.strip() for part in self.cleaned_data["owners"].splitlines() for name in part.split(",") if name.strip()]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def reassign(request: HttpRequest, release: str, activity: str) -> HttpResponse:
    """Who is asked instead: GET shows the form, a POST what it would do, and one that is `sure` does it."""
    attempt = seen_attempt(request, release, activity)
    if not may_do(request.user, "reassign", attempt.run.release, activity):
        raise NotAllowed("not_allowed", "You may see this question, but not ask others: ask its owners, or who operates the release.")
    question = Question.of(attempt, request.user)
    form = ReassignForm(request.POST if request.method == "POST" else None, question)
    conflict = change = None
    if request.method == "POST" and form.is_valid():
        line = form.cleaned_data["line"]
        wanted: dict[str, Any] = {"release": attempt.release_id, "activity": activity, "actor": acting(request), "owners": form.names}
        wanted["line"] = int(line) if line else None
        try:
            if "sure" in request.POST:
                ask_others(reason=form.cleaned_data["reason"], **wanted)
            else:
                change = change_by(**wanted)
        except Invalid as refused:
            for problem in refused.problems:
                form.add_error(_PLACES.get("/" + problem.place.split("/")[1]), problem.message)
        except Conflict as late:
            conflict = late
        else:
            if change is not None:
                return render(request, "approvals/reassign.html", {"question": question, "form": form, "change": change})
            messages.success(request, f"{question.item.title}: others are asked now, and were told.")
            return HttpResponseRedirect(reverse("approvals:show", args=[attempt.release_id, activity]))
    status = 409 if conflict else 422 if form.errors else 200
    return render(request, "approvals/reassign.html", {"question": question, "form": form, "conflict": conflict}, status=status)


@login_required
@require_POST
def nudge(request: HttpRequest, release: str, activity: str) -> HttpResponse:
    """Ask once more; what keeps it from being done is said on the page it leads back to."""
    attempt = seen_attempt(request, release, activity)
    try:
        told = ask_again(release=attempt.release_id, activity=activity, actor=acting(request), message=request.POST.get("message", ""))
    except (Conflict, Invalid) as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, f"{len(told)} {'person was' if len(told) == 1 else 'people were'} asked again.")
    return HttpResponseRedirect(reverse("approvals:show", args=[attempt.release_id, activity]))
