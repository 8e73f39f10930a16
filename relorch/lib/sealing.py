"""Seals: a keyed digest that only this installation can make, over what must not be forged by a row alone (S17)."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from django.conf import settings

from relorch.lib.canonical import canonical


def seal(purpose: str, content: Any) -> str:
    """HMAC-SHA-256 over the canonical JSON of `content`; `purpose` keeps seals of different kinds apart."""
    return hmac.new(settings.SECRET_KEY.encode(), f"{purpose}\n".encode() + canonical(content), hashlib.sha256).hexdigest()


def is_sealed(found: str, purpose: str, content: Any) -> bool:
    """Whether `found` is the seal of this content, compared in constant time."""
    return hmac.compare_digest(found, seal(purpose, content))
