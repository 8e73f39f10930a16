"""Money is whole cents; only percentages need a rounding rule, and it is here."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal(1)


def percent(cents: int, rate: Decimal) -> int:
    """`rate` per cent of `cents`, rounded half up as tax offices do."""
    return int((Decimal(cents) * rate / 100).quantize(CENT, rounding=ROUND_HALF_UP))


def text(cents: int) -> str:
    """`1234` as `12.34`."""
    sign = "-" if cents < 0 else ""
    whole, part = divmod(abs(cents), 100)
    return f"{sign}{whole}.{part:02d}"
