"""What must work before work can be done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from kombu import Connection

import relorch.broker  # noqa: F401 (tells kombu of folder://)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """`ready`: requests and releases would succeed. `checks` names each thing with `ok` or what is wrong."""

    ready: bool
    status: str
    checks: dict[str, str]


def look() -> Found:
    """Looks at database, migrations and broker now."""
    checks: dict[str, str] = {}
    for name, check in (("database", _database), ("migrations", _migrations), ("broker", _broker)):
        checks[name] = _tried(name, check)
    ready = all(found == "ok" for found in checks.values())
    return Found(ready, "ready" if ready else "not ready", checks)


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
    executor = MigrationExecutor(connection)
    return "pending" if executor.migration_plan(executor.loader.graph.leaf_nodes()) else "ok"


def _broker() -> str:
    with Connection(settings.CELERY_BROKER_URL, transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS, connect_timeout=2) as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
    return "ok"
