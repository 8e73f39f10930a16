"""May this person decide this, now? One policy for every door: page, mail, API, bulk (S14). Denies on any doubt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from approvals.delegations import pairs_on
from approvals.models import SignOff
from processes.blueprint import Approval
from processes.quorum import Answer, Line, Rule, Verdict, Vote, best_entitlement, may_decide, verdict
from processes.standing_in import stand_ins_of, stands_in_for
from releases.access import starters_of
from releases.flows import compiled
from releases.models import Attempt, Release, RunPerson
from relorch.lib.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Case:
    """The rule of one attempt with the people there are now, and the votes so far. People are written as e-mail addresses."""

    approval: Approval
    rule: Rule
    votes: tuple[Vote, ...]
    pairs: frozenset[tuple[str, str]] = frozenset()
    """The delegations that hold here now, as (from, to)."""

    @property
    def verdict(self) -> Verdict:
        """What the rule says of the votes."""
        return verdict(self.rule, self.votes)

    def entitlement(self, email: str, behalf: str = "") -> tuple[Answer, str | None]:
        """Whether this person may decide now and through whom: itself (None) or somebody it stands in for; `behalf` picks one (S19)."""
        principals = stands_in_for(self.pairs, email)
        if not behalf:
            return best_entitlement(self.rule, self.votes, email, principals)
        if behalf == email:
            return may_decide(self.rule, self.votes, email), None
        return (may_decide(self.rule, self.votes, email, behalf), behalf) if behalf in principals else ("not_entitled", behalf)

    def stand_ins(self, people: Iterable[str]) -> set[str]:
        """Whoever may decide for one of these."""
        return set(stand_ins_of(self.pairs, people)) - self.rule.excluded


def with_stand_ins(people: Iterable[str], pairs: Collection[tuple[str, str]]) -> frozenset[str]:
    """Those whom an exclusion means: they and whoever stands in for them (S19)."""
    people = frozenset(people)
    return people | stand_ins_of(pairs, people)


def approval_of(attempt: Attempt) -> Approval:
    """The approval of the activity; a manual one without has the defaults."""
    return compiled(attempt.run.release.version_id).steps[attempt.run.key].activity.approval or Approval()


def case_of(attempt: Attempt, votes: Sequence[SignOff] | None = None) -> Case:
    """The case as it stands: lines with the members their groups have now, exclusions, votes on the packet that holds."""
    approval = approval_of(attempt)
    asked = (attempt.request or {}).get("lines") or []
    pairs = pairs_on(attempt)
    members: list[set[str]] = [set() for _ in asked]
    for line, email in _DECIDERS(run=attempt.run_id):
        if line < len(members):
            members[line].add(email)
    cast = votes_on(attempt) if votes is None else list(votes)
    rule = Rule(
        lines=tuple(Line(count=int(said["count"]), of=frozenset(members[n])) for n, said in enumerate(asked)),
        order=approval.order,
        reject_when=approval.reject_when,
        excluded=with_stand_ins(excluded(attempt, approval), pairs),
    )
    return Case(approval, rule, votes_in(cast, pairs), pairs)


def votes_in(cast: Sequence[SignOff], pairs: Collection[tuple[str, str]]) -> tuple[Vote, ...]:
    """The rows as votes; wants `person` and `for_person` selected. One for somebody who has not delegated to the voter any more counts for nothing."""
    return tuple(
        Vote(
            person=vote.person.email,
            approve=vote.decision == SignOff.Decision.APPROVE,
            for_=vote.for_person.email if vote.for_person else None,
            stale=vote.stale or not _stands(vote, pairs),
        )
        for vote in cast
    )


def _stands(vote: SignOff, pairs: Collection[tuple[str, str]]) -> bool:
    if vote.for_person is None:
        return True
    return vote.person.is_active and vote.for_person.email in stands_in_for(pairs, vote.person.email)


def votes_on(attempt: Attempt) -> list[SignOff]:
    """The votes on it, in their order, with what `votes_in` and a verdict read."""
    return _VOTES(attempt=attempt.pk)


_VOTES = Prepared(
    lambda attempt: SignOff.objects.filter(attempt=attempt).select_related("person", "for_person", "packet").defer("packet__content"),
    attempt=-1,
)


def _by_user(run: int) -> QuerySet[RunPerson, tuple[int, str]]:
    return RunPerson.objects.filter(run_id=run, role=RunPerson.DECIDER, user__is_active=True).values_list("line", "user__email")


def _by_group(run: int) -> QuerySet[RunPerson, tuple[int, str]]:
    return RunPerson.objects.filter(run_id=run, role=RunPerson.DECIDER, group__user__is_active=True).values_list("line", "group__user__email")


_DECIDERS = Prepared(lambda run: _by_user(run).union(_by_group(run), all=True), run=-1)


def excluded(attempt: Attempt, approval: Approval) -> set[str]:
    """The e-mail addresses of those whom `exclude` keeps from deciding (S14)."""
    release = attempt.run.release
    found: set[str] = set()
    if "starter" in approval.exclude:
        found |= starters_of(release)
    if "author" in approval.exclude and release.version:
        found |= set(release.version.authors.values_list("email", flat=True))
        if release.version.published_by:
            found.add(release.version.published_by.email)
    if "earlier_approvers" in approval.exclude:
        found |= earlier_approvers(release, attempt.run.key)
    return found


def earlier_approvers(release: Release, key: str) -> set[str]:
    """Whoever approved an activity upstream, in this release or a parent."""
    found: set[str] = set()
    where: Release | None = release
    while where is not None:
        upstream = compiled(where.version_id).flow.upstream_of_step(key)
        approvals = SignOff.objects.filter(attempt__run__release=where, attempt__run__key__in=upstream, decision=SignOff.Decision.APPROVE)
        for voter, behalf in approvals.values_list("person__email", "for_person__email"):
            found |= {email for email in (voter, behalf) if email}
        run: Any = where.parent_run
        where, key = (run.release, run.key) if run else (None, "")
    return found
