"""Bringing the database to this version of the code, as its owner."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from relorch import children, databases
from relorch.lib.errors import Unavailable

_LOCK = 7_260_331
"""The advisory lock of whoever migrates: two hosts that start at once do not both."""


def pending() -> bool:
    """Whether migrations are missing; leaves no connection open."""
    try:
        executor = MigrationExecutor(connection)
        return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    finally:
        connection.close()


def migrate(home: Path) -> None:
    """Applies what is missing, in a process of its own that is the owner; Unavailable when that fails (it has said why)."""
    child = children.fork("relorch migrate", lambda: _as_owner(home))
    _, status = os.waitpid(child, 0)
    if status:
        raise Unavailable("not_migrated", "The database could not be brought to this version; see above.")


def _as_owner(home: Path) -> None:
    databases.change(databases.described("owner", home))
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0; SELECT pg_advisory_lock(%s); RESET lock_timeout", [_LOCK])
    call_command("migrate", interactive=False, verbosity=0)
    connection.close()
