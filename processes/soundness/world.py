"""What lies around a document, as far as it is known. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from processes.blueprint import Blueprint, StoreActivity
from processes.problems import Problem


@dataclass(frozen=True, slots=True)
class ConnectorInfo:
    """What publishing must know of a connector. `problems` judges a `with` as written; its places are relative to that."""

    schema: dict[str, Any] = field(default_factory=dict)
    effect: Literal["keyed", "once", "either"] = "either"
    problems: Callable[[dict[str, Any]], list[Problem]] | None = None
    uses_scripts: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """The surroundings. None means that nothing is known of them, and what depends on them is not checked.

    `store` has an entry per version and one with None for the newest. `starters` are the people who may start the process (None: every user),
    `authors` those who count as its author (S14).
    """

    processes: Mapping[str, Blueprint] | None = None
    store: Mapping[tuple[str, int | None], StoreActivity] | None = None
    groups: Mapping[str, frozenset[str]] | None = None
    users: frozenset[str] | None = None
    connectors: Mapping[str, ConnectorInfo] | None = None
    connections: frozenset[str] | None = None
    scripts_allowed: bool | None = None
    starters: frozenset[str] | None = None
    authors: frozenset[str] | None = None
