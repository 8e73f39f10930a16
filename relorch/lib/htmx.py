"""Page or fragment: one URL answers HTMX with the fragment and everybody else with the page that includes it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers


def page_or_fragment(request: HttpRequest, page: str, fragment: str, context: dict[str, Any] | None = None, *, status: int = 200) -> HttpResponse:
    """Renders `fragment` for an HTMX request (boosted navigation and a restored history entry want the page), else `page`."""
    htmx = getattr(request, "htmx", None)
    wants_fragment = htmx is not None and bool(htmx) and not (htmx.boosted or htmx.history_restore_request)
    response = render(request, fragment if wants_fragment else page, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response
