"""The last gate (S17): what follows an approval starts only if the verdict bears our seal."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db.models import Q

from releases.models import ActivityRun
from releases.states import Run
from relorch.lib import sealing

if TYPE_CHECKING:
    from releases.engine import Ref, Work

log = logging.getLogger(__name__)

PURPOSE = "verdict"

_APPROVED = """
SELECT run.release_id, run.key, a.id, a.decision, a.seal
FROM releases_activityrun run LEFT JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count
WHERE run.release_id = ANY(%s) AND run.state = 'succeeded' AND run.type = 'manual'
"""
_VERDICTS = _APPROVED + " AND run.key = ANY(%s)"


def seal_of(attempt: int, decision: Mapping[str, Any]) -> str:
    """The seal over an attempt, its verdict and what that rested on: packet hash and votes, or the override."""
    return sealing.seal(PURPOSE, {"attempt": attempt, "decision": dict(decision)})


def _is_good(attempt: int | None, decision: Mapping[str, Any] | None, seal: str | None) -> bool:
    """A rejection is sealed too: it must not pass for an approval because somebody wrote `succeeded` over it."""
    if not decision or (decision.get("verdict") != "approved" and "override" not in decision):
        return False
    return sealing.is_sealed(seal or "", PURPOSE, {"attempt": attempt, "decision": decision})


def alarm(work: Work, release: int, key: str, **data: Any) -> None:
    """Somebody has written an approval that nobody gave: an event that tells administrators and the process's owners, and a line in the log."""
    blueprint = work.compiled(release).flow.blueprint
    people, groups = ({who.partition(":")[2] for who in blueprint.owners if who.startswith(kind)} for kind in ("user:", "group:"))
    concerned = Q(is_superuser=True) | Q(email__in=[email.lower() for email in people]) | Q(groups__name__in=groups)
    told = get_user_model().objects.filter(concerned, is_active=True).order_by("email").values_list("email", flat=True).distinct()
    log.error("release %s: %s would start on an approval that is not sealed: %s", release, key, ", ".join(data.get("approvals", ())))
    work.say("approval.broken", release, key, to=list(told), **data)


def broken_now() -> list[tuple[int, str]]:
    """The runs that a broken approval holds back until somebody decides: release and activity, for doctor and for whoever watches."""
    rows = ActivityRun.objects.filter(state=Run.ON_HOLD, code="approval_broken").order_by("release_id", "position")
    return list(rows.values_list("release_id", "key")[:100])


def broken_within(work: Work, release: int) -> list[str]:
    """The approvals of this release that are marked succeeded without a valid seal: it hands no outputs to its parent (S17)."""
    work.cursor.execute(_APPROVED, ([release],))
    return sorted(key for _, key, attempt, decision, seal in work.cursor.fetchall() if not _is_good(attempt, decision, seal))


def broken_guards(work: Work, runs: Sequence[Ref]) -> dict[int, str]:
    """Of these runs, those that directly succeed an approval marked succeeded without a valid seal: {run: which one}."""
    guarded = {run.id: (run, guards) for run in runs if (guards := work.compiled(run.release).steps[run.key].guards)}
    if not guarded:
        return {}
    releases = {run.release for run, _ in guarded.values()}
    keys = {key for _, guards in guarded.values() for key in guards}
    work.cursor.execute(_VERDICTS, (list(releases), list(keys)))
    forged = {(release, key) for release, key, attempt, decision, seal in work.cursor.fetchall() if not _is_good(attempt, decision, seal)}
    broken = {}
    for run, guards in guarded.values():
        bad = [key for key in guards if (run.release, key) in forged]
        if bad:
            broken[run.id] = f"The approval of {', '.join(bad)} is not sealed: it was not given by the people it needs."
            alarm(work, run.release, run.key, approvals=bad)
    return broken
