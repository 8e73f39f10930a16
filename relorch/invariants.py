"""Every invariant of the installation (reliability, R-16), from the apps that own the rows."""

from __future__ import annotations

import approvals.invariants
import releases.invariants
import relorch.audit.invariants

INVARIANTS = (*releases.invariants.INVARIANTS, *approvals.invariants.INVARIANTS, *relorch.audit.invariants.INVARIANTS)
