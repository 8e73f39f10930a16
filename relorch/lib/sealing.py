"""Seals: a keyed digest that only this installation can make, over what must not be forged by a row alone (S17)."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from django.conf import settings


def seal(purpose: str, content: Any) -> str:
    """HMAC-SHA-256 over the canonical JSON of `content`; `purpose` keeps seals of different kinds apart."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hmac.new(settings.SECRET_KEY.encode(), f"{purpose}\n{text}".encode(), hashlib.sha256).hexdigest()


def is_sealed(found: str, purpose: str, content: Any) -> bool:
    """Whether `found` is the seal of this content, compared in constant time."""
    return hmac.compare_digest(found, seal(purpose, content))
