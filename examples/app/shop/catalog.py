"""What is sold. Prices are net, in cents."""

from __future__ import annotations

import json
import pkgutil
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Product:
    """One thing that can be bought."""

    sku: str
    name: str
    cents: int
    category: str

    @property
    def shipped(self) -> bool:
        """Downloads travel for nothing."""
        return self.category != "download"


def from_rows(rows: dict[str, dict[str, Any]]) -> dict[str, Product]:
    """Products by SKU, from the shape of `products.json` and of `GET /products`."""
    return {sku: Product(sku, str(row["name"]), int(row["cents"]), str(row["category"])) for sku, row in rows.items()}


def rows(products: dict[str, Product]) -> dict[str, dict[str, Any]]:
    """The opposite of `from_rows`."""
    return {sku: {"name": product.name, "cents": product.cents, "category": product.category} for sku, product in products.items()}


def load() -> dict[str, Product]:
    """The price list that is built into this version."""
    data = pkgutil.get_data("shop", "products.json")
    if data is None:
        raise RuntimeError("products.json is missing from the artifact")
    return from_rows(json.loads(data))
