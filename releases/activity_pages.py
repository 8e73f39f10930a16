"""What the drawer of an activity shows: its log, its values, its attempts, what happened, and which verbs fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.utils.http import urlencode

from releases import access, operating, states
from releases.lock_queue import Queue, held_by, queues_of
from releases.models import Attempt, LogChunk, Release
from releases.pages import Line, Page, said_events
from releases.signals import CONNECTOR, address_of
from releases.threads import Thread
from releases.wording import BECAUSE, Said
from relorch.lib import secrets
from relorch.lib.markdown import to_html

HEAD_LINES, TAIL_LINES = 12, 200
MOST_NEW = 2_000
EVENTS = 50
_LEVEL = re.compile(r"\W*(?:(error|fatal|traceback|exception)|(warn(?:ing)?))\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Verb:
    """What a person can do to a run: the words of its button and of its confirmation, and the states that it fits."""

    name: str
    button: str
    do: str
    icon: str
    text: str
    fits: frozenset[states.Run]
    act: Callable[..., Any]
    danger: bool = False
    over: bool = False
    """Also in a release that can be reopened."""


_BAD = frozenset({states.Run.ON_HOLD, states.Run.INTERRUPTED})
VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            *("retry", "Retry…", "Retry activity", "rotate-ccw", "A new attempt is made; the old ones are kept. What was skipped because of it runs again."),
            _BAD | {states.Run.FAILED, states.Run.REJECTED, states.Run.EXPIRED},
            operating.retry,
            over=True,
        ),
        Verb(
            "ignore",
            "Ignore…",
            "Ignore activity",
            "circle-minus",
            "It ended badly and that does not matter: what comes after it goes on.",
            _BAD,
            operating.ignore,
        ),
        Verb("fail", "Fail…", "Fail activity", "circle-x", "The bad end is accepted; what depends on it does not run.", _BAD, operating.fail, danger=True),
        Verb(
            *("skip", "Skip…", "Skip activity", "skip-forward", "It will not run; what comes after it goes on without its outputs."),
            frozenset({states.Run.PENDING, states.Run.QUEUED, states.Run.WAITING}),
            operating.skip,
        ),
        Verb(
            *("stop", "Stop…", "Stop activity", "square", "The running attempt is told to end and fails. Nothing is rolled back."),
            frozenset({states.Run.RUNNING}),
            operating.stop,
            danger=True,
        ),
        Verb(
            *(
                "succeed",
                "Override…",
                "Count as succeeded",
                "key-round",
                "It counts as succeeded though nobody decided or nothing ran. This is marked for ever.",
            ),
            _BAD | {states.Run.WAITING},
            operating.succeed,
            danger=True,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log."""

    number: int
    text: str
    at: datetime | None
    level: str = ""


def lines_of(attempt: int, after: int = 0, most: int = MOST_NEW) -> list[LogLine]:
    """The lines after that one, at most so many."""
    chunks = LogChunk.objects.filter(attempt_id=attempt, first_line__gt=after - 100_000).order_by("first_line")
    return _cut((chunk for chunk in chunks.iterator() if chunk.first_line + chunk.lines > after + 1), after, most)


def _cut(chunks: Any, after: int, most: int) -> list[LogLine]:
    found: list[LogLine] = []
    for chunk in chunks:
        for line in _lines(chunk):
            if line.number > after:
                found.append(line)
                if len(found) == most:
                    return found
    return found


def _lines(chunk: LogChunk) -> Iterator[LogLine]:
    for offset, text in enumerate(chunk.text.removesuffix("\n").split("\n")):
        level = _LEVEL.match(text[:80])
        said = "" if level is None else "err" if level[1] else "warn"
        yield LogLine(chunk.first_line + offset, text.rstrip("\r"), chunk.at, said)


@dataclass
class ActivityPage:
    """One activity of a release, for one reader."""

    page: Page
    line: Line
    tab: str = ""

    @property
    def release(self) -> Release:
        """Whose it is."""
        return self.page.release

    @property
    def key(self) -> str:
        """Its id."""
        return self.line.run.key

    @cached_property
    def attempts(self) -> list[Attempt]:
        """Newest first."""
        return list(Attempt.objects.filter(run=self.line.run).order_by("-number"))

    @cached_property
    def attempt(self) -> Attempt | None:
        """The newest one."""
        return self.attempts[0] if self.attempts else None

    @cached_property
    def thread(self) -> Thread:
        """What people said and brought."""
        return Thread(self.release, self.page.user, self.key, here=self._tab_url("comments"))

    @property
    def overridden(self) -> dict[str, str] | None:
        """Who broke the glass on this run and why; also when it was started afresh since."""
        return next((attempt.override for attempt in self.attempts if attempt.override), None)

    @property
    def manual(self) -> bool:
        """Whether people do it."""
        return self.line.run.type == "manual"

    @property
    def version(self) -> str:
        """Changes when the drawer must be drawn again."""
        return f"{self.line.look}-{self.line.run.attempt_count}"

    @cached_property
    def tabs(self) -> list[dict[str, Any]]:
        """The tabs; what people do begins with its details."""
        first = ("log", "Log") if self.line.run.type == "automated" else ("details", "Details")
        names = [first, ("values", "Inputs and outputs"), ("comments", "Comments"), ("attempts", "Attempts"), ("timeline", "Timeline")]
        counts = {"attempts": len(self.attempts), "comments": self.thread.count or ""}
        current = self.tab if self.tab in dict(names) else first[0]
        return [{"name": name, "label": label, "url": self._tab_url(name), "current": name == current, "count": counts.get(name, "")} for name, label in names]

    def _tab_url(self, name: str) -> str:
        address = self.page.url_of(self.key)
        return f"{address}{'&' if self.page.query else '?'}{urlencode({'tab': name})}"

    @property
    def current(self) -> str:
        """The tab that is open."""
        return str(next(tab["name"] for tab in self.tabs if tab["current"]))

    @property
    def position(self) -> int:
        """Its number in its phase."""
        return [item.id for item in self.phase.activities].index(self.key) + 1

    @property
    def phase(self) -> Any:
        """Its phase in the blueprint."""
        return self.page.flow.phases[self.page.flow.phase_of[self.key]]

    @property
    def neighbours(self) -> tuple[str, str]:
        """Addresses of the activities before and after it."""
        keys = [line.run.key for line in self.page.lines]
        at = keys.index(self.key)
        return (self.page.url_of(keys[at - 1]) if at else "", self.page.url_of(keys[at + 1]) if at + 1 < len(keys) else "")

    @property
    def previous_url(self) -> str:
        """The activity before it."""
        return self.neighbours[0]

    @property
    def next_url(self) -> str:
        """The activity after it."""
        return self.neighbours[1]

    @property
    def because(self) -> str:
        """Why it was skipped, in words."""
        return BECAUSE.get(states.Skipped(self.line.run.skipped_because), "") if self.line.run.skipped_because else ""

    @property
    def causes(self) -> list[str]:
        """The names of what ended badly before it."""
        return [self.page.labels.get(key, key) for key in list(self.line.run.met)[:20]]

    @cached_property
    def verbs(self) -> list[Verb]:
        """Those that fit its state and that this person may do."""
        state, whole = self.line.run.state, self.release.state
        fitting = [v for v in VERBS.values() if state in v.fits and (whole in states.LIVE or (v.over and whole in states.REOPENABLE))]
        if not fitting:
            return []
        allowed = {"run": access.may_do(self.page.user, "retry", self.release, self.key)}
        if any(verb.name in access.OVERRIDE_VERBS for verb in fitting):
            allowed["override"] = access.may_override(self.page.user, self.release)
        return [verb for verb in fitting if allowed["override" if verb.name in access.OVERRIDE_VERBS else "run"]]

    @property
    def may_reassign(self) -> bool:
        """Whether this person may ask others: whoever may skip it, by the same right."""
        return self.manual and self.line.run.state == states.Run.WAITING and any(verb.name == "skip" for verb in self.verbs)

    @property
    def signal(self) -> str:
        """Where its signal is posted, if it waits for one or will."""
        open_signal = self.line.activity.connector == CONNECTOR and self.line.run.state not in states.CLOSED
        return address_of(self.release.pk, self.key) if open_signal else ""

    @cached_property
    def lock(self) -> Queue | None:
        """The queue of the lock that it waits for, or else that it holds."""
        if self.line.look == "waiting_lock":
            return queues_of([self.line.run], self.page.user).get(self.line.run.pk)
        return held_by(self.line.run, self.page.user)

    @cached_property
    def inputs(self) -> list[tuple[str, str]]:
        """What the newest attempt was given; secrets are not shown."""
        given = self.attempt.inputs if self.attempt else None
        return pairs(given) if given else []

    @cached_property
    def outputs(self) -> list[tuple[str, str]]:
        """What later activities read."""
        return pairs(self.line.run.outputs)

    @cached_property
    def bound(self) -> list[tuple[str, str]]:
        """What a decision is about (S17); of a secret a digest."""
        return pairs((self.attempt.bound if self.attempt else None) or {})

    @cached_property
    def filled(self) -> list[tuple[str, str]]:
        """What people entered in the form."""
        return pairs((self.attempt.filled if self.attempt else None) or {})

    @cached_property
    def request(self) -> dict[str, Any]:
        """What people are shown, when it asks them."""
        return (self.attempt.request if self.attempt else None) or {}

    @cached_property
    def instructions(self) -> str:
        """What people are asked to do, as safe HTML: with its values once it asks, else as the author wrote it."""
        return to_html(str(self.request.get("instructions") or self.line.activity.instructions))

    @cached_property
    def timeline(self) -> list[tuple[Said, datetime]]:
        """What happened to it, newest first."""
        return said_events(self.page.stream, self.page.labels, EVENTS, release_id=self.release.pk, subject=self.key)

    @cached_property
    def log(self) -> dict[str, Any]:
        """The first and the last lines of the newest attempt, how many there are and how many are not shown."""
        if self.attempt is None:
            return {"total": 0}
        chunks = LogChunk.objects.filter(attempt=self.attempt)
        tail: list[LogLine] = []
        for chunk in chunks.order_by("-first_line")[:TAIL_LINES].iterator():
            tail = [*_lines(chunk), *tail]
            if len(tail) >= TAIL_LINES:
                break
        tail = tail[-TAIL_LINES:]
        total = tail[-1].number if tail else 0
        first = chunks.order_by("first_line").first() if tail and tail[0].number > 1 else None
        head = [line for line in _lines(first) if line.number < tail[0].number][:HEAD_LINES] if first else []
        hidden = tail[0].number - 1 - len(head) if tail else 0
        return {"attempt": self.attempt, "head": head, "tail": tail, "total": total, "hidden": hidden, "follows": self.follows}

    @property
    def follows(self) -> bool:
        """Whether more lines may come."""
        return self.line.run.state in {states.Run.QUEUED, states.Run.RUNNING} or self.line.look == "waiting_machine"


def pairs(values: Any) -> list[tuple[str, str]]:
    """Named values as texts; a secret shows only that there is one."""
    if not isinstance(values, dict):
        return [("", as_text(values))] if values is not None else []
    return [(str(name), as_text(value)) for name, value in values.items()]


def as_text(value: Any) -> str:
    """A JSON value for reading."""
    value = secrets.hide(value)
    if secrets.is_hidden(value):
        return "•••"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
