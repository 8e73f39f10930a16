"""How each kind of process talks to the database: as which role, and whether it keeps one connection or shares a pool."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from relorch import embedded, environment


def described(role: str, home: Path) -> dict[str, Any]:
    """Django's description of the database for a role (`application` or `owner`): a kept connection, tested before use, with three time-outs."""
    url = environment.text("DATABASE_URL")
    if not url:
        found = embedded.connection(home, role)
    elif role == "owner":
        name = "DATABASE_OWNER_URL" if environment.text("DATABASE_OWNER_URL") else "DATABASE_URL"
        found = environment.database(name, environment.text(name))
    else:
        found = environment.database("DATABASE_URL", url)
    options = found["OPTIONS"] | {"application_name": f"relorch {role}", "connect_timeout": 5, "options": environment.manners(role)}
    return found | {
        "ENGINE": "django.db.backends.postgresql",
        "ATOMIC_REQUESTS": False,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def change(described_: dict[str, Any]) -> None:
    """Makes this process use another description from its next connection on; open ones of this thread are closed."""
    from django.conf import settings
    from django.db import connections

    connections.close_all()
    settings.DATABASES["default"].update(described_)
    with contextlib.suppress(AttributeError):  # none was made yet
        del connections["default"]


def pooled(most: int = 20) -> None:
    """For the web process, whose requests come in ever new threads: they share a pool."""
    from django.conf import settings

    options = settings.DATABASES["default"]["OPTIONS"]
    pool = {"min_size": 2, "max_size": most, "timeout": 10, "max_idle": 300}
    change({"CONN_MAX_AGE": 0, "OPTIONS": options | {"application_name": "relorch web", "pool": pool}})
