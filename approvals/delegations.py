"""Which delegations hold: for the questions that are asked (fresh at each decision), and for what their receiver may see (S19)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q

from approvals.models import Delegation
from processes.standing_in import LONGEST_CHAIN
from releases.models import Attempt
from releases.standins import StandIn
from relorch.lib.prepared import Prepared


def pairs_for(attempts: Iterable[Attempt]) -> dict[int, frozenset[tuple[str, str]]]:
    """Attempt -> the delegations that hold on it now, as (from, to) e-mail addresses. One query; wants `run__release` selected."""
    rows = list(Delegation.objects.holding().values_list("person__email", "delegate__email", "process_id", "run_id"))
    return {
        attempt.pk: frozenset(
            (giver, receiver) for giver, receiver, process, run in rows if process in (None, attempt.run.release.process_id) and run in (None, attempt.run_id)
        )
        for attempt in attempts
    }


def pairs_on(attempt: Attempt) -> frozenset[tuple[str, str]]:
    """The delegations that hold on this one question now, as (from, to) e-mail addresses."""
    return frozenset(_ON_ONE(process=attempt.run.release.process_id, run=attempt.run_id))


_ON_ONE = Prepared(
    lambda process, run: (
        Delegation.objects.holding().filter(Q(process=None) | Q(process=process), Q(run=None) | Q(run=run)).values_list("person__email", "delegate__email")
    ),
    process=-1,
    run=-2,
)


def pairs_in_process(process: int) -> frozenset[tuple[str, str]]:
    """The delegations that hold now on every question of this process, as (from, to) e-mail addresses; those of one question are about later."""
    rows = Delegation.objects.holding().filter(Q(process=None) | Q(process=process), run=None)
    return frozenset(rows.values_list("person__email", "delegate__email"))


def stands_in_for(user: Any) -> list[StandIn]:
    """For whom this person may decide, and where: along the chains, each no wider than its narrowest link."""
    rows = list(Delegation.objects.holding().values_list("person_id", "delegate_id", "process_id", "run_id"))
    found: set[StandIn] = set()
    edge = {StandIn(user.pk)}
    for _ in range(LONGEST_CHAIN):
        edge = {
            narrowed
            for one in edge
            for giver, receiver, process, run in rows
            if receiver == one.person and giver != user.pk and (narrowed := one.narrowed(giver, process, run)) is not None
        } - found
        found |= edge
    return sorted(found, key=lambda one: (one.person, one.process or 0, one.run or 0))
