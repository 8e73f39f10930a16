"""How each state looks: one table for pages and mails (design, section 4). No template asks which state it has.

The colours are the six state colours of `static/css/tokens.css`, which repeats this table as selectors on `data-state`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """Icon (of `static/img/icons.svg`), word, colour and the part of a bar it counts in."""

    icon: str
    label: str
    colour: str
    bar: str = "rest"
    extra: str = ""  # a second icon
    spins: bool = False


STATES: Mapping[str, Look] = {
    # runs; some of releases and phases too
    "succeeded": Look("circle-check", "Succeeded", "success", "succeeded"),
    "skipped": Look("skip-forward", "Skipped", "neutral", "skipped"),
    "ignored": Look("circle-minus", "Ignored", "neutral", "skipped"),
    "running": Look("loader-circle", "Running", "running", "running", spins=True),
    "retrying": Look("rotate-ccw", "Retrying", "running", "running"),
    "waiting_child": Look("workflow", "Waiting for a subprocess", "running", "running"),
    "waiting_machine": Look("server", "Running elsewhere", "running", "running"),
    "waiting": Look("user-round-check", "Waiting for people", "waiting", "waiting"),
    "waiting_person": Look("user-round-check", "Waiting for people", "waiting", "waiting"),
    "waiting_you": Look("user-round-check", "Waiting for you", "waiting", "waiting"),
    "waiting_time": Look("timer", "Waiting for its time", "waiting", "waiting"),
    "waiting_lock": Look("lock", "Waiting for a lock", "waiting", "waiting"),
    "waiting_signal": Look("radio", "Waiting for a signal", "waiting", "waiting"),
    "interrupted": Look("circle-help", "Outcome unknown", "hold", "hold"),
    "on_hold": Look("circle-alert", "Needs a decision", "failed", "failed"),
    "failed": Look("circle-x", "Failed", "failed", "failed"),
    "rejected": Look("user-round-x", "Rejected", "failed", "failed"),
    "expired": Look("timer-off", "Expired", "failed", "failed"),
    "aborted": Look("circle-slash", "Aborted", "neutral"),
    "queued": Look("hourglass", "Queued", "neutral"),
    "pending": Look("circle-dashed", "Not started", "neutral"),
    # phases
    "satisfied": Look("circle-check", "Succeeded", "success", "succeeded"),
    "bad": Look("circle-x", "Failed", "failed", "failed"),
    # releases
    "draft": Look("pen-line", "Draft", "neutral"),
    "scheduled": Look("clock", "Scheduled", "neutral"),
    "held": Look("circle-pause", "On hold", "hold", "hold"),
    "partially_succeeded": Look("circle-check", "Partially succeeded", "waiting", "succeeded", extra="triangle-alert"),
    "cancelled": Look("circle-slash", "Cancelled", "neutral"),
    "missed": Look("alarm-clock-off", "Missed", "neutral"),
    # other marks
    "published": Look("badge-check", "Published", "success"),
    "verified": Look("badge-check", "Verified", "success"),
    "broken": Look("unlink", "Chain broken", "failed"),
    "unpublished": Look("pen-line", "Draft", "waiting"),
    "dry_run": Look("eye", "Dry run", "running"),
    "freeze": Look("snowflake", "Freeze", "neutral"),
    "conflict": Look("triangle-alert", "Conflict", "failed"),
    # messages; `success` and `warning` are Django's names of their levels
    "ok": Look("circle-check", "Done", "success"),
    "success": Look("circle-check", "Done", "success"),
    "info": Look("info", "Note", "running"),
    "debug": Look("info", "Note", "running"),
    "warn": Look("triangle-alert", "Warning", "waiting"),
    "warning": Look("triangle-alert", "Warning", "waiting"),
    "error": Look("circle-x", "Problem", "failed"),
}

UNKNOWN = Look("circle-help", "Unknown", "neutral")

KINDS: Mapping[str, tuple[str, str]] = {
    "automated": ("terminal", "Automated"),
    "approval": ("stamp", "Approval"),
    "sign_off": ("pen-line", "Sign-off"),
    "checklist": ("list-checks", "Checklist"),
    "subprocess": ("workflow", "Subprocess"),
}
"""Icon and word of each kind of activity."""

BAR = ("succeeded", "skipped", "running", "waiting", "hold", "failed", "rest")
"""Parts of a bar from left to right."""


def look(state: str) -> Look:
    """How that state looks; a state that nobody told us of looks unknown."""
    return STATES.get(state, UNKNOWN)


def kind_of(type_: str, *, tasks: bool = False, people: int = 1) -> str:
    """The kind of an activity: a manual one is a checklist, an approval of several people, or a sign-off."""
    if type_ != "manual":
        return type_ if type_ in KINDS else "automated"
    if tasks:
        return "checklist"
    return "approval" if people > 1 else "sign_off"


def bar_parts(counts: Mapping[str, int] | Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Numbers by state as parts of a bar, left to right, without empty ones."""
    sums = dict.fromkeys(BAR, 0)
    for state, number in dict(counts).items():
        sums[look(state).bar] += number
    return [(part, number) for part, number in sums.items() if number]


def in_bar_order(counts: Mapping[str, int] | Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Numbers by state in the order of the bar's parts, without empty ones: the legend."""
    table = list(STATES)
    found = [(state, number) for state, number in dict(counts).items() if number]
    return sorted(found, key=lambda item: (BAR.index(look(item[0]).bar), table.index(item[0]) if item[0] in STATES else len(table)))
