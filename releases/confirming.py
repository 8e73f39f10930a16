"""Before a verb that matters: what it would do, and why. The verb itself says so, done and rolled back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from releases.activity_pages import ActivityPage, Verb
from releases.engine import Actor
from releases.pages import Page, shown_moves
from relorch.lib.errors import Invalid
from relorch.lib.htmx import page_or_fragment

WITH_OUTPUTS = frozenset({"ignore", "succeed"})
_WORDS = {
    "hold": ("Put {} on hold?", "Nothing new starts until it is resumed. What runs goes on to its end.", "Put on hold", "Keep running"),
    "resume": ("Resume {}?", "It goes on where it was; due dates of people move by the time held.", "Resume release", "Keep on hold"),
    "abort": ("Abort {}?", "Everything that is open ends now. Nothing is rolled back. This can't be undone.", "Abort release", "Keep running"),
}


@dataclass
class Asked:
    """A verb with the words of its confirmation; `problems` by field."""

    verb: str
    title: str
    text: str
    button: str
    keep: str
    action: str
    back: str
    done: str
    do: Callable[..., Any]
    page: Page
    danger: bool = False
    needs_reason: bool = True
    outputs: Mapping[str, str] = field(default_factory=dict)
    takes_inputs: bool = False
    moves: list[dict[str, str]] = field(default_factory=list)
    more: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    inputs: str = ""


MOST_MOVES = 12


def of_release(page: Page, verb: str, act: Callable[..., Any], actor: Actor) -> Asked:
    """Hold, resume or abort."""
    title, text, button, keep = _WORDS[verb]
    here = reverse("releases:detail", args=[page.release.pk])
    done = {"hold": "is on hold", "resume": "goes on", "abort": "was aborted"}[verb]
    return Asked(
        verb=verb,
        title=title.format(page.release.name),
        text=text,
        button=button,
        keep=keep,
        action=reverse("releases:operate", args=[page.release.pk, verb]),
        back=here,
        done=f"{page.release.name} {done}.",
        do=partial(act, release=page.release.pk, actor=actor),
        page=page,
        danger=verb == "abort",
        needs_reason=verb != "resume",
    )


def of_activity(it: ActivityPage, verb: Verb, actor: Actor) -> Asked:
    """A verb on a run."""
    here = it.page.url_of(it.key)
    return Asked(
        verb=verb.name,
        title=f"{verb.do.removesuffix(' activity')} “{it.line.label}”?" if verb.name != "succeed" else f"Count “{it.line.label}” as succeeded?",
        text=verb.text,
        button=verb.do,
        keep="Keep as it is",
        action=reverse("releases:act", args=[it.release.pk, it.key, verb.name]),
        back=here,
        done=f"{it.line.label}: {verb.do.lower().removesuffix(' activity')} done.",
        do=partial(verb.act, release=it.release.pk, activity=it.key, actor=actor),
        page=it.page,
        danger=verb.danger,
        takes_inputs=verb.name == "retry" and it.line.run.type != "manual",
    )


def answer(request: HttpRequest, asked: Asked, context: dict[str, Any]) -> HttpResponse:
    """The confirmation; after a POST with a reason, where the verb leads."""
    if request.method == "POST":
        return _done(request, asked, context)
    given: dict[str, Any] = {"outputs": {}} if asked.verb in WITH_OUTPUTS else {}
    asked.moves, asked.outputs = _preview(asked, given)
    asked.more = max(0, len(asked.moves) - MOST_MOVES)
    asked.moves = asked.moves[:MOST_MOVES]
    return page_or_fragment(request, "releases/confirm.html", "releases/_confirm.html", {**context, "asked": asked})


def _preview(asked: Asked, given: dict[str, Any]) -> tuple[list[dict[str, str]], dict[str, str]]:
    try:
        moves = asked.do(reason="preview", preview=True, **given)
    except Invalid as error:
        if error.code != "outputs_needed":
            raise
        needed = {problem.place.rpartition("/")[2]: problem.message for problem in error.problems}
        moves = asked.do(reason="preview", preview=True, outputs=dict.fromkeys(needed, ""))
        return shown_moves(moves, asked.page.release, asked.page.labels, asked.page.children), needed
    return shown_moves(moves, asked.page.release, asked.page.labels, asked.page.children), {}


def _done(request: HttpRequest, asked: Asked, context: dict[str, Any]) -> HttpResponse:
    asked.reason, asked.inputs = request.POST.get("reason", "").strip()[:2000], request.POST.get("inputs", "")
    given: dict[str, Any] = {}
    if asked.needs_reason and not asked.reason:
        asked.problems["reason"] = "Say why: the reason is kept in the audit trail."
    if asked.takes_inputs and asked.inputs.strip():
        given["inputs"] = _object(asked, asked.inputs)
    if asked.verb in WITH_OUTPUTS:
        names = [name.removeprefix("output_") for name in request.POST if name.startswith("output_")]
        given["outputs"] = {name: _value(request.POST[f"output_{name}"]) for name in names}
    if not asked.problems:
        try:
            asked.do(reason=asked.reason, **given)
        except Invalid as error:
            asked.problems |= {getattr(problem, "place", "").rpartition("/")[2] or "reason": problem.message for problem in error.problems}
            asked.problems.setdefault("", error.message)
        else:
            messages.success(request, asked.done)
            return redirect(asked.back)
    asked.outputs = {name: asked.problems.get(name, "") for name in {*given.get("outputs", {}), *(set(asked.problems) - {"", "reason", "inputs"})}}
    return render(request, "releases/confirm.html", {**context, "asked": asked}, status=422)


def _object(asked: Asked, text: str) -> dict[str, Any]:
    found = _value(text)
    if not isinstance(found, dict):
        asked.problems["inputs"] = 'A JSON object is needed here, such as {"version": "1.4.1"}.'
        return {}
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
