"""What a new process can start from: the blueprints that come with relorch, another process, a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from processes import reading
from processes.blueprint import Blueprint
from processes.drafts import document_of
from processes.models import Process
from processes.versions import newest

FOLDER = Path(__file__).parent / "blueprints"
ORDER = ("standard", "hotfix", "feature_rollout", "multi_service", "database_change", "mobile_store", "infrastructure_change")


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """A blueprint to begin with, as its file has it."""

    key: str
    text: str
    blueprint: Blueprint


@cache
def blueprints() -> tuple[StartingPoint, ...]:
    """Those that come with relorch, the usual first."""
    return tuple(_read(key) for key in ORDER)


def _read(key: str) -> StartingPoint:
    text = (FOLDER / f"{key}.yaml").read_text(encoding="utf-8")
    found = reading.read(text).blueprint
    if not isinstance(found, Blueprint):
        raise TypeError(f"{key}.yaml is no process")
    return StartingPoint(key, text, found)


def owned(document: dict[str, Any], person: Any) -> dict[str, Any]:
    """The document with this person as owner, if it names none: else nobody could decide anything in it."""
    if document.get("owners"):
        return document
    found: dict[str, Any] = {}
    for key, value in document.items():
        found[key] = value
        if key in ("id", "name", "description", "category"):
            found.pop("owners", None)
            found["owners"] = [f"user:{person.email}"]
    return found


def free_id(wanted: str) -> str:
    """The id itself, or the same with a number, that no process has."""
    taken = set(Process.objects.filter(identifier__startswith=wanted[:50]).values_list("identifier", flat=True))
    found, number = wanted, 2
    while found in taken:
        found, number = f"{wanted[:58]}_{number}", number + 1
    return found


def copy_of(process: Process) -> dict[str, Any]:
    """The newest version of a process, or its draft, as the document of another one. Owners stay: who makes the copy decides about them."""
    version = newest(process)
    document = dict(version.document if version else document_of(process))
    return document | {"id": free_id(process.identifier), "name": f"{document.get('name') or process.identifier} (copy)"[:200]}
