"""The record of what happened: append-only, and chained by hash within each stream."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Stream(models.Model):
    """The head of one chain, e.g. `release:12`. It changes in the transaction of the events, under the lock that orders them."""

    name = models.CharField(max_length=100, primary_key=True)
    sequence = models.BigIntegerField(default=0)
    head = models.BinaryField(default=b"")
    at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} at {self.sequence}"


class Event(models.Model):
    """One thing that somebody or something did. `record` is the canonical text that the hash covers; the columns repeat it for queries."""

    stream = models.CharField(max_length=100)
    sequence = models.BigIntegerField()
    at = models.DateTimeField()
    verb = models.CharField(max_length=60)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False)
    subject = models.CharField(max_length=200)
    release_id = models.BigIntegerField(null=True)
    record = models.TextField()
    previous = models.BinaryField()
    hash = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stream", "sequence"], name="event_sequence_in_stream")]

    def __str__(self) -> str:
        return f"{self.stream} {self.sequence} {self.verb}"
