"""Pages of processes: the list, versions and their difference, the source, and publishing. The page with the graph is `relorch/process_pages.py`."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from processes import publishing, reading
from processes.access import Permission, may, may_create
from processes.blueprint import Blueprint, Category
from processes.differences import difference
from processes.draft_text import text_of
from processes.drafts import document_of
from processes.models import Process, ProcessVersion
from processes.paging import CALLED, page_of
from processes.problems import errors
from processes.versions import blueprint_of, newest, newest_of
from processes.writing import yaml_text
from relorch.lib.errors import Conflict, Invalid, NotAllowed

DRAFT = "draft"
MOST_VERSIONS = 100


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The processes this person may see, the last changed first."""
    text, category = request.GET.get("q", "").strip(), request.GET.get("category", "")
    rows = Process.objects.visible_to(request.user).filter(archived_at__isnull=request.GET.get("archived") != "1")
    if text:
        rows = rows.filter(Q(identifier__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text))
    categories = [str(item) for item in Category]
    if category in categories:
        rows = rows.filter(category=category)
    page = page_of(request, rows.with_counts().select_related("updated_by"), name=CALLED)
    context = {
        "page": page,
        "newest": newest_of(process.pk for process in page.rows),
        "text": text,
        "category": category if category in categories else "",
        "categories": categories,
        "may_create": may_create(request.user),
        "new_url": reverse("processes:new") if may_create(request.user) else "",
        "is_filtered": bool(text or category or request.GET.get("archived")),
    }
    return render(request, "processes/index.html", context)


@login_required
@require_safe
def versions(request: HttpRequest, id: str) -> HttpResponse:
    """The versions, and what changed from one to another: the last two if nothing is said."""
    process = visible(request, id)
    rows = list(process.versions.select_related("published_by", "deprecation__by").defer("document")[:MOST_VERSIONS])
    draft = draft_of(process)
    known = [*([DRAFT] if has_changes(draft, rows[0] if rows else None) else []), *(str(row.number) for row in rows)]
    after = _chosen(request.GET.get("to", ""), known, 0)
    before = _chosen(request.GET.get("from", ""), known, known.index(after) + 1 if after else 1)
    found = difference(_side(process, before, draft), _side(process, after, draft)) if before and after and before != after else None
    context = around(request, process, "versions") | {
        "versions": rows,
        "has_draft": DRAFT in known,
        "known": known,
        "before": before,
        "after": after,
        "difference": found,
        "shown": next((row for row in rows if str(row.number) == after), None),
    }
    return render(request, "processes/versions.html", context)


def _chosen(wanted: str, known: list[str], otherwise: int) -> str:
    if wanted in known:
        return wanted
    if wanted:
        raise Http404
    return known[otherwise] if otherwise < len(known) else ""


def _side(process: Process, name: str, draft: reading.Reading) -> Blueprint:
    if name == DRAFT and isinstance(draft.blueprint, Blueprint):
        return draft.blueprint
    return blueprint_of(get_object_or_404(process.versions, number=int(name)))


@login_required
@require_safe
def source(request: HttpRequest, id: str) -> HttpResponse:
    """The process file of a version, or of the draft."""
    process = visible(request, id)
    wanted, text = _source(request, process)
    context = around(request, process, "source") | {
        "lines": [{"number": n, "text": line} for n, line in enumerate(text.splitlines(), 1)],
        "wanted": wanted,
        "numbers": list(process.versions.values_list("number", flat=True)[:MOST_VERSIONS]),
    }
    return render(request, "processes/source.html", context)


@login_required
@require_safe
def export(request: HttpRequest, id: str) -> HttpResponse:
    """The same as a file to keep."""
    process = visible(request, id)
    wanted, text = _source(request, process)
    name = f"{process.identifier}-{wanted if wanted == DRAFT else f'v{wanted}'}.yaml"
    return HttpResponse(text, content_type="application/yaml; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _source(request: HttpRequest, process: Process) -> tuple[str, str]:
    wanted = request.GET.get("version", "")
    if wanted == DRAFT:
        return DRAFT, text_of(process).text
    if wanted and not (wanted.isdecimal() and len(wanted) < 10):
        raise Http404
    version = get_object_or_404(process.versions, number=int(wanted)) if wanted else newest(process)
    return (str(version.number), yaml_text(version.document)) if version else (DRAFT, text_of(process).text)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def publish(request: HttpRequest, id: str) -> HttpResponse:
    """What publishing the draft would change and what keeps it from being published; then the next version."""
    process = visible(request, id)
    if not may(request.user, Permission.PUBLISH, process):
        raise NotAllowed("not_allowed", "You may not publish this process.")
    if request.method != "POST":
        return _publishing(request, process)
    seen = request.POST.get("revision", "")
    try:
        version, warnings = publishing.publish(
            process, actor=request.user, note=request.POST.get("note", "").strip(), expected_revision=int(seen) if seen.isdecimal() and len(seen) < 10 else None
        )
    except Invalid as refused:
        return _publishing(request, process, problems=list(refused.problems), status=422)
    except Conflict as late:
        return _publishing(request, process, conflict=late, status=409)
    messages.success(request, f"Version {version.number} of {process} is published. Releases that run keep theirs.")
    for warning in warnings:
        messages.warning(request, warning.message)
    return HttpResponseRedirect(reverse("processes:show", args=[process.identifier]))


def _publishing(
    request: HttpRequest, process: Process, *, problems: list[Any] | None = None, conflict: Conflict | None = None, status: int = 200
) -> HttpResponse:
    process = visible(request, process.identifier)
    last, draft = newest(process), draft_of(process)
    found = publishing.problems_in(draft, actor=request.user) if problems is None else problems
    context = around(request, process, "versions") | {
        "last": last,
        "problems": sorted(found, key=lambda problem: problem not in errors(found)),
        "blocked": bool(errors(found)),
        "unchanged": not has_changes(draft, last),
        "difference": difference(blueprint_of(last), draft.blueprint) if last and isinstance(draft.blueprint, Blueprint) else None,
        "note": request.POST.get("note", ""),
        "conflict": conflict,
    }
    return render(request, "processes/publish.html", context, status=status)


def visible(request: HttpRequest, id: str) -> Process:
    """The process, if this person may see it; else 404."""
    process: Process = get_object_or_404(Process.objects.visible_to(request.user).with_counts().select_related("updated_by"), identifier=id)
    return process


def draft_of(process: Process) -> reading.Reading:
    """The draft, read."""
    return reading.parse(document_of(process))


def has_changes(draft: reading.Reading, last: ProcessVersion | None) -> bool:
    """Whether publishing the draft would make another version."""
    return isinstance(draft.blueprint, Blueprint) and (last is None or last.hash != reading.digest(draft.blueprint))


def around(request: HttpRequest, process: Process, current: str) -> dict[str, Any]:
    """What every page of a process shows: its head, its tabs, and what this person may do."""
    seen: Any = process
    counted = {"versions": process.versions.count(), "releases": seen.release_count}
    tabs = [
        {"label": label, "url": reverse(f"processes:{name}", args=[process.identifier]), "count": counted.get(name, ""), "current": name == current}
        for label, name in (
            ("Blueprint", "show"),
            ("Versions", "versions"),
            ("Releases", "releases"),
            ("Source", "source"),
            ("Input sets", "sets"),
            ("Try", "try"),
            ("People", "people"),
        )
    ]
    return {
        "process": process,
        "tabs": tabs,
        "newest_number": seen.newest_number,
        "may_edit": may(request.user, Permission.AUTHOR, process) and not process.archived_at,
        "may_publish": may(request.user, Permission.PUBLISH, process) and not process.archived_at,
        "may_start": may(request.user, Permission.START, process) and not process.archived_at and seen.newest_number is not None,
    }
