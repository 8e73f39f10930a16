"""What the page of one release shows, read with a number of queries that does not grow with the release."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from zlib import crc32

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from processes.blueprint import Activity
from releases import states, wording
from releases.activity_list import ActivityList, Asked, fits
from releases.asking import owners_of
from releases.flows import compiled
from releases.forecasting import Forecast, forecast
from releases.graph import Graph, GraphActivity, GraphPhase, layout, opened_from
from releases.models import ActivityRun, Attempt, PhaseRun, Release, RunPerson
from releases.names import answers_in
from releases.scheduler import Fact, phase_state
from releases.threads import Thread
from releases.waiting import decided_by
from releases.waiting_pages import Waits, waits_of
from relorch.audit.models import Event, Stream
from relorch.lib.look import kind_of
from relorch.lib.words import short_duration

EVENTS = 8
DECISIONS = 5
TOLD = wording.told()
MOST_DRAWN, MOST_UNFOLDED = 100, 600
"""Activities that have a row in the graph, and when the reader has unfolded something; a phase of thousands says how many more there are."""
TRAIL = "parent_run__release__parent_run__release__parent_run__release__parent_run__release"
"""A release with everything above it: five levels at most (S12)."""
MOST_PHASES = 120
"""Phases that are drawn: of more, those where something happens and those around them."""
_SETTLED = frozenset({states.Run.SUCCEEDED, states.Run.SKIPPED, states.Run.IGNORED})
_AT_REST = frozenset({"pending", "satisfied", "skipped", "bad"})
_REST = frozenset({states.Run.PENDING}) | states.CLOSED


def visible(user: Any) -> Any:
    """The releases that this person may see, with what every page of one says."""
    return Release.objects.visible_to(user).select_related("process", "version", "starter", "held_by", "root__process", TRAIL).defer("version__document")


@dataclass(frozen=True, slots=True)
class Line:
    """An activity of the release: a row of the list, a row of the graph."""

    run: ActivityRun
    activity: Activity
    phase_label: str
    look: str
    kind: str
    url: str
    people: tuple[Any, ...]
    attempt: Attempt | None
    child: Release | None
    is_next: bool
    now: datetime

    @property
    def label(self) -> str:
        """Its name."""
        return self.activity.label

    @property
    def you(self) -> bool:
        """Whether it waits for whoever looks."""
        return self.look == "waiting_you"

    @property
    def since(self) -> datetime | None:
        """Since when it is what it is."""
        return (self.attempt.asked_at if self.attempt and self.attempt.asked_at else None) or self.run.started_at

    @property
    def took(self) -> timedelta | None:
        """How long it took, or has taken so far."""
        if self.run.started_at is None:
            return None
        return (self.run.finished_at or self.now) - self.run.started_at

    @property
    def end(self) -> str:
        """The short text at the right of its row in the graph."""
        if self.run.state == states.Run.SKIPPED:
            return "skipped"
        if self.run.overridden:
            return "overridden"
        if self.look in wording.ASKS_PEOPLE:
            return "You" if self.you else first_name(self.people[0]) if self.people else ""
        if self.run.state in {states.Run.ON_HOLD, states.Run.INTERRUPTED}:
            return f"{self.run.attempt_count} tries" if self.run.attempt_count > 1 else ""
        if self.took is not None:
            return short_duration(self.took)
        requires = self.activity.approval.requires if self.activity.approval else ()
        wanted = sum(line.count for line in requires)
        return f"{wanted} people" if wanted > 1 else ""


@dataclass
class Page:
    """One release as it is now, for one reader. `opened` and `selected` come from the address."""

    release: Release
    user: Any
    opened: str = ""
    selected: str = ""
    asked: Asked = field(default_factory=Asked)
    now: datetime = field(default_factory=timezone.now)

    @property
    def stream(self) -> str:
        """The name of the tree's chain of events."""
        return f"release:{self.release.root_id}"

    @cached_property
    def version(self) -> str:
        """Changes with every event of the tree, with what the reader has open, and each minute while something runs, because durations are shown."""
        sequence = Stream.objects.filter(name=self.stream).values_list("sequence", flat=True).first() or 0
        minute = int(self.now.timestamp()) // 60 if self.release.state in states.LIVE else 0
        return f"{sequence}.{minute}.{crc32(f'{self.opened} {self.selected} {self.asked}'.encode())}"

    @cached_property
    def flow(self) -> Any:
        """The graph that it follows."""
        return compiled(self.release.version_id).flow

    @cached_property
    def labels(self) -> dict[str, str]:
        """Names of activities, and of phases as `phase:<id>`."""
        return {key: step.label for key, step in self.flow.steps.items()} | {f"phase:{key}": phase.label for key, phase in self.flow.phases.items()}

    @cached_property
    def runs(self) -> list[ActivityRun]:
        """In the order of the process."""
        return list(ActivityRun.objects.filter(release=self.release).order_by("position").defer("outputs", "changes"))

    @cached_property
    def children(self) -> list[Release]:
        """The releases that its subprocesses run, oldest first."""
        below = Release.objects.visible_to(self.user).filter(parent_run__release=self.release)
        return list(below.select_related("process", "parent_run").order_by("pk"))

    @cached_property
    def lines(self) -> list[Line]:
        """Every activity."""
        still = Attempt.objects.filter(release=self.release, state__in=["queued", "running", "waiting"])
        attempts = {row.run_id: row for row in still.only("run_id", "asked_at", "due_at")}
        yours = decided_by(self.user, ActivityRun.objects.filter(release=self.release))
        children = {row.parent_run_id: row for row in self.children}
        runs = {run.key: run for run in self.runs}
        return [self._line(run, runs, attempts.get(run.pk), run.pk in yours, children.get(run.pk)) for run in self.runs]

    def _line(self, run: ActivityRun, runs: Mapping[str, ActivityRun], attempt: Attempt | None, yours: bool, child: Release | None) -> Line:
        activity = self.flow.steps[run.key]
        approval = activity.approval
        return Line(
            run=run,
            activity=activity,
            phase_label=self.flow.phases[self.flow.phase_of[run.key]].label,
            look=wording.run_look(run.state, run.type, connector=activity.connector or "", attempts=run.attempt_count, yours=yours, code=run.code),
            kind=kind_of(run.type, tasks=bool(activity.tasks), people=sum(line.count for line in approval.requires) if approval else 1),
            url=self.url_of(run.key),
            people=self.people.get(run.pk) or tuple(self.who(name) for name in owners_of(self.release, run.key)),
            attempt=attempt,
            child=child,
            is_next=self.release.state in states.LIVE and self._is_next(run, runs),
            now=self.now,
        )

    def _is_next(self, run: ActivityRun, runs: Mapping[str, ActivityRun]) -> bool:
        """Nothing that it waits for is itself still to come."""
        if run.state != states.Run.PENDING:
            return False
        before = [runs[key] for key in self.flow.steps[run.key].depends_on]
        phase = self.phases[self.flow.phase_of[run.key]]
        if not phase.decided:
            above = [self.phases[key] for key in self.flow.phases[phase.key].depends_on]
            if any(not row.decided or row.pk in self.phases_to_come for row in above):
                return False
        return all(other.state != states.Run.PENDING for other in before)

    @cached_property
    def phases_to_come(self) -> set[int]:
        """Phases in which something has not begun."""
        return {run.phase_run_id for run in self.runs if run.state == states.Run.PENDING}

    @cached_property
    def query(self) -> str:
        """What of the address stays on the way to an activity and back: what is unfolded, and what is listed."""
        said = {**({"open": self.opened} if self.opened else {}), **self.asked.said}
        return f"?{urlencode(said)}" if said else ""

    @cached_property
    def _around_a_key(self) -> tuple[str, str]:
        before, _, after = reverse("releases:activity", args=[self.release.pk, "-"]).rpartition("-")
        return before, after

    def url_of(self, key: str) -> str:
        """The page of an activity."""
        before, after = self._around_a_key  # asked for each of thousands: the addresses differ in the key alone
        return f"{before}{key}{after}{self.query}"

    @cached_property
    def url(self) -> str:
        """The page itself."""
        return f"{reverse('releases:detail', args=[self.release.pk])}{self.query}"

    @cached_property
    def people(self) -> dict[int, tuple[Any, ...]]:
        """Who is asked, by run."""
        asked = RunPerson.objects.filter(release=self.release, role=RunPerson.DECIDER, run__state=states.Run.WAITING)
        rows = list(asked.order_by("line", "pk").values_list("run_id", "user_id", "group_id"))
        users = get_user_model().objects.in_bulk({user for _, user, _ in rows if user})
        groups = Group.objects.in_bulk({group for *_, group in rows if group})
        found: dict[int, list[Any]] = {}
        for run, user, group in rows:
            found.setdefault(run, []).append(users[user] if user else groups[group])
        return {run: tuple(dict.fromkeys(people)) for run, people in found.items()}

    @cached_property
    def users(self) -> dict[str, Any]:
        """The people that `owners` name, by e-mail."""
        blueprint = self.flow.blueprint
        own = (self.release.owners, *self.release.phase_owners.values())
        owners = {
            *(o for names in own for o in names),
            *blueprint.owners,
            *(o for p in blueprint.phases for o in p.owners),
            *(o for s in self.flow.steps.values() for o in s.owners),
        }
        emails = [name.removeprefix("user:").lower() for name in owners if name.startswith("user:")]
        return {user.email: user for user in get_user_model().objects.filter(email__in=emails)} if emails else {}

    def who(self, name: str) -> Any:
        """The person that an owner names, else the name."""
        return self.users.get(name.removeprefix("user:").lower(), name)

    @cached_property
    def owners(self) -> list[Any]:
        """Who is responsible for the whole."""
        return [self.who(name) for name in self.release.owners or self.flow.blueprint.owners]

    @cached_property
    def phases(self) -> dict[str, PhaseRun]:
        """Phases by id."""
        return {row.key: row for row in PhaseRun.objects.filter(release=self.release)}

    @cached_property
    def phase_looks(self) -> dict[str, str]:
        """The derived state of each phase (S5), as it looks."""
        answers = answers_in(self.release)
        found = {}
        for key, row in self.phases.items():
            lines = self._lines_by_phase.get(row.pk, [])
            facts = {ln.run.key: Fact(states.Run(ln.run.state), ln.run.skipped_because, ln.run.met, ln.run.attempt_count) for ln in lines}
            state = phase_state(self.flow, key, decided=bool(row.decided), closed=row.closed_at is not None, facts=facts, answers=answers)
            looks = {line.look for line in lines}
            if state == states.Run.WAITING and not looks & wording.ASKS_PEOPLE:
                state = "running" if looks & {"waiting_child", "waiting_machine", "running"} else "waiting_time"
            if state == "bad" and looks == {"skipped"}:
                state = "skipped"  # the failure is elsewhere
            found[key] = state
        return found

    @cached_property
    def drawn(self) -> frozenset[str]:
        """The phases of the picture: all of them, unless they are very many."""
        keys = list(self.flow.phases)
        if len(keys) <= MOST_PHASES:
            return frozenset(keys)
        looks = [self.phase_looks.get(key, "pending") for key in keys]
        active = [look not in _AT_REST for look in looks]
        chosen = self.flow.phase_of.get(self.selected)
        front = next((at for at, is_active in enumerate(active) if is_active), looks.index("pending") if "pending" in looks else 0)
        order = sorted(range(len(keys)), key=lambda at: (keys[at] != chosen, not active[at], abs(at - front)))
        return frozenset(keys[at] for at in order[:MOST_PHASES])

    @property
    def phases_left_out(self) -> int:
        """How many are not drawn; the list has them."""
        return len(self.flow.phases) - len(self.drawn)

    @cached_property
    def graph(self) -> Graph:
        """The picture."""
        phases = [
            GraphPhase(
                id=key,
                label=phase.label,
                state=self.phase_looks.get(key, "pending"),
                depends_on=phase.depends_on,
                owner=next((self.who(name) for name in self.release.phase_owners.get(phase.id) or phase.owners), None),
                time=self._phase_time(key),
                because=states.Skipped.BAD_END if any(line.run.skipped_because == states.Skipped.BAD_END for line in self._lines_in(key)) else "",
                all_url=f"?{urlencode({'show': 'all', 'phase': key})}#activities",
            )
            for key, phase in self.flow.phases.items()
            if key in self.drawn
        ]
        critical = set(self.forecast.critical_path) if self.forecast else set()
        rows = [
            GraphActivity(
                id=line.run.key,
                phase=self.flow.phase_of[line.run.key],
                label=line.label,
                state=line.look,
                depends_on=line.activity.depends_on,
                kind=line.kind,
                end=line.end,
                url=line.url,
                you=line.you,
                because=line.run.skipped_because,
                critical=line.run.key in critical,
            )
            for line in self.lines
            if self.flow.phase_of[line.run.key] in self.drawn
        ]
        return layout(phases, rows, opened=opened_from(self.opened), selected=self.selected, most=MOST_UNFOLDED if self.opened else MOST_DRAWN)

    @cached_property
    def _lines_by_phase(self) -> dict[int, list[Line]]:
        found: dict[int, list[Line]] = {}
        for line in self.lines:
            found.setdefault(line.run.phase_run_id, []).append(line)
        return found

    def _lines_in(self, key: str) -> list[Line]:
        row = self.phases.get(key)
        return self._lines_by_phase.get(row.pk, []) if row else []

    def _phase_time(self, key: str) -> str:
        if self.phase_looks.get(key) == "skipped":
            return "skipped"
        row = self.phases.get(key)
        return short_duration(row.closed_at - row.opened_at) if row and row.closed_at and row.opened_at else ""

    @cached_property
    def active(self) -> list[Line]:
        """What runs, waits or needs a decision; the most urgent first."""
        found = [line for line in self.lines if line.run.state not in _REST]
        return sorted(found, key=lambda line: (line.look not in wording.NEEDS_DECISION, not line.you, line.look not in wording.ASKS_PEOPLE))

    @cached_property
    def forecast(self) -> Forecast | None:
        """How far it is and when it will end; None before its start."""
        if self.release.started_at is None:
            return None
        return forecast(self.release, self.runs, {line.run.pk: line.attempt for line in self.lines if line.attempt is not None}, self.now)

    @property
    def progress_note(self) -> str:
        """How much of the work that is, when what takes longer counts more."""
        return f"{self.forecast.percent} % of the work" if self.forecast and self.release.state in states.LIVE else ""

    @cached_property
    def waits(self) -> Waits:
        """Why it is not moving, and who can act."""
        return waits_of(self.release, self.user, self.labels)

    @cached_property
    def decisions(self) -> list[Line]:
        """What only a person can carry on."""
        return [line for line in self.active if line.look in wording.NEEDS_DECISION][:DECISIONS] if self.release.state in states.LIVE else []

    @cached_property
    def failures(self) -> list[Line]:
        """What has ended badly for good, the first ones: each with its phase, text and code."""
        stands = [line for line in self.lines if line.run.state in states.BAD and line.run.skipped_because != states.Skipped.BAD_END]
        return [line for line in stands if line.run.state != states.Run.ABORTED][:DECISIONS]

    @cached_property
    def failed(self) -> Line | None:
        """Of a release that ended badly and can be reopened: the first activity to try again."""
        if self.release.state not in states.REOPENABLE:
            return None
        return next((line for line in self.lines if line.run.state in states.BAD - {states.Run.ABORTED}), None)

    @cached_property
    def because(self) -> list[wording.Active]:
        """What the reason is made of."""
        lines = self.active
        if self.release.state in states.FINISHED:
            lines = [line for line in self.lines if line.run.state in states.BAD - {states.Run.ABORTED}]
        return [wording.Active(line.label, line.look, line.run.attempt_count, line.since) for line in lines]

    @cached_property
    def look(self) -> str:
        """The state as it is shown."""
        return wording.release_look(self.release.state, self.because)

    @cached_property
    def took(self) -> timedelta | None:
        """How long it took."""
        return self.release.finished_at - self.release.started_at if self.release.finished_at and self.release.started_at else None

    @cached_property
    def sentence(self) -> str:
        """Why it stands where it stands."""
        if self.release.state == states.Release.SCHEDULED:
            return wording.not_started(self.release.auto_start, self.release.due_since is not None, self.release.reason)
        pending = sum(line.run.state == states.Run.PENDING for line in self.lines)
        took = self.took.total_seconds() if self.took is not None else None
        return wording.reason(self.release.state, self.release.reason, self.because, pending=pending, took=took)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Activities by look, for bar and legend: whether it is you who is asked does not matter there."""
        return dict(Counter("waiting" if line.look in wording.ASKS_PEOPLE else line.look for line in self.lines))

    @property
    def done(self) -> int:
        """Activities that are done."""
        return sum(line.run.state in _SETTLED and line.run.skipped_because != states.Skipped.BAD_END for line in self.lines)

    @property
    def total(self) -> int:
        """All of them."""
        return len(self.lines)

    @cached_property
    def activities(self) -> ActivityList:
        """The list below the graph."""
        groups = {
            "active": self.active,
            "next": [line for line in self.lines if line.is_next],
            "done": [line for line in self.lines if line.run.state in states.CLOSED],
            "all": self.lines,
        }
        if self.asked.phase or self.asked.find:
            groups = {name: [line for line in lines if fits(line, self.asked, self.flow.phase_of[line.run.key])] for name, lines in groups.items()}
        phases = {key: phase.label for key, phase in self.flow.phases.items()}
        tab = self.asked.show or ("active" if self.release.state in states.LIVE else "all")
        return ActivityList(groups, tab, self.asked, phases, {"open": self.opened} if self.opened else {})

    @cached_property
    def events(self) -> list[tuple[wording.Said, datetime]]:
        """The latest events."""
        return said_events(self.stream, self.labels, EVENTS, release_id=self.release.pk, verb__in=TOLD)

    @cached_property
    def thread(self) -> Thread:
        """What people said and brought, to all of it."""
        return Thread(self.release, self.user, labels=self.labels, here=f"{self.url}#comments")

    @property
    def ancestors(self) -> list[Release]:
        """The releases above it, the top one first."""
        found: list[Release] = []
        run = self.release.parent_run
        while run is not None:
            found.insert(0, run.release)
            run = run.release.parent_run
        return found


def said_events(stream: str, labels: Mapping[str, str], most: int, **where: Any) -> list[tuple[wording.Said, datetime]]:
    """The latest events of a stream in words, newest first."""
    rows = Event.objects.filter(stream=stream, **where).exclude(verb__startswith="attempt.").select_related("actor").order_by("-sequence")[:most]
    return [(wording.event_said(row.verb, row.subject, row.actor.display_name if row.actor else "", json.loads(row.record), labels), row.at) for row in rows]


def first_name(who: Any) -> str:
    """A short name of a person, a group or what `owners` says."""
    if isinstance(who, str):
        return who.partition(":")[2] or who
    name = getattr(who, "display_name", "")
    return str(name).split()[0] if name else str(who)


def shown_moves(
    moves: Sequence[Any], release: Release, labels: Mapping[str, str], others: Collection[Any] = (), looks: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """What a verb would do, for its confirmation: the release first, then in the order of the process. `looks` says what each activity waits for."""
    names = {row.pk: row.name for row in others}
    place = {key: number for number, key in enumerate(labels)}
    moves = sorted(moves, key=lambda move: (move.release != release.pk, move.release, place.get(move.activity, -1)))
    return [
        {
            "what": (labels.get(move.activity, move.activity) or "The release")
            if move.release == release.pk
            else f"{names.get(move.release, move.release)}" + (f": {move.activity}" if move.activity else ""),
            "before": (looks or {}).get(move.activity, move.before) if move.before == "waiting" and move.release == release.pk else move.before,
            "after": move.after,
        }
        for move in moves
    ]
