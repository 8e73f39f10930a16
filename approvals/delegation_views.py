"""The page of one's stand-ins: who decides for me and while I am away, for whom I decide, and what was decided for me."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from approvals.delegating import delegate as delegate_to
from approvals.delegating import end as end_delegation
from approvals.models import Delegation, SignOff
from approvals.pages import Question
from approvals.questions import seen_attempt
from processes.models import Process
from releases.starting_views import acting
from relorch.lib.errors import Conflict, Invalid, NotAllowed

MOST_SHOWN = 50


class WhenInput(forms.DateTimeInput):
    """The browser's own field for a time."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class DelegateForm(forms.Form):
    """To whom, where, how long."""

    to = forms.CharField(label="Who decides for you", help_text="Their e-mail address.", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    process = forms.ModelChoiceField(label="Where", queryset=Process.objects.none(), required=False, empty_label="Everything", to_field_name="identifier")
    starts_at = forms.DateTimeField(label="From", required=False, widget=WhenInput(), help_text="Empty: now.")
    ends_at = forms.DateTimeField(label="Until", required=False, widget=WhenInput(), help_text="Empty: until you end it.")
    reason = forms.CharField(label="Why", required=False, max_length=1_000, help_text="Such as: on leave. They read it.")

    def __init__(self, data: Any, user: Any, *, one: bool = False) -> None:
        super().__init__(data)
        field: Any = self.fields["process"]
        field.queryset = Process.objects.visible_to(user).order_by("name")
        if one:
            del self.fields["process"], self.fields["starts_at"]

    def clean_to(self) -> Any:
        """The person, who must be there."""
        found = get_user_model().objects.filter(email=self.cleaned_data["to"].strip().lower(), is_active=True).first()
        if found is None:
            raise forms.ValidationError("There is no active person with this address.")
        return found

    def refuse(self, refused: Invalid) -> None:
        """What the verb found, at its field."""
        for problem in refused.problems:
            name = problem.place.strip("/")
            self.add_error(name if name in self.fields else None, problem.message)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delegations(request: HttpRequest) -> HttpResponse:
    """What is delegated; POST adds one."""
    user: Any = request.user
    form = DelegateForm(request.POST if request.method == "POST" else None, user)
    if request.method == "POST" and form.is_valid():
        try:
            delegate_to(actor=acting(request), by=user, person=user, **form.cleaned_data)
        except Invalid as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"{form.cleaned_data['to']} may decide for you{_told()}.")
            return HttpResponseRedirect(reverse("approvals:delegations"))
    rows = Delegation.objects.not_over().select_related("person", "delegate", "process", "run__release")
    done = SignOff.objects.filter(Q(for_person=user) | Q(person=user, for_person__isnull=False))
    context = {
        "form": form,
        "given": rows.filter(person=user),
        "received": rows.filter(delegate=user),
        "decided": done.select_related("person", "for_person", "attempt__run__release").order_by("-at")[:MOST_SHOWN],
    }
    return render(request, "approvals/delegations.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def end(request: HttpRequest, pk: int) -> HttpResponse:
    """End one, given or received."""
    user: Any = request.user
    row = get_object_or_404(Delegation.objects.filter(Q(person=user) | Q(delegate=user)).select_related("person", "delegate", "process", "run"), pk=pk)
    end_delegation(actor=acting(request), by=user, delegation=row)
    messages.success(request, "That delegation has ended.")
    return HttpResponseRedirect(reverse("approvals:delegations"))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delegate_one(request: HttpRequest, release: str, activity: str) -> HttpResponse:
    """Let somebody decide on this one question."""
    user: Any = request.user
    attempt = seen_attempt(request, release, activity)
    question = Question.of(attempt, user)
    form = DelegateForm(request.POST if request.method == "POST" else None, user, one=True)
    conflict: Conflict | NotAllowed | None = None
    if request.method == "POST" and form.is_valid():
        try:
            delegate_to(actor=acting(request), by=user, person=user, run=attempt.run, **form.cleaned_data)
        except Invalid as refused:
            form.refuse(refused)
        except (Conflict, NotAllowed) as late:
            conflict = late
        else:
            messages.success(request, f"{form.cleaned_data['to']} may decide this for you{_told()}.")
            return HttpResponseRedirect(reverse("approvals:show", args=[attempt.release_id, activity]))
    status = conflict.status if conflict else 422 if form.errors else 200
    return render(request, "approvals/delegate.html", {"question": question, "form": form, "conflict": conflict}, status=status)


def _told() -> str:
    return ", and is told by mail" if settings.RELORCH_MAIL else "; no mail is sent here, so tell them"
