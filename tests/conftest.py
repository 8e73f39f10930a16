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


def _let_tests_empty_tables() -> None:
    """After a test with real transactions Django empties all tables; the triggers that forbid just that look away meanwhile."""
    from django.db import connection, transaction
    from django.db.backends.postgresql.operations import DatabaseOperations

    flush = DatabaseOperations.execute_sql_flush
    guards = "SELECT tgrelid::regclass::text, quote_ident(tgname) FROM pg_trigger WHERE NOT tgisinternal AND tgtype & 32 <> 0"

    def emptied(self: Any, sql_list: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(guards)
            found = cursor.fetchall()
            for table, name in found:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
            flush(self, sql_list)
            for table, name in found:
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")

    DatabaseOperations.execute_sql_flush = emptied


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
