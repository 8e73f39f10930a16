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
            # who wrote it stays who wrote it: the packet and the exclusion of authors look at the version that is executed
            made.authors.set(row["resolves"].authors.all())
    except IntegrityError:  # somebody else has started the same at this moment
        return ProcessVersion.everything.get(resolves=row["resolves"], hash=row["hash"])
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
    rows = TemplateVersion.objects.filter(template__identifier__in={key[0] for key in keys.values() if key}).order_by("number")
    known: dict[tuple[str, int | None], int] = {}
    for identifier, number, pk in rows.values_list("template__identifier", "number", "pk"):
        known[identifier, number] = known[identifier, None] = pk
    documents = dict(rows.filter(pk__in={known[key] for key in keys.values() if key in known}).values_list("pk", "document"))
    found: dict[str, StoreActivity] = {}
    for name, key in keys.items():
        read = reading.parse(documents[known[key]]).blueprint if key in known else None
        if not isinstance(read, StoreActivity):
            raise Invalid("unknown_store_activity", f'There is no activity "{name}" in the store.')
        found[name] = read
    return found


def _rows(names: list[str]) -> list[TemplateVersion]:
    # what is archived is not newly used, and what refers to it goes on
    rows = TemplateVersion.objects.filter(template__identifier__in=names).select_related("template").defer("document")
    return list(rows.order_by("template_id", "-number").distinct("template_id"))
