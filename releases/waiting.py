"""Whom or what a release waits for (semantics, section 7): one entry for each open run of it and of its children, with who can move it and how.

What a wait means is decided in `releases/waits.py`; here its rows are read. The number of queries does not depend on how many runs are open. Who can
still decide is known above, by the approvals, and whether workers are alive by the root: both provide it here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from django.db.models import F, QuerySet
from django.utils import timezone

from processes.access import Permission
from releases.flows import compiled
from releases.lock_queue import queues_of
from releases.models import ActivityRun, Attempt, Release
from releases.responsible import administrators, holders_of, responsible_for
from releases.states import LIVE, UNDECIDED, Run
from releases.states import Release as State
from releases.waits import Seen, Wait, Who, wait_of
from releases.wording import WAITS_FOR_LOCK
from relorch.audit.chain import instant
from relorch.audit.models import Event

Deciders: TypeAlias = Callable[[Sequence[int]], Mapping[int, Sequence[str]]]
"""Attempts that wait for people -> the e-mail addresses of those who can decide now; nobody where the rule cannot be met."""
SHOWN = (Run.QUEUED, Run.RUNNING, Run.WAITING, *sorted(UNDECIDED))
LONGEST_SAID = 200
MOST_EXACT = 500
PATIENCE = timedelta(seconds=5)
"""What is queued for less than this is not yet somebody's fault."""
_deciders: list[Deciders] = []
_workers: list[Callable[[], Collection[str]]] = []


def provide_deciders(ask: Deciders) -> None:
    """Called once, by the app that knows who may decide."""
    _deciders[:] = [ask]


def decided_by(user: Any, runs: QuerySet[ActivityRun]) -> set[int]:
    """Of these runs those on which this person can decide now: asked, in its turn, not left out, and without an answer that counts.

    Of more than `MOST_EXACT` all that ask this person: a page of thousands must not weigh thousands of rules, and each question says it exactly.
    """
    newest = Attempt.objects.filter(run__in=runs.waiting_for(user).values("pk"), state=Run.WAITING, asked_at__isnull=False)  # type: ignore[attr-defined]
    asked = dict(newest.values_list("pk", "run_id"))
    if len(asked) > MOST_EXACT:
        return set(asked.values())
    can = _deciders[0](list(asked)) if asked and _deciders else {}
    return {asked[attempt] for attempt, people in can.items() if user.email in people}


def provide_workers(ask: Callable[[], Collection[str]]) -> None:
    """Called once, by the root: `ask` tells the lanes whose workers were heard of lately."""
    _workers[:] = [ask]


def waiting_for(release: Release, viewer: Any = None) -> list[dict[str, Any]]:
    """`[{activity, release, kind, who, verb, verbs, text, since, until, …}]`, in the order of the process, children after what waits for them.

    Releases that `viewer` may not see and that hold or want the same lock are not named.
    """
    return first_waits(release, viewer, None)[0]


def first_waits(release: Release, viewer: Any, most: int | None) -> tuple[list[dict[str, Any]], int, set[int]]:
    """The first so many entries of `waiting_for`, how many there are, and the releases in which something waits."""
    if release.state == State.SCHEDULED:
        return [_scheduled(release)], 1, {release.pk}
    if release.state not in LIVE:
        return [], 0, set()
    ids, where = _open_runs(release)
    found = [_hold(release)] if release.state == State.HELD else []
    number = len(found) + len(ids)
    if ids:
        found += _Reading(_read(ids[:most]), viewer).entries()
    elif release.state == State.RUNNING:
        found, number = [_between(release)], 1
    return found[:most], number, where


def _open_runs(release: Release) -> tuple[list[int], set[int]]:
    """The open runs of the release and of everything below it, and the releases that they are in, by one query over the tree."""
    rows = ActivityRun.objects.filter(root_id=release.root_id, state__in=SHOWN).order_by("release_id", "position")
    in_release: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for run, where, parent in rows.values_list("pk", "release_id", "release__parent_run_id"):
        if where not in in_release and parent:
            below.setdefault(parent, []).append(where)
        in_release.setdefault(where, []).append(run)
    found: list[int] = []
    left = [release.pk]
    for one in left:
        here = in_release.get(one, [])
        found += here
        left += [child for run in here for child in below.get(run, ())]
    return found, {one for one in left if one in in_release}


def _read(ids: Sequence[int]) -> list[ActivityRun]:
    """These runs in this order, those of one release with the same row of it."""
    rows = ActivityRun.objects.filter(pk__in=ids).defer("outputs", "met", "changes").in_bulk()
    releases = Release.objects.filter(pk__in={run.release_id for run in rows.values()}).select_related("process", "starter")
    known = releases.defer("inputs", "variables", "outputs", "pins").in_bulk()
    for run in rows.values():
        run.release = known[run.release_id]
    return [rows[pk] for pk in ids]


class _Reading:
    """The open runs of a tree with all that is known of them."""

    def __init__(self, runs: Sequence[ActivityRun], viewer: Any) -> None:
        self.runs, self.now = runs, timezone.now()
        self.attempts = {attempt.run_id: attempt for attempt in _last_attempts(runs)}
        asked = [a.pk for a in self.attempts.values() if a.asked_at is not None and a.state == Run.WAITING]
        self.deciders = _deciders[0](asked) if asked and _deciders else {}
        busy = [run for run in runs if run.state in (Run.QUEUED, Run.RUNNING)]
        self.lanes = _alive(self.now) if busy else frozenset()
        parked = [run for run in runs if run.state == Run.WAITING and run.code == WAITS_FOR_LOCK]
        self.queues = queues_of(parked, viewer) if parked else {}
        self.children = {run.release.parent_run_id: run.release_id for run in runs if run.release.parent_run_id}
        releases = list({run.release_id: run.release for run in runs}.values())
        self.people = responsible_for(runs, holders_of(Permission.OPERATE, releases, starter=True))

    def entries(self) -> list[dict[str, Any]]:
        waits = [(run, seen := self._seen(run), wait_of(seen)) for run in self.runs]
        admins = administrators() if any(wait.who is Who.ADMINISTRATORS for *_, wait in waits) else []
        return [self._entry(run, seen, wait, admins) for run, seen, wait in waits]

    def _seen(self, run: ActivityRun) -> Seen:
        attempt = self.attempts.get(run.pk)
        since, until = run.started_at or run.release.started_at, None
        if attempt is None:
            return Seen(run.state, run.type, run.code, run.outcome, since=since)
        is_asked = attempt.state == Run.WAITING and attempt.asked_at is not None
        if run.state in UNDECIDED:
            since = attempt.finished_at or since
        elif is_asked:
            since, until = attempt.asked_at, attempt.due_at
        elif run.state == Run.QUEUED:
            since, until = attempt.queued_at, attempt.next_at
        elif run.state == Run.WAITING:
            since, until = (self.queues[run.pk].since if run.pk in self.queues else attempt.started_at or since), attempt.due_at or attempt.poll_at
        elif run.state == Run.RUNNING:
            since = attempt.started_at or since
        in_a_child = attempt.lane == Attempt.PREPARE and run.type != "manual"  # also what a person had another process do
        return Seen(
            run.state,
            "subprocess" if in_a_child else run.type,
            run.code,
            run.outcome,
            message=attempt.message[:LONGEST_SAID] if run.state == Run.WAITING and attempt.poll_at else "",
            connector=compiled(run.release.version_id).steps[run.key].activity.connector or "",
            is_asked=is_asked,
            can_be_met=not is_asked or not _deciders or bool(self.deciders.get(attempt.pk)),
            is_heard=self._is_heard(run, attempt),
            attempt=attempt.number,
            since=since,
            until=until,
        )

    def _is_heard(self, run: ActivityRun, attempt: Attempt) -> bool:
        if run.state == Run.RUNNING:
            return attempt.lease_until is None or attempt.lease_until > self.now - PATIENCE
        if run.state != Run.QUEUED or run.release.state != State.RUNNING:
            return True
        ready = attempt.next_at or attempt.queued_at
        return attempt.lane in self.lanes or ready > self.now - PATIENCE

    def _entry(self, run: ActivityRun, seen: Seen, wait: Wait, admins: list[str]) -> dict[str, Any]:
        attempt = self.attempts.get(run.pk)
        who = self.people[run.pk]
        if wait.who is Who.DECIDERS:
            who = list(self.deciders.get(attempt.pk, ())) if attempt else []
        elif wait.who is Who.ADMINISTRATORS:
            who = admins
        entry = _entry(run.key, run.release_id, wait.kind, who, wait.verb, wait.verbs, wait.text, seen.since, seen.until) | {"nobody": wait.nobody}
        if wait.kind == "child":
            entry["child"] = self.children.get(run.pk) or ((attempt.reference or {}).get("release") if attempt else None)
        elif run.pk in self.queues:
            queue = self.queues[run.pk]
            entry |= {"lock": queue.shown(), "text": queue.text()}
        return entry


def _last_attempts(runs: Sequence[ActivityRun]) -> list[Attempt]:
    rows = Attempt.objects.filter(run__in=[run.pk for run in runs], number=F("run__attempt_count"))
    return list(
        rows.only(
            *("run_id", "number", "state", "lane", "queued_at", "next_at", "started_at", "finished_at"),
            *("asked_at", "due_at", "poll_at", "lease_until", "reference", "message"),
        )
    )


def _alive(now: datetime) -> frozenset[str]:
    """The lanes in which somebody works: a pulse of its workers, or a claim whose lease is kept."""
    if not _workers:
        return frozenset({Attempt.ENGINE, Attempt.SLOW, Attempt.PREPARE})
    claimed = Attempt.objects.filter(state=Run.RUNNING, lease_until__gt=now).order_by().values_list("lane", flat=True).distinct()
    found = {*_workers[0](), *claimed}
    return frozenset(found | ({Attempt.PREPARE} if Attempt.ENGINE in found else set()))


def _entry(
    activity: str, release: int, kind: str, who: Sequence[str], verb: str, verbs: Iterable[str], text: str, since: datetime | None, until: datetime | None
) -> dict[str, Any]:
    return {
        "activity": activity,
        "release": release,
        "kind": kind,
        "who": list(who),
        "verb": verb,
        "verbs": list(verbs),
        "text": text,
        "nobody": False,
        "since": _said(since),
        "until": _said(until),
    }


def _hold(release: Release) -> dict[str, Any]:
    """Whoever put the hold can lift it, if they still may; else those who operate the release where it was put."""
    events = Event.objects.filter(stream=f"release:{release.root_id}", verb="release.held", release_id=release.held_by_id)
    by = events.order_by("-sequence").values_list("actor__email", flat=True).first()
    where = release if release.held_by_id in (None, release.pk) else Release.objects.select_related("process", "starter").get(pk=release.held_by_id)
    can = holders_of(Permission.OPERATE, [where], starter=True)[where.pk] or administrators()
    who = [by] if by in can else can
    return _entry("", where.pk, "hold", who, "resume", ("resume",), "On hold: nothing new begins until it is resumed.", release.held_at, None)


def _scheduled(release: Release) -> dict[str, Any]:
    """Not started yet: its time comes, or has come and a person must start it."""
    can = holders_of(Permission.START, [release])[release.pk] or administrators()
    can.sort(key=lambda email: email != release.starter.email)
    if release.due_since is not None:
        said = release.reason or "Its time has come, and somebody must start it."
        return _entry("", release.pk, "person", can, "start", ("start", "reschedule", "cancel"), said, release.due_since, release.expected_end)
    said = "Starts by itself at its time." if release.auto_start else "Asks somebody to start it at its time."
    return _entry("", release.pk, "time", can, "start", ("start", "reschedule", "cancel"), said, release.created_at, release.scheduled_for)


def _between(release: Release) -> dict[str, Any]:
    """Nothing of it is open: what comes next is being worked out, by a worker if there is one."""
    now = timezone.now()
    stirred = Release.objects.filter(pk=release.root_id).values_list("stirred_at", flat=True).first()
    if stirred is None or stirred > now - PATIENCE or Attempt.ENGINE in _alive(now):
        can = holders_of(Permission.OPERATE, [release], starter=True)[release.pk]
        return _entry("", release.pk, "machine", can, "hold", ("hold", "abort"), "What comes next is being worked out.", stirred or release.started_at, None)
    said = "What comes next is to be worked out, and no worker is alive. Whoever looks after the installation can start them."
    return _entry("", release.pk, "machine", administrators(), "start_workers", (), said, stirred, None) | {"nobody": True}


def _said(at: datetime | None) -> str | None:
    return instant(at) if at else None
