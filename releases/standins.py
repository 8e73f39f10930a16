"""For whom somebody may decide, as far as seeing goes: who may decide for Ann sees what Ann is asked. Who knows is the app above (S19)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Q


@dataclass(frozen=True, slots=True)
class StandIn:
    """The number of the person stood in for, and where: anywhere, in one process, on one run."""

    person: int
    process: int | None = None
    run: int | None = None

    def narrowed(self, person: int, process: int | None, run: int | None) -> StandIn | None:
        """One link further; None where the two scopes have nothing in common."""
        if (process and self.process and process != self.process) or (run and self.run and run != self.run):
            return None
        return StandIn(person, process or self.process, run or self.run)


_providers: list[Callable[[Any], Sequence[StandIn]]] = []
_pairs: list[Callable[[int], Collection[tuple[str, str]]]] = []


def provide(stands_in_for: Callable[[Any], Sequence[StandIn]], pairs: Callable[[int], Collection[tuple[str, str]]]) -> None:
    """Called once, by the app that keeps delegations."""
    _providers[:] = [stands_in_for]
    _pairs[:] = [pairs]


def pairs_in(process: int) -> frozenset[tuple[str, str]]:
    """The delegations that hold now in every question of this process, as (from, to) e-mail addresses."""
    return frozenset(pair for provider in _pairs for pair in provider(process))


def people_of(user: Any) -> Q:
    """The condition on rows of `RunPerson` that name this person, itself or by a group."""
    return Q(user=user) | Q(group__in=user.groups.all())


def stood_in_for(user: Any) -> Q:
    """The condition on rows of `RunPerson` that name somebody for whom this person may decide. Asked once for each person and request."""
    known: Sequence[StandIn] | None = getattr(user, "_stands_in_for", None)
    if known is None:
        known = user._stands_in_for = [one for provider in _providers for one in provider(user)]
    condition = Q(pk__in=[])
    for one in known:
        where = Q(role="decider") & (Q(user=one.person) | Q(group__in=Group.objects.filter(user=one.person)))
        if one.process:
            where &= Q(release__process=one.process)
        if one.run:
            where &= Q(run=one.run)
        condition |= where
    return condition
