"""Questions that wait while a value that they are about changes (S17): bound again in the transaction of the change.

A run upstream of an open question can only close again after it ended badly and somebody retried it, so only releases that had trouble are looked at.
Whoever keeps the votes is told in the same transaction. The author's text holds values too; it is an expression, so it is worded again outside the lock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Set
from typing import TYPE_CHECKING, Any, TypeAlias

from releases.asking import bound_values, hash_of, request_for
from releases.models import Release
from releases.values import of_json

if TYPE_CHECKING:
    from releases.engine import Work

Changed: TypeAlias = "Callable[[Work, int, str], None]"
"""Called under the lock with the number of an attempt whose packet has changed, and why (`bound` or `text`)."""
WORDED = ("title", "description", "instructions", "fields")
_watchers: list[Any] = []

_WAITING = """
SELECT a.id, a.release_id, run.key, a.bound_hash FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id
WHERE a.release_id = ANY(%s) AND a.state = 'waiting' AND run.type = 'manual' AND a.asked_at IS NOT NULL ORDER BY a.id
"""


def watch(tell: Changed) -> None:
    """Called once, by the app that keeps votes."""
    _watchers[:] = [tell]


def rebind(work: Work, closed: Mapping[int, Set[str]]) -> None:
    """Compare the bound values of what waits in these releases with what they are now; looks up values, evaluates nothing.

    `closed` names by release the activities, and as `phase:<id>` the phases, that have just closed; questions that bind none of them are left alone.
    """
    work.cursor.execute(_WAITING, (sorted(closed),))
    asked = [row for row in work.cursor.fetchall() if _binds_any(work, row[1], row[2], closed[row[1]])]
    rows = Release.objects.select_related("version", "process", "starter").defer("version__document")
    releases = rows.in_bulk({release for _, release, _, _ in asked}) if asked else {}
    for attempt, release_id, key, before in asked:
        release = releases[release_id]
        bound = bound_values(release, key)
        now = hash_of(bound)
        if now == before:
            continue
        work.cursor.execute("UPDATE releases_attempt SET bound = %s::json, bound_hash = %s WHERE id = %s", (json.dumps(bound), now, attempt))
        work.say("activity.rebound", release_id, key, bound=now, before=before)
        work.stir(release.root_id)
        _tell(work, attempt, "bound")


def _binds_any(work: Work, release: int, key: str, closed: Set[str]) -> bool:
    flow = work.compiled(release).flow
    approval = flow.steps[key].approval
    if approval is None or approval.binds is None:
        return not closed.isdisjoint(flow.upstream_of_step(key))
    paths = [bind.split(".") for bind in approval.binds]
    named = {path[1] if path[0] == "activities" else f"phase:{path[1]}" for path in paths if path[0] in ("activities", "phases") and len(path) > 1}
    return not closed.isdisjoint(named) or any(path in (["activities"], ["phases"]) for path in paths)


def reword(release: Release, key: str, attempt: int) -> Callable[[Work], None]:
    """The author's text with the values as they are now; applied only if they still are. Raises ExpressionError."""
    request = request_for(release, key)

    def apply(work: Work) -> None:
        work.cursor.execute("SELECT request FROM releases_attempt WHERE id = %s AND state = 'waiting' AND bound_hash = %s", (attempt, request.bound_hash))
        row = work.cursor.fetchone()
        if row is None:
            return
        shown = of_json(row[0])
        fresh = {name: request.shown[name] for name in WORDED}
        differs = any(shown.get(name) != value for name, value in fresh.items())
        mark(work, attempt, {**shown, **fresh}, request.bound_hash)
        if differs:
            work.say("activity.reworded", release.pk, key)
            _tell(work, attempt, "text")

    return apply


def mark(work: Work, attempt: int, shown: dict[str, Any], worded_for: str) -> None:
    """Keep what is shown, worded for these bound values."""
    work.cursor.execute("UPDATE releases_attempt SET request = %s::json, worded_for = %s WHERE id = %s", (json.dumps(shown), worded_for, attempt))


def _tell(work: Work, attempt: int, because: str) -> None:
    for tell in _watchers:
        tell(work, attempt, because)
