"""Who can decide on many attempts at once: what a release says of the people it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from approvals.querysets import cases_of
from releases.models import Attempt


def attempts_with_release(ids: Iterable[int]) -> list[Attempt]:
    """These attempts with all that `cases_of` reads."""
    rows = Attempt.objects.filter(pk__in=list(ids)).select_related("run__release__version__published_by", "run__release__starter", "run__release__process")
    return list(rows.defer("run__release__version__document", "run__release__inputs", "run__release__variables", "run__release__outputs"))


def deciders(ids: Sequence[int]) -> Mapping[int, Sequence[str]]:
    """Attempt's number -> the e-mail addresses of those who can fill a place of it now, nobody where the rule cannot be met; for `releases.waiting`."""
    found = {}
    for number, case in cases_of(attempts_with_release(ids)).items():
        can: set[str] = set()
        if case.verdict.state != "impossible":
            for line in case.verdict.lines:
                if line.asked:
                    can |= line.can_fill
        found[number] = sorted(can)
    return found
