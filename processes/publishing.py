"""From a draft to a numbered version that never changes."""

from __future__ import annotations

from typing import Any

from django.db.models import Max

from processes import reading, soundness, storing, unbuilt, used_by
from processes.blueprint import Blueprint
from processes.drafts import document_of
from processes.editing import draft_locked, record, revision_tag, unstorable
from processes.models import DraftEdit, Process, ProcessVersion
from processes.problems import Problem, errors
from processes.surroundings import world
from processes.versions import newest
from relorch.lib.errors import Conflict, Invalid
from relorch.lib.preconditions import Stale

LONGEST_NOTE = 10_000


def problems_of(document: dict[str, Any], *, actor: Any = None) -> list[Problem]:
    """Everything that is wrong with a document here, as far as this person may know what lies around it; only errors keep it from being published."""
    return problems_in(reading.parse(document), actor=actor)


def problems_in(found: reading.Reading, *, actor: Any = None) -> list[Problem]:
    """The same for what was read already: what could not be read, and what can be said of the rest (S27: one kind never hides the other)."""
    unsound: list[Problem] = []
    if isinstance(found.blueprint, Blueprint):
        unsound = [*soundness.problems(found.blueprint, world(found.blueprint, actor)), *unbuilt.problems(found.blueprint)]
    return [*found.problems, *unstorable(found), *found.located(unsound)]


def publish(process: Process, *, actor: Any, note: str = "", expected_revision: int | None = None, door: str = "page") -> tuple[ProcessVersion, list[Problem]]:
    """The draft as the next version, and the warnings that go with it.

    Raises Stale (not the revision any more), Conflict (archived; `nothing_changed` since the newest version), Invalid with every problem (`unsound`).
    """
    if len(note) > LONGEST_NOTE:
        raise Invalid("invalid", "The request does not fit.", [Problem("too_long", f"A note has at most {LONGEST_NOTE:,} characters.", "/note")])
    with draft_locked(process, expected_revision) as seen:
        document = document_of(seen)
    found = reading.parse(document)
    problems = problems_in(found, actor=actor)  # outside the lock: it may take a while
    with draft_locked(seen, expected_revision) as locked:
        if locked.revision != seen.revision:
            raise Stale("The draft was saved while it was being checked; publish again.", etag=revision_tag(locked))
        before = newest(locked)
        if isinstance(found.blueprint, Blueprint) and before and before.hash == reading.digest(found.blueprint):
            raise Conflict("nothing_changed", f"The draft is the same as version {before.number}.", state="published", number=before.number)
        if errors(problems) or not isinstance(found.blueprint, Blueprint):
            raise Invalid("unsound", "The draft cannot be published yet.", problems)
        version = _store(locked, found.blueprint, actor=actor, note=note)
        storing.note_uses(version, found.blueprint)
        used_by.note_calls(version, found.blueprint)
        data = {"number": version.number, "hash": version.hash, "note": note, "authors": sorted(person.email for person in version.authors.all())}
        record(locked, "process.published", actor=actor, door=door, data=data)
    return version, problems


def _store(process: Process, blueprint: Blueprint, *, actor: Any, note: str) -> ProcessVersion:
    last = process.versions.aggregate(last=Max("number"))["last"] or 0
    version = ProcessVersion.objects.create(
        process=process, number=last + 1, document=reading.document(blueprint), hash=reading.digest(blueprint), note=note, published_by=actor
    )
    edits = DraftEdit.objects.filter(process=process)
    version.authors.set({*edits.values_list("person", flat=True), *([actor.pk] if actor else [])})
    edits.delete()
    version.refresh_from_db()
    return version
