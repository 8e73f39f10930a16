"""What must work before work can be done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now
from kombu import Connection

from releases.sealing import broken_now
from relorch import ears
from relorch.models import Pulse

log = logging.getLogger(__name__)

_migrated = False
HEARD_WITHIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Found:
    """`status` is `ready`, `degraded` (people can work, machines wait) or `not ready`; `checks` names each thing with `ok` or what is wrong.

    `alarms` is the number of approvals that somebody forged and that hold releases back: work is done all the same, so it does not count for `status`.
    """

    status: str
    checks: dict[str, str]
    alarms: int = 0

    @property
    def ready(self) -> bool:
        """Requests and releases would succeed."""
        return self.status == "ready"


def look() -> Found:
    """Looks at database, migrations, broker and worker now."""
    checks = {name: _tried(name, check) for name, check in (("database", _database), ("migrations", _migrations), ("broker", _broker), ("worker", _worker))}
    alarms = len(broken_now()) if checks["database"] == checks["migrations"] == "ok" else 0
    if all(found == "ok" for found in checks.values()):
        return Found("ready", checks, alarms)
    return Found("degraded" if checks["database"] == checks["migrations"] == "ok" else "not ready", checks, alarms)


def _tried(name: str, check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:
        log.warning("not ready: %s: %s", name, error)
        return "unreachable"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _migrations() -> str:
    global _migrated  # once applied they stay; looking costs some 50 ms
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return "ok" if _migrated else "pending"


def _broker() -> str:
    # a broker that takes the connection and then says nothing must not hold the answer back
    options = {name: min(value, 1) if name.endswith("_timeout") else value for name, value in settings.CELERY_BROKER_TRANSPORT_OPTIONS.items()}
    with Connection(settings.CELERY_BROKER_URL, transport_options=options, connect_timeout=2) as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
    return "ok"


def _worker() -> str:
    if ears.here is not None and (silent := ears.here.silent(settings.RELORCH_DEAF_AFTER / 2)):
        return f"silent: {', '.join(silent)}"
    return "ok" if Pulse.objects.filter(queue="engine", at__gt=Now() - HEARD_WITHIN).exists() else "not heard of lately"
