"""What is at stake with each of many questions: the largest risk of what changed since the last release that succeeded, in a constant number of queries.

The page of one question lists every change (`comparing`); here only the largest is looked for, in the same values (but for states and the release's own
facts, which an approval may bind), and the database leaves out the results that are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import OuterRef, Q, Subquery

from approvals import changes
from approvals.changes import Risk
from approvals.comparing import of_versions, without_new_steps
from processes.models import Process
from releases.asking import with_digests
from releases.flows import compiled
from releases.models import Attempt, PhaseRun, Release
from releases.states import Release as State
from releases.values import of_json
from relorch.lib import secrets

WORDS: Mapping[str, str] = {"high": "High risk", "medium": "Medium risk", "low": "Low risk", "first": "First release", "none": "No change"}
ORDER = tuple(WORDS)
"""The largest first."""
_OTHER_RESULTS = """
SELECT now.release_id, now.key, now.outputs::text, earlier.outputs::text
FROM unnest(%(releases)s::bigint[], %(previous)s::bigint[]) AS pair(release, previous)
JOIN releases_activityrun now ON now.release_id = pair.release AND now.outputs IS NOT NULL
LEFT JOIN releases_activityrun earlier ON earlier.release_id = pair.previous AND earlier.key = now.key
WHERE now.outputs::text IS DISTINCT FROM earlier.outputs::text
"""


def risks_of(attempts: Iterable[Attempt]) -> dict[int, str]:
    """Attempt -> a key of WORDS."""
    attempts = list(attempts)
    previous = _previous(attempts)
    results, phases = _other_results(previous), _phases(attempts, previous)
    found = {}
    for attempt in attempts:
        before = previous.get(attempt.run.release_id)
        found[attempt.pk] = "first" if before is None else _of_one(attempt, before, results[attempt.run.release_id], phases)
    return found


def _of_one(attempt: Attempt, previous: Release, results: Mapping[str, tuple[str, str | None]], phases: Mapping[Any, Any]) -> str:
    release = attempt.run.release
    flow = compiled(release.version_id).flow
    upstream, phase = flow.upstream_of_step(attempt.run.key), flow.phase_of[attempt.run.key]
    now, before = (_values(one, phase, phases) for one in (release, previous))
    for key in results.keys() & upstream:
        for values, outputs, root in zip((now, before), results[key], (release.root_id, previous.root_id), strict=True):
            if said := _said(outputs, root):
                values[f"activities.{key}.outputs"] = said
    for place in attempt.bound or {}:
        parts = place.split(".")
        if parts[0] == "phases" and parts[2:3] == ["outputs"]:
            for values, one in ((now, release), (before, previous)):
                values[f"phases.{parts[1]}.outputs"] = phases.get((one.pk, parts[1]), ({}, {}))[1]
    found = changes.in_order(changes.of_values(before, without_new_steps(now, previous)))
    risks = {found[0].risk} if found else set()
    risks |= {risk} if (risk := _of_process(previous.version_id, release.version_id)) else set()
    return min(risks, key=ORDER.index) if risks else "none"


def _said(outputs: str | None, root: int) -> Any:
    """Outputs as they are bound; of the many without a secret none is looked for."""
    values = of_json(outputs or "{}")
    return with_digests(values, root) if outputs and secrets.MARK in outputs else values


def _values(release: Release, phase: str, phases: Mapping[Any, Any]) -> dict[str, Any]:
    variables = {**release.variables, **phases.get((release.pk, phase), ({}, {}))[0]}
    return dict(with_digests({"inputs": release.inputs, "variables": variables}, release.root_id))


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


def _other_results(previous: Mapping[int, Release]) -> dict[int, dict[str, tuple[str, str | None]]]:
    """Release -> its activities whose outputs are others than in the one before, with both as JSON."""
    found: dict[int, dict[str, tuple[str, str | None]]] = {release: {} for release in previous}
    with connection.cursor() as cursor:
        cursor.execute(_OTHER_RESULTS, {"releases": list(previous), "previous": [release.pk for release in previous.values()]})
        for release, key, now, before in cursor.fetchall():
            found[release][key] = (now, before)
    return found


def _phases(attempts: Sequence[Attempt], previous: Mapping[int, Release]) -> dict[Any, Any]:
    """(release, phase) -> its variables and outputs, of the phases that ask and those that are bound."""
    named = {parts[1] for attempt in attempts for place in attempt.bound or {} if (parts := place.split("."))[0] == "phases" and len(parts) > 1}
    named |= {compiled(attempt.run.release.version_id).flow.phase_of[attempt.run.key] for attempt in attempts}
    both = {*previous, *(release.pk for release in previous.values())}
    rows = PhaseRun.objects.filter(release__in=both, key__in=named).order_by().values_list("release_id", "key", "variables", "outputs")
    return {(release, key): (variables or {}, outputs or {}) for release, key, variables, outputs in rows}
