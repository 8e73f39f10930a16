"""What the installation knows of itself."""

from __future__ import annotations

from django.db import models


class Pulse(models.Model):
    """When a queue's message last reached a worker. Written by a task that the clock sends: broker, clock, worker and database all worked then."""

    queue = models.CharField(max_length=50, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.queue} at {self.at}"
