"""What the server answers, flags, settings and orders."""

from __future__ import annotations

import sqlite3
import tempfile
import unittest
from contextlib import closing
from pathlib import Path

from shop import flags, orders, settings
from shop.place import Place, write_json
from shop.service import Service


class InAPlace(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.place = Place(Path(folder.name))
        write_json(self.place.settings, {"country": "DE", "payment_provider": "test"})
        self.service = Service(self.place)


class Answers(InAPlace):
    def test_a_cart(self) -> None:
        status, bill = self.service.answer("/cart/total?item=mug:2&item=tea&country=FR")
        self.assertEqual((status, bill["total"], bill["checkout"]), (200, "34.04", "classic"))

    def test_a_wrong_cart_is_the_customers_fault(self) -> None:
        for target in ("/cart/total", "/cart/total?item=sofa", "/cart/total?item=mug&country=XX"):
            self.assertEqual(self.service.answer(target)[0], 400, target)

    def test_there_is_nothing_elsewhere(self) -> None:
        self.assertEqual(self.service.answer("/admin")[0], 404)

    def test_it_says_which_version_it_is(self) -> None:
        self.assertEqual(self.service.answer("/version")[1]["version"], self.service.version)

    def test_healthy_with_all_settings(self) -> None:
        self.assertEqual(self.service.answer("/health")[0], 200)

    def test_not_healthy_without_a_setting(self) -> None:
        write_json(self.place.settings, {})
        status, found = self.service.answer("/health")
        self.assertEqual((status, found["status"]), (503, "failing"))
        self.assertIn(settings.REQUIRED[0], found["checks"]["settings"])

    def test_catalog_and_rates_are_services_too(self) -> None:
        self.assertEqual(Service(self.place, "catalog").answer("/products")[1]["mug"]["cents"], 890)
        self.assertEqual(Service(self.place, "rates").answer("/rates")[1]["DE"]["standard"], "19")


class Flags(InAPlace):
    def test_a_customer_who_is_in_stays_in(self) -> None:
        seen = [{c for c in range(500) if flags.Flag(percent).is_on("new_checkout", f"c{c}")} for percent in (0, 1, 10, 50, 100)]
        for fewer, more in zip(seen, seen[1:]):
            self.assertLess(fewer, more)
        self.assertEqual((len(seen[0]), len(seen[-1])), (0, 500))

    def test_staff_first(self) -> None:
        write_json(self.place.flags, {"new_checkout": {"percent": 0, "internal": True}})
        answers = [self.service.answer(f"/cart/total?item=mug&customer={who}")[1]["checkout"] for who in ("staff-1", "c1")]
        self.assertEqual(answers, ["new", "classic"])


class Orders(InAPlace):
    def test_both_tables_are_read(self) -> None:
        for version, column, values in ((1, "total TEXT", ("12.30", "7,05")), (2, "total_cents INTEGER", (1230, 705))):
            self.place.orders.unlink(missing_ok=True)
            with closing(sqlite3.connect(self.place.orders)) as connection:
                connection.execute(f"CREATE TABLE orders (id INTEGER PRIMARY KEY, {column})")
                connection.executemany(f"INSERT INTO orders ({column.split()[0]}) VALUES (?)", [(value,) for value in values])
                connection.execute(f"PRAGMA user_version = {version}")
                connection.commit()
            self.assertEqual(orders.summary(self.place.orders), {"schema": version, "count": 2, "total": "19.35"})

    def test_what_is_no_amount(self) -> None:
        for value in ("", "a lot", "1.234"):
            with self.assertRaises(ValueError):
                orders.cents(value)

    def test_unreadable_orders_are_not_healthy(self) -> None:
        self.place.orders.write_text("not a database")
        self.assertEqual(self.service.answer("/health")[0], 503)


if __name__ == "__main__":
    unittest.main()
