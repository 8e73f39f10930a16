"""Pages of input sets: of one process and of all, each with whether a start could take it; to make, change, copy and delete; and what was saved before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, re_path, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from processes import input_sets
from processes.access import Permission, may
from processes.blueprint import ValueType, Variable
from processes.computed import is_computed
from processes.models import InputSet, Process
from processes.paging import page_of
from processes.problems import Problem, errors
from processes.value_fields import ValueForm
from processes.value_sources import SourceForm
from processes.values import check_value, is_empty
from processes.views import around, visible
from relorch.audit.models import Event
from relorch.lib import secrets
from relorch.lib.errors import Conflict, Invalid, NotAllowed

NAV = "processes:input_sets"
MOST_SAVED = 30


class NameForm(forms.Form):
    """What it is called."""

    name = forms.CharField(label="Name", max_length=100)
    description = forms.CharField(label="Description", required=False, max_length=10_000, widget=forms.Textarea({"rows": 2}))


@login_required
@require_safe
def everywhere(request: HttpRequest) -> HttpResponse:
    """The input sets of all processes that this person may see, the last changed first."""
    return render(request, "processes/input_sets.html", {"nav": NAV, **_listed(request, InputSet.objects.visible_to(request.user))})


@login_required
@require_safe
def of_process(request: HttpRequest, id: str) -> HttpResponse:
    """Those of one process."""
    process = visible(request, id)
    context = around(request, process, "sets") | _listed(request, InputSet.objects.filter(process=process))
    return render(request, "processes/input_sets.html", context | {"may_change": _may_change(request, process)})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, id: str) -> HttpResponse:
    """A new one."""
    return _edit(request, visible(request, id), None)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, id: str, number: int) -> HttpResponse:
    """Look at one, and change it."""
    process = visible(request, id)
    return _edit(request, process, get_object_or_404(process.input_sets.select_related("updated_by"), pk=number))


@login_required
@require_POST
def copy(request: HttpRequest, id: str, number: int) -> HttpResponse:
    """Another one with the same values, secrets too."""
    process = visible(request, id)
    row = get_object_or_404(process.input_sets, pk=number)
    _allow(request, process)
    name, taken = f"{row.name[:80]} (copy)", {other.lower() for other in process.input_sets.values_list("name", flat=True)}
    free = next(text for text in (name, *(f"{name[:-1]} {n})" for n in range(2, 1_000))) if text.lower() not in taken)
    specs, _ = input_sets.asked_by([process])[process.pk]
    try:
        made = input_sets.save(process, actor=request.user, name=free, description=row.description, values=input_sets.values_of(row, specs))
    except Invalid as refused:
        messages.error(request, f"{row} cannot be copied as it is: {' '.join(problem.message for problem in refused.problems)}")
        return HttpResponseRedirect(reverse("processes:set", args=[process.identifier, row.pk]))
    return HttpResponseRedirect(reverse("processes:set", args=[process.identifier, made.pk]))


@login_required
@require_POST
def default(request: HttpRequest, id: str, number: int) -> HttpResponse:
    """Taken by a start that names none, or not any more."""
    process = visible(request, id)
    row = get_object_or_404(process.input_sets, pk=number)
    _allow(request, process)
    chosen = request.POST.get("default") == "on"
    input_sets.choose_default(row, chosen=chosen, actor=request.user)
    said = f"A start that names no input set takes {row.name} now." if chosen else f"A start takes {row.name} only when it is named."
    messages.success(request, said)
    return HttpResponseRedirect(reverse("processes:set", args=[process.identifier, row.pk]))


@login_required
@require_POST
def delete(request: HttpRequest, id: str, number: int) -> HttpResponse:
    """Gone; releases that were started with it keep their values."""
    process = visible(request, id)
    row = get_object_or_404(process.input_sets, pk=number)
    _allow(request, process)
    input_sets.delete(row, actor=request.user)
    messages.success(request, f"The input set {row.name} is deleted.")
    return HttpResponseRedirect(reverse("processes:sets", args=[process.identifier]))


def _listed(request: HttpRequest, rows: Any) -> dict[str, Any]:
    text = request.GET.get("q", "").strip()
    if text:
        rows = rows.filter(name__icontains=text)
    page = page_of(request, rows.select_related("process", "updated_by"))
    asked = input_sets.asked_by(row.process for row in page.rows)
    for row in page.rows:
        row.problems = input_sets.problems_of(row, asked[row.process_id])
    return {"page": page, "text": text}


def _edit(request: HttpRequest, process: Process, row: InputSet | None) -> HttpResponse:
    if request.method == "POST":
        _allow(request, process)
    elif row is None and not _may_change(request, process):
        raise NotAllowed("not_allowed", "You may not change the input sets of this process.")
    asked = input_sets.asked_by([process])[process.pk]
    specs = asked[0]
    data = request.POST if request.method == "POST" else None
    kept: Mapping[str, Any] = secrets.hide(row.values) if row else {}
    names = NameForm(data, initial={"name": row.name, "description": row.description} if row else None)
    sources = SourceForm(specs, input_sets.published(process), data, values=kept)
    worked_out = {name for name, value in kept.items() if isinstance(value, str) and name in specs and is_computed(specs[name], value)}
    form = ValueForm(specs, data, values={name: value for name, value in kept.items() if not secrets.is_hidden(value) and name not in worked_out})
    form.prefix = "value"
    status = 200
    if data is not None:
        values, problems = _read(specs, form.given, kept, sources.given())
        form.refuse(problems, "/inputs/")
        status = 422
        if names.is_valid() and not problems:
            try:
                said = names.cleaned_data
                seen = request.POST.get("seen", "") if row else None
                saved = input_sets.save(
                    process, actor=request.user, name=said["name"], description=said["description"], values=values, input_set=row, seen=seen
                )
            except Invalid as refused:
                form.refuse(sources.refuse(refused.problems), "/values/")
            except Conflict as taken:
                names.add_error("name" if taken.code == "input_set_exists" else None, taken.message)
                status = 409
                if row:
                    row.refresh_from_db()
            else:
                messages.success(request, f"The input set {saved.name} is saved. Releases that were started with it keep their values.")
                return HttpResponseRedirect(reverse("processes:set", args=[process.identifier, saved.pk]))
    for name, value in kept.items():
        if secrets.is_hidden(value) and name in form.fields:
            form.fields[name].help_text = "Kept; fill in only to use another one"
    context = around(request, process, "sets") | {
        "row": row,
        "seen": input_sets.state_of(row) if row else "",
        "names": names,
        "form": form,
        "rows": [(form[name], *_source(sources, name)) for name in specs],
        "sources": sources,
        "may_change": _may_change(request, process),
        "problems": input_sets.problems_of(row, asked) if row else [],
        "saved_before": _history(process, row) if row else [],
    }
    return render(request, "processes/input_set.html", context, status=status)


def _source(sources: SourceForm, name: str) -> tuple[Any, Any]:
    return (sources[name], sources[f"{name}.text"]) if name in sources.specs else (None, None)


def _read(
    specs: Mapping[str, Variable], given: Mapping[str, Any], kept: Mapping[str, Any], worked_out: Mapping[str, str]
) -> tuple[dict[str, Any], list[Problem]]:
    """The values as they were typed; an empty field gives none, an empty secret keeps the one that is there, an expression goes before a value."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, spec in specs.items():
        value = given.get(name)
        if name in worked_out:
            values[name] = worked_out[name] or None
        elif spec.type is ValueType.BOOLEAN:
            values[name] = name in given
        elif name not in given or is_empty(spec, value, form=True):
            if spec.type is ValueType.SECRET and secrets.is_hidden(kept.get(name)):
                values[name] = kept[name]
        else:
            values[name], found = check_value(spec, value, name=name, form=True)
            problems += errors(found)
    return values, problems


def _history(process: Process, row: InputSet) -> list[dict[str, Any]]:
    """The last times it was saved, newest first, and which values were others than the time before."""
    rows = Event.objects.filter(stream=f"process:{process.pk}", verb="input_set.saved", record__contains=f'"input_set":{row.pk},"name"')
    records = [(event.at, json.loads(event.record)) for event in rows.order_by("-sequence")[: MOST_SAVED + 1]]
    before = [record["data"]["values"] for _, record in records[1:]] + [{}]
    found = []
    for (at, record), earlier in zip(records[:MOST_SAVED], before, strict=False):
        values = record["data"]["values"]
        moved = [name for name in sorted({*values, *earlier}) if values.get(name) != earlier.get(name)]
        shown = [
            (name, "hidden" if secrets.is_hidden(values.get(name)) else json.dumps(values[name], ensure_ascii=False)[:80] if name in values else "")
            for name in moved
        ]
        found.append({"at": at, "by": record["actor"], "name": record["data"]["name"], "moved": shown})
    return found


def _may_change(request: HttpRequest, process: Process) -> bool:
    return may(request.user, Permission.START, process) or may(request.user, Permission.AUTHOR, process)


def _allow(request: HttpRequest, process: Process) -> None:
    if not _may_change(request, process):
        raise NotAllowed("not_allowed", "You may not change the input sets of this process.")


_AT = r"^(?P<id>[a-z][a-z0-9_]{0,62})/input-sets/"
urlpatterns = [
    path("input-sets/", everywhere, name="input_sets"),
    re_path(rf"{_AT}$", of_process, name="sets"),
    re_path(rf"{_AT}new/$", new, name="set_new"),
    re_path(rf"{_AT}(?P<number>[0-9]{{1,18}})/$", edit, name="set"),
    re_path(rf"{_AT}(?P<number>[0-9]{{1,18}})/copy/$", copy, name="set_copy"),
    re_path(rf"{_AT}(?P<number>[0-9]{{1,18}})/default/$", default, name="set_default"),
    re_path(rf"{_AT}(?P<number>[0-9]{{1,18}})/delete/$", delete, name="set_delete"),
]
