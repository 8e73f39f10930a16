"""Carts and what they cost."""

from __future__ import annotations

import itertools
import unittest

from shop import catalog, checkout
from shop.cart import Cart, CartError, parse

PRODUCTS = catalog.load()


def cart(*items: str, coupon: str = "") -> Cart:
    return parse(items, PRODUCTS, coupon)


class Carts(unittest.TestCase):
    def test_the_same_product_twice_is_added_up(self) -> None:
        self.assertEqual([(line.product.sku, line.quantity) for line in cart("mug:2", "tea", "mug").lines], [("mug", 3), ("tea", 1)])

    def test_what_makes_no_sense_is_refused(self) -> None:
        for items, text in (((), "empty"), (("sofa",), "sofa"), (("mug:0",), "1 to 999"), (("mug:1000",), "1 to 999"), (("mug:two",), "quantity")):
            with self.subTest(items=items), self.assertRaisesRegex(CartError, text):
                cart(*items)
        with self.assertRaisesRegex(CartError, "coupon"):
            cart("mug", coupon="NOPE")

    def test_ten_are_cheaper(self) -> None:
        self.assertEqual([cart(f"mug:{number}").lines[0].net for number in (9, 10, 50)], [8010, 8455, 40050])


class Checkouts(unittest.TestCase):
    def test_a_bill_to_the_cent(self) -> None:
        bill = checkout.classic(cart("mug:2", "tea"), "DE")
        # goods 2 x 8.90 + 6.45, shipping 4.90; tax 19 % of 22.70 and 7 % of 6.45
        self.assertEqual((bill.goods, bill.shipping, bill.tax, bill.total), (2425, 490, 476, 3391))

    def test_a_coupon_counts_before_tax(self) -> None:
        self.assertEqual(checkout.classic(cart("teapot", coupon="WELCOME10"), "US").goods, 3105)

    def test_shipping_is_free_from_fifty_euros_and_for_downloads(self) -> None:
        self.assertEqual([checkout.classic(cart(item), "US").shipping for item in ("mug:5", "mug:6", "recipes")], [490, 0, 0])

    def test_both_checkouts_agree(self) -> None:
        for number, (first, second) in enumerate(itertools.product(PRODUCTS, PRODUCTS)):
            wanted = cart(f"{first}:{number % 12 + 1}", f"{second}:{number % 7 + 1}", coupon=("", "WELCOME10", "FRIENDS20")[number % 3])
            for country in ("DE", "FR", "US"):
                bill, lines = checkout.one_page(wanted, country)
                self.assertEqual(bill, checkout.classic(wanted, country))
                self.assertEqual(len(lines), len(wanted.lines))


if __name__ == "__main__":
    unittest.main()
