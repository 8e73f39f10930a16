"""A version that is not to be started any more: why, by whom, since when. What runs goes on; the version itself never changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Q

from processes.editing import record
from processes.models import Process, ProcessVersion, VersionDeprecation
from processes.problems import Problem
from relorch.lib.errors import Conflict, Invalid

LONGEST_REASON = 2_000


def deprecate(version: ProcessVersion, *, actor: Any, reason: str, door: str = "page") -> VersionDeprecation:
    """Say that it is not to be started any more. Raises Invalid (no reason, too long), Conflict (it is deprecated already)."""
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        said = f"A reason has at most {LONGEST_REASON:,} characters." if reason else "Say why: whoever is kept from starting it reads the reason."
        raise Invalid("invalid", said, [Problem("too_long" if reason else "required", said, "/reason")])
    with transaction.atomic():
        process = Process.objects.select_for_update(of=("self",)).get(pk=version.process_id)
        if VersionDeprecation.objects.filter(version=version).exists():
            raise Conflict("deprecated", f"Version {version.number} is deprecated already.", state="deprecated")
        made = VersionDeprecation.objects.create(version=version, reason=reason, by=actor)
        record(process, "process.version_deprecated", actor=actor, door=door, reason=reason, data={"number": version.number})
    made.refresh_from_db()
    return made


def undeprecate(version: ProcessVersion, *, actor: Any, reason: str = "", door: str = "page") -> None:
    """It may be started again. Raises Conflict when it is not deprecated."""
    with transaction.atomic():
        process = Process.objects.select_for_update(of=("self",)).get(pk=version.process_id)
        if not VersionDeprecation.objects.filter(version=version).delete()[0]:
            raise Conflict("not_deprecated", f"Version {version.number} is not deprecated.", state="published")
        record(process, "process.version_undeprecated", actor=actor, door=door, reason=reason, data={"number": version.number})


def deprecation_of(version: ProcessVersion) -> VersionDeprecation | None:
    """Why it is not to be started, if so."""
    return VersionDeprecation.objects.filter(version=version.resolves_id or version.pk).select_related("by").first()


def problems_of_starting(versions: Iterable[int]) -> list[Problem]:
    """One for each of these versions, as they are executed, that is deprecated."""
    wanted = list(versions)
    rows = VersionDeprecation.objects.filter(Q(version__in=wanted) | Q(version__resolved__in=wanted))
    named = rows.values_list("version__process__identifier", "version__number", "reason").distinct().order_by("version__process__identifier")
    return [Problem("version_deprecated", said(*row), "/version") for row in named]


def said(process: str, number: int, reason: str) -> str:
    """Why a start is refused, and what to do."""
    return f'Version {number} of "{process}" is deprecated: {reason.rstrip(".")}. Publish a newer one, or name another version.'
