"""What is at stake with each of many questions: the largest risk of what changed since the last release that succeeded, in a constant number of queries.

The page of one question lists every change (`comparing`); here only what its approval binds and the process itself are looked at, and only for the largest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.db.models import OuterRef, Q, Subquery

from approvals import changes
from approvals.changes import Risk
from approvals.comparing import of_versions, without_new_steps
from processes.models import Process
from releases.asking import with_digests
from releases.flows import compiled
from releases.models import ActivityRun, Attempt, PhaseRun, Release
from releases.states import Release as State

WORDS: Mapping[str, str] = {"high": "High risk", "medium": "Medium risk", "low": "Low risk", "first": "First release", "none": "No change"}
ORDER = tuple(WORDS)
"""The largest first."""
_READ = ("inputs", "variables", "activities", "phases")


def risks_of(attempts: Iterable[Attempt]) -> dict[int, str]:
    """Attempt -> a key of WORDS."""
    attempts = list(attempts)
    previous = _previous(attempts)
    outputs, phases = _results(attempts, previous)
    found = {}
    for attempt in attempts:
        before = previous.get(attempt.run.release_id)
        found[attempt.pk] = "first" if before is None else _of_one(attempt, before, outputs, phases)
    return found


def _of_one(attempt: Attempt, previous: Release, outputs: Mapping[Any, Any], phases: Mapping[Any, Any]) -> str:
    now = {place: value for place, value in (attempt.bound or {}).items() if place.split(".")[0] in _READ}
    flow = compiled(previous.version_id).flow
    variables = {**previous.variables, **phases.get((previous.pk, flow.phase_of.get(attempt.run.key)), ({}, {}))[0]}
    hidden = with_digests({"inputs": previous.inputs, "variables": variables}, previous.root_id)
    before = {place: value for place in now if (value := _at(place, previous, hidden, outputs, phases)) not in (None, {})}
    found = changes.of_values(before, without_new_steps(now, previous))
    risks = {changes.in_order(found)[0].risk} if found else set()
    risks |= {risk} if (risk := _of_process(previous.version_id, attempt.run.release.version_id)) else set()
    return min(risks, key=ORDER.index) if risks else "none"


def _at(place: str, previous: Release, hidden: Mapping[str, Any], outputs: Mapping[Any, Any], phases: Mapping[Any, Any]) -> Any:
    origin, *path = place.split(".")
    value: Any = hidden.get(origin)
    if origin == "activities" and path:
        value = outputs.get((previous.pk, path.pop(0)))
    if origin == "phases" and path:
        value = {"outputs": phases.get((previous.pk, path.pop(0)), ({}, {}))[1]}
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


@lru_cache(maxsize=1024)
def _of_process(before: int, after: int) -> Risk | None:
    """Versions never change, so that two of them are compared once."""
    found = changes.in_order(changes.of_process(of_versions(before, after))) if before != after else []
    return found[0].risk if found else None


def _previous(attempts: Sequence[Attempt]) -> dict[int, Release]:
    """Release -> the one that it is compared with, as `comparing.last_succeeded` says of one."""
    good = Release.objects.filter(state=State.SUCCEEDED).order_by("-finished_at", "-pk").values("pk")
    asking = {attempt.run.release_id: attempt.run.release for attempt in attempts}
    roots = {release.process_id for release in asking.values() if release.parent_run_id is None}
    of_root = Subquery(good.filter(process=OuterRef("pk"), parent_run=None)[:1])
    of_process = dict(Process.objects.filter(pk__in=roots).annotate(before=of_root).values_list("pk", "before"))
    same_place = Q(parent_run__key=OuterRef("parent_run__key"), parent_run__release__process=OuterRef("parent_run__release__process"))
    of_child = Subquery(good.filter(same_place, process=OuterRef("process")).exclude(root=OuterRef("root"))[:1])
    children = Release.objects.filter(pk__in=asking).exclude(parent_run=None).order_by().annotate(before=of_child).values_list("pk", "before")
    pairs = dict(children) | {pk: of_process.get(release.process_id) for pk, release in asking.items() if release.parent_run_id is None}
    known = Release.objects.only("pk", "root_id", "version_id", "inputs", "variables").in_bulk({before for before in pairs.values() if before})
    return {release: known[before] for release, before in pairs.items() if before in known}


def _results(attempts: Sequence[Attempt], previous: Mapping[int, Release]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """(release, activity) -> its state and outputs, and (release, phase) -> its variables and outputs: of the earlier releases, as far as they are bound."""
    places = [place.split(".") for attempt in attempts for place in attempt.bound or {}]
    steps = {parts[1] for parts in places if parts[0] == "activities" and len(parts) > 1}
    earlier = {release.pk for release in previous.values()}
    roots = {release.pk: release.root_id for release in previous.values()}
    runs = ActivityRun.objects.filter(release__in=earlier, key__in=steps).order_by().values_list("release_id", "key", "state", "outputs")
    named = {parts[1] for parts in places if parts[0] == "phases" and len(parts) > 1}
    named |= {compiled(attempt.run.release.version_id).flow.phase_of[attempt.run.key] for attempt in attempts}
    phases = PhaseRun.objects.filter(release__in=earlier, key__in=named).order_by().values_list("release_id", "key", "variables", "outputs")
    return (
        {(release, key): {"state": state, "outputs": with_digests(outputs or {}, roots[release])} for release, key, state, outputs in runs},
        {(release, key): (variables or {}, outputs or {}) for release, key, variables, outputs in phases},
    )
