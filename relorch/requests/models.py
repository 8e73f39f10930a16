"""Requests that carry an `Idempotency-Key`: asked twice, done once."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class IdempotentRequest(models.Model):
    """One key of one person, what was asked under it and, once there is one, the answer. Kept for two days."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, address, content type and body.")
    claim = models.PositiveIntegerField(default=1, help_text="Counts who works on it: a fence against one that was given up for lost.")
    claimed_at = models.DateTimeField(db_default=Now())
    effective = models.BooleanField(default=False, help_text="Something was committed under this key: it is never done again.")
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP status of the answer; none while it is worked on.")
    answer = models.TextField(blank=True, help_text="Headers and body, encrypted.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["person", "key"], name="request_key_of_person")]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="request_created")]

    def __str__(self) -> str:
        return f"{self.key} of {self.person_id}"
