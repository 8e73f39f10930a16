"""Votes whose packet is no longer what is decided on: marked stale, their people told (S17)."""

from __future__ import annotations

from approvals.models import SignOff
from releases.engine import Work
from releases.models import Attempt


def make_stale(work: Work, attempt: Attempt, because: str) -> list[str]:
    """Under the lock: the votes on this attempt count no more, and those people are asked again. Their e-mail addresses; who changed it is not told of it."""
    votes = SignOff.objects.filter(attempt=attempt, stale=False)
    voters = sorted(votes.values_list("person__email", flat=True))
    if voters:
        votes.update(stale=True)
        told = [email for email in voters if email != work.actor.name]
        work.say("sign_off.stale", attempt.release_id, attempt.run.key, because=because, people=voters, to=told)
    return voters


def packet_changed(work: Work, attempt: int, because: str) -> None:
    """For `releases.rebinding`: what a question is about has changed while it is asked."""
    make_stale(work, Attempt.objects.select_related("run").get(pk=attempt), because)
