"""The page on which an expression is tried: against a release of the process, a version, or the draft with sample values.

Here, because `processes` knows no releases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import re_path
from django.views.decorators.http import require_http_methods

from processes.blueprint import Blueprint, ValueType
from processes.functions import type_name
from processes.models import Process
from processes.scanning import FUNCTIONS, METHODS
from processes.urls import ID
from processes.value_fields import ValueForm
from processes.versions import blueprint_of, newest
from processes.views import around, draft_of, visible
from releases import trying
from releases.models import Release
from releases.taking_over import taken_over
from relorch.lib import secrets
from relorch.lib.htmx import page_or_fragment

MOST_RELEASES = 25
LONGEST_ANSWER, LONGEST_TEXT = 20_000, 20_000


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, id: str) -> HttpResponse:
    """The form, and with POST the value or where it goes wrong. Nothing is ever changed here."""
    process = visible(request, id)
    asked = request.POST if request.method == "POST" else request.GET
    releases = list(_releases(request, process)[:MOST_RELEASES])
    source = asked.get("values", "") or (f"release-{releases[0].pk}" if releases else "draft")
    release, blueprint = _chosen(request, process, source)
    expression = asked.get("expression", "")[:LONGEST_TEXT].replace("\r\n", "\n")
    form, sample = None, None
    if release is None:
        form, sample = _sample(request, process, blueprint, asked)
    names = trying.names_of_release(release) if release else sample.names if sample else {}
    answer = trying.tried(expression, process=process, release=release, sample=sample) if request.method == "POST" and expression.strip() else None
    context = around(request, process, "try") | {
        "releases": releases,
        "other": release if release and release not in releases else None,
        "chosen": release.pk if release else None,
        "source": source,
        "expression": expression,
        "form": form,
        "sets": list(process.input_sets.all()) if release is None else [],
        "input_set": asked.get("input_set", ""),
        "sample_problems": sample.problems if sample else (),
        "answer": _shown(answer, expression) if answer is not None else None,
        "names": trying.names_in(names),
        "functions": sorted({*FUNCTIONS, *METHODS}),
        "version": newest(process),
    }
    return page_or_fragment(request, "processes/try.html", "processes/_tried.html", context)


def _releases(request: HttpRequest, process: Process) -> Any:
    rows = Release.objects.visible_to(request.user).filter(process=process).exclude(started_at=None)
    return rows.select_related("process", "version", "starter").order_by("-started_at", "-pk")


def _chosen(request: HttpRequest, process: Process, source: str) -> tuple[Release | None, Blueprint | None]:
    """What the values come from; 404 for a release that this person may not see, as for one that is not there."""
    kind, _, number = source.partition("-")
    if kind == "release":
        found = _releases(request, process).filter(pk=int(number)).first() if number.isdecimal() and len(number) < 19 else None
        if found is None:
            raise Http404
        return found, None
    if source == "version":
        last = newest(process)
        return None, blueprint_of(last) if last else None
    if source != "draft":
        raise Http404
    draft = draft_of(process).blueprint
    return None, draft if isinstance(draft, Blueprint) else Blueprint(id=process.identifier, phases=())


def _sample(request: HttpRequest, process: Process, blueprint: Blueprint | None, asked: Any) -> tuple[ValueForm, trying.Sample]:
    """The sample values as they were typed, or as the chosen input set has them; a secret is never asked for here."""
    specs = {name: spec for name, spec in (blueprint.inputs if blueprint else {}).items() if spec.type not in (ValueType.SECRET, ValueType.FILE)}
    kept: Mapping[str, Any] = {}
    number = asked.get("input_set", "")
    if number.isdecimal() and len(number) < 19:
        row = process.input_sets.filter(pk=int(number)).first()
        kept = secrets.hide(taken_over(process, row.values, specs, starter=request.user)[0]) if row else {}
    typed = request.method == "POST" and request.POST.get("sampled") == "1" and request.POST.get("input_set", "") == request.POST.get("set_shown", "")
    defaults = {name: spec.default for name, spec in specs.items() if spec.default is not None}
    form = ValueForm(specs, request.POST if typed else None, values=defaults | dict(kept))
    form.prefix = "sample"
    if typed:
        hidden = {name: value for name, value in kept.items() if secrets.is_hidden(value)}
        sample = trying.sample_of(process, blueprint, form.given | hidden, form=True)
        form.refuse([problem for problem in sample.problems if problem.place.startswith("/inputs/")], "/inputs/")
    else:
        sample = trying.sample_of(process, blueprint, kept)
    return form, sample


def _shown(answer: Mapping[str, Any], expression: str) -> dict[str, Any]:
    """The value as JSON with its type, or the message with the lines of the text up to the place it points at."""
    if "value" in answer:
        value = answer["value"]
        text = json.dumps(value, ensure_ascii=False, indent=2)
        kind = "secret" if secrets.is_hidden(value) else type_name(value)
        return {"ok": True, "type": kind, "text": text[:LONGEST_ANSWER], "cut": len(text) > LONGEST_ANSWER}
    column = answer["column"]
    if column is None:
        return {"ok": False, "message": answer["message"], "lines": [], "line": None, "column": None}
    before = expression[: column - 1]
    number, start = before.count("\n"), before.rfind("\n") + 1
    lines = expression.split("\n")
    return {
        "ok": False,
        "message": answer["message"],
        "above": lines[max(0, number - 2) : number],
        "here": lines[number][:400],
        "caret": "".join("\t" if char == "\t" else " " for char in expression[start : column - 1][:400]) + "^",
        "below": lines[number + 1 : number + 2],
        "line": number + 1 if len(lines) > 1 else None,
        "column": column - start,
    }


urlpatterns = [re_path(rf"{ID}try/$", page, name="try")]
