"""Tasks of the root."""

from __future__ import annotations

from celery import shared_task
from django.db import connection


@shared_task(name="relorch.tasks.pulse")
def pulse(queue: str) -> None:
    """Notes that a worker heard the clock; `/readyz` looks at it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO relorch_pulse (queue, at) VALUES (%s, clock_timestamp()) ON CONFLICT (queue) DO UPDATE SET at = excluded.at",
            [queue],
        )
