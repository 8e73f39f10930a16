"""What the sign-off page shows of one question: who asks, what it is about, who decides, and what each answer does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.auth import get_user_model
from django.urls import reverse

from approvals import packets
from approvals.blockers import Blocker, blockers_of
from approvals.changes import Change, named, of_packets
from approvals.comparing import Since, since_last
from approvals.models import SignOff
from approvals.querysets import Item, items_of
from approvals.risks import WORDS
from approvals.signatures import verifies
from processes.access import owner_names
from processes.blueprint import Variable
from processes.quorum import Vote, missing, verdict
from processes.silence import notices
from processes.value_fields import label_of
from releases.access import may_do, owns_run
from releases.flows import compiled
from releases.models import ActivityRun, Attachment, Attempt, Task
from releases.states import BAD, LIVE, Run
from releases.threads import Thread
from relorch.lib.markdown import to_html
from relorch.lib.words import question

LONGEST_VALUE = 2000
MOST_CHECKS = 12
_SHORTEST_HASH = 40


@dataclass(frozen=True, slots=True)
class Value:
    """One bound value: its name, itself, what it was when the reader decided before (if that was something else), and how it is shown."""

    name: str
    said: Any
    was: Any = None
    changed: bool = False
    hidden: bool = False
    url: str = ""

    @property
    def is_hash(self) -> bool:
        """Whether it is long and without spaces, as digests are."""
        return isinstance(self.said, str) and len(self.said) >= _SHORTEST_HASH and " " not in self.said


@dataclass(frozen=True, slots=True)
class Group:
    """Values of one origin: inputs, variables, or the outputs of an activity."""

    title: str
    values: list[Value]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of who must agree: how many, of whom, who did, who still can."""

    count: int
    of: list[str]
    filled_by: list[Any]
    can_fill: list[Any]
    asked: bool

    @property
    def missing(self) -> int:
        """Places left."""
        return max(0, self.count - len(self.filled_by))


@dataclass(frozen=True, slots=True)
class Check:
    """One activity that ran before."""

    run: ActivityRun
    label: str

    @property
    def took(self) -> Any:
        """How long it took."""
        return self.run.finished_at - self.run.started_at if self.run.finished_at and self.run.started_at else None

    @property
    def url(self) -> str:
        """Where its log and values are."""
        return reverse("releases:activity", args=[self.run.release_id, self.run.key])

    @property
    def note(self) -> str:
        """What it said, or a few of its results."""
        if self.run.message:
            return str(self.run.message)[:120]
        short = [f"{name} {_said(value)}" for name, value in (self.run.outputs or {}).items() if isinstance(value, str | int | float) and len(str(value)) < 30]
        return ", ".join(short[:3])


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One task of the checklist, for one reader."""

    row: Task
    may: bool
    activity: str

    @property
    def look(self) -> str:
        """As which state it looks."""
        return {"todo": "pending", "in_progress": "running", "done": "succeeded", "failed": "failed", "blocked": "on_hold"}[self.row.status]

    @property
    def url(self) -> str:
        """Where it is changed."""
        return reverse("approvals:task", args=[self.row.release_id, self.activity, self.row.key])

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Every status with its word."""
        return list(Task.Status.choices)


@dataclass
class Question:
    """Everything that the page says of an attempt, for one reader."""

    item: Item
    reader: Any

    @classmethod
    def of(cls, attempt: Attempt, reader: Any) -> Question:
        """The question of an attempt, waiting or past."""
        return cls(items_of([attempt], reader)[0], reader)

    @property
    def attempt(self) -> Attempt:
        """The attempt."""
        return self.item.attempt

    @property
    def release(self) -> Any:
        """Its release."""
        return self.item.release

    @property
    def shown(self) -> Mapping[str, Any]:
        """What was asked, with its values filled in."""
        return self.attempt.request or {}

    @property
    def is_open(self) -> bool:
        """Whether it can still be decided."""
        return self.attempt.state == Run.WAITING and self.release.state in LIVE

    @property
    def may_decide(self) -> bool:
        """Whether the reader may, now."""
        return self.is_open and self.item.answer == "yes"

    @property
    def refusal(self) -> str:
        """Why not, in a sentence."""
        if not self.is_open or self.item.answer == "yes":
            return ""
        if self.item.answer == "not_yet_asked":
            return "You are asked once the people before you have agreed."
        if self.item.answer == "excluded":
            return f"You cannot decide here: this approval leaves out {_and(_EXCLUDES[name] for name in self.item.case.approval.exclude)}."
        return "You are not among those who decide here."

    @cached_property
    def packet(self) -> str:
        """The hash of what is decided on."""
        return packets.current_hash(self.attempt)

    @cached_property
    def instructions(self) -> Any:
        """The author's text as HTML."""
        return to_html(self.shown.get("instructions") or "")

    @cached_property
    def specs(self) -> dict[str, Variable]:
        """The fields of its form, with the author's words filled in."""
        return {name: Variable.model_validate(spec) for name, spec in (self.shown.get("fields") or {}).items()}

    @cached_property
    def tasks(self) -> list[TaskLine]:
        """Its checklist."""
        if not self.shown.get("tasks"):
            return []
        names = set(owner_names(self.reader))
        rows = self.attempt.tasks.order_by("position")
        return [TaskLine(row, self.is_open and (self.may_fill or not names.isdisjoint(row.owners)), self.item.key) for row in rows]

    @cached_property
    def may_fill(self) -> bool:
        """Whether the reader may fill in its form, with or without a decision."""
        return self.is_open and (self.item.answer in ("yes", "not_yet_asked") or owns_run(self.reader, self.release, self.item.key))

    @cached_property
    def thread(self) -> Thread:
        """What was said and brought."""
        return Thread(self.release, self.reader, self.item.key, here=f"{reverse('approvals:show', args=[self.release.pk, self.item.key])}#comments")

    @property
    def filled(self) -> list[Value]:
        """What people entered, by the fields' names."""
        values = self.attempt.filled or {}
        return [_value(label_of(name, spec), values[name]) for name, spec in self.specs.items() if name in values]

    @cached_property
    def votes(self) -> list[SignOff]:
        """Every vote, in its order."""
        return list(self.attempt.sign_offs.select_related("person", "for_person", "packet").prefetch_related("signatures__sign_off"))

    @cached_property
    def broken_signatures(self) -> list[Any]:
        """Signatures that something of which was changed."""
        return [row for vote in self.votes for row in vote.signatures.all() if not verifies(row)]

    @property
    def mine(self) -> SignOff | None:
        """The reader's vote, stale or not."""
        return next((vote for vote in self.votes if vote.person_id == self.reader.pk), None)

    @property
    def is_asked_again(self) -> bool:
        """Whether the reader has decided on something that has changed since."""
        return bool(self.mine and self.mine.stale and self.is_open)

    @cached_property
    def bound(self) -> list[Group]:
        """The values that the decision is about; beside each that has changed, what it was when the reader decided."""
        now = self.attempt.bound or {}
        mine = self.mine
        before = mine.packet.content.get("bound", {}) if mine is not None and self.is_asked_again else None
        flow = compiled(self.release.version_id).flow
        found = []
        for origin, values in now.items():
            old = (before or {}).get(origin) if before is not None else values
            found.append(Group(_origin(origin, flow), _rows(origin, values, old)))
        return found

    @cached_property
    def since(self) -> Since:
        """What changed since the last release of the process that succeeded."""
        return since_last(self.attempt)

    @cached_property
    def differences(self) -> list[Change]:
        """For a reader who is asked again: what is different from what they decided on."""
        if not (self.mine and self.is_asked_again):
            return []
        return named(of_packets(self.mine.packet.content, packets.content_of(self.attempt)), self._labels)

    @cached_property
    def news(self) -> list[Change]:
        """What changed since the last release, with names for people."""
        return named(self.since.changes, self._labels)

    @property
    def _labels(self) -> dict[str, str]:
        return {key: step.label for key, step in compiled(self.release.version_id).flow.steps.items()}

    @cached_property
    def blockers(self) -> list[Blocker]:
        """What else stands in the way."""
        return blockers_of(self.release, self.item.key) if self.is_open else []

    @cached_property
    def checks(self) -> list[Check]:
        """What ran before: bad ends first, then the nearest."""
        flow = compiled(self.release.version_id).flow
        upstream = flow.upstream_of_step(self.item.key)
        rows = ActivityRun.objects.filter(release=self.release, key__in=upstream).order_by("-position")
        found = [Check(run, flow.steps[run.key].label) for run in rows]
        return sorted(found, key=lambda check: check.run.state not in BAD)[:MOST_CHECKS]

    @cached_property
    def evidence(self) -> list[Any]:
        """Files that people brought to what ran before."""
        upstream = compiled(self.release.version_id).flow.upstream_of_step(self.item.key)
        rows = Attachment.objects.filter(release=self.release, run__key__in=upstream, removed_at=None)
        return list(rows.select_related("by", "run").order_by("-pk")[:MOST_CHECKS])

    @property
    def heading(self) -> str:
        """The question as a title."""
        return question(self.item.title)

    @property
    def compared_with(self) -> str:
        """Beside what changed."""
        if not (self.since.previous and self.since.changes):
            return ""
        return f"{WORDS[self.since.changes[0].risk].lower()}, compared with {self.since.previous.name}, R-{self.since.previous.pk}"

    @property
    def next_steps(self) -> str:
        """What it would go on to, in words."""
        return _and(self._next()[:3])

    @property
    def on_silence(self) -> str:
        """What no answer does."""
        if self.item.due_at is None:
            return "It waits as long as it takes; silence never approves"
        if self.item.case.approval.on_expiry == "reject":
            return "Without an answer by then it ends expired, and what depends on it does not run"
        return "Without an answer by then it stops, and its owners choose how to go on"

    @cached_property
    def may_reassign(self) -> bool:
        """Whether the reader may ask other people."""
        return may_do(self.reader, "reassign", self.release, self.item.key)

    @property
    def next_notice(self) -> str:
        """Who is told when nobody has answered by `attempt.notice_at`; nothing once all was sent."""
        planned = notices(self.item.case.approval)
        if self.attempt.notice_at is None or self.attempt.notices >= len(planned):
            return ""
        notice = planned[self.attempt.notices]
        return f"{', '.join(name.partition(':')[2] for name in notice.to)} will be told" if notice.to else "Those who are asked will be reminded"

    @cached_property
    def standing(self) -> tuple[str, str]:
        """Whether the rule can still be met, as a look and a sentence."""
        case = self.item.case
        if case.verdict.state == "impossible":
            return "error", "The people who are left cannot meet this rule any more: an owner must reassign it."
        if not self.is_open:
            return "info", ""
        left = [f"{part.places} of {_or(self._names(part.people))}" for part in missing(case.rule, case.votes)]
        return "info", f"Still needed: {'; '.join(left)}." if left else "Everybody who is needed has agreed."

    def _names(self, people: Any) -> list[str]:
        known = self._people
        return sorted(str(known.get(email, email)) for email in people)

    @cached_property
    def _people(self) -> dict[str, Any]:
        states = self.item.case.verdict.lines
        emails = {email for line in states for email in (*line.filled_by, *line.can_fill)}
        return {person.email: person for person in get_user_model().objects.filter(email__in=emails)}

    @cached_property
    def lines(self) -> list[Line]:
        """Who decides."""
        said = self.shown.get("lines") or []
        states, known = self.item.case.verdict.lines, self._people
        return [
            Line(
                line.count,
                said[n]["of"],
                [known[email] for email in line.filled_by if email in known],
                sorted((known[email] for email in line.can_fill if email in known), key=str),
                line.asked,
            )
            for n, line in enumerate(states)
        ]

    @property
    def on_approve(self) -> str:
        """What the reader's approval does."""
        if self._after(approve=True) == "approved":
            after = self._next()
            return f"{_and(after)} can go on" if after else "This is the last answer needed"
        left = self.item.needed - self._filled(approve=True)
        return f"{left} more {'approval is' if left == 1 else 'approvals are'} needed after yours"

    @property
    def on_reject(self) -> str:
        """What the reader's rejection does."""
        if self._after(approve=False) != "rejected":
            return "The others can still approve without you"
        if self.item.case.approval.on_reject == "hold":
            return f"It stops here; its owners choose how to go on. {self.release.starter} is told why"
        return f"It ends rejected, and what depends on it does not run. {self.release.starter} is told why"

    @property
    def how_it_ended(self) -> str:
        """For a question that is closed: the state that the page shows."""
        if self.attempt.state == Run.WAITING:
            return str(self.release.state)
        return str(self.attempt.state)

    def _verdict(self, approve: bool) -> Any:
        case = self.item.case
        others = tuple(vote for vote in case.votes if vote.person != self.reader.email)
        return verdict(case.rule, (*others, Vote(self.reader.email, approve, self.item.behalf)))

    def _after(self, *, approve: bool) -> str:
        return str(self._verdict(approve).state)

    def _filled(self, *, approve: bool) -> int:
        return sum(len(line.filled_by) for line in self._verdict(approve).lines)

    def _next(self) -> list[str]:
        flow = compiled(self.release.version_id).flow
        steps = [flow.steps[key].label for key in flow.next_steps.get(self.item.key, ())]
        if not steps:
            steps = [flow.phases[key].label for key in flow.next_phases.get(flow.phase_of[self.item.key], ())]
        return steps


_EXCLUDES = {"starter": "who started the release", "author": "the authors of the process", "earlier_approvers": "who approved an earlier step"}


def _or(words: list[str]) -> str:
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "") if words else "nobody who is left"


def _and(words: Any) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def _origin(name: str, flow: Any) -> str:
    parts = name.split(".")
    if parts[0] == "activities" and len(parts) > 1 and parts[1] in flow.steps:
        return f"Result of {flow.steps[parts[1]].label}"
    if parts[0] == "phases" and len(parts) > 1 and parts[1] in flow.phases:
        return f"Result of {flow.phases[parts[1]].label}"
    return parts[0].capitalize()


def _rows(origin: str, values: Any, old: Any) -> list[Value]:
    if not isinstance(values, Mapping) or "$digest" in values:
        return [_value(origin.rpartition(".")[2], values, old)]
    was = old if isinstance(old, Mapping) else {}
    return [_value(name, value, was.get(name)) for name, value in values.items()]


def _value(name: str, value: Any, old: Any = ...) -> Value:
    if isinstance(value, Mapping) and {"name", "size", "hash", "link"} <= set(value):  # evidence
        before = f"{old['name']} ({old['hash'][:12]})" if isinstance(old, Mapping) and "hash" in old else None
        return Value(name, f"{value['name']} ({value['size']:,} bytes)", before, old is not ... and old != value, url=str(value["link"]))
    hidden = isinstance(value, Mapping) and ("$digest" in value or "$secret" in value)
    changed = old is not ... and old != value
    return Value(name, "" if hidden else _said(value), _said(old) if changed and old is not None and not hidden else None, changed, hidden)


def _said(value: Any) -> Any:
    if isinstance(value, str):
        return value[:LONGEST_VALUE]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False)[:LONGEST_VALUE]
