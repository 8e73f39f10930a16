"""Every invariant of the installation (reliability, R-16), from the apps that own the rows, and those of the mail."""

from __future__ import annotations

import approvals.invariants
import releases.invariants
import relorch.audit.invariants
from relorch.lib.invariants import Invariant

_MAIL = (
    Invariant(
        "a mail has a time of sending when it was sent, and only then", "SELECT id, state FROM relorch_mail WHERE (state = 'sent') <> (sent_at IS NOT NULL)"
    ),
    Invariant(
        "a mail tells of an event that is there",
        """
        SELECT m.id, m.stream, m.sequence FROM relorch_mail m
        WHERE NOT EXISTS (SELECT FROM audit_event e WHERE e.stream = m.stream AND e.sequence = m.sequence)""",
    ),
    Invariant(
        "the relay has read no further than there is",
        "SELECT r.id, r.upto FROM relorch_relayed r WHERE r.upto > (SELECT coalesce(max(id), 0) FROM audit_event)",
    ),
)

INVARIANTS = (*releases.invariants.INVARIANTS, *approvals.invariants.INVARIANTS, *relorch.audit.invariants.INVARIANTS, *_MAIL)
