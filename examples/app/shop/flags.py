"""Who sees a new feature: a file that may change while the server runs, and a stable place for every customer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

INTERNAL = "staff-"


@dataclass(frozen=True)
class Flag:
    """On for `percent` of the customers, and for our own people when `internal`."""

    percent: int = 0
    internal: bool = False

    def is_on(self, name: str, customer: str) -> bool:
        """A customer who is in at 10 % stays in at 50 %."""
        if customer.startswith(INTERNAL):
            return self.internal or self.percent == 100
        return place(name, customer) < self.percent


def place(name: str, customer: str) -> int:
    """The customer's place from 0 to 99 for this feature; the same on every machine and at every start."""
    return int.from_bytes(hashlib.sha256(f"{name}/{customer}".encode()).digest()[:8], "big") % 100


def read(file: Path) -> dict[str, Flag]:
    """The flags of a file; none when there is no file. Read at every request, so a change needs no restart."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {name: Flag(int(value["percent"]), bool(value.get("internal", False))) for name, value in found.items()}
