"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

CI = bool(os.environ.get("RELORCH_CI"))


def pytest_configure(config: pytest.Config) -> None:
    """A fast password hash: tests make many people."""
    if config.pluginmanager.is_blocked("django"):
        return
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    _let_tests_empty_tables()


LONG = ("test_engine_model.py", "test_verbs_machine.py", "test_decisions.py::test_a_0", "test_restarting.py::test_random")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest come first: one that begins last is waited for by all other workers."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in LONG))


KEPT = ("django_migrations", "django_content_type", "auth_permission")
"""Tables whose rows come from the models: they are the same after each test."""


def _let_tests_empty_tables() -> None:
    """After a test with real transactions Django empties all tables and makes content types and permissions anew, which takes longer than most tests.

    Here only rows that are there are deleted; triggers that forbid just that look away meanwhile, and references are asked about at the end.
    """
    from django.core.management.commands import flush
    from django.db import connection, transaction
    from django.db.backends.postgresql.operations import DatabaseOperations

    guards = "SELECT tgrelid::regclass::text, quote_ident(tgname), tgenabled::text FROM pg_trigger WHERE NOT tgisinternal AND tgtype & 8 <> 0"

    def emptied(self: Any, sql_list: Any) -> None:
        tables = [name for name in connection.introspection.django_table_names(only_existing=True, include_views=False) if name not in KEPT]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in tables))
            full = [name for (name,) in cursor.fetchall()]
            cursor.execute(guards)
            found = [guard for guard in cursor.fetchall() if guard[0] in full]
            for table, name, _ in found:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
            for table in full:
                cursor.execute(f"DELETE FROM {table}")
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table, name, enabled in found:
                cursor.execute(f"ALTER TABLE {table} ENABLE {'ALWAYS ' if enabled == 'A' else ''}TRIGGER {name}")

    DatabaseOperations.execute_sql_flush = emptied
    flush.emit_post_migrate_signal = lambda *_, **__: None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """In CI nothing is skipped for want of a program: what a test needs is installed there. `not here: …` is about another kind of machine."""
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail") and "not here: " not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _nobody_has_tried_yet(request: pytest.FixtureRequest) -> None:
    """Counts of log-in attempts and requests, and the graphs of versions, are kept in memory; a test starts without those of the one before."""
    if not request.config.pluginmanager.is_blocked("django"):
        from django.core.cache import cache

        from releases.flows import compiled, version_of

        cache.clear()
        # a version never changes, but a test's database may count from 1 again
        compiled.cache_clear()
        version_of.cache_clear()
