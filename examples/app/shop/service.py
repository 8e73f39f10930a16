"""What the web server answers, as a function of the request: no sockets here.

One code base, three services: `catalog` (GET /products), `rates` (GET /rates) and `shop`, the shop itself, which has both built in
or asks them where its settings say so (`catalog_url`, `rates_url`).
"""

from __future__ import annotations

import html
import os
import sqlite3
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shop import cart, catalog, checkout, flags, identity, orders, settings, tax, upstream
from shop.money import text
from shop.place import Place

SERVICES = ("shop", "catalog", "rates")
NEW_CHECKOUT = "new_checkout"

Query = dict[str, list[str]]
Answer = tuple[int, Any]


class Service:
    """One service in one place."""

    def __init__(self, place: Place, name: str = "shop") -> None:
        self.place = place
        self.name = name
        self.version = identity.version()
        self.digest = identity.digest()
        common: dict[str, Callable[[Query], Answer]] = {"/health": self.health, "/version": self.about}
        own: dict[str, dict[str, Callable[[Query], Answer]]] = {
            "catalog": {"/products": self.products},
            "rates": {"/rates": self.rates},
            "shop": {"/": self.home, "/cart/total": self.total, "/flags": self.show_flags, "/orders/summary": self.show_orders},
        }
        self.routes = common | own[name]

    def answer(self, target: str) -> Answer:
        """Status and JSON value (or text of a page) for a GET of `target`."""
        parts = urlsplit(target)
        route = self.routes.get(parts.path)
        if route is None:
            return 404, {"error": f"there is nothing at {parts.path}", "paths": sorted(self.routes)}
        try:
            return route(parse_qs(parts.query))
        except (cart.CartError, tax.UnknownCountry) as error:
            return 400, {"error": str(error)}

    def about(self, _query: Query) -> Answer:
        """Which version this is, and the digest of the artifact that it was started from."""
        return 200, {"service": self.name, "version": self.version, "digest": self.digest, "pid": os.getpid()}

    def health(self, _query: Query) -> Answer:
        """200 when everything that this service needs is there, else 503 with what is not."""
        checks = {"settings": self._settings_check()} if self.name == "shop" else {}
        told = settings.read(self.place.settings)
        for name in ("catalog_url", "rates_url"):
            if self.name == "shop" and told.get(name):
                below = name.removesuffix("_url")
                checks[below] = self._upstream_check(below, str(told[name]))
        if self.name == "shop" and self.place.orders.exists():
            checks["orders"] = self._orders_check()
        healthy = all(value == "ok" for value in checks.values())
        return (200 if healthy else 503), {"status": "ok" if healthy else "failing", "version": self.version, "checks": checks}

    def products(self, _query: Query) -> Answer:
        """The price list."""
        return 200, catalog.rows(catalog.load())

    def rates(self, _query: Query) -> Answer:
        """The tax rates."""
        return 200, tax.as_text(tax.RATES)

    def total(self, query: Query) -> Answer:
        """What a cart costs: `?item=mug:2&item=tea&country=DE&coupon=WELCOME10&customer=c1`."""
        told = settings.read(self.place.settings)
        products = catalog.from_rows(upstream.fetch(f"{told['catalog_url']}/products")) if told.get("catalog_url") else catalog.load()
        rates = tax.from_text(upstream.fetch(f"{told['rates_url']}/rates")) if told.get("rates_url") else tax.RATES
        wanted = cart.parse(query.get("item", []), products, _one(query, "coupon"))
        country = _one(query, "country") or str(told.get("country") or "DE")
        customer = _one(query, "customer")
        if customer and self._flag().is_on(NEW_CHECKOUT, customer):
            bill, lines = checkout.one_page(wanted, country, rates)
            return 200, bill.as_dict() | {"checkout": "new", "lines": lines}
        return 200, checkout.classic(wanted, country, rates).as_dict() | {"checkout": "classic"}

    def show_flags(self, query: Query) -> Answer:
        """How far the new checkout is rolled out, and whether `?customer=` sees it."""
        flag, customer = self._flag(), _one(query, "customer")
        seen = {"customer": customer, "on": flag.is_on(NEW_CHECKOUT, customer)} if customer else {}
        return 200, {"flag": NEW_CHECKOUT, "percent": flag.percent, "internal": flag.internal} | seen

    def show_orders(self, _query: Query) -> Answer:
        """Number and sum of the orders; 404 when this place keeps none."""
        if not self.place.orders.exists():
            return 404, {"error": "this place keeps no orders"}
        return 200, orders.summary(self.place.orders)

    def home(self, _query: Query) -> Answer:
        """A page to look at."""
        row = "<tr><td>{}<td>{}<td align=right>{} EUR".format
        goods = "\n".join(row(html.escape(p.sku), html.escape(p.name), text(p.cents)) for p in catalog.load().values())
        return 200, (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>Shop {html.escape(self.version)}</title>"
            f"<h1>Shop {html.escape(self.version)}</h1>\n<table>{goods}</table>\n"
            '<p><a href="/cart/total?item=mug:2&amp;item=tea">two mugs and a tea</a> · <a href="/health">health</a> · <a href="/version">version</a>'
        )

    def _flag(self) -> flags.Flag:
        return flags.read(self.place.flags).get(NEW_CHECKOUT, flags.Flag())

    def _settings_check(self) -> str:
        lacking = settings.missing(settings.read(self.place.settings))
        return "ok" if not lacking else f"this version needs the setting {', '.join(lacking)}, which this place does not have"

    def _upstream_check(self, service: str, url: str) -> str:
        # Not its health: two services that ask for each other's health would never stop asking.
        try:
            found = upstream.fetch(f"{url}/version")["service"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            return f"{url} does not answer: {error}"
        return "ok" if found == service else f"at {url} is the service {found}"

    def _orders_check(self) -> str:
        try:
            orders.summary(self.place.orders)
        except (sqlite3.Error, ValueError) as error:
            return f"the orders cannot be read: {error}"
        return "ok"


def _one(query: Query, name: str) -> str:
    return query.get(name, [""])[-1]
