"""The web application, for an ASGI server: `uvicorn relorch.asgi:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relorch.settings")

from django.core.asgi import get_asgi_application

from relorch import databases, live
from relorch.lib.bodies import bounded

application = live.pushing(bounded(get_asgi_application()))
databases.pooled()
