"""What happens while nobody answers, and when: reminders, escalation, expiry. Pure. Silence never approves (reliability, rule 15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from processes.blueprint import Approval


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people are told `after` that many seconds without an answer: a reminder (`number` counts from 1) or the escalation to `to`."""

    after: float
    kind: Literal["reminder", "escalation"]
    number: int
    to: tuple[str, ...] = ()


def notices(approval: Approval) -> tuple[Notice, ...]:
    """All of them in the order of their times; the same time said twice is said once. What would come when the answer is overdue is left out."""
    found = [Notice(float(after), "reminder", number) for number, after in enumerate(sorted(set(approval.reminders)), 1)]
    if approval.escalate is not None:
        found.append(Notice(float(approval.escalate.after), "escalation", 1, tuple(approval.escalate.to)))
    return tuple(sorted((one for one in found if approval.due is None or one.after < approval.due), key=lambda one: (one.after, one.kind)))


def first_after(approval: Approval) -> float | None:
    """How long after the request the first of them comes."""
    return next((one.after for one in notices(approval)), None)
