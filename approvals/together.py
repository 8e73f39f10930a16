"""Deciding several questions at once that ask exactly the same: one form, and one record for each, through the same door as a single one (S16, S17)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from approvals import links, packets, signing
from approvals.asked import newest
from approvals.querysets import Item, items_of, waiting
from releases.asking import hash_of
from releases.engine import Actor
from releases.models import Attempt, Release
from relorch.lib.errors import Conflict, Invalid, NotAllowed

MOST = 50
"""How many are decided at once."""

_PLACE = re.compile(r"([0-9]{1,18})/([a-z][a-z0-9_]{0,62})(?:/([0-9a-f]{64})?)?")

Place = tuple[int, str]
"""A release's number and the id of its activity."""


def sameness(attempt: Attempt) -> str:
    """What two questions have in common that ask the same: their packets, but for whose they are and when they were asked."""
    release = attempt.run.release
    asked = {"version": release.version.hash, "activity": attempt.run.key, "bound": attempt.bound or {}, "shown": attempt.request or {}}
    return hash_of({**asked, "filled": attempt.filled or {}})


def differs_by(item: Item) -> str:
    """Why a question is decided on its own page only; nothing where it may be decided with others."""
    shown = item.attempt.request or {}
    if item.case.approval.reauthenticate:
        return "It wants you to confirm that it is you."
    if shown.get("fields"):
        return "It has a form to fill in."
    if shown.get("tasks"):
        return "It has a checklist."
    return ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question that is shown, with the hash of what is shown."""

    item: Item
    packet: str

    @property
    def value(self) -> str:
        """As the form sends it back."""
        return f"{self.item.release.pk}/{self.item.key}/{self.packet}"


@dataclass(frozen=True, slots=True)
class Left:
    """One question that is left out, and why."""

    title: str
    place: Place
    why: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What was picked: questions that ask the same side by side, and what is left out."""

    groups: list[list[Asked]]
    left: list[Left]


def places(said: Iterable[str]) -> list[tuple[int, str, str]]:
    """Release, activity and packet (or nothing) of each, without repetition; what is none of that is passed over."""
    found: dict[Place, str] = {}
    for one in said:
        parts = _PLACE.fullmatch(one)
        if parts and len(found) < MOST:
            found.setdefault((int(parts[1]), parts[2]), parts[3] or "")
    return [(release, activity, packet) for (release, activity), packet in found.items()]


def selected(picked: Sequence[Place], user: Any) -> Selection:
    """These questions as they are now. What this person cannot see is not mentioned."""
    rows = waiting().filter(run__release__in=[release for release, _ in picked], run__key__in={activity for _, activity in picked})
    groups: dict[str, list[Asked]] = {}
    left = []
    for item in items_of([row for row in rows if (row.run.release_id, row.run.key) in set(picked)], user):
        if item.answer not in ("yes", "not_yet_asked", "excluded"):
            continue
        place = (item.release.pk, item.key)
        why = differs_by(item) if item.is_mine else "It does not wait for you."
        if why:
            left.append(Left(f"{item.title}, {item.release}", place, why))
        else:
            groups.setdefault(sameness(item.attempt), []).append(Asked(item, packets.current_hash(item.attempt)))
    return Selection(sorted(groups.values(), key=len, reverse=True), left)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of deciding several: the votes taken, and what dropped out, each with its reason."""

    taken: list[signing.Signed]
    left: list[Left]


def decide(chosen: Sequence[tuple[int, str, str]], *, person: Any, actor: Actor, decision: str, comment: str, address: str | None) -> Outcome:
    """One vote for each (release, activity, packet that was shown), each in its own transaction. What has changed since, or cannot be taken, drops out.

    Raises Invalid before the first vote where the decision itself is wrong for all: unknown, or without the comment that is wanted.
    """
    taken: list[signing.Signed] = []
    left: list[Left] = []
    seen = set(Release.objects.visible_to(person).filter(pk__in=[release for release, _, _ in chosen]).values_list("pk", flat=True))
    for release, activity, packet in (one for one in chosen if one[0] in seen):
        try:
            if not packet:
                raise Conflict("packet_changed", "It was not shown to you.")
            signed = signing.sign_off(
                release=release, activity=activity, person=person, actor=actor, decision=decision, comment=comment, packet=packet, address=address, form=False
            )
        except Invalid as refused:
            # the questions of one form ask the same, so that the first says what is wrong with all of them
            if not taken and not left:
                raise
            left.append(Left(_name(release, activity), (release, activity), " ".join(problem.message for problem in refused.problems)))
        except (Conflict, NotAllowed) as refused:
            left.append(Left(_name(release, activity), (release, activity), refused.message))
        except LookupError:
            continue
        else:
            taken.append(signed)
            links.used(signed.sign_off.attempt, person)
    return Outcome(taken, left)


def _name(release: int, activity: str) -> str:
    attempt = newest(release, activity)
    return f"{attempt.title}, {attempt.run.release}" if attempt else activity
