"""The checklist of a manual activity while it is asked: its tasks, and how each got where it is."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from releases.models.attempt import Attempt
from releases.models.release import Release
from relorch.lib.fields import OrderedJSONField


class Task(models.Model):
    """One item of the checklist of one attempt. Part of the packet: a change of it makes earlier votes stale (S17a)."""

    class Status(models.TextChoices):
        """Where it stands."""

        TODO = "todo", "To do"
        IN_PROGRESS = "in_progress", "In progress"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        BLOCKED = "blocked", "Blocked"

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="tasks")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="tasks")
    key = models.CharField(max_length=63)
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    required = models.BooleanField(default=False)
    owners = OrderedJSONField(default=list)
    status = models.CharField(max_length=11, choices=Status.choices, default=Status.TODO)
    expected = models.PositiveIntegerField(null=True, help_text="Seconds, as the author thinks.")
    actual = models.PositiveIntegerField(null=True, help_text="Seconds, as somebody said; else from the beginning to the end.")
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["attempt", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["attempt", "key"], name="task_key"),
            models.CheckConstraint(condition=Q(status__in=["done", "failed"]) ^ Q(ended_at__isnull=True), name="task_ended_has_time"),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def took(self) -> int | None:
        """Seconds that it took: as said, else as measured."""
        if self.actual is not None:
            return self.actual
        return int((self.ended_at - self.started_at).total_seconds()) if self.started_at and self.ended_at else None


class TaskChange(models.Model):
    """One change of a task: from, to, who, when."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="changes")
    before = models.CharField(max_length=11)
    after = models.CharField(max_length=11)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    note = models.CharField(max_length=1024, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.before} to {self.after}"
