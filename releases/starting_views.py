"""Pages that start a release: choose a process, fill in its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from processes.blueprint import Activity, ActivityType, Blueprint
from processes.models import InputSet, Process
from processes.versions import newest
from releases.engine import Actor
from releases.flows import compiled
from releases.forms import StartForm
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
def start(request: HttpRequest, process: str) -> HttpResponse:
    """The form of one process; sent twice it starts one release."""
    found = get_object_or_404(Process.objects.startable_by(request.user), identifier=process)
    version = newest(found)
    if version is None:
        raise Http404
    blueprint = compiled(version.pk).flow.blueprint
    sets = list(found.input_sets.all())
    wanted = (request.POST if request.method == "POST" else request.GET).get("input_set", "")
    chosen = next((item for item in sets if str(item.pk) == wanted), None)
    form = StartForm(request.POST if request.method == "POST" else None, process=found, version=version, blueprint=blueprint, chosen=chosen)

    def answer() -> HttpResponse:
        release = form.start(acting(request), request.user)
        if release is None:
            return _page(request, form, sets, status=422)
        messages.success(request, f"{release.name} has started.")
        return redirect("releases:detail", release.pk)

    return once(request, form.data.get("key", ""), answer) if form.is_bound else _page(request, form, sets)


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


def _page(request: HttpRequest, form: StartForm, sets: list[InputSet], status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "sets": sets,
        "process": form.process,
        "version": form.version,
        "plan": _plan(form.blueprint),
        "nav": "releases:list",
    }
    return render(request, "releases/start.html", context, status=status)


def _plan(blueprint: Blueprint) -> dict[str, Any]:
    steps = [step for phase in blueprint.phases for step in phase.activities]
    manual = [step for step in steps if step.type is ActivityType.MANUAL]
    phases = [
        {"label": phase.label, "number": len(phase.activities), "asked": _asked(phase.activities), "condition": bool(phase.condition)}
        for phase in blueprint.phases
    ]
    owners = [name for phase in blueprint.phases for step in phase.activities for name in _who(step) or (phase.owners if step in manual else ())]
    return {"automated": len(steps) - len(manual), "manual": len(manual), "phases": phases, "asked": list(dict.fromkeys(owners))}


def _who(step: Activity) -> tuple[str, ...]:
    if step.type is not ActivityType.MANUAL:
        return ()
    lines = step.approval.requires if step.approval else ()
    return tuple(name for line in lines for name in line.of) or step.owners


def _asked(steps: tuple[Activity, ...]) -> str:
    names = list(dict.fromkeys(name.partition(":")[2] for step in steps for name in _who(step)))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
