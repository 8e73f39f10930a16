"""What a wait is called, who can end it by which verb, and what is said of it: one table over every kind of wait. Pure.

`waiting.py` reads the rows; here is decided what each of them means. A verb that is named fits the state: who does it ends the wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from releases.states import UNDECIDED, Run
from releases.wording import WAITS_FOR_LOCK


class Who(StrEnum):
    """Whose addresses are looked up for an entry."""

    DECIDERS = "deciders"
    RESPONSIBLE = "responsible"
    OVERRIDERS = "overriders"
    ADMINISTRATORS = "administrators"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the tables say of a run that is open, and of its newest attempt."""

    state: str
    type: str
    code: str = ""
    outcome: str = ""
    message: str = ""
    """What the other side last said, or why its answer could not be understood."""
    connector: str = ""
    is_asked: bool = False
    can_be_met: bool = True
    """Of a question to people: those there are can still make a verdict."""
    is_heard: bool = True
    """Of a machine: some worker of its lane is alive; of a claimed attempt: its lease holds."""
    is_retry: bool = False
    attempt: int = 1
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """One entry: its kind, what can be done about it and by whom, and in words what it is."""

    kind: str
    who: Who
    verb: str
    verbs: tuple[str, ...]
    text: str
    nobody: bool = False
    """Nobody can act as things are; `who` are those who can change that, by `verb`."""
    details: Mapping[str, Any] = field(default_factory=dict)


_AFTER_BAD_END = ("retry", "ignore", "fail", "succeed")
_OUTCOME = {Run.REJECTED: "was rejected", Run.EXPIRED: "was not answered in time"}


def wait_of(seen: Seen) -> Wait:
    """What this run waits for."""
    if seen.state in UNDECIDED:
        return _undecided(seen)
    if seen.code == WAITS_FOR_LOCK and seen.state == Run.WAITING:
        return Wait("lock", Who.RESPONSIBLE, "skip", ("skip",), "Waits for a lock.")
    if seen.type == "manual" and seen.is_asked:
        return _question(seen)
    if seen.type == "subprocess" and seen.state == Run.WAITING:
        return Wait("child", Who.RESPONSIBLE, "skip", ("skip",), "Waits for the release that it has started.")
    if not seen.is_heard:
        return _unheard(seen)
    if seen.state == Run.QUEUED and seen.until is not None:
        return Wait("time", Who.RESPONSIBLE, "skip", ("skip",), f"Is tried again, attempt {seen.attempt}, at the time that its policy says.")
    if seen.state == Run.QUEUED:
        return Wait("machine", Who.RESPONSIBLE, "skip", ("skip",), "Is about to be handed out to a worker.")
    if seen.state == Run.WAITING and seen.connector == "timer":
        return Wait("time", Who.RESPONSIBLE, "skip", ("skip", "succeed"), "Waits for its time.")
    if seen.state == Run.WAITING and seen.connector == "signal":
        return Wait("signal", Who.RESPONSIBLE, "skip", ("skip", "succeed"), "Waits for a signal from outside.")
    if seen.state == Run.WAITING:
        said = f" It last said: {seen.message}" if seen.message else ""
        return Wait("machine", Who.RESPONSIBLE, "skip", ("skip", "succeed"), f"Runs elsewhere and is asked again and again.{said}")
    return Wait("machine", Who.RESPONSIBLE, "stop", ("stop",), "Runs.")


def _undecided(seen: Seen) -> Wait:
    if seen.code == "approval_broken":
        # trying again meets the same broken approval; the approval itself must be decided afresh
        verbs = ("fail", "restart_from", "ignore", "succeed")
        return Wait("person", Who.RESPONSIBLE, "fail", verbs, "An approval before it bears no valid seal: decide that afresh, or accept that this fails.")
    if seen.state == Run.INTERRUPTED:
        return Wait("person", Who.RESPONSIBLE, "retry", _AFTER_BAD_END, "Was cut off; nobody knows whether it happened. Somebody must look and choose.")
    said = _OUTCOME.get(Run(seen.outcome), "failed") if seen.outcome else "failed"
    return Wait("person", Who.RESPONSIBLE, "retry", _AFTER_BAD_END, f"It {said}, and somebody must choose what to do.")


def _question(seen: Seen) -> Wait:
    if seen.can_be_met:
        return Wait("person", Who.DECIDERS, "sign_off", ("sign_off",), "Waits for a decision.")
    said = "Nobody who is here can meet the rule of this approval: others must be asked."
    return Wait("person", Who.RESPONSIBLE, "skip", ("reassign", "skip", "succeed"), said, nobody=True)


def _unheard(seen: Seen) -> Wait:
    if seen.state == Run.RUNNING:
        said = "Its worker has not been heard of since its lease ran out, and nobody has looked: no clock is alive."
    else:
        said = "No worker that could take it is alive."
    return Wait("machine", Who.ADMINISTRATORS, "start_workers", (), f"{said} Whoever looks after the installation can start them.", nobody=True)
