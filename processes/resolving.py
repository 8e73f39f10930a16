"""Which version of an activity of the store a process runs: pinned where it says a number, else the newest when a release starts (S13)."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from processes import reading
from processes.blueprint import Blueprint, StoreActivity
from processes.models import ProcessVersion, TemplateVersion
from processes.problems import Problem
from processes.soundness.checking import store_key
from processes.store_scope import Given, renamed, uses_of, whole
from processes.versions import blueprint_of
from relorch.lib.errors import Invalid


def executable(version: ProcessVersion) -> ProcessVersion:
    """The version as a release executes it: the same, or one in which the newest activities of the store are filled in by number.

    Raises Invalid when one of them is not there any more.
    """
    published = version.resolves or version
    blueprint = blueprint_of(published)
    floating = [uses for uses in uses_of(blueprint) if "@" not in uses]
    if not floating:
        return published
    newest = {row.template.identifier: row.number for row in _rows(floating)}
    missing = [Problem("unknown_store_activity", f'There is no activity "{name}" in the store.', "/phases") for name in floating if name not in newest]
    if missing:
        raise Invalid("cannot_start", "The process cannot start.", missing)
    found = renamed(blueprint, {name: f"{name}@{newest[name]}" for name in floating})
    row = {"process": published.process, "number": published.number, "resolves": published, "hash": reading.digest(found)}
    known = ProcessVersion.everything.filter(resolves=published, hash=row["hash"]).first()
    return known or _made(row | {"document": reading.document(found), "note": published.note, "published_by": published.published_by})


def _made(row: dict[str, Any]) -> ProcessVersion:
    try:
        with transaction.atomic():
            made = ProcessVersion.everything.create(**row)
    except IntegrityError:  # somebody else has started the same at this moment
        return ProcessVersion.everything.get(resolves=row["resolves"], hash=row["hash"])
    # who wrote it stays who wrote it: the packet and the exclusion of authors look at the version that is executed
    made.authors.set(row["resolves"].authors.all())
    return made


def whole_blueprint(version: ProcessVersion) -> tuple[Blueprint, dict[str, Given]]:
    """A version's blueprint with its activities of the store in their places, and what each is given."""
    blueprint = blueprint_of(version)
    names = uses_of(blueprint)
    if not names:
        return blueprint, {}
    stored = _stored(names)
    return whole(blueprint, stored.__getitem__)


def _stored(names: list[str]) -> dict[str, StoreActivity]:
    """By what `uses` says. Raises Invalid naming what is not there."""
    keys = {name: store_key(name) for name in names}
    numbered = {
        (row.template.identifier, row.number): row
        for row in TemplateVersion.objects.select_related("template").filter(template__identifier__in={key[0] for key in keys.values() if key})
    }
    newest: dict[str, TemplateVersion] = {}
    for row in numbered.values():
        if row.template.identifier not in newest or row.number > newest[row.template.identifier].number:
            newest[row.template.identifier] = row
    found: dict[str, StoreActivity] = {}
    for name, key in keys.items():
        wanted = None if key is None else newest.get(key[0]) if key[1] is None else numbered.get((key[0], key[1]))
        read = reading.parse(wanted.document).blueprint if wanted else None
        if not isinstance(read, StoreActivity):
            raise Invalid("unknown_store_activity", f'There is no activity "{name}" in the store.')
        found[name] = read
    return found


def _rows(names: list[str]) -> list[TemplateVersion]:
    rows = TemplateVersion.objects.filter(template__identifier__in=names, template__archived_at=None).select_related("template")
    return list(rows.order_by("template_id", "-number").distinct("template_id"))
