"""The orders in a SQLite file. This version reads the old table (total as text) and the new one (total in cents)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from shop.money import text

LATEST = 2


def open_read_only(file: Path) -> sqlite3.Connection:
    """A connection that cannot change anything. Raises sqlite3.OperationalError when there is no file."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5)


def cents(value: str) -> int:
    """`12.34` and `12,34` (how the old till of one branch wrote) are 1234. Raises ValueError."""
    try:
        amount = Decimal(value.strip().replace(",", ".")) * 100
    except (InvalidOperation, AttributeError):
        raise ValueError(f"{value!r} is not an amount") from None
    if not amount.is_finite() or amount != int(amount):
        raise ValueError(f"{value!r} is not an amount in whole cents")
    return int(amount)


def summary(file: Path) -> dict[str, Any]:
    """How many orders there are and what they add up to, whatever the version of the table."""
    with closing(open_read_only(file)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version >= LATEST:
            (count, total) = connection.execute("SELECT count(*), coalesce(sum(total_cents), 0) FROM orders").fetchone()
        else:
            totals = [cents(row[0]) for row in connection.execute("SELECT total FROM orders")]
            count, total = len(totals), sum(totals)
    return {"schema": version, "count": count, "total": text(total)}
