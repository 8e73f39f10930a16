"""What must hold of votes and verdicts, whoever wrote the rows."""

from __future__ import annotations

from relorch.lib.invariants import Invariant

INVARIANTS = (
    Invariant(
        "a verdict rests on votes that are there",
        """
        SELECT a.release_id, run.key, vote ->> 'by' FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id
        CROSS JOIN LATERAL jsonb_array_elements(a.decision::jsonb -> 'votes') AS vote
        WHERE a.decision IS NOT NULL AND a.decision::jsonb ? 'verdict' AND NOT EXISTS (
            SELECT FROM approvals_signoff s JOIN approvals_packet p ON p.id = s.packet_id
            WHERE s.attempt_id = a.id AND NOT s.stale AND s.decision = vote ->> 'decision' AND p.hash = vote ->> 'packet')""",
    ),
    Invariant(
        "an approval that nobody overrode has somebody who approved",
        """
        SELECT a.release_id, run.key FROM releases_attempt a JOIN releases_activityrun run ON run.id = a.run_id
        WHERE run.type = 'manual' AND run.state = 'succeeded' AND NOT run.overridden AND a.number = run.attempt_count AND NOT EXISTS (
            SELECT FROM approvals_signoff s WHERE s.attempt_id = a.id AND s.decision = 'approve' AND NOT s.stale)""",
    ),
    Invariant(
        "a rejection has somebody who rejected",
        """
        SELECT a.release_id, a.id FROM releases_attempt a WHERE a.state = 'rejected' AND NOT EXISTS (
            SELECT FROM approvals_signoff s WHERE s.attempt_id = a.id AND s.decision = 'reject' AND NOT s.stale)""",
    ),
    Invariant(
        "a vote is on a packet of the same attempt",
        "SELECT s.id FROM approvals_signoff s JOIN approvals_packet p ON p.id = s.packet_id WHERE p.attempt_id <> s.attempt_id",
    ),
    Invariant(
        "a vote was given while the approval was asked",
        """
        SELECT s.id, s.at, a.asked_at, a.finished_at FROM approvals_signoff s JOIN releases_attempt a ON a.id = s.attempt_id
        WHERE a.asked_at IS NULL OR s.at < a.asked_at OR s.at > a.finished_at""",
    ),
    Invariant(
        "a vote is in the audit trail",
        """
        SELECT s.id FROM approvals_signoff s JOIN releases_attempt a ON a.id = s.attempt_id JOIN releases_activityrun run ON run.id = a.run_id
        WHERE NOT EXISTS (SELECT FROM audit_event e WHERE e.stream = 'release:' || a.root_id AND e.release_id = a.release_id AND e.subject = run.key
            AND e.verb IN ('sign_off.given', 'sign_off.changed') AND e.actor_id = s.person_id)""",
    ),
)
