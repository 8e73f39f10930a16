"""S-02: the database refuses illegal states to the application's own role, whatever the code says: every move outside the tables, and crossed fields."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from approvals import signing
from releases import states
from releases.engine import Actor
from relorch import databases
from relorch.granting import grant_to_application
from tests import factories
from tests.releases.driving import published
from tests.releases.scenes import blueprint, claimed, manual, noop, phase, running, script, sub

pytestmark = pytest.mark.django_db(transaction=True)

MOVES: dict[str, dict[StrEnum, frozenset[StrEnum]]] = {
    "releases_activityrun": dict(states.RUN_MOVES),
    "releases_release": dict(states.RELEASE_MOVES),
    "releases_attempt": dict(states.ATTEMPT_MOVES),
}


@pytest.fixture
def application(transactional_db: None) -> Iterator[Any]:
    """A connection as the role that the application has in an installation; with one role for both it is that one."""
    grant_to_application()
    of = databases.described("application", settings.RELORCH_HOME)
    name = str(connection.settings_dict["NAME"])
    with psycopg.connect(host=of["HOST"], port=of["PORT"] or None, user=of["USER"], password=of["PASSWORD"] or None, dbname=name, autocommit=True) as made:
        yield made


def refused(application: Any, statement: str, *params: Any) -> bool:
    """Whether it raises; what it did otherwise is rolled back. A statement that touches no row tells nothing."""
    try:
        with application.transaction(force_rollback=True):
            assert application.execute(statement, params).rowcount > 0, f"touches nothing: {statement}"
    except psycopg.Error:
        return True
    return False


@pytest.mark.parametrize("table", MOVES)
def test_every_move_outside_the_table_is_refused(table: str, application: Any) -> None:
    """The row is put into each state by its owner with triggers and checks away, so that the move alone can be what is refused, and legal ones pass."""
    running(noop("it"))
    names = sorted({state for before, moves in MOVES[table].items() for state in (before, *moves)})
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass", [table])
        checks = cursor.fetchall()
        for name, _ in checks:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        try:
            wrong = []
            for before in names:
                for step in ("DISABLE TRIGGER USER", None, "ENABLE TRIGGER USER"):
                    cursor.execute(f"ALTER TABLE {table} {step}" if step else f"UPDATE {table} SET state = '{before}'")
                for after in names:
                    legal = before == after or after in MOVES[table].get(before, ())
                    if refused(application, f"UPDATE {table} SET state = %s", after) == legal:
                        wrong.append((str(before), str(after)))
            assert wrong == []
        finally:
            # each for itself: a table with deferred checks of its keys to come cannot be altered
            for emptied in ("attempt", "runperson", "activityrun", "phaserun", "release"):
                cursor.execute(f"DELETE FROM releases_{emptied}")
            for name, definition in checks:
                cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


_RUN, _TRY, _PHASE, _RELEASE = ("UPDATE releases_" + name + " SET " for name in ("activityrun", "attempt", "phaserun", "release"))

CROSSED = {
    "a closed run without a time": _RUN + "finished_at = NULL WHERE state = 'succeeded'",
    "an open run with an end": _RUN + "finished_at = now() WHERE state = 'waiting'",
    "an outcome of a run that is not on hold": _RUN + "outcome = 'failed' WHERE state = 'waiting'",
    "on hold without an outcome": _RUN + "outcome = '' WHERE state = 'on_hold'",
    "skipped without a reason": _RUN + "state = 'skipped', skipped_because = '', finished_at = now() WHERE state = 'waiting'",
    "a negative counter of a run": _RUN + "unmet = -1",
    "tried without an attempt": _RUN + "attempt_count = 0 WHERE state = 'succeeded'",
    "running without a lease": _TRY + "lease_until = NULL WHERE state = 'running'",
    "running without a fence": _TRY + "fence = 0 WHERE state = 'running'",
    "an open attempt with an end": _TRY + "finished_at = now() WHERE state = 'running'",
    "an ended attempt without one": _TRY + "finished_at = NULL WHERE state = 'succeeded'",
    "two attempts of one number": _TRY + "number = 1, run_id = (SELECT min(run_id) FROM releases_attempt)",
    "two open attempts of one run": _TRY
    + "run_id = (SELECT min(run_id) FROM releases_attempt WHERE state = 'waiting'), number = number + 5 WHERE state = 'running'",
    "more left than there is": _PHASE + "remaining = total + 1",
    "less than nothing left": _PHASE + "remaining = -1",
    "closed with something left": _PHASE + "closed_at = now() WHERE remaining > 0",
    "skipped, and no word why": _PHASE + "decided = 'skipped', skipped_because = '' WHERE remaining > 0",
    "ended without a time": _RELEASE + "finished_at = NULL WHERE state = 'succeeded'",
    "running with an end": _RELEASE + "finished_at = now() WHERE state = 'running'",
    "started without a time": _RELEASE + "started_at = NULL WHERE state = 'running'",
    "held nowhere": _RELEASE + "state = 'held' WHERE state = 'running'",
    "six levels": _RELEASE + "level = 6",
    "ended before it began": _RELEASE + "finished_at = started_at - interval '1 day' WHERE state = 'succeeded'",
    "two live children of one run": _RELEASE + "parent_run_id = (SELECT min(id) FROM releases_activityrun) WHERE state = 'running'",
    "somebody who is a person and a group": "UPDATE releases_runperson SET group_id = 1, user_id = 1",
    "two holders of a lock": "UPDATE releases_lock SET name = 'one', state = 'held', held_at = now(), asked_at = now(), place = 1",
    "a vote that is neither": "UPDATE approvals_signoff SET decision = 'maybe'",
    "a changed event": "UPDATE audit_event SET verb = 'nothing'",
    "an event taken away": "DELETE FROM audit_event",
    "a stream taken away": "DELETE FROM audit_stream",
    "a changed version": "UPDATE processes_processversion SET hash = ''",
    "no table at all": "TRUNCATE audit_event",
}


def test_crossed_fields_are_refused(application: Any) -> None:
    ann = factories.person("ann")
    running(noop("done"), noop("held", **{"with": {"outcome": "failed"}}), manual("ask", of=("user:ann@example.com",)), script("works"))
    claimed("slow")
    below = blueprint(manual("below"))
    published(below)
    running(sub("child", below.id), sub("other", below.id))
    for _ in range(2):
        running(phase("guarded", manual("in_lock"), lock="the name"))
    signed = running(manual("signed", of=("user:ann@example.com",)))
    signing.sign_off(release=signed.pk, activity="signed", person=ann, actor=Actor(ann.pk, ann.email, "page"), decision="approve", comment="yes")
    assert len(CROSSED) >= 20
    assert [what for what, statement in CROSSED.items() if not refused(application, statement)] == []


def test_each_connection_has_its_limits_and_compiles_nothing() -> None:
    """As the owner, whose statements alone may take long; what the list of releases asks took a minute to be compiled on a server that does so."""
    with connection.cursor() as cursor:
        for setting, expected in (("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "1min"), ("jit", "off")):
            cursor.execute(f"SHOW {setting}")
            assert cursor.fetchone() == (expected,), setting
