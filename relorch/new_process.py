"""Where a process begins: from a description, a blueprint, another process or a file. Here, because the graph is drawn by `releases`.

Each way leads to the same look at the draft: what it does, what it leaves open, what is wrong with it, its graph, and how it differs from what is
there. Nothing is stored until it is saved, and saving never publishes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods

from processes import drafting, editing, publishing, reading
from processes.access import may_create
from processes.blueprint import Blueprint
from processes.differences import difference
from processes.draft_text import typed
from processes.drafts import document_of
from processes.models import Process
from processes.new_forms import BlueprintForm, CopyForm, DescriptionForm, FileForm, SaveForm
from processes.problems import errors
from processes.starting_points import blueprints, copy_of, free_id, owned
from processes.writing import yaml_text
from releases.graph import layout
from relorch.lib.errors import Conflict, DomainError, Invalid, NotAllowed
from relorch.process_pages import picture_of

WAYS = {"description": "Describe it", "blueprint": "Blueprint", "copy": "Another process", "file": "File"}
NOTHING = Blueprint(id="nothing", phases=())


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Choose a way, look at the draft, save it."""
    if not may_create(request.user):
        raise NotAllowed("not_allowed", "You may not create processes. An administrator can give you the right “author”.")
    if request.method == "POST" and "save" in request.POST:
        return _save(request)
    if request.method == "POST" and "look" in request.POST:
        return _look(request, SaveForm(request.POST, person=request.user))
    way = request.GET.get("from", "")
    way = way if way in WAYS else "description"
    form = _form(way, request)
    if request.method != "POST" or not form.is_valid():
        return _choose(request, way, form, status=422 if request.method == "POST" else 200)
    try:
        source, more = _begin(way, form, request)
    except DomainError as refused:
        form.add_error(None, refused.message)
        return _choose(request, way, form, status=refused.status)
    return _look(request, SaveForm(initial={"yaml": source}, person=request.user), source=source, more=more)


def _form(way: str, request: HttpRequest) -> forms.Form:
    data, files = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    if way == "copy":
        return CopyForm(data, person=request.user, initial={"process": request.GET.get("process")})
    kinds: dict[str, type[forms.Form]] = {"description": DescriptionForm, "blueprint": BlueprintForm, "file": FileForm}
    return kinds[way](data, files)


def _begin(way: str, form: forms.Form, request: HttpRequest) -> tuple[str, dict[str, Any]]:
    """The source of the draft, and what else is known of it."""
    data = form.cleaned_data
    if way == "description":
        draft = drafting.drafted(data["text"], actor=request.user, using=data["using"] or "rules")
        return draft.yaml, {"questions": draft.questions, "summary": draft.summary}
    if way == "blueprint":
        point = next(point for point in blueprints() if point.key == data["blueprint"])
        document = reading.document(point.blueprint)
        return yaml_text(owned(document | {"id": free_id(document["id"])}, request.user)), {"summary": point.blueprint.description}
    if way == "copy":
        return yaml_text(copy_of(data["process"])), {"summary": f"A copy of {data['process']}."}
    if data["file"]:
        return reading.read(data["file"].read()).source, {}
    return data["source"], {}


def _choose(request: HttpRequest, way: str, form: forms.Form, *, status: int) -> HttpResponse:
    tabs = [{"label": label, "url": f"{reverse('processes:new')}?from={key}", "count": "", "current": key == way} for key, label in WAYS.items()]
    return render(request, "processes/new.html", {"tabs": tabs, "form": form, "way": way, "has_file": way == "file"}, status=status)


def _look(
    request: HttpRequest, form: SaveForm, *, source: str = "", more: Mapping[str, Any] | None = None, conflict: str = "", status: int = 200
) -> HttpResponse:
    into: Process | None = None
    if form.is_bound:
        form.is_valid()
        source = form.data.get("yaml", "")
        into = form.cleaned_data.get("into")
    read = reading.read(source)
    blueprint = read.blueprint if isinstance(read.blueprint, Blueprint) else None
    problems = publishing.problems_in(read, actor=request.user)
    before = reading.parse(document_of(into)).blueprint if into else NOTHING
    context = {
        "form": form,
        "into": into,
        "seen": f"{into.pk}.{into.revision}" if into else "",
        "blueprint": blueprint,
        "graph": layout(*picture_of(blueprint)) if blueprint and blueprint.phases else None,
        "problems": sorted(problems, key=lambda problem: problem not in errors(problems)),
        "blocking": len(errors(problems)),
        "unreadable": bool(errors([*read.problems, *editing.unstorable(read)])),
        "difference": difference(before, blueprint) if blueprint and isinstance(before, Blueprint) else None,
        "conflict": conflict,
        **(more or {}),
    }
    return render(request, "processes/new_draft.html", context, status=status)


def _save(request: HttpRequest) -> HttpResponse:
    form = SaveForm(request.POST, person=request.user)
    if not form.is_valid():
        return _look(request, form, status=422)
    read = reading.read(form.cleaned_data["yaml"])
    try:
        if errors([*read.problems, *editing.unstorable(read)]):
            raise Invalid("unreadable", "The document cannot be read.", publishing.problems_in(read, actor=request.user))
        process = _saved(request, form, read)
    except Invalid as refused:
        about_owners = [problem for problem in refused.problems if problem.code in ("only_owners", "last_owner")]
        return _look(request, form, conflict=refused.message if about_owners else "", status=refused.status)
    except Conflict as late:
        return _look(request, form, conflict=late.message, status=late.status)
    messages.success(request, f"{process} is saved as a draft. Nothing is published.")
    return HttpResponseRedirect(reverse("processes:show", args=[process.identifier]))


def _saved(request: HttpRequest, form: SaveForm, read: reading.Reading) -> Process:
    into: Process | None = form.cleaned_data["into"]
    if into is None:
        return editing.create_process(read.document, actor=request.user, text=typed(read))
    seen, _, revision = form.cleaned_data["seen"].partition(".")
    if seen != str(into.pk) or not (revision.isdecimal() and len(revision) < 10):
        raise Conflict("look_first", f"This would replace the draft of {into}. Look at what it changes below, then save.", state="draft")
    document = read.document | {"id": into.identifier}
    return editing.write_draft(into, document, actor=request.user, expected_revision=int(revision), text=typed(read))


urlpatterns = [path("new-process/", new, name="new")]  # no id of a process has a hyphen
