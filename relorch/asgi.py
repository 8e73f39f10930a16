"""The web application, for an ASGI server: `uvicorn relorch.asgi:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relorch.settings")

import django
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from relorch import databases, live
from relorch.lib.bodies import bounded


class OneThread(ASGIHandler):
    """A request goes through all middleware and its view in one thread.

    They are written for threads. Django would ask each from the event loop, with a hop to a thread and back for every hook: measured, 1 ms a request.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """As for a server of threads."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """The answer, from the request's thread."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)


django.setup(set_prefix=False)
application = live.pushing(bounded(OneThread()))
databases.pooled()
