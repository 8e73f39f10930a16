"""Which earlier thing a text means. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_STOP = frozenset({"the", "a", "an", "of", "to", "and", "is", "are", "phase", "stage", "step", "for", "on", "in", "all", "both", "has", "have", "been"})


def _words(text: str) -> set[str]:
    return {re.sub(r"(?:ing|ed|es|s|e)$", "", word) for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in _STOP}


def closest(text: str, named: Mapping[str, str]) -> str:
    """The id whose name has most of the words of `text`; the last of equals. Empty when none has at least half of them."""
    wanted = _words(text)
    best, score = "", 0.0
    for identifier, name in named.items():
        have = _words(name) | _words(identifier)
        share = len(wanted & have) / max(1, len(wanted)) + len(wanted & have) / (100 * max(1, len(have)))
        if wanted & have and share >= max(score, 0.5):
            best, score = identifier, share
    return best
