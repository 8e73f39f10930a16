"""The page where a draft is written as YAML: problems at their lines, nothing typed is ever lost, comments are kept."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import re_path, reverse
from django.views.decorators.http import require_http_methods, require_POST

from processes import editing, mending, publishing, reading
from processes.access import Permission, may
from processes.blueprint import Blueprint
from processes.carrying import carry
from processes.differences import difference
from processes.draft_text import plain, text_of
from processes.models import Process
from processes.problems import Problem, errors, value_at
from processes.surroundings import world
from processes.views import around, draft_of, visible
from processes.words import words_of
from relorch.lib.errors import Conflict, Invalid, NotAllowed

LONGEST_TEXT = 1024 * 1024
MOST_LINES = 400
"""Lines of a difference between two texts that are shown."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in the editor, read and checked."""

    text: str
    read: reading.Reading
    problems: list[Problem]

    @property
    def unreadable(self) -> bool:
        """Whether it cannot be saved as it is."""
        return bool(errors([*self.read.problems, *editing.unstorable(self.read)]))


def checked(text: str, process: Process, actor: Any) -> Typed:
    """The text with everything that is wrong with it, in the order of its lines."""
    read = reading.read(text)
    found = publishing.problems_in(read, actor=actor)
    if read.blueprint is not None and read.document.get("id") != process.identifier:
        found += read.located([Problem("other_id", f'This is the draft of "{process.identifier}"; the id of a process never changes.', "/id")])
    return Typed(text, read, sorted(found, key=lambda problem: (problem not in errors(found), problem.line or 0)))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, id: str) -> HttpResponse:
    """The draft as its author wrote it; saved by what was seen of it."""
    process = _editable(request, id)
    if request.method == "POST":
        return _save(request, process)
    kept = text_of(process)
    return _page(request, process, checked(kept.text, process, request.user), {"lost": kept.lost})


@login_required
@require_POST
def check(request: HttpRequest, id: str) -> HttpResponse:
    """What is wrong with a text that is being typed; nothing is stored."""
    process = _editable(request, id)
    typed = checked(_text(request), process, request.user)
    return render(request, "processes/_problems.html", _problems(typed, request.user))


def _editable(request: HttpRequest, id: str) -> Process:
    process = visible(request, id)
    if not may(request.user, Permission.AUTHOR, process):
        raise NotAllowed("not_allowed", "You may not edit this process. Its owners can give you the right “author”.")
    if process.archived_at:
        raise Conflict("archived", "An archived process is not edited; take it out of the archive first.", state="archived")
    return process


def _text(request: HttpRequest) -> str:
    text = plain(request.POST.get("text", ""))
    if (size := len(text.encode())) > LONGEST_TEXT:
        problem = Problem("too_large", f"A process file has at most 1 MiB; this one has {size / LONGEST_TEXT:.1f} MiB.")
        raise Invalid("too_large", problem.message, [problem])
    return text


def _save(request: HttpRequest, process: Process) -> HttpResponse:
    text = _text(request)
    seen = request.POST.get("revision", "")
    revision = int(seen) if seen.isdecimal() and len(seen) < 10 else -1  # who does not say what they saw has seen nothing
    typed = checked(text, process, request.user)
    if "look" in request.POST:
        return _page(request, process, typed, {"revision": revision})
    if mend := request.POST.get("mend", ""):
        return _mended(request, process, typed, mend, revision)
    try:
        if typed.unreadable:
            raise Invalid("unreadable", "The text cannot be read as it is.", typed.problems)
        saved = editing.write_draft(process, typed.read.document, actor=request.user, expected_revision=revision, text=text)
    except Invalid as refused:
        return _page(request, process, typed, {"refused": refused, "revision": revision}, status=refused.status)
    except Conflict as late:
        return _page(request, process, typed, {"late": late, **_against(process, typed)}, status=late.status)
    blocking = len(errors(typed.problems))
    messages.success(request, f"The draft of {saved} is saved. Nothing is published by it.")
    if blocking:
        messages.warning(request, f"{blocking} problem{'s' if blocking > 1 else ''} to solve before it can be published.")
    return HttpResponseRedirect(reverse("processes:edit", args=[saved.identifier]))


def _mended(request: HttpRequest, process: Process, typed: Typed, mend: str, revision: int) -> HttpResponse:
    """The text with one warning mended, to look at; nothing is saved. What would bring new errors is not done."""
    code, _, place = mend.partition(":")
    before = {problem.code for problem in errors(typed.problems)}
    wanted = None if typed.unreadable or typed.read.blueprint is None else mending.mended(code, place, reading.document(typed.read.blueprint))
    after = checked(carry(typed.text, _canonical(wanted)).text, process, request.user) if wanted else typed
    new = [problem for problem in errors(after.problems) if problem.code not in before]
    if wanted is None or new:
        why = new[0].message if new else "The text is not any more what it was about."
        refused = Invalid("not_mended", f"This cannot be mended by a click: {why}", new)
        return _page(request, process, typed, {"refused": refused, "revision": revision}, status=refused.status)
    return _page(request, process, after, {"revision": revision, "mended": True})


def _canonical(wanted: dict[str, Any]) -> dict[str, Any]:
    blueprint = reading.parse(wanted).blueprint
    return wanted if blueprint is None else reading.document(blueprint)


def _against(process: Process, typed: Typed) -> dict[str, Any]:
    """What saving the text would change in the draft as it is now, by meaning and line by line."""
    process.refresh_from_db()
    theirs, mine = draft_of(process).blueprint, typed.read.blueprint
    both = isinstance(theirs, Blueprint) and isinstance(mine, Blueprint)
    return {
        "difference": difference(theirs, mine) if both else None,  # type: ignore[arg-type]
        "lines": list(islice(_lines(text_of(process).text, typed.text), MOST_LINES)),
        "revision": process.revision,
    }


def _lines(before: str, after: str) -> Any:
    for line in islice(difflib.unified_diff(before.splitlines(), after.splitlines(), n=2, lineterm=""), 2, None):
        yield {"+": "added", "-": "removed"}.get(line[:1], ""), line


def _page(request: HttpRequest, process: Process, typed: Typed, more: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    process = visible(request, process.identifier)
    context = around(request, process, "source") | {"text": typed.text, "revision": process.revision} | _problems(typed, request.user) | dict(more)
    return render(request, "processes/edit.html", context, status=status)


def _problems(typed: Typed, actor: Any) -> dict[str, Any]:
    blueprint = typed.read.blueprint
    document = None if typed.unreadable or blueprint is None else reading.document(blueprint)
    return {
        "words": json.dumps(words_of(blueprint, world(blueprint, actor)), ensure_ascii=False) if isinstance(blueprint, Blueprint) else "",
        "problems": [
            (replace(problem, line=problem.line or 1), mending.offered(problem, document) if document else "", mark_of(problem, typed.read.document))
            for problem in typed.problems
        ],
        "blocking": len(errors(typed.problems)),
        "unreadable": typed.unreadable,
    }


def mark_of(problem: Problem, document: Any) -> str:
    """The piece of text that a problem of an expression points at: the name there, or what stands there; empty where it points at none."""
    value = value_at(document, problem.place) if problem.column else None
    if not isinstance(value, str) or not problem.column:
        return ""
    found = re.match(r"[\w.]+|\S+", value[problem.column - 1 :])
    return found[0] if found else ""


def patterns(id: str) -> list[Any]:
    """Their addresses."""
    return [re_path(rf"{id}edit/$", edit, name="edit"), re_path(rf"{id}edit/check/$", check, name="edit_check")]
