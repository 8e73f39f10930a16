"""A place in the queue for a name that one holder has at a time (S9a)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from releases.models.release import PhaseRun, Release
from releases.models.run import ActivityRun


class Lock(models.Model):
    """What a phase or an activity asks for: `waiting` in the order of `place`, then `granted`, `held` once its release has taken it up, and `free` again.

    The database allows one holder of a name. Rows are written only by `releases/locking.py`, under one advisory lock that is taken after root rows.
    """

    FREE, WAITING, GRANTED, HELD = "free", "waiting", "granted", "held"

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="locks")
    root = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    phase_run = models.OneToOneField(PhaseRun, on_delete=models.CASCADE, null=True, related_name="lock")
    run = models.OneToOneField(ActivityRun, on_delete=models.CASCADE, null=True, related_name="lock")
    name = models.CharField(max_length=200)
    gives_way = models.BooleanField(default=False, help_text="Given up while people are waited for (`lock_while_waiting: release`).")
    state = models.CharField(max_length=8, default=FREE, choices=[(s, s) for s in (FREE, WAITING, GRANTED, HELD)])
    place = models.BigIntegerField(null=True, help_text="First come, first served; kept while its release is held.")
    asked_at = models.DateTimeField(null=True)
    held_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["place"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name"], condition=Q(state__in=["granted", "held"]), name="lock_has_one_holder"),
            models.CheckConstraint(condition=Q(phase_run__isnull=True) ^ Q(run__isnull=True), name="lock_of_phase_or_run"),
            models.CheckConstraint(condition=Q(state="free") | (Q(place__isnull=False) & Q(asked_at__isnull=False)), name="lock_asked_has_place"),
            models.CheckConstraint(condition=Q(state__in=["free", "waiting"]) | Q(held_at__gte=F("asked_at")), name="lock_held_has_time"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["name", "place"], name="lock_queue", condition=Q(state="waiting")),
            models.Index(fields=["root"], name="lock_granted", condition=Q(state="granted")),
        ]

    def __str__(self) -> str:
        return self.name
