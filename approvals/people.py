"""Whom a question concerns, as e-mail addresses: for events that tell people of something (`data.to`)."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_user_model
from django.db.models import Q

from approvals.deciding import Case


def still_asked(case: Case) -> list[str]:
    """Those who can still fill a place of a line that is asked, and whoever stands in for them; who has voted on what holds is left alone."""
    can: set[str] = set()
    for line in case.verdict.lines:
        if line.asked:
            can |= line.can_fill
    voted = {vote.person for vote in case.votes if not vote.stale}
    return sorted(can | (case.stand_ins(can) - voted))


def members_of(names: Iterable[str]) -> set[str]:
    """The active people that `user:<e-mail>` and `group:<name>` mean now."""
    names = list(names)
    emails = [name.removeprefix("user:").lower() for name in names if name.startswith("user:")]
    groups = [name.removeprefix("group:") for name in names if name.startswith("group:")]
    people = get_user_model().objects.filter(Q(email__in=emails) | Q(groups__name__in=groups), is_active=True)
    return set(people.values_list("email", flat=True))
