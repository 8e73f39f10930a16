"""Writing and verifying the chain of events.

Each event's hash is SHA-256 over the hash before it and the event's canonical record, so that a changed, removed or inserted event breaks
the chain at its place. The caller holds the lock that orders the stream: the release tree's row, or `exclusive` for all other streams.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from relorch.lib import faults
from relorch.requests.effects import mark

_LOAD = "SELECT name, sequence, head, at FROM audit_stream WHERE name = ANY(%s)"
# As one JSON parameter: an array would be written by Python, character by character.
_INSERT = """
WITH heads AS (
    INSERT INTO audit_stream (name, sequence, head, at)
    SELECT name, sequence, decode(head, 'hex'), %(at)s FROM json_to_recordset(%(heads)s::json) AS h(name text, sequence bigint, head text)
    ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence, head = excluded.head, at = excluded.at
)
INSERT INTO audit_event (stream, sequence, at, verb, actor_id, subject, release_id, record, previous, hash)
SELECT stream, sequence, %(at)s, verb, actor_id, subject, release_id, record, decode(previous, 'hex'), decode(hash, 'hex')
FROM json_to_recordset(%(events)s::json) AS e(stream text, sequence bigint, verb text, actor_id bigint, subject text, release_id bigint, record text,
    previous text, hash text)
"""


@dataclass(slots=True)
class Happening:
    """An event before it is written. `subject` names the thing within the stream (an activity's id, `phase:<id>`, `release`)."""

    stream: str
    verb: str
    subject: str = ""
    actor_id: int | None = None
    actor: str = ""
    door: str = "engine"
    reason: str = ""
    release_id: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Head:
    """Where a chain stands."""

    sequence: int = 0
    hash: bytes = b""
    at: datetime | None = None


def instant(at: datetime) -> str:
    """RFC 3339 in UTC, always six digits and `Z`: the one spelling of a time in records and in the API."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def record_of(happening: Happening, sequence: int, at: str) -> str:
    """The canonical text of an event: JSON with sorted keys, no spaces, UTF-8."""
    return json.dumps(
        {
            "stream": happening.stream,
            "sequence": sequence,
            "at": at,
            "verb": happening.verb,
            "subject": happening.subject,
            "actor_id": happening.actor_id,
            "actor": happening.actor,
            "door": happening.door,
            "reason": happening.reason,
            "release": happening.release_id,
            "data": happening.data,
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )


def link(previous: bytes, record: str) -> bytes:
    """The hash of the event that follows `previous`."""
    return hashlib.sha256(previous + record.encode()).digest()


def begin(cursor: Any, stream: str) -> None:
    """Give a new stream its head, so that it can be locked from its first event on."""
    cursor.execute("INSERT INTO audit_stream (name, sequence, head) VALUES (%s, 0, '')", (stream,))


def heads(cursor: Any, names: Sequence[str]) -> dict[str, Head]:
    """The heads of these streams; one that has no event yet is at 0."""
    cursor.execute(_LOAD, (list(names),))
    found = {name: Head(sequence, bytes(head), at) for name, sequence, head, at in cursor.fetchall()}
    return {name: found.get(name) or Head() for name in names}


def append(cursor: Any, heads: dict[str, Head], happenings: Iterable[Happening], at: datetime) -> None:
    """Write the happenings in their order, all at one time, and move the heads. The caller holds the streams' lock."""
    rows: list[dict[str, Any]] = []
    said = instant(at)
    for happening in happenings:
        head = heads[happening.stream]
        head.sequence += 1
        head.at = at
        record = record_of(happening, head.sequence, said)
        previous, head.hash = head.hash, link(head.hash, record)
        rows.append(
            {
                "stream": happening.stream,
                "sequence": head.sequence,
                "verb": happening.verb,
                "actor_id": happening.actor_id,
                "subject": happening.subject,
                "release_id": happening.release_id,
                "record": record,
                "previous": previous.hex(),
                "hash": head.hash.hex(),
            }
        )
    if rows:
        mark(cursor)
        moved = [{"name": name, "sequence": heads[name].sequence, "head": heads[name].hash.hex()} for name in {row["stream"] for row in rows}]
        faults.point("audit.chained")
        cursor.execute(_INSERT, {"at": at, "heads": json.dumps(moved), "events": json.dumps(rows)})
        faults.point("audit.written")


def note(happening: Happening) -> None:
    """Write one event of a stream that is not a release's (a process, an account, the installation), inside the caller's transaction.

    Raises RuntimeError outside a transaction: an event is written with the change that it records, or not at all.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("an event is written in the transaction of the change that it records")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (happening.stream,))
        found = heads(cursor, [happening.stream])
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
        last = found[happening.stream].at
        append(cursor, found, [happening], max(now, last) if last else now)


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer of `verify`: how many events were read and, if the chain is broken, at which sequence and why."""

    stream: str
    events: int
    broken_at: int | None = None
    why: str = ""


def verify(stream: str) -> Verification:
    """Recompute the chain of one stream and compare every column with the record that was hashed."""
    expected, previous = 0, b""
    for sequence, at, verb, actor_id, subject, release_id, record, before, digest in _rows(stream):
        expected += 1
        said = json.loads(record)
        columns = (sequence, instant(at), verb, actor_id, subject, release_id)
        if sequence != expected:
            return Verification(stream, expected - 1, expected, "an event is missing")
        if (said["sequence"], said["at"], said["verb"], said["actor_id"], said["subject"], said["release"]) != columns or said["stream"] != stream:
            return Verification(stream, expected - 1, sequence, "a column differs from the record")
        if bytes(before) != previous or bytes(digest) != link(previous, record):
            return Verification(stream, expected - 1, sequence, "the hash does not fit")
        previous = bytes(digest)
    with connection.cursor() as cursor:
        head = heads(cursor, [stream])[stream]
    if (head.sequence, head.hash) != (expected, previous):
        return Verification(stream, expected, expected + 1, "the end of the chain is missing")
    return Verification(stream, expected)


def _rows(stream: str) -> Iterator[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT sequence, at, verb, actor_id, subject, release_id, record, previous, hash FROM audit_event WHERE stream = %s ORDER BY sequence",
            (stream,),
        )
        while rows := cursor.fetchmany(2_000):
            yield from rows
