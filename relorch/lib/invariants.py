"""What must hold in the database whenever nothing is in a transaction: statements that find the rows which break it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

MOST = 5
"""Rows shown of each."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """`rows` is one SELECT that must find nothing. Each app lists its own; `relorch/invariants.py` puts them together."""

    name: str
    rows: str


def broken(invariants: Iterable[Invariant]) -> dict[str, list[tuple[Any, ...]]]:
    """Those that found something, with the first rows found. Each reads one snapshot, so that it may run while everything else does."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        # each reads whole tables: hashing is right whatever the statistics say, and a nested loop chosen without them can take for ever
        cursor.execute("SET LOCAL enable_nestloop = off")
        for invariant in invariants:
            cursor.execute(f"SELECT * FROM ({invariant.rows}) AS broken LIMIT {MOST}")  # noqa: S608 - both are ours
            if rows := cursor.fetchall():
                found[invariant.name] = rows
        cursor.execute("SET LOCAL enable_nestloop = on")
    return found
