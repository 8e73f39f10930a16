"""The chain of events: only longer, every tampering found with its number, no fork, nothing of what was rolled back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import DatabaseError, connection, transaction

from relorch.audit.chain import Happening, Verification, note, verify
from relorch.audit.models import Event

STREAM = "process:1"


def written(number: int, stream: str = STREAM) -> None:
    for n in range(number):
        with transaction.atomic():
            note(Happening(stream, "thing.done", f"thing {n}", reason="because", data={"n": n}))


@pytest.mark.django_db
@pytest.mark.parametrize("replica", [False, True])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET verb = 'nothing'",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event CASCADE",
        "DELETE FROM audit_stream",
        "TRUNCATE audit_stream CASCADE",
    ],
)
def test_append_only_even_for_the_owner_of_the_tables(statement: str, replica: bool) -> None:
    written(2)
    with connection.cursor() as cursor:
        if replica:  # which silences ordinary triggers
            cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            if not cursor.fetchone()[0]:
                return
            cursor.execute("SET LOCAL session_replication_role = replica")
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(statement)
    assert verify(STREAM).events == 2


TAMPERINGS = {
    "a record": ("UPDATE audit_event SET record = replace(record, 'because', 'for fun') WHERE sequence = 3", 3),
    "a record and its hash": (
        (
            "UPDATE audit_event SET record = replace(record, 'because', 'x'), hash = sha256(previous || convert_to(replace(record, 'because', 'x'), 'UTF8'))"
            " WHERE sequence = 3"
        ),
        4,
    ),
    "a verb": ("UPDATE audit_event SET verb = 'thing.undone' WHERE sequence = 2", 2),
    "an actor": ("UPDATE audit_event SET subject = 'another' WHERE sequence = 5", 5),
    "a time": ("UPDATE audit_event SET at = at + interval '1 microsecond' WHERE sequence = 1", 1),
    "a hash": ("UPDATE audit_event SET hash = sha256('x') WHERE sequence = 4", 4),
    "one removed": ("DELETE FROM audit_event WHERE sequence = 3", 3),
    "the first removed": ("DELETE FROM audit_event WHERE sequence = 1", 1),
    "the last removed": ("DELETE FROM audit_event WHERE sequence = 5", 5),
    "all removed": ("DELETE FROM audit_event", 1),
    "one added": (
        (
            "INSERT INTO audit_event (stream, sequence, at, verb, subject, record, previous, hash)"
            " SELECT stream, 6, at, verb, subject, replace(record, '\"sequence\":5', '\"sequence\":6'), hash,"
            " sha256(hash || convert_to(replace(record, '\"sequence\":5', '\"sequence\":6'), 'UTF8')) FROM audit_event WHERE sequence = 5"
        ),
        7,
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("what", TAMPERINGS)
def test_tampering_is_found_with_its_number(what: str) -> None:
    written(5)
    assert verify(STREAM).broken_at is None
    statement, number = TAMPERINGS[what]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER append_only")
        cursor.execute(statement)
        assert cursor.rowcount > 0
    assert verify(STREAM).broken_at == number


@pytest.mark.django_db
def test_a_chain_is_of_its_own_stream() -> None:
    written(3)
    written(2, "process:2")
    assert (verify(STREAM).events, verify("process:2").events) == (3, 2)


@pytest.mark.django_db(transaction=True)
def test_an_event_is_written_with_its_change_or_not_at_all() -> None:
    with pytest.raises(RuntimeError):
        note(Happening(STREAM, "thing.done"))
    written(1)
    with transaction.atomic():
        note(Happening(STREAM, "thing.done"))
        transaction.set_rollback(True)
    assert Event.objects.count() == 1
    written(1)
    assert verify(STREAM) == Verification(STREAM, 2)


@pytest.mark.django_db(transaction=True)
def test_eight_threads_make_one_chain() -> None:
    barrier = Barrier(8)

    def one(_: int) -> None:
        barrier.wait()
        written(10)
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    answer = verify(STREAM)
    assert (answer.events, answer.broken_at) == (80, None)
    times = list(Event.objects.filter(stream=STREAM).order_by("sequence").values_list("at", flat=True))
    assert times == sorted(times), "times of a stream never go back"
