"""Shop as many customers do, and see whether both checkouts answer, and agree.

usage: traffic.py --url http://127.0.0.1:18100 [--customers 400] [--staff 20] [--most-errors PERCENT]
answers: customers, on_new, share (per cent of the customers on the new checkout), errors, error_rate (per cent), wrong_totals

Every customer has a fixed cart and place, so the same version gives the same figures each time. One in twenty buys 100 mugs.
"""

from __future__ import annotations

import argparse
import http.client
import json
from typing import Any
from urllib.parse import urlencode, urlsplit

from running import Failed, answer, run, say

CARTS = (("mug:2", "tea"), ("novel",), ("teapot", "biscuits:4"), ("recipes", "tea:12"))
BIG = ("mug:100", "tea:3")


def cart_of(name: str) -> tuple[str, ...]:
    """What the visitor `staff-3` or `customer-7` buys."""
    kind, _, number = name.partition("-")
    return BIG if kind == "customer" and int(number) % 20 == 7 else CARTS[int(number) % len(CARTS)]


class Visitor:
    """One connection that is used again and again."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)

    def get(self, path: str, **query: Any) -> tuple[int, Any]:
        """Status and JSON of a GET."""
        self.connection.request("GET", f"{path}?{urlencode(query, doseq=True)}")
        found = self.connection.getresponse()
        return found.status, json.loads(found.read())


def visit(url: str, customers: int, staff: int) -> dict[str, int]:
    """Everybody shops once; each cart is also priced without a customer, which is the classic checkout."""
    visitor = Visitor(url)
    classic = {items: visitor.get("/cart/total", item=items)[1]["total"] for items in (*CARTS, BIG)}
    counts = {"on_new": 0, "errors": 0, "wrong_totals": 0}
    names = [f"staff-{number}" for number in range(staff)] + [f"customer-{number}" for number in range(customers)]
    for name in names:
        _, seen = visitor.get("/flags", customer=name)
        counts["on_new"] += name.startswith("customer-") and seen["on"]
        status, bill = visitor.get("/cart/total", item=cart_of(name), customer=name)
        if status != 200:
            counts["errors"] += 1
            say(f"{name}: {status} {bill.get('error', '')}")
        elif bill["total"] != classic[cart_of(name)]:
            counts["wrong_totals"] += 1
            say(f"{name}: the two checkouts differ")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--customers", type=int, default=400)
    parser.add_argument("--staff", type=int, default=20)
    parser.add_argument("--most-errors", type=float, default=0.0)
    told = parser.parse_args()
    try:
        counts = visit(told.url, told.customers, told.staff)
    except OSError as error:
        raise Failed(f"{told.url} does not answer: {error}") from None
    error_rate = round(100 * counts["errors"] / (told.customers + told.staff), 2)
    share = round(100 * counts["on_new"] / told.customers, 2)
    answer(customers=told.customers, share=share, error_rate=error_rate, **counts)
    say(f"{counts['on_new']} of {told.customers} customers saw the new checkout; {counts['errors']} errors ({error_rate} %)")
    if error_rate > told.most_errors:
        raise Failed(f"{error_rate} % errors are more than {told.most_errors} %")
    if counts["wrong_totals"]:
        raise Failed(f"{counts['wrong_totals']} customers would pay another price than before")


if __name__ == "__main__":
    run(main)
