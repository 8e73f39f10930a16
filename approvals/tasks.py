"""What Celery calls: the clock struck."""

from __future__ import annotations

from celery import shared_task

from approvals import reminding


@shared_task(name="approvals.tasks.remind", ignore_result=True)
def remind() -> None:
    """Reminders and escalations that have come due."""
    reminding.sweep()
