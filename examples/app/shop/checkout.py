"""What a cart costs. There are two checkouts that must agree to the cent: the classic one and the new one on one page."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shop import tax
from shop.cart import FREE_SHIPPING_FROM, SHIPPING, Cart
from shop.money import percent, text


@dataclass(frozen=True)
class Bill:
    """The end of a checkout; all amounts in cents."""

    goods: int
    shipping: int
    tax: int

    @property
    def total(self) -> int:
        """What the customer pays."""
        return self.goods + self.shipping + self.tax

    def as_dict(self) -> dict[str, Any]:
        """Amounts as text in euros."""
        return {"currency": "EUR", "goods": text(self.goods), "shipping": text(self.shipping), "tax": text(self.tax), "total": text(self.total)}


def shipping_for(cart: Cart, goods: int) -> int:
    """Postage: nothing for downloads and from 50 euros."""
    return SHIPPING if cart.shipped and goods < FREE_SHIPPING_FROM else 0


def classic(cart: Cart, country: str, rates: tax.Rates = tax.RATES) -> Bill:
    """Line by line, each with its own discount; tax once per rate, as the invoice shows it."""
    goods = 0
    by_rate: dict[Decimal, int] = {}
    for line in cart.lines:
        net = line.net - percent(line.net, cart.coupon_rate)
        rate = tax.rate(country, line.product.category, rates)
        goods += net
        by_rate[rate] = by_rate.get(rate, 0) + net
    shipping = shipping_for(cart, goods)
    standard = tax.rate(country, "standard", rates)
    by_rate[standard] = by_rate.get(standard, 0) + shipping
    return Bill(goods, shipping, sum(percent(amount, rate) for rate, amount in by_rate.items()))


def one_page(cart: Cart, country: str, rates: tax.Rates = tax.RATES) -> tuple[Bill, list[dict[str, Any]]]:
    """The new checkout: the same bill, and every line with its price per piece for the page."""
    shown = []
    for line in cart.lines:
        net = line.net - percent(line.net, cart.coupon_rate)
        piece = net // line.quantity
        shown.append({"sku": line.product.sku, "quantity": line.quantity, "net": text(net), "piece": text(piece)})
    return classic(cart, country, rates), shown
