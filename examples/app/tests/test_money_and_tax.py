"""Rounding and rates."""

from __future__ import annotations

import unittest
from decimal import Decimal

from shop import money, tax


class Money(unittest.TestCase):
    def test_half_a_cent_is_rounded_up(self) -> None:
        self.assertEqual(money.percent(50, Decimal(19)), 10)  # 9.5
        self.assertEqual(money.percent(49, Decimal(19)), 9)  # 9.31

    def test_a_rate_may_have_a_fraction(self) -> None:
        self.assertEqual(money.percent(1000, Decimal("5.5")), 55)

    def test_amounts_as_text(self) -> None:
        self.assertEqual([money.text(cents) for cents in (0, 5, 1234, -250)], ["0.00", "0.05", "12.34", "-2.50"])


class Tax(unittest.TestCase):
    def test_food_and_books_pay_less_in_germany(self) -> None:
        self.assertEqual([tax.rate("DE", category) for category in ("goods", "food", "books")], [Decimal(19), Decimal(7), Decimal(7)])

    def test_downloads_pay_the_standard_rate(self) -> None:
        self.assertEqual(tax.rate("NL", "download"), Decimal(21))

    def test_where_we_do_not_deliver(self) -> None:
        with self.assertRaisesRegex(tax.UnknownCountry, "'XX'"):
            tax.rate("XX", "goods")

    def test_rates_survive_the_way_over_http(self) -> None:
        self.assertEqual(tax.from_text(tax.as_text(tax.RATES)), tax.RATES)


if __name__ == "__main__":
    unittest.main()
