"""A signal that came in (S26), kept until its activity takes it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from releases.models.attempt import Attempt
from releases.models.release import Release
from relorch.lib.fields import OrderedJSONField


class Signal(models.Model):
    """One that was accepted. The identity of a signed one is kept, so that it counts once however often it is sent."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="signals")
    key = models.CharField(max_length=63, help_text="The activity.")
    webhook_id = models.CharField(max_length=200, blank=True)
    payload = OrderedJSONField(default=dict)
    received_at = models.DateTimeField()
    taken_by = models.ForeignKey(Attempt, on_delete=models.CASCADE, null=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["release", "key", "webhook_id"], condition=~Q(webhook_id=""), name="signal_once"),
            models.UniqueConstraint(fields=["release", "key"], condition=Q(taken_by__isnull=True), name="signal_kept"),
        ]

    def __str__(self) -> str:
        return f"signal for {self.key}"
