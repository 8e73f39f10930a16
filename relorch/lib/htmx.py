"""Page or fragment: one URL answers HTMX with the fragment and everybody else with the page that includes it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers


def page_or_fragment(request: HttpRequest, page: str, fragment: str, context: dict[str, Any] | None = None, *, status: int = 200) -> HttpResponse:
    """Renders `fragment` for an HTMX request, else `page`. htmx 4 says "full" where it wants the page: to pick from it (hx-select), or for a history entry."""
    htmx = getattr(request, "htmx", None)
    wants_page = htmx is None or not htmx or htmx.boosted or htmx.history_restore_request or request.headers.get("HX-Request-Type") == "full"
    response = render(request, page if wants_page else fragment, context, status=status)
    patch_vary_headers(response, ["HX-Request", "HX-Request-Type"])
    return response
