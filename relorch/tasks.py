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


@shared_task(name="relorch.tasks.relay", ignore_result=True)
def relay() -> None:
    """The clock struck: write the mails of what has happened, and ring for whoever sends them."""
    from relorch.relay import relay as read_on

    if read_on():
        post.apply_async(queue="scripts", ignore_result=True)


@shared_task(name="relorch.tasks.post", ignore_result=True)
def post() -> None:
    """Send what waits and is due."""
    from relorch.posting import post as send

    send()
