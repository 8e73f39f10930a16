"""When a session ends, and in whose time zone a page speaks."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

STARTED, SEEN = "started", "seen"
NOTE_SEEN_EVERY = 60  # seconds; so that looking at pages does not write each time


def session_ends(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """A session ends 12 hours after log-in, and when nothing was asked for half an hour."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        if request.session.session_key and request.user.is_authenticated:
            now = int(time.time())
            started, seen = request.session.setdefault(STARTED, now), request.session.setdefault(SEEN, now)
            if now - started > settings.SESSION_COOKIE_AGE or now - seen > settings.SESSION_IDLE_AGE:
                logout(request)
            elif now - seen > NOTE_SEEN_EVERY:
                request.session[SEEN] = now
        return get_response(request)

    return handle


def own_time_zone(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Templates speak in the person's time zone, else in the installation's."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        with timezone.override(request.user.zone if request.user.is_authenticated else None):
            return get_response(request)

    return handle
