"""What must hold of streams and events; the chains themselves are recomputed by `chain.verify`."""

from __future__ import annotations

from relorch.lib.invariants import Invariant

INVARIANTS = (
    Invariant(
        "a stream's head is its last event",
        """
        SELECT coalesce(s.name, e.stream), s.sequence, e.last, e.number FROM audit_stream s
        FULL JOIN (SELECT stream, max(sequence) AS last, count(*) AS number FROM audit_event GROUP BY stream) e ON e.stream = s.name
        WHERE s.name IS NULL OR s.sequence <> coalesce(e.last, 0) OR s.sequence <> coalesce(e.number, 0)""",
    ),
    Invariant(
        "a stream's head bears the hash of its last event",
        "SELECT s.name FROM audit_stream s JOIN audit_event e ON e.stream = s.name AND e.sequence = s.sequence WHERE s.head <> e.hash",
    ),
)
