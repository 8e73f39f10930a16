"""What waits for people: the inbox of one person, the questions of one release. A constant number of queries, however much waits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db.models import F, QuerySet
from django.utils import timezone

from approvals.deciding import Case, approval_of, votes_in, with_stand_ins
from approvals.delegations import pairs_for
from approvals.models import SignOff
from approvals.people import still_asked
from processes.models import ProcessVersion
from processes.quorum import Line, Rule
from releases.access import starters_of
from releases.flows import compiled
from releases.models import Attempt, Comment, Release, RunPerson
from releases.states import LIVE, Run
from relorch.lib.look import kind_of


@dataclass(frozen=True, slots=True)
class Item:
    """One question: the attempt that waits, its case, what the reader may do and for whom (None: for itself), and the reader's vote if it still counts."""

    attempt: Attempt
    case: Case
    answer: str
    behalf: str | None
    vote: SignOff | None
    now: datetime
    is_wanted: bool
    """Whether the reader's vote could still fill a place."""

    @property
    def release(self) -> Any:
        """The release that asks."""
        return self.attempt.run.release

    @property
    def key(self) -> str:
        """The activity's id."""
        return str(self.attempt.run.key)

    @property
    def title(self) -> str:
        """What people call the activity."""
        return self.attempt.title

    @property
    def phase(self) -> str:
        """What people call its phase."""
        flow = compiled(self.release.version_id).flow
        return flow.phases[flow.phase_of[self.key]].label

    @property
    def kind(self) -> str:
        """Its kind, a key of `relorch.lib.look.KINDS`."""
        return kind_of("manual", tasks=bool((self.attempt.request or {}).get("tasks")), people=sum(line.count for line in self.case.rule.lines))

    @property
    def due_at(self) -> datetime | None:
        """When an answer is due."""
        due: datetime | None = self.attempt.due_at
        return due

    @property
    def is_late(self) -> bool:
        """Whether that has passed."""
        return self.due_at is not None and self.due_at <= self.now

    @property
    def is_soon(self) -> bool:
        """Whether it is due within a day."""
        return self.due_at is not None and self.due_at <= self.now + timedelta(days=1)

    @property
    def is_mine(self) -> bool:
        """Whether it waits for the reader, now: not where others, or a stand-in, have filled the places that they could."""
        return self.answer == "yes" and self.vote is None and self.is_wanted

    @property
    def done(self) -> int:
        """Places that are filled."""
        return sum(len(line.filled_by) for line in self.case.verdict.lines)

    @property
    def needed(self) -> int:
        """Places there are."""
        return sum(line.count for line in self.case.rule.lines)

    @property
    def later_phases(self) -> int:
        """How many phases cannot open before it is decided."""
        return _phases_after(self.release.version_id, self.key)

    @property
    def asked(self) -> list[str]:
        """Who is asked and has not answered, as the process names them: the lines that are asked and not filled."""
        said = (self.attempt.request or {}).get("lines") or []
        open_lines = [n for n, line in enumerate(self.case.verdict.lines) if line.asked and len(line.filled_by) < line.count]
        return list(dict.fromkeys(who for n in open_lines for who in said[n]["of"]))


@lru_cache(maxsize=4096)
def _phases_after(version: int, key: str) -> int:
    """Versions never change."""
    flow = compiled(version).flow
    return sum(key in flow.upstream_of_phase(phase) for phase in flow.phases)


def waiting() -> QuerySet[Attempt]:
    """Attempts that wait for people, most urgent first, ready for `items_of`."""
    return (
        Attempt.objects.filter(state=Run.WAITING, asked_at__isnull=False, run__type="manual", run__state=Run.WAITING, run__release__state__in=sorted(LIVE))
        .select_related("run__release__process", "run__release__starter", "run__release__version__published_by")
        .defer("run__release__version__document")
        .order_by(F("due_at").asc(nulls_last=True), "asked_at", "pk")
    )


def given_by(user: Any, most: int = 50) -> QuerySet[SignOff]:
    """The last votes of this person."""
    return SignOff.objects.filter(person=user).select_related("attempt__run__release").order_by("-at")[:most]


def proposals_on(attempt: Attempt) -> QuerySet[Comment]:
    """What those who may not decide proposed on this attempt, and did not take back (S14)."""
    return Comment.objects.filter(attempt=attempt, deleted_at=None).exclude(proposes="").select_related("by").order_by("pk")


def items_of(attempts: Iterable[Attempt], user: Any) -> list[Item]:
    """These attempts (of `waiting`) as questions to this person; at most seven queries, however many they are."""
    attempts = list(attempts)
    votes = _votes(attempts)
    cases = cases_of(attempts, votes)
    now = timezone.now()
    found = []
    for attempt in attempts:
        case = cases[attempt.pk]
        mine = next((vote for vote in votes[attempt.pk] if vote.person_id == user.pk and not vote.stale), None)
        answer, behalf = case.entitlement(user.email)
        found.append(Item(attempt, case, answer, behalf, mine, now, answer == "yes" and mine is None and user.email in still_asked(case)))
    return found


def cases_of(attempts: Sequence[Attempt], votes: Mapping[int, Sequence[SignOff]] | None = None) -> dict[int, Case]:
    """Attempt -> what `deciding.case_of` says of it, for many at once."""
    votes = _votes(attempts) if votes is None else votes
    members = _members({attempt.run_id for attempt in attempts})
    approvals = {attempt.pk: approval_of(attempt) for attempt in attempts}
    without = _excluded(attempts, {pk: frozenset(approval.exclude) for pk, approval in approvals.items()})
    pairs = pairs_for(attempts)
    found = {}
    for attempt in attempts:
        approval = approvals[attempt.pk]
        lines = (attempt.request or {}).get("lines") or []
        rule = Rule(
            lines=tuple(Line(int(line["count"]), frozenset(members[attempt.run_id, n])) for n, line in enumerate(lines)),
            order=approval.order,
            reject_when=approval.reject_when,
            excluded=with_stand_ins(without[attempt.pk], pairs[attempt.pk]),
        )
        found[attempt.pk] = Case(approval, rule, votes_in(votes[attempt.pk], pairs[attempt.pk]), pairs[attempt.pk])
    return found


def _votes(attempts: Sequence[Attempt]) -> dict[int, list[SignOff]]:
    found: dict[int, list[SignOff]] = {attempt.pk: [] for attempt in attempts}
    for vote in SignOff.objects.filter(attempt__in=[*found]).select_related("person", "for_person"):
        found[vote.attempt_id].append(vote)
    return found


def _members(runs: Iterable[int]) -> dict[tuple[int, int], set[str]]:
    people = RunPerson.objects.filter(run__in=list(runs), role=RunPerson.DECIDER)
    found: dict[tuple[int, int], set[str]] = defaultdict(set)
    for run, line, email in people.filter(user__is_active=True).values_list("run_id", "line", "user__email"):
        found[run, line].add(email)
    for run, line, email in people.filter(group__user__is_active=True).values_list("run_id", "line", "group__user__email"):
        found[run, line].add(email)
    return found


def _excluded(attempts: Sequence[Attempt], kinds: Mapping[int, frozenset[str]]) -> dict[int, set[str]]:
    written = {attempt.run.release.version_id for attempt in attempts if "author" in kinds[attempt.pk]}
    authors: dict[int, set[str]] = defaultdict(set)
    if written:
        rows = ProcessVersion.authors.through.objects.filter(processversion_id__in=written)
        for version, email in rows.values_list("processversion_id", "user__email"):
            authors[version].add(email)
    earlier = _earlier([attempt for attempt in attempts if "earlier_approvers" in kinds[attempt.pk]])
    found: dict[int, set[str]] = {}
    for attempt in attempts:
        release, emails = attempt.run.release, set(earlier.get(attempt.pk, ()))
        if "starter" in kinds[attempt.pk]:
            emails |= starters_of(release)
        if "author" in kinds[attempt.pk]:
            emails |= authors[release.version_id]
            if release.version.published_by:
                emails.add(release.version.published_by.email)
        found[attempt.pk] = emails
    return found


def _earlier(attempts: Sequence[Attempt]) -> dict[int, set[str]]:
    """Who approved upstream of each attempt, in its release or a parent: the trees' approvals and their shape, read once."""
    if not attempts:
        return {}
    roots = {attempt.root_id for attempt in attempts}
    approvals: dict[tuple[int, str], set[str]] = defaultdict(set)
    rows = SignOff.objects.filter(attempt__root__in=roots, decision=SignOff.Decision.APPROVE)
    for release, key, *both in rows.values_list("attempt__release_id", "attempt__run__key", "person__email", "for_person__email"):
        approvals[release, key] |= {email for email in both if email}
    tree = Release.objects.filter(root__in=roots).values_list("pk", "version_id", "parent_run__release_id", "parent_run__key")
    above = {pk: (version, parent, key) for pk, version, parent, key in tree}
    found: dict[int, set[str]] = {}
    for attempt in attempts:
        emails: set[str] = set()
        where, key = attempt.release_id, attempt.run.key
        while where in above:
            version, parent, parent_key = above[where]
            for step in compiled(version).flow.upstream_of_step(key):
                emails |= approvals[where, step]
            where, key = parent, parent_key
        found[attempt.pk] = emails
    return found
