"""Who can decide on many attempts at once: what a release says of the people it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from approvals.querysets import cases_of
from releases.models import Attempt, Release


def attempts_with_release(ids: Iterable[int]) -> list[Attempt]:
    """These attempts with all that `cases_of` reads."""
    rows = list(
        Attempt.objects.filter(pk__in=list(ids))
        .select_related("run")
        .defer("inputs", "outputs", "bound", "filled", "decision", "run__outputs", "run__met", "run__changes")
    )
    releases = Release.objects.filter(pk__in={row.release_id for row in rows}).select_related("version__published_by", "starter", "process")
    known = releases.defer("version__document", "inputs", "variables", "outputs").in_bulk()
    for row in rows:  # one row of the release, not one for each of its attempts
        row.run.release = known[row.release_id]
    return rows


def deciders(ids: Sequence[int]) -> Mapping[int, Sequence[str]]:
    """Attempt's number -> the e-mail addresses of those who can fill a place of it now, nobody where the rule cannot be met; for `releases.waiting`."""
    found = {}
    for number, case in cases_of(attempts_with_release(ids)).items():
        can: set[str] = set()
        verdict = case.verdict
        if verdict.state != "impossible":
            for line in verdict.lines:
                if line.asked:
                    can |= line.can_fill
        found[number] = sorted(can)
    return found
