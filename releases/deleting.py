"""Deleting what is over: a whole tree with its activities, decisions, comments and files. The chain of events stays, ends with `release.deleted` and verifies.

Refused, with every reason at once, for what is open, tracked within `RELORCH_RETENTION`, part of another release, or linked from another one. What goes
is found from the models, apps above this one included: whatever points at a release, a run or an attempt, and what points at that.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models

from processes.problems import Problem
from releases.engine import Actor, Work, locked
from releases.models import ActivityRun, Attachment, Release
from releases.operating import Moves, need_reason
from releases.states import Release as State
from releases.talking import forget_unnamed
from releases.tidying import forget
from relorch.lib import faults
from relorch.lib.errors import Conflict

MOST_NAMED = 5
_OPEN = {
    State.RUNNING: "It is running: abort it or let it end.",
    State.HELD: "It is on hold: resume or abort it.",
    State.SCHEDULED: "It is scheduled: cancel it.",
    State.DRAFT: "It is a draft, which is deleted as one.",
}
_LINKED = """
SELECT r.id FROM releases_release r, jsonb_array_elements(r.links) AS link
WHERE r.root_id <> %s AND r.links <> '[]' AND starts_with(link ->> 'url', %s) AND link ->> 'url' ~ ('/releases/(' || %s || ')(/|$|[?#])') ORDER BY r.id
"""


def delete(*, release: int, actor: Actor, reason: str, preview: bool = False) -> Moves:
    """Remove a release that is over, with everything below it. No move is told: nothing is left to be in a state.

    Raises Conflict (`not_deletable`, with every reason), Invalid without a reason.
    """
    with locked(release, actor=actor, preview=preview) as work:
        rows = list(Release.objects.filter(root_id=work.release(release).root).select_related("process", "version").defer("version__document"))
        one = next(row for row in rows if row.pk == release)
        if said := _refusals(work, one, rows):
            raise Conflict(
                "not_deletable",
                " ".join(problem.message for problem in said),
                state=one.state,
                reasons=[{"code": one.code, "message": one.message} for one in said],
            )
        need_reason(reason)
        ids = [row.pk for row in rows]
        hashes = set(Attachment.objects.filter(release__in=ids, removed_at=None).values_list("hash", flat=True))
        said_of_it = {"name": one.name, "identifier": one.identifier, "process": one.process.identifier, "version": one.version.number, "state": one.state}
        number = ActivityRun.objects.filter(release__in=ids).count()
        work.say("release.deleted", release, reason=reason, **said_of_it, releases=ids, activities=number)
        work.write()
        for model, path in dependents():
            # by hand: the collector would read every row, and sees that a release is its own root
            model._base_manager.filter(**{path: ids})._raw_delete(using="default")
        faults.point("delete.dependents_gone")
        work.cursor.execute("DELETE FROM releases_release WHERE id = ANY(%s)", (ids,))
    if not preview:
        forget_unnamed(hashes)
        forget(ids)
    return work.moves


def _refusals(work: Work, release: Release, rows: list[Release]) -> list[Problem]:
    found = []
    if release.parent_run is not None:
        found.append(Problem("part_of_another", f"It is part of R-{release.root_id}: delete that one, and this goes with it."))
    root = next(row for row in rows if row.pk == release.root_id)
    if root.state in _OPEN:
        found.append(Problem("open", _OPEN[State(root.state)]))
    elif root.finished_at is not None:
        until = root.finished_at + timedelta(days=settings.RELORCH_RETENTION)
        if until > work.at:
            found.append(Problem("tracked", f"It is kept until {until:%d %b %Y}, {settings.RELORCH_RETENTION} days after its end (RELORCH_RETENTION)."))
    work.cursor.execute(_LINKED, (release.root_id, settings.RELORCH_BASE_URL, "|".join(str(row.pk) for row in rows)))
    if linked := {pk for (pk,) in work.cursor.fetchall()}:
        found.append(Problem("referenced", f"{_named(linked, work.actor)} {'links' if len(linked) == 1 else 'link'} to it: take the link away there."))
    return found


def _named(linked: set[int], actor: Actor) -> str:
    """These releases, as far as the actor may see them; the others by how many they are."""
    reader = get_user_model().objects.filter(pk=actor.id or 0).first()
    shown = sorted(Release.objects.visible_to(reader).filter(pk__in=linked).values_list("pk", flat=True)) if reader else []
    hidden = len(linked) - len(shown)
    said = [f"R-{pk}" for pk in shown[:MOST_NAMED]]
    said += [f"{len(shown) - MOST_NAMED} more"] if len(shown) > MOST_NAMED else []
    said += [f"{hidden} release{'s' if hidden > 1 else ''} that you cannot see"] if hidden else []
    return ", ".join(said)


@cache
def dependents() -> list[tuple[type[models.Model], str]]:
    """Every model whose rows go with a release, and the shortest look-up of the releases; whatever depends on another one of them comes before it."""
    paths: dict[type[models.Model], str] = {}
    below: dict[type[models.Model], set[type[models.Model]]] = {Release: set()}
    todo: list[tuple[type[models.Model], str]] = [(Release, "")]
    while todo:
        model, path = todo.pop(0)
        for field in model._meta.get_fields(include_hidden=True):
            if not (field.auto_created and not field.concrete and (field.one_to_many or field.one_to_one)):
                continue
            other: Any = field.related_model
            if other is Release:
                continue
            below[model].add(other)
            if other not in paths:
                own = field.field.name  # type: ignore[union-attr]
                direct = "release" if any(one.name == "release" and one.related_model is Release for one in other._meta.concrete_fields) else own
                paths[other] = f"{direct}__{path}" if direct == own and path else direct
                below.setdefault(other, set())
                todo.append((other, paths[other]))
    order: list[type[models.Model]] = []

    def put(model: type[models.Model]) -> None:
        if model not in order:
            for other in below[model]:
                put(other)
            order.append(model)

    put(Release)
    return [(model, f"{paths[model]}__in") for model in order if model is not Release]
