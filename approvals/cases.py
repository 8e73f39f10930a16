"""Many cases at once: for lists and inboxes, in a number of queries that does not depend on how many they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from approvals.deciding import Case, approval_of
from approvals.models import SignOff
from processes.quorum import Line, Rule, Vote
from releases.flows import compiled
from releases.models import Attempt, Release, RunPerson


def attempts_with_release(ids: Iterable[int]) -> list[Attempt]:
    """These attempts with all that `cases_of` reads."""
    rows = Attempt.objects.filter(pk__in=list(ids))
    return list(
        rows.select_related("run__release__version__published_by", "run__release__starter", "run__release__process").defer(
            "run__release__version__document", "run__release__inputs", "run__release__variables", "run__release__outputs"
        )
    )


def cases_of(attempts: Sequence[Attempt]) -> dict[int, Case]:
    """Attempt's number -> its case as it stands now; as `deciding.case_of` says of each alone."""
    people = _people(attempt.run_id for attempt in attempts)
    votes: dict[int, list[SignOff]] = {}
    for vote in SignOff.objects.filter(attempt__in=[attempt.pk for attempt in attempts]).select_related("person", "for_person"):
        votes.setdefault(vote.attempt_id, []).append(vote)
    barred = _excluded(attempts)
    found = {}
    for attempt in attempts:
        approval = approval_of(attempt)
        asked = (attempt.request or {}).get("lines") or []
        lines = tuple(Line(int(line["count"]), frozenset(people.get((attempt.run_id, number), ()))) for number, line in enumerate(asked))
        rule = Rule(lines, approval.order, approval.reject_when, frozenset(barred[attempt.pk]))
        found[attempt.pk] = Case(approval, rule, tuple(_vote(vote) for vote in votes.get(attempt.pk, ())))
    return found


def deciders(ids: Sequence[int]) -> Mapping[int, Sequence[str]]:
    """Attempt's number -> the e-mail addresses of those who can fill a place of it now; for `releases.waiting`."""
    found = {}
    for number, case in cases_of(attempts_with_release(ids)).items():
        can: set[str] = set()
        for line in case.verdict.lines:
            if line.asked:
                can |= line.can_fill
        found[number] = sorted(can)
    return found


def _vote(vote: SignOff) -> Vote:
    return Vote(vote.person.email, vote.decision == SignOff.Decision.APPROVE, vote.for_person.email if vote.for_person else None, vote.stale)


def _people(runs: Iterable[int]) -> dict[tuple[int, int], set[str]]:
    rows = RunPerson.objects.filter(run__in=set(runs), role=RunPerson.DECIDER)
    found: dict[tuple[int, int], set[str]] = {}
    for column in ("user", "group__user"):
        for run, line, email in rows.filter(**{f"{column}__is_active": True}).values_list("run_id", "line", f"{column}__email"):
            found.setdefault((run, line), set()).add(email)
    return found


def _excluded(attempts: Sequence[Attempt]) -> dict[int, set[str]]:
    """`deciding.excluded` for many: authors once for all versions, earlier approvers once for each level of parents."""
    found: dict[int, set[str]] = {attempt.pk: set() for attempt in attempts}
    exclude = {attempt.pk: approval_of(attempt).exclude for attempt in attempts}
    wants_authors = {attempt.run.release.version_id for attempt in attempts if "author" in exclude[attempt.pk]}
    authors: dict[int, set[str]] = {}
    if wants_authors:
        through = Release.version.field.related_model.authors.through.objects.filter(processversion__in=wants_authors)
        for version, email in through.values_list("processversion_id", "user__email"):
            authors.setdefault(version, set()).add(email)
    for attempt in attempts:
        release = attempt.run.release
        if "starter" in exclude[attempt.pk]:
            found[attempt.pk].add(release.starter.email)
        if "author" in exclude[attempt.pk]:
            found[attempt.pk] |= authors.get(release.version_id, set())
            if release.version.published_by:
                found[attempt.pk].add(release.version.published_by.email)
    where = {attempt.pk: (attempt.run.release, attempt.run.key) for attempt in attempts if "earlier_approvers" in exclude[attempt.pk]}
    while where:
        approved: dict[tuple[int, str], set[str]] = {}
        rows = SignOff.objects.filter(attempt__run__release__in={release.pk for release, _ in where.values()}, decision=SignOff.Decision.APPROVE)
        for release_id, key, email in rows.values_list("attempt__run__release_id", "attempt__run__key", "person__email"):
            approved.setdefault((release_id, key), set()).add(email)
        for number, (release, key) in where.items():
            for step in compiled(release.version_id).flow.upstream_of_step(key):
                found[number] |= approved.get((release.pk, step), set())
        parents = Release.objects.filter(pk__in={release.pk for release, _ in where.values()}, parent_run__isnull=False).select_related("parent_run__release")
        above = {child.pk: (child.parent_run.release, child.parent_run.key) for child in parents}
        where = {number: above[release.pk] for number, (release, _) in where.items() if release.pk in above}
    return found
