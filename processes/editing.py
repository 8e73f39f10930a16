"""The verbs that make and change a draft. Page, API, admin and command line all come through here.

Each is one transaction in which the process's row is locked, the revision counted, the person noted as an author of the next version (S14), and the
event written. A draft need not be sound (S27), only readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from guardian.shortcuts import assign_perm

from processes import owning, reading
from processes.access import OWNING, Permission
from processes.blueprint import StoreActivity
from processes.draft_text import keep_text, kept_as
from processes.drafts import digest, document_of, fill
from processes.models import DraftEdit, Process
from processes.problems import Problem, did_you_mean, errors, pointer
from processes.used_by import drafts_running
from relorch.audit.chain import Happening, note
from relorch.lib.errors import Conflict, Invalid
from relorch.lib.preconditions import Stale, etag

LONGEST_NAME = 200
MOST_NAMED = 20


def revision_tag(process: Process) -> str:
    """The draft's ETag."""
    return etag(process.pk, process.revision)


def readable(document: object) -> dict[str, Any]:
    """The canonical document of a process. Raises Invalid with every problem that keeps it from being read (S27)."""
    found = reading.parse(document)
    problems = [*found.problems, *unstorable(found)]
    if errors(problems) or found.blueprint is None:
        raise Invalid("unreadable", "The document cannot be read.", problems)
    wanted = reading.document(found.blueprint)
    if "owners" in wanted:
        # Addresses are the same person in any case, and owning is looked up in the database by these very texts.
        wanted["owners"] = [owner.lower() if owner.startswith("user:") else owner for owner in wanted["owners"]]
    return wanted


def unstorable(found: reading.Reading) -> list[Problem]:
    """What keeps a document that can be read from being a process's draft: it is an activity of the store, or a name is too long."""
    if isinstance(found.blueprint, StoreActivity):
        return found.located([Problem("bad_kind", "This is an activity for the activity store; a process says kind: Process.", "/kind")])
    named: list[tuple[tuple[str | int, ...], Mapping[str, Any]]] = [((), found.document)]
    for number, phase in enumerate(found.document.get("phases") or ()):
        named.append((("phases", number), phase))
        named += [(("phases", number, "activities", place), activity) for place, activity in enumerate(phase.get("activities") or ())]
    return found.located(
        Problem("too_long", f"A name has at most {LONGEST_NAME} characters, this one has {len(item['name']):,}.", pointer(*place, "name"))
        for place, item in named
        if len(item.get("name") or "") > LONGEST_NAME
    )


def create_process(document: object, *, actor: Any, door: str = "page", text: str | None = None) -> Process:
    """A new process with this draft. Whoever makes it may edit it; if the document names no owners, it is theirs to publish and start as well.

    Raises Invalid (unreadable) and Conflict (the id is taken, perhaps by a process that the actor cannot see).
    """
    wanted = readable(document)
    kept = kept_as(text, wanted)
    with transaction.atomic():
        # The lock orders those who make the same id at once: the unique constraint would end the second one's transaction.
        _lock_name(wanted["id"])
        if Process.objects.filter(identifier=wanted["id"]).exists():
            raise Conflict("process_exists", f'A process with the id "{wanted["id"]}" exists already.', state="exists")
        process = Process.objects.create(identifier=wanted["id"], created_by=actor, updated_by=actor)
        fill(process, wanted)
        process.save()
        process.refresh_from_db()
        keep_text(process, kept, wanted)
        if actor is not None:
            DraftEdit.objects.create(process=process, person=actor)
            for permission in sorted({Permission.VIEW, Permission.AUTHOR} if process.owners else OWNING):
                assign_perm(str(permission), actor, process)
        record(process, "process.created", actor=actor, door=door, data={"id": process.identifier, "revision": process.revision, "digest": digest(wanted)})
    return process


def write_draft(
    process: Process, document: object, *, actor: Any, expected_revision: int | None = None, door: str = "page", text: str | None = None
) -> Process:
    """Replace the draft; the fresh process. What changes nothing is no edit. `text` is the document as its author typed it, where that is known.

    Raises Invalid (unreadable, another id, or owners that the actor may not change), Stale (not the revision any more), Conflict (archived).
    """
    wanted = readable(document)
    if wanted["id"] != process.identifier:
        message = f'This is the draft of "{process.identifier}"; the id of a process never changes.{did_you_mean(wanted["id"], [process.identifier])}'
        raise Invalid("unreadable", "The document cannot be read.", [Problem("other_id", message, "/id")])
    kept = kept_as(text, wanted)
    with draft_locked(process, expected_revision) as locked:
        same = document_of(locked) == wanted and digest(document_of(locked)) == digest(wanted)
        # Comments alone are work of somebody too: who has not seen them may not write over them.
        commented = keep_text(locked, kept, wanted)
        if not same:
            replace(locked, wanted, actor=actor, door=door)
        elif commented:
            saved(locked, actor=actor, door=door, data={"digest": digest(wanted)})
    return locked


def replace(locked: Process, wanted: Mapping[str, Any], *, actor: Any, door: str, reason: str = "") -> None:
    """The draft's new content, inside `draft_locked`. Raises Invalid for owners whom the actor may not name, or who would leave it without any."""
    before, owners = list(locked.owners), list(wanted.get("owners") or ())
    if refused := owning.problem_with(locked, owners, actor=actor):
        raise Invalid(refused.code, refused.message, [refused])
    fill(locked, wanted)
    saved(locked, actor=actor, door=door, data={"digest": digest(wanted)})
    if set(before) != set(owners):
        record(locked, "process.owners_changed", actor=actor, door=door, reason=reason, data={"before": before, "after": owners})


@contextmanager
def draft_locked(process: Process, expected_revision: int | None = None) -> Iterator[Process]:
    """A transaction with the process's row locked and fresh, for whoever changes its draft. Raises Stale and Conflict (archived)."""
    with transaction.atomic():
        locked = Process.objects.select_for_update(of=("self",)).get(pk=process.pk)
        if expected_revision is not None and locked.revision != expected_revision:
            by = locked.updated_by.display_name if locked.updated_by else "somebody"
            raise Stale(f"{by} has saved this draft since you read it; read it again and repeat your change.", etag=revision_tag(locked))
        if locked.archived_at:
            raise Conflict("archived", "An archived process is not edited; take it out of the archive first.", state="archived")
        yield locked


def saved(locked: Process, *, actor: Any, door: str, data: dict[str, Any]) -> None:
    """The end of every change of a draft, inside `draft_locked`: revision, author, event; and the row itself."""
    locked.revision += 1
    locked.updated_by = actor
    locked.updated_at = Now()
    locked.save()
    locked.refresh_from_db()
    if actor is not None:
        DraftEdit.objects.get_or_create(process=locked, person=actor)
    record(locked, "process.draft_saved", actor=actor, door=door, data={"revision": locked.revision} | data)


def archive(process: Process, *, actor: Any, reason: str = "", door: str = "page") -> Process:
    """Out of the way: not listed, not edited, not started; what runs goes on. Raises Conflict when it is there already."""
    return _put_away(process, True, "process.archived", actor, reason, door)


def unarchive(process: Process, *, actor: Any, reason: str = "", door: str = "page") -> Process:
    """Back in use. Raises Conflict when it is not archived."""
    return _put_away(process, False, "process.unarchived", actor, reason, door)


def delete(process: Process, *, actor: Any, door: str = "page") -> None:
    """Gone for good, which only a process that nobody refers to can be. Raises Conflict saying by what it is referred to."""
    with transaction.atomic():
        locked = Process.objects.select_for_update(of=("self",)).get(pk=process.pk)
        if used := references(locked, actor=actor):
            raise Conflict("referenced", f"“{locked}” cannot be deleted: {'; '.join(used)}. It can be archived.", state="referenced", by=used)
        record(locked, "process.deleted", actor=actor, door=door, data={"id": locked.identifier, "digest": digest(document_of(locked))})
        locked.delete()


def references(process: Process, *, actor: Any = None) -> list[str]:
    """What refers to the process, in words; what the actor cannot see is counted and not named (None: everything is)."""
    found = []
    if count := process.versions.count():
        found.append(f"it has {count} published version{'s' if count > 1 else ''}")
    for related in ("releases", "release_groups"):  # of the apps above, by the name they give here
        if hasattr(process, related) and (count := getattr(process, related).count()):
            named = related.replace("_", " ")
            found.append(f"{count} {named} use it" if count > 1 else f"1 {named.removesuffix('s')} uses it")
    if said := named_for(actor, drafts_running(process).values_list("process", flat=True)):
        found.append(f"it is a subprocess of {said}")
    return found


def named_for(actor: Any, numbers: Iterable[int]) -> str:
    """These processes by their ids, as far as the actor may see them (None: all); the others by their number."""
    wanted = set(numbers)
    rows = Process.objects.all() if actor is None else Process.objects.visible_to(actor)
    names = sorted(rows.filter(pk__in=wanted).values_list("identifier", flat=True))
    hidden = len(wanted) - len(names)
    more = [f"{hidden} process{'es' if hidden > 1 else ''} that you cannot see"] if hidden else []
    return ", ".join([*names[:MOST_NAMED], *([f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []), *more])


def record(process: Process, verb: str, *, actor: Any, door: str, reason: str = "", data: dict[str, Any]) -> None:
    """An event in the process's stream, in the caller's transaction."""
    note(
        Happening(
            stream=f"process:{process.pk}",
            verb=verb,
            subject=process.identifier,
            actor_id=actor.pk if actor else None,
            actor=actor.email if actor else "relorch",
            door=door,
            reason=reason,
            data=data,
        )
    )


def _put_away(process: Process, away: bool, verb: str, actor: Any, reason: str, door: str) -> Process:
    with transaction.atomic():
        moved = Process.objects.filter(pk=process.pk, archived_at__isnull=away).update(archived_at=Now() if away else None)
        if not moved:
            message = "This process is archived already." if away else "This process is not archived."
            raise Conflict("archived" if away else "not_archived", message, state="archived" if away else "open")
        process.refresh_from_db()
        record(process, verb, actor=actor, door=door, reason=reason, data={"id": process.identifier})
    return process


def _lock_name(identifier: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"process-id:{identifier}",))
