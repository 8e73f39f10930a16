"""Each invariant, broken on purpose by the tables' owner with the triggers off, is reported; nothing else need be (reliability, R-16)."""

from __future__ import annotations

import os
import time
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from approvals import signing
from releases.engine import Actor
from releases.models import ActivityRun
from relorch.invariants import INVARIANTS
from relorch.lib.invariants import broken
from tests import factories
from tests.conftest import CI
from tests.releases.driving import published
from tests.releases.scenes import bad, blueprint, claimed, manual, noop, phase, running, script, sub

NAMES = {invariant.name for invariant in INVARIANTS}
_RUN = "UPDATE releases_activityrun SET "
_TRY = "UPDATE releases_attempt SET "
_REL = "UPDATE releases_release SET "
_EVENT = "UPDATE audit_event SET "
_OF = " WHERE run_id = (SELECT id FROM releases_activityrun WHERE key = '{}' LIMIT 1)"
_MAIL = (
    "INSERT INTO relorch_mail (person_id, kind, stream, sequence, activity, data, urgent, digest, state, tries, next_at, subject, error)"
    " SELECT (SELECT min(id) FROM accounts_user), 'request', stream, {1}, '', '{{}}', false, false, {0}, 0, now(), '', '' FROM audit_event LIMIT 1"
)

BREAKS: dict[str, str] = {
    "an open attempt belongs to a run in the same state": _RUN + "state = 'running' WHERE key = 'ask'",
    "a run that is queued, running or waiting has exactly one open attempt, its newest": _TRY + "state = 'skipped', finished_at = now()" + _OF.format("ask"),
    "attempts of a run are counted, and numbered without a gap": _RUN + "attempt_count = 7 WHERE key = 'done'",
    "what runs has a fence, a worker and a lease": _TRY + "worker = '' WHERE state = 'running'",
    "only what runs has a lease": _TRY + "lease_until = now()" + _OF.format("done"),
    "an attempt is queued, started and ended in this order": _TRY + "finished_at = started_at - interval '1 s'" + _OF.format("done"),
    "an attempt belongs to the release and the tree of its run": _TRY + "root_id = (SELECT max(id) FROM releases_release)" + _OF.format("done"),
    "no two attempts have the same key": _TRY + "key = '00000000-0000-0000-0000-000000000000'",
    "what a machine waits for comes by time or is asked for": _TRY + "due_at = NULL, poll_at = NULL" + _OF.format("nap"),
    "people who are waited for have been asked": _TRY + "asked_at = NULL" + _OF.format("ask"),
    "a lost once attempt is not repeated": _TRY + "effect = 'once', lost = 2" + _OF.format("done"),
    "nothing was claimed more often than its worker was lost": """
        INSERT INTO audit_event (stream, sequence, at, verb, subject, release_id, record, previous, hash)
        SELECT stream, sequence + 1000, at, verb, subject, release_id, record, previous, hash FROM audit_event WHERE verb = 'activity.started'""",
    "a run is on hold or interrupted because its newest attempt ended": _RUN + "state = 'on_hold', outcome = 'failed' WHERE key = 'ask'",
    "an interrupted run has an interrupted attempt": _RUN + "state = 'interrupted', outcome = '' WHERE key = 'bad'",
    "a succeeded run has a succeeded newest attempt, a person's override apart": _RUN
    + "state = 'succeeded', outcome = '', finished_at = started_at WHERE key = 'bad'",
    "an approval that succeeded bears a seal": _TRY + "seal = ''" + _OF.format("signed"),
    "a run starts and ends in this order": _RUN + "finished_at = started_at - interval '1 s' WHERE key = 'done'",
    "what was skipped for a bad end names its causes": _RUN + "met = '{}' WHERE skipped_because = 'bad_end'",
    "a run belongs to the release and the tree of its phase": _RUN + "root_id = (SELECT max(id) FROM releases_release) WHERE key = 'done'",
    "a run that is ready is queued, or marked to be evaluated": _RUN + "unmet = 0 WHERE key = 'after_ask'",
    "what is to be prepared is marked to be evaluated": _TRY + "state = 'queued'" + _OF.format("ask"),
    "a run counts the activities before it that are open, and its phase": _RUN + "unmet = 2 WHERE key = 'after_ask'",
    "a phase's counter is the number of its open runs": "UPDATE releases_phaserun SET remaining = remaining - 1 WHERE remaining > 1",
    "a phase has all its runs": "UPDATE releases_phaserun SET total = total + 1",
    "a closed phase has nothing open": "UPDATE releases_phaserun SET closed_at = now(), remaining = 0, decided = 'open' WHERE key = 'work'",
    "a phase that is ready is decided, or marked to be evaluated": "UPDATE releases_phaserun SET decided = '', unmet = 0 WHERE key = 'work'",
    "a phase with nothing left is closed, or marked to be": "UPDATE releases_phaserun SET remaining = 0 WHERE key = 'work'",
    "a release's counter is the number of its open phases": _REL + "open_phases = open_phases + 1 WHERE state = 'running'",
    "a release that has started has its phases": "DELETE FROM releases_phaserun WHERE id = (SELECT max(id) FROM releases_phaserun)",
    "a release that has not started has no runs": _REL + "state = 'draft' WHERE state = 'running'",
    "a release that is over has nothing open": _REL + "state = 'aborted', finished_at = now() WHERE state = 'running'",
    "a release that is over has no open attempt": _REL + "state = 'failed', finished_at = now() WHERE state = 'running'",
    "a release that ended by itself has closed all its phases": _REL + "state = 'failed', finished_at = now() WHERE state = 'running'",
    "a running release with nothing left is marked to be ended": _REL + "open_phases = 0 WHERE state = 'running'",
    "a release that is over says so in its stream": _EVENT + "verb = 'release.forgotten' WHERE verb = 'release.succeeded'",
    "a closed run says so in its release's stream": _EVENT + "subject = 'forgotten' WHERE verb LIKE 'activity.%'",
    "a scheduled release has a time": _REL + "state = 'scheduled' WHERE state = 'running'",
    "a root is its own root, and a child one level below its parent": _REL + "level = 2 WHERE parent_run_id IS NULL",
    "what belongs to a release bears its root": _REL + "root_id = (SELECT max(id) FROM releases_release) WHERE parent_run_id IS NULL",
    "a child lives only below a run that waits for it": _RUN + "state = 'interrupted', outcome = '' WHERE type = 'subprocess'",
    "a run that waits for a child has one": _TRY + "reference = '{{\"release\": 0}}'".format() + _OF.format("child"),
    "an end of a child is told, or marked to be": _REL + "state = 'failed', finished_at = now() WHERE parent_run_id IS NOT NULL",
    "nothing in a held tree runs": _REL
    + "state = 'held', held_by_id = id, held_at = now() WHERE id IN (SELECT release_id FROM releases_activityrun WHERE type = 'subprocess')",
    "a release is held by itself or from above": _REL + "held_by_id = (SELECT max(id) FROM releases_release) WHERE parent_run_id IS NULL",
    "a lock is held by what is alive": "UPDATE releases_lock SET state = 'held', held_at = now(), asked_at = now(), place = 1,"
    " release_id = (SELECT id FROM releases_release WHERE state = 'succeeded' LIMIT 1)",
    "a lock belongs to the release and the tree of its owner": "UPDATE releases_lock SET root_id = (SELECT max(id) FROM releases_release WHERE id <> root_id)",
    "a place in line is kept only for what is alive": "UPDATE releases_lock SET state = 'waiting', asked_at = now(), place = 1,"
    " release_id = (SELECT id FROM releases_release WHERE state = 'succeeded' LIMIT 1)",
    "a name that is free has nobody in line whose release runs": "UPDATE releases_lock SET state = 'waiting', held_at = NULL",
    "a verdict rests on votes that are there": "UPDATE approvals_signoff SET stale = true",
    "an approval that nobody overrode has somebody who approved": "UPDATE approvals_signoff SET decision = 'reject'",
    "a rejection has somebody who rejected": "UPDATE approvals_signoff SET decision = 'approve'",
    "a vote is on a packet of the same attempt": "UPDATE approvals_packet SET attempt_id = (SELECT max(id) FROM releases_attempt)",
    "a vote was given while the approval was asked": "UPDATE approvals_signoff SET at = at + interval '1 day'",
    "a vote is in the audit trail": _EVENT + "verb = 'sign_off.forgotten' WHERE verb = 'sign_off.given'",
    "a stream's head is its last event": "UPDATE audit_stream SET sequence = sequence + 1",
    "a stream's head bears the hash of its last event": "UPDATE audit_stream SET head = '\\x00'",
    "a mail has a time of sending when it was sent, and only then": _MAIL.format("'sent'", "sequence"),
    "a mail tells of an event that is there": _MAIL.format("'waiting'", "sequence + 1000"),
    "the relay has read no further than there is": "INSERT INTO relorch_relayed (upto) SELECT max(id) + 1 FROM audit_event",
}


@pytest.fixture
def a_bit_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases that are over, wait, run, have failed, have children, locks, and votes for and against."""
    ann = factories.person("ann")
    running(noop("done"))
    below = blueprint(manual("below"))
    published(below)
    running(
        noop("done"),
        noop("also_done"),
        bad("bad"),
        manual("ask"),
        noop("after_ask", "ask"),
        noop("nap", **{"connector": "timer", "with": {"for": "1h"}}),
        script("works"),
    )
    claimed("slow")
    running(sub("child", below.id))
    running(bad("breaks", on_failure="fail"), noop("skipped", "breaks"))
    running(phase("guarded", manual("in_lock"), lock="the name"))
    for decision in ("approve", "reject"):
        release = running(manual("signed", of=("user:ann@example.com",), approval={"on_reject": "fail"}))
        signing.sign_off(release=release.pk, activity="signed", person=ann, actor=Actor(ann.pk, ann.email, "page"), decision=decision, comment="said")


def sql(statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.rowcount


def test_each_has_a_way_to_break_it() -> None:
    assert set(BREAKS) == NAMES
    assert len(NAMES) == len(INVARIANTS) >= 25


@pytest.mark.django_db
def test_each_is_seen_when_it_is_broken(a_bit_of_everything: None) -> None:
    """Constraints and triggers are off: what is looked for is what got past them, or past a version that had none."""
    assert broken(INVARIANTS) == {}
    _without_guards()
    unseen = []
    for name, statement in BREAKS.items():
        sql("SAVEPOINT whole")
        changed = sql(statement)
        assert changed > 0, f"this breaks nothing: {name}"
        if name not in broken([invariant for invariant in INVARIANTS if invariant.name == name]):
            unseen.append(name)
        sql("ROLLBACK TO whole")
    assert unseen == []
    assert broken(INVARIANTS) == {}


def _without_guards() -> None:
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    off = {"c": "ALTER TABLE {} DROP CONSTRAINT {}", "i": "DROP INDEX {1}", "t": "ALTER TABLE {} DISABLE TRIGGER USER"}
    for kind, table, name in _guards():
        sql(off[kind].format(table, name))


def _guards() -> list[tuple[str, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT 'c', conrelid::regclass::text, quote_ident(conname) FROM pg_constraint
            WHERE contype IN ('c', 'f') AND conrelid::regclass::text ~ '^(releases|approvals|audit)_' AND coninhcount = 0
            UNION ALL SELECT 'i', indrelid::regclass::text, indexrelid::regclass::text FROM pg_index
            WHERE indisunique AND indpred IS NOT NULL AND indrelid::regclass::text ~ '^(releases|approvals|audit)_'
            UNION ALL SELECT DISTINCT 't', tgrelid::regclass::text, '' FROM pg_trigger
            WHERE NOT tgisinternal AND tgrelid::regclass::text ~ '^(releases|approvals|audit)_' ORDER BY 1
            """
        )
        found: list[tuple[str, str, str]] = cursor.fetchall()
    return found


@pytest.mark.django_db
def test_the_command_says_what_is_broken_and_ends_with_1() -> None:
    release = running(noop("done"))
    said = StringIO()
    call_command("check_invariants", stdout=said)
    assert f"{len(INVARIANTS)} hold, 0 broken" in said.getvalue()
    sql(f"UPDATE audit_stream SET sequence = sequence + 1 WHERE name = 'release:{release.pk}'")
    with pytest.raises(SystemExit, match="1"):
        call_command("check_invariants", stdout=said)
    assert "BROKEN  a stream's head is its last event" in said.getvalue()


COPY = {
    "releases_release": ("id", "root_id"),
    "releases_phaserun": ("id", "release_id", "root_id"),
    "releases_activityrun": ("id", "release_id", "root_id", "phase_run_id"),
    "releases_attempt": ("id", "run_id", "release_id", "root_id"),
}
FAR = 1_000_000
DEEP = float(os.environ.get("RELORCH_CHAOS_SCALE") or 0) > 1


@pytest.mark.slow
@pytest.mark.django_db
def test_a_hundred_thousand_activities_are_looked_through(capsys: pytest.CaptureFixture[str]) -> None:
    """The rows of one real release with a hundred activities, copied; in CI all of them, elsewhere a tenth. Then one is broken.

    The five seconds count in deep runs.
    """
    copies = 999 if CI else 99
    first = running(*(noop(f"n{n}", *([f"n{n - 1}"] if n % 10 else [])) for n in range(99)), manual("ask"))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, moved in COPY.items():
            cursor.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped", [table])
            names = [name for (name,) in cursor.fetchall()]
            values = [
                f"{name} + n * {FAR}" if name in moved else "gen_random_uuid()" if name == "key" and table.endswith("attempt")
                else "identifier || n" if name == "identifier" else name
                for name in names
            ]  # fmt: skip
            cursor.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM {table}, generate_series(1, {copies}) AS n")
        stream = f"'release:' || {first.pk} + n * {FAR}"
        cursor.execute(
            f"INSERT INTO audit_stream (name, sequence, head, at) SELECT {stream}, sequence, head, at"
            f" FROM audit_stream, generate_series(1, {copies}) AS n WHERE name = 'release:{first.pk}'"
        )
        cursor.execute(
            "INSERT INTO audit_event (stream, sequence, at, verb, actor_id, subject, release_id, record, previous, hash)"
            f" SELECT {stream}, sequence, at, verb, actor_id, subject, release_id + n * {FAR}, record, previous, hash"
            f" FROM audit_event, generate_series(1, {copies}) AS n WHERE stream = 'release:{first.pk}'"
        )
        cursor.execute("ANALYZE")
    assert ActivityRun.objects.count() == (copies + 1) * 100
    began = time.monotonic()
    slowest = {}
    for invariant in INVARIANTS:
        one = time.monotonic()
        assert broken([invariant]) == {}
        slowest[invariant.name] = time.monotonic() - one
    took = time.monotonic() - began
    worst = ", ".join(f"{name} {slowest[name]:.2f}" for name in sorted(slowest, key=slowest.__getitem__)[-4:])
    with capsys.disabled():
        print(f"\n{len(INVARIANTS)} invariants over {(copies + 1) * 100:,} activities: {took:.2f} s, the slowest {worst}")
    assert took < 5 or not DEEP
    sql(f"UPDATE audit_stream SET sequence = 7 WHERE name = 'release:{first.pk + FAR}'")
    assert list(broken(INVARIANTS)) == ["a stream's head is its last event", "a stream's head bears the hash of its last event"]
