"""What must hold of releases, whatever killed whom: no row without an owner or a deadline, nothing twice, nothing forgotten.

A new part adds its statements to the list at the end, and to `tests/house/test_invariants.py` a way to break each.
"""

# ruff: noqa: S608 (the lists of states come from our own table)

from __future__ import annotations

from releases.states import CLOSED, FINISHED, LIVE
from relorch.lib.invariants import Invariant


def _listed(states: frozenset[str]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


_CLOSED, _FINISHED = _listed(CLOSED), _listed(FINISHED)
_LIVE = f"({_listed(LIVE)})"
_OPEN_ATTEMPT = "('queued', 'running', 'waiting')"

_ATTEMPTS = {
    "an open attempt belongs to a run in the same state": f"""
        SELECT a.id, a.state, run.state FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id
        WHERE a.state IN {_OPEN_ATTEMPT} AND run.state <> a.state""",
    "a run that is queued, running or waiting has exactly one open attempt, its newest": f"""
        SELECT run.id FROM releases_activityrun run LEFT JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count AND a.state = run.state
        WHERE run.state IN {_OPEN_ATTEMPT} AND a.id IS NULL
        UNION ALL SELECT run_id FROM releases_attempt WHERE state IN {_OPEN_ATTEMPT} GROUP BY run_id HAVING count(*) > 1""",
    "attempts of a run are counted, and numbered without a gap": """
        (SELECT id, attempt_count FROM releases_activityrun WHERE attempt_count <> 0
        EXCEPT SELECT run_id, count(*) FROM releases_attempt GROUP BY run_id HAVING min(number) = 1 AND max(number) = count(*))
        UNION ALL (SELECT run_id, count(*) FROM releases_attempt GROUP BY run_id EXCEPT SELECT id, attempt_count FROM releases_activityrun)""",
    "what runs has a fence, a worker and a lease": """
        SELECT id FROM releases_attempt WHERE state = 'running' AND (lease_until IS NULL OR fence < 1 OR worker = '' OR started_at IS NULL)""",
    "only what runs has a lease": "SELECT id, state FROM releases_attempt WHERE lease_until IS NOT NULL AND state <> 'running'",
    "an attempt is queued, started and ended in this order": "SELECT id FROM releases_attempt WHERE finished_at < started_at OR finished_at < queued_at",
    "an attempt belongs to the release and the tree of its run": """
        SELECT a.id FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id
        WHERE a.release_id <> run.release_id OR a.root_id <> run.root_id""",
    "no two attempts have the same key": "SELECT key FROM releases_attempt GROUP BY key HAVING count(*) > 1",
    "what a machine waits for comes by time or is asked for": """
        SELECT a.id FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id
        WHERE a.state = 'waiting' AND run.type = 'automated' AND a.due_at IS NULL AND a.poll_at IS NULL AND run.code <> 'waiting_for_lock'""",
    "people who are waited for have been asked": """
        SELECT a.id FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id
        WHERE a.state = 'waiting' AND run.type = 'manual' AND run.code <> 'waiting_for_lock'
            AND (a.asked_at IS NULL OR a.request IS NULL OR a.bound_hash = '')""",
    "a lost once attempt is not repeated": "SELECT id FROM releases_attempt WHERE effect = 'once' AND lost > 1",
    "nothing was claimed more often than its worker was lost": """
        SELECT a.id, e.number, a.lost FROM (
            SELECT release_id, subject, (record::json #>> '{data,attempt}')::int AS attempt, count(*) AS number FROM audit_event
            WHERE verb = 'activity.started' GROUP BY 1, 2, 3 HAVING count(*) > 1) e
        JOIN releases_activityrun run ON run.release_id = e.release_id AND run.key = e.subject
        JOIN releases_attempt a ON a.run_id = run.id AND a.number = e.attempt WHERE e.number > 1 + a.lost""",
}

_RUNS = {
    "a run is on hold or interrupted because its newest attempt ended": f"""
        SELECT run.id FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count
        WHERE run.state IN ('on_hold', 'interrupted') AND a.state IN {_OPEN_ATTEMPT}""",
    "an interrupted run has an interrupted attempt": """
        SELECT run.id FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count
        WHERE run.state = 'interrupted' AND a.state <> 'interrupted'""",
    "a succeeded run has a succeeded newest attempt, a person's override apart": """
        SELECT run.id FROM releases_activityrun run LEFT JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count
        WHERE run.state = 'succeeded' AND NOT run.overridden AND a.state IS DISTINCT FROM 'succeeded'""",
    "an approval that succeeded bears a seal": """
        SELECT run.id FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count
        WHERE run.type = 'manual' AND run.state = 'succeeded' AND (a.seal = '' OR a.decision IS NULL)""",
    "a run starts and ends in this order": "SELECT id FROM releases_activityrun WHERE finished_at < started_at",
    "what was skipped for a bad end names its causes": """
        SELECT id FROM releases_activityrun WHERE state = 'skipped' AND skipped_because = 'bad_end' AND met = '{}'""",
    "a run belongs to the release and the tree of its phase": """
        SELECT run.id FROM releases_activityrun run JOIN releases_phaserun p ON p.id = run.phase_run_id
        WHERE run.release_id <> p.release_id OR run.root_id <> p.root_id""",
    "a run that is ready is queued, or marked to be evaluated": """
        SELECT run.id FROM releases_activityrun run JOIN releases_release r ON r.id = run.release_id JOIN releases_release root ON root.id = r.root_id
        WHERE run.state = 'pending' AND run.unmet = 0 AND r.state = 'running' AND root.stirred_at IS NULL""",
    "what is to be prepared is marked to be evaluated": """
        SELECT a.id FROM releases_attempt a JOIN releases_release r ON r.id = a.release_id JOIN releases_release root ON root.id = r.root_id
        WHERE a.state = 'queued' AND a.lane = 'prepare' AND a.next_at IS NULL AND r.state = 'running' AND root.stirred_at IS NULL""",
    "a run counts the activities before it that are open, and its phase": f"""
        WITH named AS MATERIALIZED (
            SELECT v.id AS version, activity ->> 'id' AS key, jsonb_array_elements_text(coalesce(activity -> 'depends_on', '[]')) AS before
            FROM processes_processversion v CROSS JOIN LATERAL jsonb_array_elements(v.document::jsonb -> 'phases') AS phase
            CROSS JOIN LATERAL jsonb_array_elements(coalesce(phase -> 'activities', '[]')) AS activity
            WHERE v.id IN (SELECT version_id FROM releases_release WHERE state IN {_LIVE})
        ), wanted AS (
            SELECT run.id, count(DISTINCT other.id) FILTER (WHERE other.state NOT IN ({_CLOSED})) AS number
            FROM releases_activityrun run JOIN releases_release r ON r.id = run.release_id
            JOIN named ON named.version = r.version_id AND named.key = run.key
            JOIN releases_activityrun other ON other.release_id = run.release_id AND other.key = named.before
            WHERE run.state = 'pending' AND r.state IN {_LIVE} GROUP BY run.id
        )
        SELECT run.id, run.unmet FROM releases_activityrun run JOIN releases_release r ON r.id = run.release_id
        JOIN releases_phaserun p ON p.id = run.phase_run_id LEFT JOIN wanted ON wanted.id = run.id
        WHERE run.state = 'pending' AND r.state IN {_LIVE} AND run.unmet <> coalesce(wanted.number, 0) + (p.decided = '')::int""",
}

_PHASES = {
    "a phase's counter is the number of its open runs": f"""
        SELECT p.id, p.remaining FROM releases_phaserun p JOIN releases_release r ON r.id = p.release_id LEFT JOIN (
            SELECT phase_run_id, count(*) AS number FROM releases_activityrun WHERE state NOT IN ({_CLOSED}) GROUP BY 1) run ON run.phase_run_id = p.id
        WHERE r.state IN {_LIVE} AND p.remaining <> coalesce(run.number, 0)""",
    "a phase has all its runs": """
        SELECT p.id, p.total FROM releases_phaserun p LEFT JOIN (SELECT phase_run_id, count(*) AS number FROM releases_activityrun GROUP BY 1) run
            ON run.phase_run_id = p.id WHERE p.total <> coalesce(run.number, 0)""",
    "a closed phase has nothing open": f"""
        SELECT p.id, run.key FROM releases_phaserun p JOIN releases_activityrun run ON run.phase_run_id = p.id
        WHERE p.closed_at IS NOT NULL AND run.state NOT IN ({_CLOSED})""",
    "a phase that is ready is decided, or marked to be evaluated": """
        SELECT p.id FROM releases_phaserun p JOIN releases_release r ON r.id = p.release_id JOIN releases_release root ON root.id = r.root_id
        WHERE p.decided = '' AND p.unmet = 0 AND p.error = '' AND p.stopping = '{}' AND r.state = 'running' AND root.stirred_at IS NULL""",
    "a phase with nothing left is closed, or marked to be": f"""
        SELECT p.id FROM releases_phaserun p JOIN releases_release r ON r.id = p.release_id JOIN releases_release root ON root.id = r.root_id
        WHERE p.closed_at IS NULL AND p.remaining = 0 AND p.decided <> '' AND r.state IN {_LIVE} AND root.stirred_at IS NULL""",
}

_RELEASES = {
    "a release's counter is the number of its open phases": f"""
        SELECT r.id, r.open_phases FROM releases_release r LEFT JOIN (
            SELECT release_id, count(*) AS number FROM releases_phaserun WHERE closed_at IS NULL GROUP BY 1) p ON p.release_id = r.id
        WHERE r.state IN {_LIVE} AND r.open_phases <> coalesce(p.number, 0)""",
    "a release that has started has its phases": f"""
        SELECT r.id FROM releases_release r LEFT JOIN (SELECT release_id, count(*) AS number FROM releases_phaserun GROUP BY 1) p ON p.release_id = r.id
        JOIN (SELECT id, json_array_length(document::json -> 'phases') AS phases FROM processes_processversion) v ON v.id = r.version_id
        WHERE r.state IN ({_FINISHED}, 'running', 'held') AND v.phases <> coalesce(p.number, 0)""",
    "a release that has not started has no runs": """
        SELECT r.id FROM releases_release r WHERE r.state IN ('draft', 'scheduled', 'cancelled', 'missed')
            AND EXISTS (SELECT FROM releases_activityrun run WHERE run.release_id = r.id)""",
    "a release that is over has nothing open": f"""
        SELECT r.id, run.key FROM releases_release r JOIN releases_activityrun run ON run.release_id = r.id
        WHERE r.state NOT IN {_LIVE} AND run.state NOT IN ({_CLOSED})""",
    "a release that is over has no open attempt": f"""
        SELECT a.id FROM releases_attempt a JOIN releases_release r ON r.id = a.release_id WHERE r.state NOT IN {_LIVE} AND a.state IN {_OPEN_ATTEMPT}""",
    "a release that ended by itself has closed all its phases": """
        SELECT p.id FROM releases_phaserun p JOIN releases_release r ON r.id = p.release_id
        WHERE r.state IN ('succeeded', 'partially_succeeded', 'failed') AND p.closed_at IS NULL""",
    "a running release with nothing left is marked to be ended": """
        SELECT r.id FROM releases_release r JOIN releases_release root ON root.id = r.root_id
        WHERE r.state = 'running' AND r.open_phases = 0 AND root.stirred_at IS NULL""",
    "a release that is over says so in its stream": f"""
        SELECT r.id, r.state FROM releases_release r WHERE r.state IN ({_FINISHED}, 'cancelled', 'missed') AND NOT EXISTS (
            SELECT FROM audit_event e WHERE e.stream = 'release:' || r.root_id AND e.release_id = r.id AND e.verb = 'release.' || r.state)""",
    "a closed run says so in its release's stream": f"""
        SELECT release_id, key FROM releases_activityrun WHERE state IN ({_CLOSED})
        EXCEPT SELECT release_id, subject FROM audit_event WHERE verb LIKE 'activity.%'""",
    "a scheduled release has a time": "SELECT id FROM releases_release WHERE state = 'scheduled' AND (scheduled_for IS NULL OR expected_end IS NULL)",
}

_TREES = {
    "a root is its own root, and a child one level below its parent": """
        SELECT id FROM releases_release WHERE parent_run_id IS NULL AND (root_id <> id OR level <> 1)
        UNION ALL SELECT child.id FROM releases_release child JOIN releases_activityrun run ON run.id = child.parent_run_id
            JOIN releases_release parent ON parent.id = run.release_id WHERE child.root_id <> run.root_id OR child.level <> parent.level + 1""",
    "what belongs to a release bears its root": """
        SELECT run.id FROM releases_activityrun run JOIN releases_release r ON r.id = run.release_id WHERE run.root_id <> r.root_id""",
    "a child lives only below a run that waits for it": f"""
        SELECT child.id FROM releases_release child JOIN releases_activityrun run ON run.id = child.parent_run_id
        WHERE child.state IN {_LIVE} AND run.state <> 'waiting'""",
    "a run that waits for a child has one": """
        SELECT run.id FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.state = 'waiting'
        LEFT JOIN releases_release child ON child.id = (a.reference ->> 'release')::bigint AND child.parent_run_id = run.id
        WHERE run.type = 'subprocess' AND run.state = 'waiting' AND run.code <> 'waiting_for_lock' AND child.id IS NULL""",
    "an end of a child is told, or marked to be": f"""
        SELECT run.id, child.id FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.state = 'waiting'
        JOIN releases_release child ON child.id = (a.reference ->> 'release')::bigint JOIN releases_release root ON root.id = run.root_id
        WHERE run.type = 'subprocess' AND run.state = 'waiting' AND child.state IN ({_FINISHED}, 'cancelled') AND root.stirred_at IS NULL""",
    "nothing in a held tree runs": """
        SELECT child.id FROM releases_release child JOIN releases_activityrun run ON run.id = child.parent_run_id
        JOIN releases_release parent ON parent.id = run.release_id WHERE child.state = 'running' AND parent.state = 'held'""",
    "a release is held by itself or from above": """
        SELECT r.id FROM releases_release r JOIN releases_release by ON by.id = r.held_by_id
        WHERE by.root_id <> r.root_id OR by.level > r.level OR (by.level = r.level AND by.id <> r.id) OR r.state <> 'held'""",
}

_LOCKS = {
    "a lock is held by what is alive": f"""
        SELECT l.id, l.name FROM releases_lock l JOIN releases_release r ON r.id = l.release_id WHERE l.state = 'held' AND r.state NOT IN {_LIVE}""",
    "a lock belongs to the release and the tree of its owner": """
        SELECT l.id FROM releases_lock l LEFT JOIN releases_phaserun p ON p.id = l.phase_run_id LEFT JOIN releases_activityrun run ON run.id = l.run_id
        WHERE l.release_id <> coalesce(p.release_id, run.release_id) OR l.root_id <> coalesce(p.root_id, run.root_id)""",
    "a place in line is kept only for what is alive": f"""
        SELECT l.id, l.name FROM releases_lock l JOIN releases_release r ON r.id = l.release_id
        LEFT JOIN releases_phaserun p ON p.id = l.phase_run_id LEFT JOIN releases_activityrun run ON run.id = l.run_id
        WHERE l.state IN ('waiting', 'granted') AND (r.state NOT IN {_LIVE} OR p.closed_at IS NOT NULL OR run.state IN ({_CLOSED}))""",
    "a name that is free has nobody in line whose release runs": """
        SELECT l.id, l.name FROM releases_lock l JOIN releases_release r ON r.id = l.release_id JOIN releases_release root ON root.id = r.root_id
        WHERE l.state = 'waiting' AND r.state = 'running' AND root.stirred_at IS NULL
            AND NOT EXISTS (SELECT FROM releases_lock other WHERE other.name = l.name AND other.state IN ('granted', 'held'))""",
}

INVARIANTS = tuple(Invariant(name, rows) for statements in (_ATTEMPTS, _RUNS, _PHASES, _RELEASES, _TREES, _LOCKS) for name, rows in statements.items())
