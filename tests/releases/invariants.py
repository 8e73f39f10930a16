"""What must hold in the database whenever nothing is in a transaction (`relorch/invariants.py`), and every chain recomputed."""

from __future__ import annotations

from typing import Any

from relorch import invariants
from relorch.audit.chain import verify
from relorch.audit.models import Stream
from relorch.lib.invariants import broken as found_by


def broken() -> dict[str, list[tuple[Any, ...]]]:
    """The invariants that found something, with what they found; every chain is verified too."""
    found = found_by(invariants.INVARIANTS)
    for name in Stream.objects.values_list("name", flat=True):
        answer = verify(name)
        if answer.broken_at is not None:
            found[f"chain of {name}"] = [(answer.broken_at, answer.why)]
    return found
