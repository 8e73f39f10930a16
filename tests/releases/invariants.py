"""What must hold in the database whenever nothing is in a transaction: each statement finds the rows that break it."""

from __future__ import annotations

from django.db import connection

from relorch.audit.chain import verify

_CLOSED = "('succeeded', 'skipped', 'ignored', 'failed', 'rejected', 'expired', 'aborted')"
_LIVE = "('running', 'held')"

MUST_BE_EMPTY = {
    "an open attempt belongs to a run in the same state": """
        SELECT a.id, a.state, run.state FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id
        WHERE a.state IN ('queued', 'running', 'waiting') AND run.state <> a.state""",
    "a run that is queued, running or waiting has exactly one open attempt, its newest": """
        SELECT run.id FROM releases_activityrun run WHERE run.state IN ('queued', 'running', 'waiting') AND 1 <> (
            SELECT count(*) FROM releases_attempt a WHERE a.run_id = run.id AND a.state = run.state AND a.number = run.attempt_count)""",
    "attempts are counted": """
        SELECT run.id FROM releases_activityrun run
        WHERE run.attempt_count <> (SELECT count(*) FROM releases_attempt a WHERE a.run_id = run.id)""",
    "attempts of a run are numbered without a gap": """
        SELECT a.run_id FROM releases_attempt a GROUP BY a.run_id HAVING max(a.number) <> count(*) OR min(a.number) <> 1""",
    "a phase's counter is the number of its open runs": f"""
        SELECT p.id FROM releases_phaserun p JOIN releases_release r ON r.id = p.release_id WHERE r.state IN {_LIVE} AND p.remaining <> (
            SELECT count(*) FROM releases_activityrun run WHERE run.phase_run_id = p.id AND run.state NOT IN {_CLOSED})""",
    "a release's counter is the number of its open phases": f"""
        SELECT r.id FROM releases_release r WHERE r.state IN {_LIVE} AND r.open_phases <> (
            SELECT count(*) FROM releases_phaserun p WHERE p.release_id = r.id AND p.closed_at IS NULL)""",
    "a release that is over has nothing open": f"""
        SELECT r.id, run.key FROM releases_release r JOIN releases_activityrun run ON run.release_id = r.id
        WHERE r.state NOT IN {_LIVE} AND run.state NOT IN {_CLOSED}""",
    "a release that ended by itself has closed all its phases": """
        SELECT p.id FROM releases_phaserun p JOIN releases_release r ON r.id = p.release_id
        WHERE r.state IN ('succeeded', 'partially_succeeded', 'failed') AND p.closed_at IS NULL""",
    "a release that is over has no open attempt": f"""
        SELECT a.id FROM releases_attempt a JOIN releases_release r ON r.id = a.release_id
        WHERE r.state NOT IN {_LIVE} AND a.state IN ('queued', 'running', 'waiting')""",
    "a child lives only below a run that waits for it": f"""
        SELECT child.id FROM releases_release child JOIN releases_activityrun run ON run.id = child.parent_run_id
        WHERE child.state IN {_LIVE} AND run.state <> 'waiting'""",
    "nothing in a held tree runs": """
        SELECT child.id FROM releases_release child JOIN releases_activityrun run ON run.id = child.parent_run_id
        JOIN releases_release parent ON parent.id = run.release_id WHERE child.state = 'running' AND parent.state = 'held'""",
    "a child and what belongs to it bear the root of its parent": """
        SELECT child.id FROM releases_release child JOIN releases_activityrun run ON run.id = child.parent_run_id WHERE child.root_id <> run.root_id
        UNION ALL SELECT run.id FROM releases_activityrun run JOIN releases_release r ON r.id = run.release_id WHERE run.root_id <> r.root_id
        UNION ALL SELECT a.id FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id WHERE a.root_id <> run.root_id""",
    "a succeeded run has a succeeded newest attempt, a person's override apart": """
        SELECT run.id FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count
        WHERE run.state = 'succeeded' AND NOT run.overridden AND a.state <> 'succeeded'""",
    "a run starts and ends in this order": "SELECT id FROM releases_activityrun WHERE finished_at < started_at",
    "nothing was claimed twice": """
        SELECT release_id, subject, record::json #>> '{data,attempt}' FROM audit_event WHERE verb = 'activity.started'
        GROUP BY 1, 2, 3 HAVING count(*) > 1 + coalesce((SELECT sum(a.lost) FROM releases_attempt a WHERE a.release_id = audit_event.release_id), 0)""",
    "an approval that succeeded bears a seal": """
        SELECT run.id FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count
        WHERE run.type = 'manual' AND run.state = 'succeeded' AND (a.seal = '' OR a.decision IS NULL)""",
    "a stream's head is its last event": """
        SELECT s.name FROM audit_stream s WHERE s.sequence <> (SELECT count(*) FROM audit_event e WHERE e.stream = s.name)""",
}


def broken() -> dict[str, list[tuple[object, ...]]]:
    """The statements that found something, with what they found; every chain is verified too."""
    found: dict[str, list[tuple[object, ...]]] = {}
    with connection.cursor() as cursor:
        for name, statement in MUST_BE_EMPTY.items():
            cursor.execute(statement)
            if rows := cursor.fetchall():
                found[name] = rows[:5]
        cursor.execute("SELECT name FROM audit_stream")
        names = [row[0] for row in cursor.fetchall()]
    for name in names:
        answer = verify(name)
        if answer.broken_at is not None:
            found[f"chain of {name}"] = [(answer.broken_at, answer.why)]
    return found
