"""The hot path in SQL: lock, claim, finish, count down. Every statement works on a set, takes arrays, and carries its guard in its WHERE.

`releases/engine.py` and `releases/attempts.py` are the only callers.
"""

# The row of the root guards its tree. The head of its events is locked with it, because only a locked row is read as it is after the wait,
# not as it was when the statement began. The clock is read per row that comes out of the lock; the caller takes the latest.
_LOCK = """
WITH held AS MATERIALIZED (
    SELECT r.id, r.root_id, r.version_id, r.state, r.troubled, r.parent_run_id, r.level, s.sequence, s.head, s.at
    FROM releases_release r JOIN audit_stream s ON s.name = 'release:' || r.id
    WHERE r.id = ANY(%s) AND r.root_id = r.id ORDER BY r.id FOR UPDATE {skip}
)
SELECT held.*, clock_timestamp() FROM held
"""
LOCK_ROOTS = _LOCK.format(skip="")
LOCK_FREE_ROOTS = _LOCK.format(skip="SKIP LOCKED")

# For the transaction of a worker, in which every statement finds its rows by their keys: one plan for all calls, made for that, whatever the tables held when
# it was made. Each setting ends with the transaction.
PLANS = """
SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true)
"""

RELEASES = """
SELECT id, root_id, version_id, state, troubled, parent_run_id, level FROM releases_release WHERE id = ANY(%s)
"""

# What may be claimed: a doorbell's batch. Locked trees are left out afterwards, states are read again under the lock.
QUEUED = """
SELECT a.id, a.root_id FROM releases_attempt a JOIN releases_release r ON r.id = a.release_id
WHERE a.state = 'queued' AND a.lane = %s AND (a.next_at IS NULL OR a.next_at <= clock_timestamp()) AND r.state = 'running'
ORDER BY a.id LIMIT %s
"""

CLAIM = """
WITH claimed AS (
    UPDATE releases_attempt a SET state = 'running', fence = a.fence + 1, worker = %(worker)s, started_at = coalesce(a.started_at, %(at)s),
        lease_until = %(at)s + %(lease)s, next_at = NULL
    FROM releases_release r
    WHERE a.id = ANY(%(ids)s) AND a.state = 'queued' AND r.id = a.release_id AND r.state = 'running'
    RETURNING a.id, a.run_id, a.fence, a.number, a.key, a.lost, a.effect
)
UPDATE releases_activityrun run SET state = 'running', started_at = coalesce(run.started_at, %(at)s)
FROM claimed WHERE run.id = claimed.run_id AND run.state = 'queued'
RETURNING claimed.id, run.id, run.release_id, run.root_id, run.phase_run_id, run.key, claimed.fence, claimed.number, claimed.key, claimed.lost, claimed.effect
"""

# Ready runs get their attempt: queued, or claimed at once by the worker that made them ready. Only a repetition by policy (`was` is queued) goes on with the
# policy's count. Attempts are claimed in the order of their ids; `ORDER BY` makes it the order of the process, whatever join the planner takes.
QUEUE = """
WITH moved AS (
    UPDATE releases_activityrun run
    SET state = CASE WHEN d.claim THEN 'running' ELSE 'queued' END, attempt_count = run.attempt_count + 1,
        tried_before = CASE WHEN d.was = 'queued' THEN run.tried_before ELSE run.attempt_count END,
        met = CASE WHEN d.was = 'pending' THEN d.met ELSE run.met END,
        started_at = CASE WHEN d.claim THEN coalesce(run.started_at, %(at)s) ELSE run.started_at END,
        outcome = '', code = '', message = '', skipped_because = '', finished_at = NULL
    FROM json_to_recordset(%(runs)s::json) AS d(id bigint, was text, lane text, effect text, met jsonb, claim bool, delay float8)
    WHERE run.id = d.id AND run.state = d.was
    RETURNING run.id, run.release_id, run.root_id, run.attempt_count, d.lane, d.effect, d.claim, d.delay
)
INSERT INTO releases_attempt (run_id, release_id, root_id, number, state, lane, key, fence, worker, lease_until, lost, effect, queued_at, next_at,
    started_at, code, message, bound_hash, seal)
SELECT id, release_id, root_id, attempt_count, CASE WHEN claim THEN 'running' ELSE 'queued' END, lane, gen_random_uuid(),
    CASE WHEN claim THEN 1 ELSE 0 END, CASE WHEN claim THEN %(worker)s ELSE '' END, CASE WHEN claim THEN %(at)s + %(lease)s END, 0, effect, %(at)s,
    CASE WHEN delay > 0 THEN %(at)s + delay * interval '1 second' END, CASE WHEN claim THEN %(at)s END, '', '', '', ''
FROM moved ORDER BY id
RETURNING id, run_id, number, key
"""

# What a set of rows brings is one JSON parameter: Python writes it in C, and the planner guesses the same number of rows for every call, so that one plan
# is kept instead of one being made for each call.

# The step: attempts end, what waited for them is counted down, and whatever is ready by that and needs no decision gets its attempt, claimed at once by the
# worker that made it ready (`go` is running) or queued, all in one statement. `was` and the fence are the guard: a late answer changes nothing and is missing
# from what returns. A join is a counter; only what is still pending counts: the others were decided before a retry, a skip or an abort reached them.
_STEP = """
WITH ended AS (
    UPDATE releases_attempt a
    SET state = d.state, finished_at = %(at)s, outputs = d.outputs, code = d.code, message = d.message, lease_until = NULL, poll_at = NULL, seal = d.seal,
        decision = coalesce(d.decision, a.decision)
    FROM json_to_recordset(%(ends)s::json) AS d(id bigint, fence int, was text, state text, ending text, outcome text, closes bool, goes_on bool, outputs json,
        code text, message text, seal text, decision json)
    WHERE a.id = d.id AND a.fence = d.fence AND a.state = d.was
    RETURNING a.run_id, a.number, d.*
), finished AS (
    UPDATE releases_activityrun run
    SET state = ended.ending, outcome = ended.outcome, code = ended.code, message = ended.message,
        outputs = CASE WHEN ended.state = 'succeeded' THEN ended.outputs ELSE run.outputs END,
        started_at = coalesce(run.started_at, CASE WHEN ended.was <> 'queued' THEN %(at)s END),
        finished_at = CASE WHEN ended.closes THEN %(at)s END
    FROM ended WHERE run.id = ended.run_id AND run.state = ended.was
    RETURNING ended.id AS attempt, run.id, run.release_id, run.root_id, run.phase_run_id, run.key, ended.number, ended.goes_on
), phases AS (
    UPDATE releases_phaserun p SET remaining = p.remaining - d.n
    FROM (SELECT phase_run_id, count(*) AS n FROM finished WHERE goes_on GROUP BY phase_run_id) d WHERE p.id = d.phase_run_id
    RETURNING p.id, p.release_id, p.root_id, p.key, p.remaining, p.decided, p.closed_at IS NOT NULL AS is_closed,
        p.error <> '' AS is_broken
), unblocked AS (
    SELECT d.release_id, d.key, d.go, d.lane, d.effect, count(*) AS n
    FROM json_to_recordset(%(unblocks)s::json) AS d(attempt bigint, release_id bigint, key text, go text, lane text, effect text)
    JOIN finished ON finished.attempt = d.attempt GROUP BY d.release_id, d.key, d.go, d.lane, d.effect
), counted AS (
    UPDATE releases_activityrun run SET unmet = run.unmet - d.n, tried_before = run.attempt_count,
        state = CASE WHEN {goes} THEN d.go ELSE run.state END, attempt_count = run.attempt_count + {goes}::int,
        started_at = CASE WHEN {goes} AND d.go = 'running' THEN coalesce(run.started_at, %(at)s) ELSE run.started_at END,
        met = CASE WHEN {goes} THEN '{{}}' ELSE run.met END, code = CASE WHEN {goes} THEN '' ELSE run.code END,
        message = CASE WHEN {goes} THEN '' ELSE run.message END, skipped_because = CASE WHEN {goes} THEN '' ELSE run.skipped_because END
    FROM unblocked d, releases_phaserun p
    WHERE run.release_id = d.release_id AND run.key = d.key AND run.state = 'pending' AND p.id = run.phase_run_id
    RETURNING run.id, run.release_id, run.root_id, run.phase_run_id, run.key, run.unmet, run.state, run.attempt_count, d.lane, d.effect, p.decided,
        p.skipped_because, p.met
), tried AS (
    INSERT INTO releases_attempt (run_id, release_id, root_id, number, state, lane, key, fence, worker, lease_until, lost, effect, queued_at, started_at, code,
        message, bound_hash, seal)
    SELECT id, release_id, root_id, attempt_count, state, lane, gen_random_uuid(), CASE state WHEN 'running' THEN 1 ELSE 0 END,
        CASE state WHEN 'running' THEN %(worker)s ELSE '' END, CASE state WHEN 'running' THEN %(at)s + %(lease)s END, 0, effect, %(at)s,
        CASE state WHEN 'running' THEN %(at)s END, '', '', '', ''
    FROM counted WHERE state <> 'pending' ORDER BY id
    RETURNING id, run_id, number, key
)
SELECT 'end', id, release_id, root_id, phase_run_id, key, attempt, number, NULL::uuid, NULL::int, NULL::text, NULL::text, NULL::jsonb, NULL::bool, NULL::bool
FROM finished
UNION ALL
SELECT 'phase', id, release_id, root_id, id, key, NULL, NULL, NULL, remaining, decided, NULL, NULL, is_closed, is_broken FROM phases
UNION ALL
SELECT 'run', c.id, c.release_id, c.root_id, c.phase_run_id, c.key, tried.id, tried.number, tried.key, c.unmet, c.decided, c.skipped_because, c.met, NULL, NULL
FROM counted c LEFT JOIN tried ON tried.run_id = c.id
""".format(goes="(run.unmet = d.n AND decided = 'open' AND go <> '')")  # noqa: S608 (the text is ours)
STEP = " ".join(_STEP.split())  # psycopg keeps what it found out of texts of up to 4,096 characters

# Counting down for what closed in another way: a skip, a bad end, a person's verb.
COUNT_DOWN_RUNS = """
UPDATE releases_activityrun run SET unmet = run.unmet - d.n
FROM unnest(%s::bigint[], %s::text[], %s::int[]) AS d(release_id, key, n), releases_phaserun phase
WHERE run.release_id = d.release_id AND run.key = d.key AND run.state = 'pending' AND phase.id = run.phase_run_id
RETURNING run.id, run.release_id, run.root_id, run.phase_run_id, run.key, run.unmet, phase.decided, phase.skipped_because, phase.met
"""

COUNT_DOWN_PHASES = """
UPDATE releases_phaserun phase SET remaining = phase.remaining - d.n
FROM unnest(%s::bigint[], %s::int[]) AS d(id, n) WHERE phase.id = d.id
RETURNING phase.id, phase.release_id, phase.root_id, phase.key, phase.remaining, phase.decided, phase.closed_at IS NOT NULL, phase.error <> ''
"""

COUNT_DOWN_NEXT_PHASES = """
UPDATE releases_phaserun phase SET unmet = phase.unmet - d.n
FROM unnest(%s::bigint[], %s::text[], %s::int[]) AS d(release_id, key, n)
WHERE phase.release_id = d.release_id AND phase.key = d.key AND phase.decided = ''
RETURNING phase.id, phase.release_id, phase.root_id, phase.key, phase.unmet
"""

DECIDE_PHASES = """
UPDATE releases_phaserun phase
SET decided = d.decided, skipped_because = d.because, met = d.met::jsonb, variables = d.variables::json, error = '', opened_at = %(at)s
FROM unnest(%(ids)s::bigint[], %(decided)s::text[], %(because)s::text[], %(met)s::text[], %(variables)s::text[]) AS d(id, decided, because, met, variables)
WHERE phase.id = d.id AND phase.decided = '' AND phase.unmet = 0
RETURNING phase.id, phase.release_id, phase.root_id, phase.key, phase.remaining
"""

OPEN_RUNS = """
UPDATE releases_activityrun run SET unmet = run.unmet - 1
FROM releases_phaserun phase
WHERE run.phase_run_id = ANY(%s) AND run.state = 'pending' AND phase.id = run.phase_run_id
RETURNING run.id, run.release_id, run.root_id, run.phase_run_id, run.key, run.unmet, phase.decided, phase.skipped_because, phase.met
"""

CLOSE_PHASES = """
UPDATE releases_phaserun phase SET closed_at = %(at)s, outputs = d.outputs::json
FROM unnest(%(ids)s::bigint[], %(outputs)s::text[]) AS d(id, outputs)
WHERE phase.id = d.id AND phase.closed_at IS NULL AND phase.remaining = 0 AND phase.decided <> ''
RETURNING phase.id, phase.release_id, phase.root_id, phase.key
"""

COUNT_DOWN_RELEASES = """
UPDATE releases_release r SET open_phases = r.open_phases - d.n FROM unnest(%s::bigint[], %s::int[]) AS d(id, n) WHERE r.id = d.id
RETURNING r.id, r.open_phases
"""

SKIP = """
UPDATE releases_activityrun run SET state = 'skipped', skipped_because = d.because, met = d.met::jsonb, finished_at = %(at)s, outcome = ''
FROM unnest(%(ids)s::bigint[], %(because)s::text[], %(met)s::text[]) AS d(id, because, met)
WHERE run.id = d.id AND run.state = 'pending'
RETURNING run.id, run.release_id, run.root_id, run.phase_run_id, run.key
"""

# S6: what carries causes, and what answers them; asked only in a release in which something has ended badly.
CAUSES = """
SELECT release_id, key, state, skipped_because, met, attempt_count FROM releases_activityrun
WHERE release_id = ANY(%s) AND (state IN ('failed', 'rejected', 'expired', 'aborted') OR skipped_because = 'bad_end')
"""
ANSWERS = """
SELECT run.release_id, run.key, run.met, phase.met FROM releases_activityrun run JOIN releases_phaserun phase ON phase.id = run.phase_run_id
WHERE run.release_id = ANY(%s) AND run.recovers AND run.state = 'succeeded'
"""

INSERT_PHASES = """
INSERT INTO releases_phaserun (release_id, root_id, key, position, unmet, remaining, total, decided, skipped_because, met, variables, error)
SELECT %(release)s, %(root)s, d.key, d.n, d.unmet, d.total, d.total, '', '', '{}', '{}', ''
FROM unnest(%(keys)s::text[], %(unmet)s::int[], %(totals)s::int[]) WITH ORDINALITY AS d(key, unmet, total, n)
RETURNING id, key
"""
INSERT_RUNS = """
INSERT INTO releases_activityrun (release_id, root_id, phase_run_id, key, position, type, recovers, state, outcome, skipped_because, met, unmet,
    attempt_count, outputs, code, message, overridden, changes)
SELECT %(release)s, %(root)s, d.phase, d.key, d.n, d.type, d.recovers, 'pending', '', '', '{}', d.unmet, 0, '{}', '', '', false, '{}'
FROM unnest(%(phases)s::bigint[], %(keys)s::text[], %(types)s::text[], %(recovers)s::bool[], %(unmet)s::int[])
    WITH ORDINALITY AS d(phase, key, type, recovers, unmet, n)
"""
