"""Before a verb that matters: what it would do, and why. The verb itself says so, done and rolled back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse

from processes.json_text import read_json
from processes.models import Process
from processes.plain_text import LEFT_OUT
from processes.problems import errors
from releases.activity_pages import ActivityPage, Verb
from releases.downstream import losers_of
from releases.engine import Actor
from releases.pages import Page, shown_moves
from releases.times_form import TimesForm
from relorch.lib.errors import Conflict, Invalid
from relorch.lib.htmx import page_or_fragment

WITH_OUTPUTS = frozenset({"ignore", "succeed"})
_WORDS = {
    "start": ("Start {} now?", "Its inputs are checked once more, versions are pinned, and what is ready begins.", "Start release", "Not now"),
    "cancel": ("Cancel {}?", "It will not start. To release this later, start again like it.", "Cancel release", "Keep scheduled"),
    "reschedule": ("Reschedule {}?", "It starts at another time; nothing else of it changes.", "Reschedule", "Keep its time"),
    "restart_from": (
        "Start {} again from a phase?",
        "This phase and everything that depends on it run again. What is open there is stopped first; earlier work and attempts are kept.",
        "Start again",
        "Keep as it is",
    ),
    "delete": (
        "Delete {}?",
        "Its activities, logs, decisions, comments and files are removed, and those of releases below it. The audit trail stays. This can't be undone.",
        "Delete release",
        "Keep release",
    ),
    "hold": ("Put {} on hold?", "Nothing new starts until it is resumed. What runs goes on to its end.", "Put on hold", "Keep running"),
    "resume": ("Resume {}?", "It goes on where it was; due dates of people move by the time held.", "Resume release", "Keep on hold"),
    "abort": ("Abort {}?", "Everything that is open ends now. Nothing is rolled back. This can't be undone.", "Abort release", "Keep running"),
}


_DONE = {
    "hold": "is on hold",
    "resume": "goes on",
    "abort": "was aborted",
    "start": "has started",
    "cancel": "was cancelled",
    "reschedule": "was rescheduled",
    "restart_from": "was started again",
    "delete": "was deleted",
}


@dataclass
class Output:
    """A substitute output to be entered; `needed` says who reads it."""

    name: str
    needed: str = ""
    kind: str = "text"
    value: str = ""
    problem: str = ""


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
    then: str = ""
    """Where it leads when it is done; else back."""
    danger: bool = False
    needs_reason: bool = True
    outputs: list[Output] = field(default_factory=list)
    takes_inputs: bool = False
    processes: Sequence[Any] = ()
    process: str = ""
    form: TimesForm | None = None
    phases: Sequence[tuple[str, str]] = ()
    phase: str = ""
    refusal: str = ""
    elsewhere: tuple[str, str] | None = None
    losers: Sequence[str] = ()
    moves: list[dict[str, str]] = field(default_factory=list)
    more: int = 0
    again: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    inputs: str = ""

    @property
    def heading(self) -> str:
        """How many activities are to run again."""
        return f"{self.again} {'activity becomes' if self.again == 1 else 'activities become'} pending again:" if self.again else ""


MOST_MOVES = 12


def of_release(page: Page, verb: str, act: Callable[..., Any], actor: Actor, given: QueryDict | None = None) -> Asked:
    """A verb on the whole release."""
    title, text, button, keep = _WORDS[verb]
    release = page.release
    asked = Asked(
        verb=verb,
        title=title.format(release.name),
        text=text,
        button=button,
        keep=keep,
        action=reverse("releases:operate", args=[release.pk, verb]),
        back=reverse("releases:detail", args=[release.pk]),
        done=f"{release.name} {_DONE[verb]}.",
        do=partial(act, release=release.pk, actor=actor),
        page=page,
        danger=verb in ("abort", "cancel", "delete"),
        needs_reason=verb not in ("resume", "start"),
    )
    if verb == "delete":
        asked.then = reverse("releases:list")
    elif verb == "start":
        asked.do = lambda reason="", preview=False: act(release=release, actor=actor, preview=preview)
    elif verb == "reschedule":
        asked.form = TimesForm(given, initial=TimesForm.shown(release))
    elif verb == "restart_from":
        asked.phases = [(key, phase.label) for key, phase in page.flow.phases.items()]
        chosen = given.get("phase", "") if given else ""
        asked.phase = chosen if chosen in page.flow.phases else ""
        asked.do = partial(asked.do, phase=asked.phase)
        if asked.phase:
            asked.title = f"Start {release.name} again from {page.flow.phases[asked.phase].label}?"
    return asked


def of_activity(it: ActivityPage, verb: Verb, actor: Actor) -> Asked:
    """A verb on a run."""
    asked = Asked(
        verb=verb.name,
        title=f"{verb.do.removesuffix(' activity')} “{it.line.label}”?" if verb.name != "succeed" else f"Count “{it.line.label}” as succeeded?",
        text=verb.text,
        button=verb.do,
        keep="Keep as it is",
        action=reverse("releases:act", args=[it.release.pk, it.key, verb.name]),
        back=it.page.url_of(it.key),
        done=f"{it.line.label}: {verb.do.lower().removesuffix(' activity')} done.",
        do=partial(verb.act, release=it.release.pk, activity=it.key, actor=actor),
        page=it.page,
        danger=verb.danger,
        takes_inputs=verb.name == "retry" and it.line.run.type != "manual",
    )
    if verb.name == "retry" and it.line.run.type != "manual":
        asked.processes = list(Process.objects.startable_by(it.page.user).order_by("name")[:200])
    if verb.name in WITH_OUTPUTS:
        asked.outputs = outputs_of(it)
    if verb.name in ("skip", "fail", "ignore"):
        asked.losers = [it.page.labels.get(key, key) for key in losers_of(it.page.flow.blueprint, it.key, {})]
    return asked


_KINDS = {"integer": "number", "number": "number", "boolean": "boolean", "list": "json", "object": "json", "multi_choice": "json"}


def outputs_of(it: ActivityPage) -> list[Output]:
    """The outputs that the activity would have had: those of its form with their types, and those that it declares."""
    step = it.line.activity
    found = {name: Output(name, kind=_KINDS.get(str(spec.type), "text")) for name, spec in step.fields.items()}
    for name in step.outputs or {}:
        found.setdefault(name, Output(name))
    return list(found.values())


def answer(request: HttpRequest, asked: Asked, context: dict[str, Any]) -> HttpResponse:
    """The confirmation; after a POST with a reason, where the verb leads."""
    if request.method == "POST":
        return _done(request, asked, context)
    if not (asked.phases and not asked.phase) and asked.form is None:
        _preview(asked)
    return page_or_fragment(request, "releases/confirm.html", "releases/_confirm.html", {**context, "asked": asked})


def _preview(asked: Asked) -> None:
    try:
        moves = asked.do(reason="preview", preview=True, **({"outputs": {}} if asked.verb in WITH_OUTPUTS else {}))
    except Conflict as refusal:
        if refusal.code == "not_deletable":
            asked.refusal = refusal.message
            return
        if refusal.code != "upstream_not_satisfied":
            raise
        asked.refusal, first = refusal.message, str(refusal.data["phase"])
        asked.elsewhere = (first, asked.page.flow.phases[first].label) if first else None
        return
    except Invalid as error:
        if error.code != "outputs_needed":
            raise
        known = {output.name: output for output in asked.outputs}
        for problem in error.problems:
            name = problem.place.rpartition("/")[2]
            if name not in known:
                asked.outputs.append(known.setdefault(name, Output(name)))
            known[name].needed = problem.message
        moves = asked.do(reason="preview", preview=True, outputs=dict.fromkeys(known, ""))
    looks = {line.run.key: line.look for line in asked.page.lines if line.run.state == "waiting"} if any(move.before == "waiting" for move in moves) else {}
    shown = shown_moves(moves, asked.page.release, asked.page.labels, asked.page.children, looks)
    asked.again = sum(move["after"] == "pending" for move in shown)
    asked.moves, asked.more = shown[:MOST_MOVES], max(0, len(shown) - MOST_MOVES)


def _done(request: HttpRequest, asked: Asked, context: dict[str, Any]) -> HttpResponse:
    asked.reason, asked.inputs = request.POST.get("reason", "").strip()[:2000], request.POST.get("inputs", "")
    given: dict[str, Any] = {}
    if asked.needs_reason and not asked.reason:
        asked.problems["reason"] = "Say why: the reason is kept in the audit trail."
    if asked.takes_inputs and asked.inputs.strip():
        given["inputs"] = _object(asked, asked.inputs)
    if asked.processes and (process := request.POST.get("process", "")):
        if process not in {one.identifier for one in asked.processes}:
            raise Http404
        given["process"] = asked.process = process
    if asked.verb in WITH_OUTPUTS:
        given["outputs"] = _outputs(asked, request.POST)
    if asked.form is not None:
        given |= asked.form.times if asked.form.is_valid() else {}
        if asked.form.errors:
            asked.problems[""] = "Look at the times below."
    if not asked.problems:
        try:
            asked.do(reason=asked.reason, **given)
        except Invalid as error:
            _say(asked, error)
        else:
            messages.success(request, asked.done)
            return redirect(asked.then or asked.back)
    return render(request, "releases/confirm.html", {**context, "asked": asked}, status=422)


def _say(asked: Asked, error: Invalid) -> None:
    known = {output.name: output for output in asked.outputs}
    for problem in error.problems:
        place = str(getattr(problem, "place", ""))
        name = place.rpartition("/")[2]
        if place.startswith("/outputs/"):
            if name not in known:
                asked.outputs.append(known.setdefault(name, Output(name)))
            known[name].problem = problem.message
        elif asked.form is not None and name in asked.form.fields:
            asked.form.add_error(name, problem.message)
        else:
            asked.problems[name or "reason"] = problem.message
    asked.problems.setdefault("", error.message)


def _outputs(asked: Asked, given: QueryDict) -> dict[str, Any]:
    known = {output.name: output for output in asked.outputs}
    found: dict[str, Any] = {}
    for key in given:
        name = key.removeprefix("output_")
        if name == key or not name.isidentifier():
            continue
        if name not in known:
            asked.outputs.append(known.setdefault(name, Output(name)))
        output = known[name]
        output.value, kind = str(given[key]), str(given.get(f"kind_{name}", output.kind))
        output.kind = kind if kind in ("text", *_KINDS.values()) else output.kind
        if output.value.strip():
            found[name] = _typed(output)
            if output.problem:
                asked.problems[""] = "Some values are not what they are said to be."
    return found


def _typed(output: Output) -> Any:
    text = output.value
    if output.kind == "text":
        return text
    value = _json(text.lower() if output.kind == "boolean" else text)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if (output.kind == "number" and not is_number) or (output.kind == "boolean" and not isinstance(value, bool)) or (output.kind == "json" and value is None):
        output.problem = {"number": "A number is needed.", "boolean": "true or false is needed.", "json": "This cannot be read as JSON."}[output.kind]
    return value


def _json(text: str) -> Any:
    """The value, read as in files and in the API: no NaN, not endlessly deep; None when it cannot be read."""
    found = read_json(text.strip())
    return None if errors(found.problems) or found.value is LEFT_OUT else found.value


def _object(asked: Asked, text: str) -> dict[str, Any]:
    found = _json(text)
    if not isinstance(found, dict):
        asked.problems["inputs"] = 'A JSON object is needed here, such as {"version": "1.4.1"}.'
        return {}
    return found
