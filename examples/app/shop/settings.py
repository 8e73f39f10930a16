"""What a place (staging, a region) tells the shop, and what this version needs to be told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REQUIRED: tuple[str, ...] = ("country",)


def read(file: Path) -> dict[str, Any]:
    """The settings of a place; empty when there is no file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"{file} must hold a JSON object")
    return found


def missing(settings: dict[str, Any]) -> list[str]:
    """The names that this version needs and the place does not give."""
    return [name for name in REQUIRED if not settings.get(name)]
