"""A draft in four steps, each its own page: what it is, when, with which inputs, and then all of it before it starts. Every step is kept as it is sent."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from processes.problems import Problem
from releases import access, plan_pages, planning, plans, scheduling, states
from releases.draft_forms import DatesForm, OverviewForm, take, version_row
from releases.flows import compiled
from releases.forms import StartForm
from releases.models import Release
from releases.pages import Page, shown_moves, visible
from releases.starting_views import acting
from releases.times_form import TimesForm
from relorch.lib.errors import Conflict, Invalid, NotAllowed

STEPS = {"overview": "Overview", "dates": "Process and dates", "inputs": "Inputs", "summary": "Summary and run"}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int, step: str) -> HttpResponse:
    """One step of a draft. A step that is sent is kept, and leads to the next one; what is wrong is said, and nothing entered is lost."""
    release = get_object_or_404(visible(request.user), pk=pk)
    if step not in STEPS:
        raise Http404
    if not access.may_edit_draft(request.user, release):
        raise NotAllowed("not_allowed", "You may see this release, but not change it: ask its starter.")
    if release.state != states.Release.DRAFT:
        raise Conflict("wrong_state", f"This release is {release.state}: only a draft can be changed.", state=release.state)
    if step == "summary":
        return _summary(request, release)
    form = _form(step, release, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid() and _keep(step, form, release, request):
        going = request.POST.get("go", "next")
        after = list(STEPS)[list(STEPS).index(step) + 1]
        return redirect("releases:detail", pk) if going == "leave" else redirect("releases:edit", pk, after)
    return _shown(request, release, step, form)


def _form(step: str, release: Release, data: QueryDict | None) -> Any:
    if step == "overview":
        return OverviewForm(data, initial=OverviewForm.shown(release))
    if step == "dates":
        pinned = str(release.version.number) if release.version_pinned else ""
        return DatesForm(data, initial={**TimesForm.shown(release), "version": pinned}, release=release)
    blueprint = compiled(release.version_id).flow.blueprint
    return StartForm(data, process=release.process, version=release.version, blueprint=blueprint, like=release, name=release.name)


def _keep(step: str, form: Any, release: Release, request: HttpRequest) -> bool:
    """Store the step; False when it cannot be taken, which the form then says."""
    given: dict[str, Any] = {}
    if step == "overview":
        given = {"name": form.cleaned_data["name"], "details": form.details}
    elif step == "dates":
        given = {"version": version_row(release, form.number), "pinned": form.number is not None, "times": form.times}
    else:
        plain, problems = planning.from_form(release, form.given_with_kept())
        if wrong := [problem for problem in problems if problem.code != "required"]:
            form.take(Invalid("invalid_inputs", "Some inputs cannot be taken as they are.", wrong))
            return False
        given = {"given": plain}
    try:
        planning.change_draft(release=release, actor=acting(request), seen=lambda _: None, **given)
    except Invalid as error:
        take(form, error)
        return False
    except Conflict as refusal:
        if refusal.code != "identifier_taken":
            raise
        form.add_error("identifier", refusal.message)
        return False
    return True


def _shown(request: HttpRequest, release: Release, step: str, form: Any) -> HttpResponse:
    status = 422 if form.is_bound else 200
    return render(request, "releases/draft.html", {**_around(release, step), "form": form}, status=status)


def _around(release: Release, step: str) -> dict[str, Any]:
    names = list(STEPS)
    tabs = [
        {"label": f"{n + 1}. {label}", "url": reverse("releases:edit", args=[release.pk, name]), "current": name == step}
        for n, (name, label) in enumerate(STEPS.items())
    ]
    before = names[names.index(step) - 1] if step != names[0] else ""
    return {
        "release": release,
        "step": step,
        "title": STEPS[step],
        "tabs": tabs,
        "before": reverse("releases:edit", args=[release.pk, before]) if before else "",
        "plan": plan_pages.shown(plans.of_release(release), release.version_id),
        "nav": "releases:list",
    }


def _summary(request: HttpRequest, release: Release) -> HttpResponse:
    """Everything once more, what would happen, and the two ways on: start it now, or schedule it."""
    problems: list[Any] = []
    actor = acting(request)
    going = request.POST.get("go", "") if request.method == "POST" else ""
    if going not in ("", "start", "schedule"):
        raise Http404
    may_start = access.may_start(request.user, release.process)
    if going and not may_start:
        raise NotAllowed("not_allowed", "You may prepare this release, but not start it: ask an owner of its process.")
    moves: list[Any] = []
    try:
        if going == "start":
            planning.moves_of_start(release=release, actor=actor)
        elif going == "schedule":
            if release.scheduled_for is None:
                raise Invalid("invalid", "It cannot be scheduled so.", [Problem("required", "Say when it is to start.", "/scheduled_for")])
            scheduling.schedule(
                release=release, actor=actor, scheduled_for=release.scheduled_for, expected_end=release.expected_end, auto_start=release.auto_start
            )
        elif may_start:
            moves = planning.moves_of_start(release=visible(request.user).get(pk=release.pk), actor=actor, preview=True)
    except Invalid as error:
        problems = list(error.problems) or [error]
    else:
        if going:
            messages.success(request, f"{release.name} {'has started' if going == 'start' else 'is scheduled'}.")
            return redirect("releases:detail", release.pk)
    page = Page(release, request.user)
    context = {
        **_around(release, "summary"),
        "problems": [{"message": one.message, "url": _step_of(release, getattr(one, "place", ""))} for one in problems],
        "moves": shown_moves(moves, release, page.labels)[:12],
        "may_start": may_start,
        "inputs": _inputs(release),
        "page": page,
    }
    return render(request, "releases/draft_summary.html", context, status=422 if going and problems else 200)


def _step_of(release: Release, place: str) -> str:
    step = "inputs" if place.startswith(("/inputs", "/variables")) else "dates" if place in ("/scheduled_for", "/expected_end") else "overview"
    return reverse("releases:edit", args=[release.pk, step])


def _inputs(release: Release) -> list[tuple[str, str]]:
    specs = compiled(release.version_id).flow.blueprint.inputs
    return [(spec.name or name, StartForm.said(spec, release.inputs[name]) if name in release.inputs else "not given") for name, spec in specs.items()]
