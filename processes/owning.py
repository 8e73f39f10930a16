"""Who owns a process, and who may change that: `owners` stand in its file, but are no matter for whoever may merely edit it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q

from processes.access import OWNING, owns
from processes.models import Process, ProcessGroupPermission, ProcessUserPermission
from processes.problems import Problem

LAST = "Nobody who can log in would own “{}” any more. Name another owner first."


def named(owners: Iterable[str]) -> Q:
    """The condition on people whom these owners name, directly or by group."""
    people, groups = _split(owners)
    return Q(email__in=people) | Q(groups__name__in=groups)


def has_owner(process: Process, owners: Iterable[str] | None = None) -> bool:
    """Whether somebody who can log in owns it, by name (with these `owners` instead of its own) or by having all that owning implies."""
    active = get_user_model().objects.filter(is_active=True)
    if active.filter(named(process.owners if owners is None else owners)).exists():
        return True
    for permission in sorted(OWNING):
        row = {"content_object": process, "permission__codename": str(permission)}
        active = active.filter(
            Q(pk__in=ProcessUserPermission.objects.filter(**row).values("user")) | Q(groups__in=ProcessGroupPermission.objects.filter(**row).values("group"))
        )
    return active.exists()


def may_name_owners(person: Any, process: Process) -> bool:
    """An owner may; and as long as nobody who can log in owns it, whoever made it."""
    return owns(person, process) or (person.is_active and process.created_by_id == person.pk and not has_owner(process))


def problem_with(process: Process, owners: Iterable[str], *, actor: Any) -> Problem | None:
    """Why these cannot become its owners, if they are others than now. Without an actor it is the machine's own doing, which may all."""
    owners = list(owners)
    if set(owners) == set(process.owners):
        return None
    if actor is not None and not may_name_owners(actor, process):
        now = ", ".join(process.owners) or "nobody by name"
        return Problem("only_owners", f"Only an owner says who owns “{process}”. Leave owners as they are: {now}.", "/owners")
    if not has_owner(process, owners) and has_owner(process):
        return Problem("last_owner", LAST.format(process), "/owners")
    return None


def _split(owners: Iterable[str]) -> tuple[list[str], list[str]]:
    people: list[str] = []
    groups: list[str] = []
    for owner in owners:
        kind, _, name = owner.partition(":")
        (people if kind == "user" else groups).append(name)
    return people, groups
