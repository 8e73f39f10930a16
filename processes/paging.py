"""Pages of a list that is ordered by time, newest first: the place to go on from is in the address, never a page number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the addresses of what is newer and older ("" where there is nothing)."""

    rows: list[Any]
    newer_url: str
    older_url: str


def page_of(request: HttpRequest, rows: QuerySet[Any], column: str, size: int = 50) -> Page:
    """The page that `?older=` or `?newer=` names (a time and a number), else the first. A place that nobody was given is 404."""
    newer, older = request.GET.get("newer", ""), request.GET.get("older", "")
    if newer:
        found = list(rows.filter(_beyond(newer, column, "gt")).order_by(column, "pk")[: size + 1])
        more, found = len(found) > size, found[:size][::-1]
        return Page(found, _url(request, "newer", found[0], column) if more and found else "", _url(request, "older", found[-1], column) if found else "")
    if older:
        rows = rows.filter(_beyond(older, column, "lt"))
    found = list(rows.order_by(f"-{column}", "-pk")[: size + 1])
    more, found = len(found) > size, found[:size]
    return Page(found, _url(request, "newer", found[0], column) if older and found else "", _url(request, "older", found[-1], column) if more else "")


def _beyond(place: str, column: str, way: str) -> Q:
    at, _, number = place.rpartition("_")
    try:
        when, pk = datetime.fromisoformat(at), int(number)
    except ValueError:
        raise Http404 from None
    if when.tzinfo is None or abs(pk) >= 2**63:
        raise Http404
    return Q(**{f"{column}__{way}": when}) | Q(**{column: when, f"pk__{way}": pk})


def _url(request: HttpRequest, way: str, row: Any, column: str) -> str:
    kept = [(key, value) for key, values in request.GET.lists() if key not in ("newer", "older") for value in values]
    return f"?{urlencode([*kept, (way, f'{getattr(row, column).isoformat()}_{row.pk}')])}"
