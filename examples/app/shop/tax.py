"""Value added tax by country and category."""

from __future__ import annotations

from decimal import Decimal

Rates = dict[str, dict[str, Decimal]]

RATES: Rates = {
    "DE": {"standard": Decimal(19), "food": Decimal(7), "books": Decimal(7)},
    "FR": {"standard": Decimal(20), "food": Decimal("5.5"), "books": Decimal("5.5")},
    "IE": {"standard": Decimal(23), "food": Decimal(0), "books": Decimal(0)},
    "NL": {"standard": Decimal(21), "food": Decimal(9), "books": Decimal(9)},
    "US": {"standard": Decimal(0)},
}


class UnknownCountry(ValueError):
    """We do not deliver there."""


def rate(country: str, category: str, rates: Rates = RATES) -> Decimal:
    """Per cent for a category in a country (two letters); a category without its own rate pays the standard one."""
    try:
        table = rates[country]
    except KeyError:
        raise UnknownCountry(f"we do not deliver to {country!r}; we do to {', '.join(sorted(rates))}") from None
    return table.get(category, table["standard"])


def from_text(table: dict[str, dict[str, str]]) -> Rates:
    """Rates from the shape of `GET /rates`."""
    return {country: {category: Decimal(value) for category, value in row.items()} for country, row in table.items()}


def as_text(rates: Rates) -> dict[str, dict[str, str]]:
    """The opposite of `from_text`."""
    return {country: {category: str(value) for category, value in row.items()} for country, row in rates.items()}
