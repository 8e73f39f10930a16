"""A cart: what somebody wants, before anything is charged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from shop.catalog import Product
from shop.money import percent

MOST = 999
COUPONS = {"WELCOME10": Decimal(10), "FRIENDS20": Decimal(20)}
QUANTITY_DISCOUNTS = ((50, Decimal(10)), (10, Decimal(5)))
FREE_SHIPPING_FROM = 5_000
SHIPPING = 490


class CartError(ValueError):
    """The cart makes no sense; the text is for the customer."""


@dataclass(frozen=True)
class Line:
    """So many of one product."""

    product: Product
    quantity: int

    @property
    def list_price(self) -> int:
        """Before any discount."""
        return self.product.cents * self.quantity

    @property
    def net(self) -> int:
        """After the quantity discount."""
        for least, rate in QUANTITY_DISCOUNTS:
            if self.quantity >= least:
                return self.list_price - percent(self.list_price, rate)
        return self.list_price


@dataclass(frozen=True)
class Cart:
    """Lines in the order in which they were added, and at most one coupon."""

    lines: tuple[Line, ...]
    coupon: str = ""

    @property
    def coupon_rate(self) -> Decimal:
        """Per cent off for the coupon."""
        return COUPONS[self.coupon] if self.coupon else Decimal(0)

    @property
    def shipped(self) -> bool:
        """Whether anything has to be posted."""
        return any(line.product.shipped for line in self.lines)


def parse(items: Iterable[str], products: dict[str, Product], coupon: str = "") -> Cart:
    """A cart from texts such as `mug:2` or `tea`. The same product twice is added up. Raises CartError."""
    quantities: dict[str, int] = {}
    for item in items:
        sku, _, number = item.partition(":")
        if sku not in products:
            raise CartError(f"there is no product {sku!r}")
        if number and not (number.isascii() and number.isdigit()):
            raise CartError(f"{number!r} is not a quantity")
        quantities[sku] = quantities.get(sku, 0) + int(number or 1)
        if not 1 <= quantities[sku] <= MOST:
            raise CartError(f"of {sku} one can buy 1 to {MOST}, not {quantities[sku]}")
    if not quantities:
        raise CartError("the cart is empty")
    if coupon and coupon not in COUPONS:
        raise CartError(f"there is no coupon {coupon!r}")
    return Cart(tuple(Line(products[sku], quantity) for sku, quantity in quantities.items()), coupon)
