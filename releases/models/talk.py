"""What people say and bring: comments and attachments of a release and its activities."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from releases.models.attempt import Attempt
from releases.models.release import Release
from releases.models.run import ActivityRun
from relorch.lib.fields import OrderedJSONField


class Comment(models.Model):
    """One contribution to the thread of a release, an activity or a task. Changed, it says so and keeps what it said before; deleted, it leaves a mark."""

    class Proposal(models.TextChoices):
        """What somebody who may not decide (a token, an agent) proposes (S14)."""

        NONE = ""
        APPROVE = "approve"
        REJECT = "reject"

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="comments")
    run = models.ForeignKey(ActivityRun, on_delete=models.CASCADE, null=True, related_name="comments")
    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, null=True, related_name="+", help_text="The one that was the newest.")
    task = models.CharField(max_length=63, blank=True, help_text="The id of a task of the checklist.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    door = models.CharField(max_length=8)
    text = models.TextField()
    proposes = models.CharField(max_length=7, choices=Proposal.choices, blank=True)
    at = models.DateTimeField()
    edited_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    earlier = OrderedJSONField(default=list, help_text="What it said before each change: text and until when.")

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(deleted_at__isnull=True) | Q(text=""), name="comment_deleted_is_empty"),
            models.CheckConstraint(condition=Q(task="") | Q(run__isnull=False), name="comment_on_task_has_run"),
            models.CheckConstraint(condition=Q(proposes="") | Q(attempt__isnull=False), name="comment_proposes_on_attempt"),
        ]

    def __str__(self) -> str:
        return f"comment {self.pk}"


class Attachment(models.Model):
    """A file that somebody brought. The content lies in the home under its hash; `field` names the form field that it answers, as evidence."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="attachments")
    run = models.ForeignKey(ActivityRun, on_delete=models.CASCADE, null=True, related_name="attachments")
    field = models.CharField(max_length=63, blank=True)
    name = models.CharField(max_length=200)
    size = models.BigIntegerField(help_text="Bytes.")
    hash = models.CharField(max_length=64, db_index=True, help_text="SHA-256 of the content.")
    media = models.CharField(max_length=100)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    door = models.CharField(max_length=8)
    at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.name
