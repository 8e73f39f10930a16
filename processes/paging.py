"""Pages of a list, by time or by name, both ways: the place to go on from is in the address, never a page number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Coalesce, Lower, NullIf
from django.http import Http404, HttpRequest

BY_NAME = "by_name"
ORDERS = ("-updated", "updated", "name", "-name")
"""What `?order=` may say; the first one unless it does."""
CALLED = Coalesce(NullIf("name", Value("")), "identifier")
"""What people read of a row that has a name and an identifier."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, the addresses of what is before and after ("" where there is nothing), and the order with what a click on each head would make of it."""

    rows: list[Any]
    newer_url: str
    older_url: str
    order: str = "-updated"

    @property
    def words(self) -> tuple[str, str]:
        """What the ways before and after are called."""
        return ("Newer", "Older") if self.order == "-updated" else ("Before", "After")

    @property
    def heads(self) -> dict[str, tuple[str, str]]:
        """For `name` and `updated`: the order that a click asks for, and what `aria-sort` says now."""
        said = {"name": "none", "updated": "none"} | {self.order.lstrip("-"): "descending" if self.order.startswith("-") else "ascending"}
        return {
            "name": ("-name" if self.order == "name" else "name", said["name"]),
            "updated": ("updated" if self.order == "-updated" else "-updated", said["updated"]),
        }


def page_of(request: HttpRequest, rows: QuerySet[Any], size: int = 50, *, at: str = "updated_at", name: Any = None) -> Page:
    """The page that `?older=` or `?newer=` names (a place of the list), else the first; `?order=` is one of `ORDERS`. A place that nobody was given is 404.

    `at` is the column of their time, `name` what rows are called where that is more than their column.
    """
    order = request.GET.get("order", "")
    order = order if order in ORDERS else ORDERS[0]
    column, down = BY_NAME if order.endswith("name") else at, order.startswith("-")
    rows = rows.annotate(**{BY_NAME: Lower(name or "name")}) if column == BY_NAME else rows
    newer, older = request.GET.get("newer", ""), request.GET.get("older", "")
    if newer:
        found = list(rows.filter(_beyond(newer, column, up=down)).order_by(*_by(column, down=not down))[: size + 1])
        more, found = len(found) > size, found[:size][::-1]
        before, after = more and bool(found), bool(found)
    else:
        rows = rows.filter(_beyond(older, column, up=not down)) if older else rows
        found = list(rows.order_by(*_by(column, down=down))[: size + 1])
        after, found = len(found) > size, found[:size]
        before = bool(older and found)
    return Page(found, _url(request, "newer", found[0], column) if before else "", _url(request, "older", found[-1], column) if after else "", order)


def _by(column: str, *, down: bool) -> tuple[str, str]:
    return (f"-{column}", "-pk") if down else (column, "pk")


def _beyond(place: str, column: str, *, up: bool) -> Q:
    at, _, number = place.rpartition("_")
    try:
        value, pk = at if column == BY_NAME else datetime.fromisoformat(at), int(number)
    except ValueError:
        raise Http404 from None
    if abs(pk) >= 2**63 or (isinstance(value, datetime) and value.tzinfo is None):
        raise Http404
    way = "gt" if up else "lt"
    return Q(**{f"{column}__{way}": value}) | Q(**{column: value, f"pk__{way}": pk})


def _url(request: HttpRequest, way: str, row: Any, column: str) -> str:
    kept = [(key, value) for key, values in request.GET.lists() if key not in ("newer", "older") for value in values]
    value = getattr(row, column)
    return f"?{urlencode([*kept, (way, f'{value if isinstance(value, str) else value.isoformat()}_{row.pk}')])}"
