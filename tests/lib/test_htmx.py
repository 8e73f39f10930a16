"""Page or fragment."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django_htmx.middleware import HtmxMiddleware

from relorch.lib.htmx import page_or_fragment


@pytest.mark.parametrize(
    ("headers", "page"),
    [
        ({}, True),
        ({"HX-Request": "true", "HX-Request-Type": "partial"}, False),
        ({"HX-Request": "true", "HX-Request-Type": "full"}, True),
        ({"HX-Request": "true", "HX-Boosted": "true"}, True),
    ],
)
def test_htmx_gets_the_fragment_unless_it_asks_for_the_page(headers: dict[str, str], page: bool) -> None:
    request = RequestFactory().get("/", headers=headers)
    HtmxMiddleware(lambda _: HttpResponse())(request)
    answer = page_or_fragment(request, "errors/problem.html", "errors/_toast.html", {"problem": {"status": 404, "title": "T", "detail": "D"}})
    assert answer.content.strip().startswith(b"<!doctype html>") is page
    assert "HX-Request-Type" in answer["Vary"]
