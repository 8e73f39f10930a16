"""Published versions: numbered, hashed, never changed."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce, Now

from processes.models.process import Process
from relorch.lib.fields import OrderedJSONField


class Published(models.Manager["ProcessVersion"]):
    """What people have published; not what the start of a release made of it."""

    def get_queryset(self) -> models.QuerySet[ProcessVersion]:
        """Without those that only fill in what is taken from the activity store."""
        return super().get_queryset().filter(resolves=None)


class ProcessVersion(models.Model):
    """What a release executes. The database refuses to change or delete one (trigger `frozen_version`).

    A version that takes the newest of an activity of the store is executed as a row of its own, in which the numbers are filled in (S13): it `resolves` the
    published one, has its number, and is in no list.
    """

    process = models.ForeignKey(Process, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = OrderedJSONField()
    kind = models.GeneratedField(
        expression=Coalesce(KeyTextTransform("category", "document"), models.Value("standard"), output_field=models.TextField()),
        output_field=models.TextField(),
        db_persist=True,
        help_text="Its category: what sort of release this is. Of the version, because the draft's may have changed since.",
    )
    hash = models.CharField(max_length=64)
    note = models.TextField(blank=True)
    published_at = models.DateTimeField(db_default=Now(), editable=False)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    authors = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", blank=True)
    resolves = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="resolved")

    objects = Published()
    everything = models.Manager["ProcessVersion"]()

    class Meta:
        ordering: ClassVar = ["-number"]
        base_manager_name = "everything"
        default_manager_name = "objects"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["process", "number"], condition=models.Q(resolves=None), name="version_number"),
            models.UniqueConstraint(fields=["resolves", "hash"], name="version_resolved_once"),
        ]

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


class SubprocessUse(models.Model):
    """That a published version runs another process, by the id it names: nothing else finds where a process is used without reading every document."""

    version = models.ForeignKey(ProcessVersion, on_delete=models.CASCADE, related_name="subprocess_uses")
    called = models.CharField(max_length=63)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["called", "version"], name="subprocess_use_once")]

    def __str__(self) -> str:
        return f"{self.version_id} runs {self.called}"


class VersionDeprecation(models.Model):
    """That a version is not to be started any more. A row beside it, because a version never changes."""

    version = models.OneToOneField(ProcessVersion, on_delete=models.CASCADE, related_name="deprecation", primary_key=True)
    reason = models.TextField()
    at = models.DateTimeField(db_default=Now(), editable=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    def __str__(self) -> str:
        return f"{self.version_id} is deprecated"
