"""Pages of the activity store: browse, look, make, change, put away. They work on the document; its form is the file's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, re_path, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from processes import reading, storing
from processes.access import may_change_template, may_create, may_unshare_template
from processes.blueprint import Blueprint, StoreActivity
from processes.draft_text import plain
from processes.edit_views import mark_of
from processes.models import ActivityTemplate, Process
from processes.paging import CALLED, page_of
from processes.problems import Problem, errors
from processes.showing import input_row
from processes.surroundings import world
from processes.words import words_of_store
from processes.writing import yaml_text
from relorch.lib.errors import Conflict, Invalid, NotAllowed

MOST_USES = 50
LONGEST_TEXT = 500_000
NAV = "processes:store"
_EXAMPLE = """\
apiVersion: relorch/v1
kind: Activity
id: say_something
name: Say something
category: communication
inputs:
  text: {type: string, required: true}
outputs:
  said: {type: string}
activity:
  type: automated
  connector: noop
  with: {outputs: {said: "${{ inputs.text }}"}}
"""


class TemplateForm(forms.Form):
    """The document of an activity of the store."""

    source = forms.CharField(
        label="Activity",
        strip=False,
        max_length=LONGEST_TEXT,
        widget=forms.Textarea(
            {"rows": 30, "class": "textarea mono editor__text", "spellcheck": "false", "autocapitalize": "off", "wrap": "off", "data-editor": True}
        ),
    )
    note = forms.CharField(label="What changes, and why", required=False, max_length=10_000)
    shared = forms.BooleanField(label="Everybody here may see and use it", required=False)
    revision = forms.IntegerField(required=False, widget=forms.HiddenInput)


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The activities this person may use, the last changed first."""
    text, category = request.GET.get("q", "").strip(), request.GET.get("category", "")
    seen = ActivityTemplate.objects.visible_to(request.user).filter(archived_at__isnull=request.GET.get("archived") != "1")
    categories = sorted(set(seen.exclude(category="").values_list("category", flat=True)))
    rows = seen.filter(Q(identifier__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text)) if text else seen
    if category in categories:
        rows = rows.filter(category=category)
    context = {
        "nav": NAV,
        "page": page_of(request, rows.with_newest().select_related("updated_by"), name=CALLED),
        "text": text,
        "category": category if category in categories else "",
        "categories": categories,
        "is_filtered": bool(text or category or request.GET.get("archived")),
        "may_create": may_create(request.user),
        "new_url": reverse("processes:store_new") if may_create(request.user) else "",
    }
    return render(request, "processes/store.html", context)


@login_required
@require_safe
def show(request: HttpRequest, id: str) -> HttpResponse:
    """One activity: what it asks and promises, its versions, what uses it."""
    template = _visible(request, id)
    read = reading.parse(template.document)
    stored = read.blueprint if isinstance(read.blueprint, StoreActivity) else None
    visible = Process.objects.visible_to(request.user)
    uses = template.uses.filter(version__process__in=visible).select_related("version__process").order_by("version__process__identifier", "-version__number")
    drafts = storing.drafts_using(template).filter(process__in=visible).select_related("process").order_by("process__identifier")
    context = {
        "nav": NAV,
        "template": template,
        "stored": stored,
        "inputs": [input_row(name, spec) for name, spec in stored.inputs.items()] if stored else [],
        "problems": storing.problems_in(read, actor=request.user),
        "versions": list(template.versions.select_related("published_by").defer("document")[:MOST_USES]),
        "uses": list(uses[:MOST_USES]),
        "drafts": list(drafts[:MOST_USES]),
        "lines": [{"number": n, "text": line} for n, line in enumerate(yaml_text(template.document).splitlines(), 1)],
        "may_change": may_change_template(request.user, template),
    }
    return render(request, "processes/store_activity.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """A new activity, by its document."""
    if not may_create(request.user):
        raise NotAllowed("not_allowed", "You may not add to the activity store. An administrator can give you the right “author”.")
    form = TemplateForm(request.POST or None, initial={"source": _EXAMPLE, "shared": True})
    if request.method != "POST" or not form.is_valid():
        return _edit(request, form, None, status=422 if request.method == "POST" else 200)
    read = reading.read(form.cleaned_data["source"])
    try:
        template = storing.create(read, actor=request.user, shared=form.cleaned_data["shared"], note_text=form.cleaned_data["note"])
    except (Invalid, Conflict) as refused:
        return _refused(request, form, None, refused)
    return _saved(request, template)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, id: str) -> HttpResponse:
    """Change it: a sound document is its next version."""
    template = _changeable(request, id)
    initial = {"source": yaml_text(template.document), "shared": template.shared, "revision": template.revision}
    form = TemplateForm(request.POST or None, initial=initial)
    form.fields["shared"].disabled = template.shared and not may_unshare_template(request.user, template)
    if request.method != "POST" or not form.is_valid():
        return _edit(request, form, template, status=422 if request.method == "POST" else 200)
    read = reading.read(form.cleaned_data["source"])
    try:
        data = form.cleaned_data
        saved = storing.write(template, read, actor=request.user, expected_revision=data["revision"], shared=data["shared"], note_text=data["note"])
    except (Invalid, Conflict) as refused:
        return _refused(request, form, template, refused)
    return _saved(request, saved)


@login_required
@require_POST
def check(request: HttpRequest, id: str = "") -> HttpResponse:
    """What is wrong with a document that is being typed; nothing is stored."""
    if id:
        _changeable(request, id)
    elif not may_create(request.user):
        raise NotAllowed("not_allowed", "You may not add to the activity store. An administrator can give you the right “author”.")
    text = plain(request.POST.get("text", ""))
    if len(text) > LONGEST_TEXT:
        problem = Problem("too_large", f"An activity has at most {LONGEST_TEXT:,} characters.")
        raise Invalid("too_large", problem.message, [problem])
    return render(request, "processes/_problems.html", _checked(reading.read(text), request.user))


def _checked(read: reading.Reading, actor: Any, problems: Any = None) -> dict[str, Any]:
    """What is wrong with a document, for `_problems.html`."""
    found = sorted(storing.problems_in(read, actor=actor) if problems is None else problems, key=lambda item: (item.severity != "error", item.line or 0))
    stored = read.blueprint if isinstance(read.blueprint, StoreActivity) else None
    words = words_of_store(stored, world(Blueprint(id=stored.id), actor)) if stored else None
    return {
        "problems": [(replace(problem, line=problem.line or 1), "", mark_of(problem, read.document)) for problem in found],
        "blocking": len(errors(found)),
        "unreadable": bool(errors(read.problems)),
        "words": json.dumps(words, ensure_ascii=False) if words else "",
    }


@login_required
@require_POST
def archive(request: HttpRequest, id: str) -> HttpResponse:
    """Put it away, or take it back: what uses it goes on."""
    template = _changeable(request, id)
    storing.put_away(template, template.archived_at is None, actor=request.user, reason=request.POST.get("reason", ""))
    return HttpResponseRedirect(reverse("processes:store_show", args=[template.identifier]))


@login_required
@require_POST
def delete(request: HttpRequest, id: str) -> HttpResponse:
    """Gone for good; refused while anything refers to it, saying by what."""
    template = _changeable(request, id)
    storing.delete(template, actor=request.user)
    messages.success(request, f"{template} is deleted.")
    return HttpResponseRedirect(reverse("processes:store"))


def _edit(request: HttpRequest, form: TemplateForm, template: ActivityTemplate | None, *, problems: Any = None, status: int = 200) -> HttpResponse:
    source = form["source"].value() or ""
    context = {"nav": NAV, "form": form, "template": template} | _checked(reading.read(source[:LONGEST_TEXT]), request.user, problems)
    return render(request, "processes/store_edit.html", context, status=status)


def _refused(request: HttpRequest, form: TemplateForm, template: ActivityTemplate | None, refused: Invalid | Conflict) -> HttpResponse:
    form.add_error("source", refused.message)
    return _edit(request, form, template, problems=getattr(refused, "problems", None), status=refused.status)


def _saved(request: HttpRequest, template: ActivityTemplate) -> HttpResponse:
    newest = template.versions.first()
    if newest is not None and newest.document == template.document:
        messages.success(request, f"{template} is saved; its newest version is {newest.number}. What runs keeps its own.")
    else:
        messages.warning(request, f"{template} is saved without a version: mend what is named below.")
    return HttpResponseRedirect(reverse("processes:store_show", args=[template.identifier]))


def _visible(request: HttpRequest, id: str) -> ActivityTemplate:
    rows = ActivityTemplate.objects.visible_to(request.user).with_newest().select_related("created_by", "updated_by")
    template: ActivityTemplate = get_object_or_404(rows, identifier=id)
    return template


def _changeable(request: HttpRequest, id: str) -> ActivityTemplate:
    template = _visible(request, id)
    if not may_change_template(request.user, template):
        raise NotAllowed("not_allowed", "You may not change this activity of the store.")
    return template


_AT = r"^activity-store/(?P<id>[a-z][a-z0-9_]{0,62})/"
urlpatterns = [
    path("activity-store/", index, name="store"),
    path("new-activity/", new, name="store_new"),
    path("new-activity/check/", check, name="store_new_check"),
    re_path(rf"{_AT}$", show, name="store_show"),
    re_path(rf"{_AT}edit/$", edit, name="store_edit"),
    re_path(rf"{_AT}edit/check/$", check, name="store_edit_check"),
    re_path(rf"{_AT}archive/$", archive, name="store_archive"),
    re_path(rf"{_AT}delete/$", delete, name="store_delete"),
]
