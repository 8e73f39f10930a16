"""What people decided."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from releases.models import Attempt
from relorch.lib.fields import OrderedJSONField


class Packet(models.Model):
    """What exactly was decided on: the values bound, the process version and the text shown; stored with the first vote."""

    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="packets")
    hash = models.CharField(max_length=64)
    content = OrderedJSONField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["attempt", "hash"], name="packet_once")]

    def __str__(self) -> str:
        return self.hash[:12]


class SignOff(models.Model):
    """One person's vote on one attempt. A changed vote replaces it, the event of each stays."""

    class Decision(models.TextChoices):
        """What a vote says."""

        APPROVE = "approve"
        REJECT = "reject"

    class Door(models.TextChoices):
        """Which way it came in."""

        PAGE = "page"
        MAIL = "mail"
        API = "api"

    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="sign_offs")
    packet = models.ForeignKey(Packet, on_delete=models.PROTECT, related_name="sign_offs")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sign_offs")
    for_person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    decision = models.CharField(max_length=7, choices=Decision.choices)
    comment = models.TextField(blank=True)
    door = models.CharField(max_length=4, choices=Door.choices)
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField()
    stale = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["attempt", "person"], name="one_vote_per_person"),
            models.CheckConstraint(condition=Q(decision__in=["approve", "reject"]), name="sign_off_decision"),
        ]

    def __str__(self) -> str:
        return f"{self.person} {self.decision}s"
