"""Static files, served by the web process itself: no collecting step, and a new version of a file is seen at once."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile


@lru_cache(maxsize=2000)
def _version(name: str) -> str:
    found = finders.find(name)
    return hashlib.sha256(Path(found).read_bytes()).hexdigest()[:10] if found else ""


class VersionedStorage(StaticFilesStorage):
    """`{% static %}` names a file with its content's digest as `?v=`, so that browsers may keep it."""

    def url(self, name: str | None) -> str:
        """The address, with the version where the file is there."""
        address = super().url(name)
        version = _version(name) if name and not name.endswith("/") else ""
        return f"{address}?v={version}" if version else address


class StaticFiles(WhiteNoiseMiddleware):
    """whitenoise, answering with whole bodies: our files are small, and ASGI has no use for a blocking iterator."""

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        """The answer for a file that is there."""
        found = static_file.get_response(request.method, request.META)
        content = b""
        if found.file is not None:
            with found.file:
                content = found.file.read()
        response = HttpResponse(content, status=int(found.status))
        del response["Content-Type"]
        for name, value in found.headers:
            response[name] = value
        return response
