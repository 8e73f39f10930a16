"""JSON in one spelling, so that its digest is a name for what it says (S17)."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_of(value: Any) -> bytes:
    """Its digest."""
    return hashlib.sha256(canonical(value)).digest()
