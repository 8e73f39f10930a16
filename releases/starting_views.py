"""Pages that start a release: choose a process, fill in its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from processes.deprecating import deprecation_of
from processes.models import InputSet, Process
from processes.versions import newest
from releases import finding, plan_pages, plans
from releases.access import may_operate
from releases.engine import Actor
from releases.flows import compiled
from releases.forms import StartForm
from releases.models import Release
from releases.times_form import TimesForm
from relorch.requests import claims


@login_required
@require_safe
def choose(request: HttpRequest) -> HttpResponse:
    """Which process?"""
    found = Process.objects.startable_by(request.user).with_counts()
    text = request.GET.get("q", "").strip()
    if text:
        found = found.filter(name__icontains=text)
    return render(request, "releases/choose.html", {"processes": found[:200], "q": text, "nav": "releases:list"})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest, process: str, *, only_plan: bool = False) -> HttpResponse:
    """The form of one process; sent twice it starts one release. `preview`, or `only_plan`, says what would happen, and changes nothing."""
    found = get_object_or_404(Process.objects.startable_by(request.user), identifier=process)
    version = newest(found)
    if version is None:
        raise Http404
    asked = request.POST if request.method == "POST" else request.GET
    sets = list(found.input_sets.all())
    like = _like(request, found, asked.get("like", ""))
    chosen = _chosen(request, sets, like)
    data = request.POST if request.method == "POST" else None
    form = StartForm(
        data,
        process=found,
        version=version,
        blueprint=compiled(version.pk).flow.blueprint,
        chosen=chosen,
        like=None if chosen else like,
        carry=like is not None and may_operate(request.user, like),
        name=like.name if like else "",
        starter=request.user,
    )
    times = TimesForm(data, required=False)

    if form.is_bound and request.POST.get("do") == "preview":
        return _page(request, form, sets, times)
    if form.is_bound and only_plan:
        return render(request, "releases/_plan.html", {"plan": _plan(form, request.user), "plan_url": request.path})

    def answer() -> HttpResponse:
        do = request.POST.get("do", "start")
        if do == "schedule":
            times.needs_time = True
            if not times.is_valid():
                form.is_valid()
                return _page(request, form, sets, times, status=422)
        release = form.make(do, times.times, acting(request), request.user)
        if release is None:
            return _page(request, form, sets, times, status=422)
        if do == "draft":
            return redirect("releases:edit", release.pk, "overview")
        messages.success(request, f"{release.name} {'is scheduled' if do == 'schedule' else 'has started'}.")
        return redirect("releases:detail", release.pk)

    return once(request, form.data.get("key", ""), answer) if form.is_bound else _page(request, form, sets, times)


def _chosen(request: HttpRequest, sets: list[InputSet], like: Release | None) -> InputSet | None:
    """The input set that was named, or the process's default one when a new form names none."""
    asked = request.POST if request.method == "POST" else request.GET
    if "input_set" in asked:
        return next((item for item in sets if str(item.pk) == asked["input_set"]), None)
    return next((item for item in sets if item.is_default), None) if like is None and request.method != "POST" else None


def _like(request: HttpRequest, process: Process, number: str) -> Release | None:
    """The release that the new one is to be like, if the reader may see it."""
    found: Release | None = Release.objects.visible_to(request.user).filter(pk=finding.number_in(number), process=process).first()
    return found


def _last(form: StartForm, person: Any) -> Release | None:
    """The release of this process that this person started last, whose values they may want again."""
    found: Release | None = Release.objects.filter(process=form.process, starter=person, parent_run=None).order_by("-pk").first()
    return found


def acting(request: HttpRequest) -> Actor:
    """Whoever is logged in, by the page."""
    person: Any = request.user
    return Actor(person.pk, person.email, "page")


def once(request: HttpRequest, key: str, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """A form that is sent twice is done once: the second sender is led to where the first one was."""
    if not key:
        return answer()
    taken = claims.take(person=request.user, key=f"form:{key}"[:255], fingerprint=request.path)
    if isinstance(taken, claims.Answer):
        return redirect(taken.headers["Location"])
    claims.begin(taken)
    try:
        given = answer()
    except BaseException:
        claims.give_up(taken)
        raise
    if given.status_code == 302:
        claims.settle(taken, claims.Answer(302, {"Location": given["Location"]}, ""))
    else:
        claims.give_up(taken)
    return given


def _plan(form: StartForm, starter: Any) -> plan_pages.Shown:
    """What would happen with the form as it is filled in."""
    given = form.given_with_kept() if form.is_bound else form.prefilled_values()
    plan = plans.of_process(form.process, given, version=form.version, form=form.is_bound, starter=starter)
    return plan_pages.shown(plan, form.version.pk)


def _page(request: HttpRequest, form: StartForm, sets: list[InputSet], times: TimesForm, status: int = 200) -> HttpResponse:
    person: Any = request.user
    context: dict[str, Any] = {
        "form": form,
        "sets": sets,
        "last": None if form.is_bound or form.like or "input_set" in request.GET else _last(form, person),
        "times": times,
        "process": form.process,
        "version": form.version,
        "deprecation": deprecation_of(form.version),
        "plan": _plan(form, request.user),
        "plan_url": reverse("releases:plan_process", args=[form.process.identifier]),
        "nav": "releases:list",
    }
    return render(request, "releases/start.html", context, status=status)
