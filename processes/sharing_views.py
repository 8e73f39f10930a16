"""The page of who may what in a process: to look at for everybody who sees it, to change for its owners."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import re_path, reverse
from django.views.decorators.http import require_http_methods

from processes import sharing
from processes.access import owns
from processes.models import Process
from processes.views import around, visible
from relorch.accounts.models import User
from relorch.lib.errors import Conflict, Invalid, NotAllowed

MOST_PICKS, MOST_PEOPLE = 500, 200
ABOUT = {
    "view": "sees the process and its releases",
    "author": "edits the draft",
    "publish": "publishes, archives",
    "start": "starts releases",
    "operate": "holds, retries, skips, aborts",
    "override": "breaks the glass",
}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def people(request: HttpRequest, id: str) -> HttpResponse:
    """Who may what and why; an owner gives and takes, one person or group at a time."""
    process = visible(request, id)
    if request.method != "POST":
        return _page(request, process)
    if not owns(request.user, process):
        raise NotAllowed("not_allowed", "Only an owner says who may what here.")
    who, permissions = _who(request.POST.get("who", "")), request.POST.getlist("permission")
    whole = "owner_shown" in request.POST  # a row that was shown is sent back as it is to be; to give more takes nothing away
    owner = True if request.POST.get("owner") == "1" else False if whole else None
    shown = request.POST["shown"].split() if "shown" in request.POST else None
    try:
        sharing.give(
            process, who, permissions=permissions, more=not whole, shown=shown, owner=owner, reason=request.POST.get("reason", "").strip(), actor=request.user
        )
    except (Invalid, Conflict) as refused:
        said = [problem.message for problem in getattr(refused, "problems", ())] or [refused.message]
        if refused.code == "changed":
            return _page(request, process, refused=said, status=refused.status)
        return _page(request, process, refused=said, typed={"who": who, "permissions": permissions, "owner": owner}, status=refused.status)
    messages.success(request, f"What {who.partition(':')[2]} may do in {process} is saved.")
    still = Process.objects.visible_to(request.user).filter(pk=process.pk).exists()
    return HttpResponseRedirect(reverse("processes:people", args=[process.identifier]) if still else reverse("processes:list"))


def _who(text: str) -> str:
    """A bare address is a person, every other bare word a group."""
    text = text.strip()
    kind, colon, name = text.partition(":")
    if not colon or kind not in ("user", "group"):
        kind, name = "user" if "@" in text else "group", text
    name = name.strip()
    return text and f"{kind}:{name.lower() if kind == 'user' else name}"


def _page(request: HttpRequest, process: Process, *, refused: Any = (), typed: Any = None, status: int = 200) -> HttpResponse:
    process = visible(request, process.identifier)
    found = sharing.people_of(process)
    person: Any = request.user
    mine = owns(person, process)
    words = [word for word in sharing.SAID if word != "override" or person.is_superuser]
    known = {one.who for one in found.given}
    context = around(request, process, "people") | {
        "rows": [_row(one, words, typed) for one in found.given],
        "people": [(one, _because(one)) for one in found.people[:MOST_PEOPLE]],
        "more_people": max(0, len(found.people) - MOST_PEOPLE),
        "administrators": found.administrators,
        "boxes": [{"word": word, "about": ABOUT[word], "on": word in (typed or {}).get("permissions", ("view",))} for word in words],
        "abouts": list(ABOUT.items()),
        "may_share": mine,
        "refused": refused,
        "typed": typed if typed and typed["who"] not in known else None,
        "picks": _picks() if mine else [],
    }
    return render(request, "processes/people.html", context, status=status)


def _row(given: sharing.Given, words: list[str], typed: Any) -> dict[str, Any]:
    said = typed if typed and typed["who"] == given.who else {}
    chosen = said.get("permissions", given.permissions)
    owner = given.owner if said.get("owner") is None else said["owner"]
    boxes = [{"word": word, "about": ABOUT[word], "on": word in chosen} for word in words]
    return {"given": given, "owner": owner, "boxes": boxes, "kept": [word for word in given.permissions if word not in words]}


def _because(standing: sharing.Standing) -> list[tuple[str, str, list[str]]]:
    """Each way by which they hold something, in words, with the group it goes through, and what they hold by it."""
    ways: dict[str, list[str]] = {}
    for word, found in standing.permissions.items():
        for way in found:
            ways.setdefault(way, []).append(word)
    return [(_said(way.partition("group:")[0].strip()), way.partition("group:")[2], words) for way, words in ways.items()]


def _said(way: str) -> str:
    return {"direct": "given to them", "owner": "as an owner", "": "by the group"}[way]


def _picks() -> list[str]:
    groups = Group.objects.order_by("name").values_list("name", flat=True)[:MOST_PICKS]
    emails = User.objects.filter(is_active=True).order_by("email").values_list("email", flat=True)[:MOST_PICKS]
    return [*(f"group:{name}" for name in groups), *emails]


urlpatterns = [re_path(r"^(?P<id>[a-z][a-z0-9_]{0,62})/people/$", people, name="people")]
