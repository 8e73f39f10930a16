"""The web application, for an ASGI server: `uvicorn relorch.asgi:application`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relorch.settings")
os.environ.setdefault("RELORCH_PROCESS", "web")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
