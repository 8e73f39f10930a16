"""Published versions as blueprints. A version never changes, so that what was read once is kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Any, cast

from processes import reading
from processes.blueprint import Blueprint
from processes.models import Process, ProcessVersion

_CACHED = 256
_cache: OrderedDict[tuple[int, str], Blueprint] = OrderedDict()
_lock = Lock()


def blueprint_of(version: ProcessVersion) -> Blueprint:
    """The blueprint that a version holds, from a cache of the last 256 used."""
    key = (version.pk, version.hash)  # the hash, because test databases count from 1 again
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    blueprint = cast(Blueprint, reading.parse(version.document).blueprint)
    with _lock:
        _cache[key] = blueprint
        if len(_cache) > _CACHED:
            _cache.popitem(last=False)
    return blueprint


def newest_blueprints(processes: Iterable[Any]) -> dict[int, Blueprint]:
    """Process's number -> the blueprint of its newest version; at most two queries, however many they are."""
    versions = newest_of(processes)
    missing = [version.pk for version in versions.values() if (version.pk, version.hash) not in _cache]
    read = {row.pk: blueprint_of(row) for row in ProcessVersion.objects.filter(pk__in=missing)} if missing else {}
    return {process: read.get(version.pk) or blueprint_of(version) for process, version in versions.items()}


def newest(process: Process) -> ProcessVersion | None:
    """The version with the highest number, if it was ever published."""
    return process.versions.order_by("-number").first()


def newest_of(processes: Iterable[Any]) -> dict[int, ProcessVersion]:
    """Process's number -> its newest version, without the documents; one query."""
    rows = ProcessVersion.objects.filter(process__in=list(processes)).order_by("process_id", "-number").distinct("process_id")
    return {row.process_id: row for row in rows.select_related("published_by").defer("document")}
