"""How long activities take: from the finished runs of their process, else as their author thinks.

One query a process, bounded by the number of releases it looks back on, and remembered for a minute: what a page costs does not grow with the
releases that it shows or that there have ever been.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from threading import Lock

from django.db import connection

from releases.flows import compiled
from releases.models import Release
from releases.rehearsing import Estimate

LOOK_BACK = 50
"""Finished releases of a process that count, the newest; fewer where each has very many activities."""
MOST_RUNS = 20_000
KEPT = 60.0
_history: dict[int, tuple[float, dict[str, Estimate]]] = {}
_guard = Lock()

_TOOK = """
SELECT run.key, percentile_cont(0.5) WITHIN GROUP (ORDER BY took), percentile_cont(0.8) WITHIN GROUP (ORDER BY took), count(*)
FROM (
    SELECT run.key, extract(epoch FROM run.finished_at - run.started_at)::float8 AS took
    FROM releases_activityrun run JOIN (
        SELECT id FROM releases_release WHERE process_id = %s AND state IN ('succeeded', 'partially_succeeded', 'failed') ORDER BY id DESC LIMIT %s
    ) finished ON finished.id = run.release_id
    WHERE run.state = 'succeeded' AND run.started_at IS NOT NULL AND NOT run.overridden
) run GROUP BY run.key
"""


def estimates_of(release_or_version: tuple[int, int]) -> dict[str, Estimate | None]:
    """Activity -> how long it takes, None where nobody knows; of a (process, version)."""
    process, version = release_or_version
    flow = compiled(version).flow
    known = _history_of(process, len(flow.steps))
    found: dict[str, Estimate | None] = {}
    for key, step in flow.steps.items():
        found[key] = known.get(key) or (Estimate(float(step.expected), float(step.expected)) if step.expected is not None else None)
    return found


def for_release(release: Release) -> dict[str, Estimate | None]:
    """Those of the version that it follows."""
    return estimates_of((release.process_id, release.version_id))


def _history_of(process: int, activities: int) -> Mapping[str, Estimate]:
    now = time.monotonic()
    with _guard:
        kept = _history.get(process)
    if kept is not None and now - kept[0] < KEPT:
        return kept[1]
    look_back = max(3, min(LOOK_BACK, MOST_RUNS // max(activities, 1)))
    with connection.cursor() as cursor:
        cursor.execute(_TOOK, (process, look_back))
        found = {key: Estimate(float(p50), float(p80), runs) for key, p50, p80, runs in cursor.fetchall()}
    with _guard:
        if len(_history) > 1_000:
            _history.clear()
        _history[process] = now, found
    return found


def forget(processes: Iterable[int] = ()) -> None:
    """Read again at the next question; all of them when none is named. For tests, whose databases come and go."""
    with _guard:
        for process in list(processes) or list(_history):
            _history.pop(process, None)
