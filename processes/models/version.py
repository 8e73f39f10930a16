"""Published versions: numbered, hashed, never changed."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from processes.models.process import Process
from relorch.lib.fields import OrderedJSONField


class ProcessVersion(models.Model):
    """What a release executes. The database refuses to change or delete one (trigger `frozen_version`)."""

    process = models.ForeignKey(Process, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = OrderedJSONField()
    hash = models.CharField(max_length=64)
    note = models.TextField(blank=True)
    published_at = models.DateTimeField(db_default=Now(), editable=False)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    authors = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", blank=True)

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["process", "number"], name="version_number")]

    def __str__(self) -> str:
        return f"{self.process.identifier} v{self.number}"


class DraftEdit(models.Model):
    """Who saved the draft since the version before: these are its authors (S14)."""

    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="+")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["process", "person"], name="draft_edit_once")]

    def __str__(self) -> str:
        return f"{self.person_id} edits {self.process_id}"
