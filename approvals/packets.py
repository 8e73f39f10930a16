"""What exactly is being decided on: the packet, a function of the attempt's row and its version, and its hash (S17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from approvals.models import Packet, SignOff
from releases.asking import hash_of, with_digests
from releases.flows import compiled
from releases.form_secrets import names_in
from releases.models import Attempt, Task
from relorch.audit.chain import instant
from relorch.lib.prepared import insert

LINES_BEFORE = "lines_before"
"""Where a reassigned request keeps the lines that it had at first."""


def content_of(attempt: Attempt) -> dict[str, Any]:
    """The packet: which activity of which release and version, the values bound, the author's text with its values filled in, what was filled in, and how its
    tasks stand."""
    release = attempt.run.release
    tasks = {"tasks": _tasks(attempt)} if (attempt.request or {}).get("tasks") else {}
    return {
        "release": release.pk,
        "activity": attempt.run.key,
        "attempt": attempt.number,
        "process": release.process.identifier,
        "version": {"number": release.version.number, "hash": release.version.hash},
        "asked_at": instant(attempt.asked_at) if attempt.asked_at else "",
        "bound": attempt.bound or {},
        "shown": _shown(attempt.request or {}),
        "filled": _filled(attempt),
        **tasks,
    }


def _shown(request: Mapping[str, Any]) -> dict[str, Any]:
    """With the lines as the process asked for them: who is asked instead (reassign) is not what is decided on, and filled places stay."""
    shown = dict(request)
    if LINES_BEFORE in shown:
        shown["lines"] = shown.pop(LINES_BEFORE)
    return shown


def _filled(attempt: Attempt) -> dict[str, Any]:
    """What the form holds; a secret is a keyed digest, so that the same one is the same packet whichever key keeps it."""
    if not attempt.filled:
        return {}
    release = attempt.run.release
    own = {name: attempt.filled[name] for name in names_in(compiled(release.version_id).steps[attempt.run.key].activity) if name in attempt.filled}
    return {**attempt.filled, **with_digests(own, release.root_id)} if own else dict(attempt.filled)


def _tasks(attempt: Attempt) -> list[dict[str, Any]]:
    fields = ("key", "name", "description", "required", "status")
    return list(Task.objects.filter(attempt=attempt).order_by("position").values(*fields))


def current_hash(attempt: Attempt) -> str:
    """The hash of the packet as it is now."""
    return hash_of(content_of(attempt))


def stored(attempt: Attempt, at: datetime, votes: Sequence[SignOff]) -> Packet:
    """The packet as it is now, kept with the first vote on it; `votes` are all there are."""
    content = content_of(attempt)
    digest = hash_of(content)
    # under the tree's lock nobody else writes one: no savepoints
    known = Packet.objects.filter(attempt=attempt, hash=digest).first() if votes else None
    return known or insert(Packet(attempt=attempt, hash=digest, content=content, created_at=at))
