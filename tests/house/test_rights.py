"""The application role can add to the record and cannot rewrite it, whatever its name."""

from __future__ import annotations

import os

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction

from relorch import databases

ROLE = "application of another name"


@pytest.fixture
def application(transactional_db: None, monkeypatch: pytest.MonkeyPatch):
    """A role that is not the owner, known from DATABASE_URL."""
    described = databases.described("application", settings.RELORCH_HOME)
    monkeypatch.setattr(databases, "described", lambda role, home: described | {"USER": ROLE})
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user")
        if not cursor.fetchone()[0]:
            monkeypatch.setattr(databases, "described", lambda role, home: described)
            yield described["USER"]
            return
        cursor.execute(f'CREATE ROLE "{ROLE}"')
    try:
        yield ROLE
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP OWNED BY "{ROLE}"')
            cursor.execute(f'DROP ROLE "{ROLE}"')


def rights(role: str, table: str) -> set[str]:
    kinds = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(["has_table_privilege(%s, %s, %s)"] * len(kinds)), [value for kind in kinds for value in (role, table, kind)])
        return {kind for kind, given in zip(kinds, cursor.fetchone(), strict=True) if given}


def test_rights_follow_the_guards(application: str) -> None:
    call_command("migrate", verbosity=0)
    assert rights(application, "accounts_user") == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert rights(application, "audit_event") == {"SELECT", "INSERT"}
    assert rights(application, "processes_processversion") == {"SELECT", "INSERT"}
    assert rights(application, "audit_stream") == {"SELECT", "INSERT", "UPDATE"}


def test_the_owner_is_refused_too(transactional_db: None) -> None:
    for statement in ("TRUNCATE audit_event", "TRUNCATE processes_processversion CASCADE"):
        with pytest.raises(Exception, match=r"append-only|never changes"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="not here: about the embedded roles")
def test_the_embedded_application_role_in_action(transactional_db: None) -> None:
    call_command("migrate", verbosity=0)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_has_role(current_user, 'relorch', 'MEMBER')")
        assert cursor.fetchone() == (False,)
    described = databases.described("application", settings.RELORCH_HOME)
    own = connection.copy()
    own.settings_dict = connection.settings_dict | {"USER": described["USER"], "PASSWORD": described["PASSWORD"]}
    try:
        with own.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM audit_event")
            with pytest.raises(ProgrammingError, match="permission denied"):
                cursor.execute("DELETE FROM audit_event")
    finally:
        own.close()
