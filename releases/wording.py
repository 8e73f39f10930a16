"""How releases and runs are said on pages: which look a state has, why a release stands where it stands, what an event means. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from releases.states import Release, Run, Skipped
from relorch.lib import words

NEEDS_DECISION = frozenset({"on_hold", "interrupted"})
ASKS_PEOPLE = frozenset({"waiting_you", "waiting_person"})
BUSY = frozenset({"running", "retrying", "queued", "waiting_child", "waiting_machine", "waiting_time", "waiting_lock", "waiting_signal"})

BECAUSE = {
    Skipped.CONDITION: "its condition was not met",
    Skipped.NOT_NEEDED: "it was not needed",
    Skipped.PERSON: "a person skipped it",
    Skipped.BAD_END: "something before it ended badly",
}
"""Why an activity did not run, in words."""


WAITS_FOR_LOCK = "waiting_for_lock"
"""The `code` of a run that waits for a lock (S9a)."""


_WAITS = {"timer": "waiting_time", "signal": "waiting_signal"}


def run_look(state: str, kind: str, *, connector: str = "", attempts: int = 0, yours: bool = False, code: str = "") -> str:
    """The key of `relorch.lib.look.STATES` for a run: what it waits for is told apart, and whether it is tried again."""
    if state == Run.WAITING:
        if code == WAITS_FOR_LOCK:
            return "waiting_lock"
        if kind == "manual":
            return "waiting_you" if yours else "waiting_person"
        return "waiting_child" if kind == "subprocess" else _WAITS.get(connector, "waiting_machine")
    return "retrying" if state == Run.QUEUED and attempts > 1 else state


@dataclass(frozen=True, slots=True)
class Active:
    """A run that is open and has begun, or one that ended badly: what a reason is made of."""

    label: str
    look: str
    attempts: int = 1
    since: datetime | None = None


def release_look(state: str, active: Sequence[Active]) -> str:
    """The state of a release as people care for it: strongest first, a decision, then a question to people, then work (design, section 4)."""
    if state != Release.RUNNING:
        return state
    looks = {item.look for item in active}
    if looks & NEEDS_DECISION:
        return "on_hold"
    for look in ("waiting_you", "waiting_person"):
        if look in looks:
            return look
    for look in ("waiting_time", "waiting_lock", "waiting_signal"):
        if looks == {look}:
            return look
    return str(Release.RUNNING)


def short_reason(state: str, reason: str, active: Sequence[Active], now: datetime, took: float | None = None) -> str:
    """One line for tables."""
    look = release_look(state, active)
    if look == "on_hold":
        first = next(item for item in active if item.look in NEEDS_DECISION)
        return f"{first.label}, {_count(first.attempts, 'attempt')}"
    if look in ASKS_PEOPLE:
        asked = [item for item in active if item.look in ASKS_PEOPLE]
        longest = max(((now - item.since).total_seconds() for item in asked if item.since), default=0)
        said = asked[0].label if len(asked) == 1 else f"{len(asked)} questions, longest"
        return f"{said}, {words.duration(longest)}" if len(asked) == 1 else f"{said} {words.duration(longest)}"
    if look in _STANDS:
        return f"{_names([item.label for item in active])}: waits for {_STANDS[look]}"
    if state == Release.RUNNING:
        return _names([item.label for item in active if item.look in BUSY])
    if state == Release.FAILED and active:
        return _names([item.label for item in active])
    return reason or (words.duration(took) if took is not None else "")


def reason(state: str, said: str, active: Sequence[Active], *, pending: int, took: float | None) -> str:
    """The sentence below the title of a release."""
    look = release_look(state, active)
    busy = [item for item in active if item.look in BUSY]
    running = f" {_count(len(busy), 'activity', 'activities')} {'is' if len(busy) == 1 else 'are'} running." if busy else ""
    if look == "on_hold":
        stuck = [item for item in active if item.look in NEEDS_DECISION]
        return f"{_names([item.label for item in stuck])} {'needs' if len(stuck) == 1 else 'need'} a decision.{running}"
    if look in ASKS_PEOPLE:
        asked = sum(item.look in ASKS_PEOPLE for item in active)
        held_up = (
            f" {'holds' if asked == 1 else 'hold'} up {_count(pending, 'activity', 'activities')}" if pending else f" {'is' if asked == 1 else 'are'} open"
        )
        return f"{_count(asked, 'question')} to people{held_up}.{running}"
    if look in _STANDS:
        return f"{_names([item.label for item in busy])} {'waits' if len(busy) == 1 else 'wait'} for {_STANDS[look]}."
    if state == Release.RUNNING:
        return f"{_names([item.label for item in busy])} {'is' if len(busy) == 1 else 'are'} running." if busy else "The next activities are being handed out."
    if state == Release.DRAFT:
        return "Not started yet."
    if state == Release.CANCELLED:
        return f"Cancelled before it started: {said}"
    if state == Release.HELD:
        return f"Nothing new starts until it is resumed: {said}{'' if said.endswith('.') else '.'}{running}"
    ended = {
        Release.SUCCEEDED: "Everything is done",
        Release.PARTIALLY_SUCCEEDED: "Done, though not all of it went well",
        Release.FAILED: f"{_names([item.label for item in active])} ended badly" if active else "It ended badly",
        Release.ABORTED: f"Ended by a person: {said}" if said else "Ended by a person",
    }.get(Release(state), "")
    return f"{ended.rstrip('.')}. It took {words.duration(took)}." if ended and took is not None else f"{ended}." if ended else said


def not_started(auto_start: bool, is_due: bool, said: str) -> str:
    """The sentence below the title of a scheduled release."""
    if is_due:
        return f"Its time has come. It could not start by itself: {said}" if said else "Its time has come: it waits for a person to start it."
    return "It starts by itself at its time." if auto_start else "At its time it waits for a person to start it."


_STANDS = {"waiting_lock": "a lock that another has", "waiting_signal": "a signal from outside"}
"""Looks of a release in which nothing else goes on, and what it then waits for."""


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def some(names: Sequence[str], most: int) -> str:
    """Some names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _names(names: Sequence[str]) -> str:
    if len(names) <= 2:
        return " and ".join(names)
    return f"{names[0]}, {names[1]} and {len(names) - 2} more"


@dataclass(frozen=True, slots=True)
class Said:
    """An event in words: `look` gives its icon, `subject` is bold, `note` is what a person wrote."""

    look: str
    subject: str
    text: str
    note: str = ""


_ACTIVITY = {
    "started": ("running", "started"),
    "waiting": ("waiting_machine", "waits"),
    "asked": ("waiting", "asks"),
    "child_started": ("waiting_child", "started a release of its own"),
    "succeeded": ("succeeded", "succeeded"),
    "failed": ("failed", "failed"),
    "rejected": ("rejected", "was rejected"),
    "expired": ("expired", "was not answered in time"),
    "on_hold": ("on_hold", "needs a decision"),
    "interrupted": ("interrupted", "was cut off, its outcome is unknown"),
    "aborted": ("aborted", "was aborted"),
    "skipped": ("skipped", "was skipped"),
    "ignored": ("ignored", "ended badly and is ignored"),
    "retried": ("retrying", "was retried"),
    "retry_scheduled": ("retrying", "is tried again"),
    "stopped": ("aborted", "was told to stop"),
    "overridden": ("on_hold", "was overridden and counts as succeeded"),
    "pending_again": ("pending", "is to run again"),
    "waits_again": ("waiting_child", "waits again"),
}
_LOCK = {
    "asked": ("waiting_lock", "waits for the lock"),
    "taken": ("waiting_lock", "has the lock"),
    "freed": ("waiting_lock", "gave up the lock"),
}
_RELEASE = {
    "started": ("running", "started"),
    "drafted": ("draft", "was drafted"),
    "changed": ("draft", "was changed"),
    "scheduled": ("scheduled", "was scheduled"),
    "rescheduled": ("scheduled", "was rescheduled"),
    "cancelled": ("cancelled", "was cancelled"),
    "due": ("waiting", "is to be started by a person: its time has come"),
    "missed": ("missed", "was missed: its expected end passed unstarted"),
    "start_failed": ("failed", "could not start by itself"),
    "held": ("held", "was put on hold"),
    "resumed": ("running", "was resumed"),
    "aborted": ("aborted", "was aborted"),
    "reopened": ("running", "runs again"),
    "restarted": ("retrying", "was started again"),
    "succeeded": ("succeeded", "succeeded"),
    "partially_succeeded": ("partially_succeeded", "succeeded in part"),
    "failed": ("failed", "failed"),
}
_PHASE = {
    "opened": ("running", "opened"),
    "closed": ("ok", "closed"),
    "skipped": ("skipped", "was skipped"),
    "not_decided": ("failed", "could not be decided"),
    "outputs_missing": ("warn", "lacks outputs"),
}
_TALK = {
    "comment.added": ("info", "has a new comment"),
    "comment.changed": ("info", "has a changed comment"),
    "comment.deleted": ("info", "has lost a comment"),
    "attachment.added": ("info", "has a new file"),
    "attachment.removed": ("info", "has lost a file"),
    "task.changed": ("info", "has a changed task"),
    "form.filled": ("info", "was filled in"),
    "approval.broken": ("failed", "rests on an approval that nobody gave"),
}


def told() -> list[str]:
    """The verbs of events that the page of a release tells: what came of things, not each step on the way."""
    activity = [f"activity.{verb}" for verb in _ACTIVITY if verb not in {"started", "waiting"}]
    phases = [f"phase.{verb}" for verb in _PHASE if verb != "opened"]
    return [
        *activity,
        *(f"release.{verb}" for verb in _RELEASE),
        *phases,
        *(f"lock.{verb}" for verb in _LOCK),
        "sign_off.given",
        "sign_off.changed",
        "sign_off.stale",
        *_TALK,
    ]


def event_said(verb: str, subject: str, actor: str, record: Mapping[str, Any], labels: Mapping[str, str]) -> Said:
    """An event as a sentence. `labels` are the names of activities and phases (`phase:<id>`)."""
    area, _, what = verb.partition(".")
    data, why = record.get("data") or {}, str(record.get("reason") or "")
    label = labels.get(subject, subject) or "The release"
    look, text = {"activity": _ACTIVITY, "release": _RELEASE, "phase": _PHASE, "lock": _LOCK}.get(area, {}).get(what, ("info", what.replace("_", " ")))
    look, text = _TALK.get(verb, (look, text))
    if verb in ("attachment.added", "attachment.removed"):
        why = why or str(data.get("name") or "")
    if area == "release":
        label = "The release"
        why = why or str(data.get("message") or "")
        if what == "restarted":
            text = f"was started again from {labels.get(subject, subject.removeprefix('phase:'))}"
    elif area == "phase":
        label = f"Phase {label}"
    elif area == "lock":
        text = f"{text} {data.get('name', '')}"
    elif verb == "sign_off.refused":
        look, text = "info", "has a decision that was not taken"
    elif area == "sign_off":
        look = {"approve": "ok", "reject": "rejected"}.get(str(data.get("decision", "")), "info")
        text = {"approve": "was approved", "reject": "was rejected"}.get(str(data.get("decision", "")), text)
        why = why or str(data.get("comment") or "")
    elif verb == "activity.asked":
        people = [str(who).partition(":")[2] for who in data.get("of", [])]
        text = f"asks {_names(people)}" if people else "asks nobody: there is no one who may decide"
    elif verb == "activity.skipped" and data.get("because") in BECAUSE:
        text = f"was skipped: {BECAUSE[data['because']]}"
    elif data.get("message") and what in {"failed", "on_hold", "interrupted"}:
        why = why or str(data["message"])
    elif what == "retry_scheduled":
        text = f"is tried again, attempt {data.get('attempt', '')}"
    # what follows by itself is not told as the deed of whoever set it off
    by = actor if area in {"release", "sign_off", "comment", "attachment", "task", "form"} or why or data.get("by_hand") else ""
    return Said(look, label, f"{text} by {by}" if by else text, why)
