"""The draft's rows: phases and activities as authors edit them."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from processes.blueprint import ActivityType, RunWhen
from processes.models.process import Process
from relorch.lib.fields import OrderedJSONField

RUN_WHEN = [(item.value, item.value.capitalize()) for item in RunWhen]


class DraftItem(models.Model):
    """What phases and activities have in common. `more` holds the file's other keys as they are written there."""

    position = models.PositiveIntegerField(default=0)
    identifier = models.CharField("id", max_length=63)
    name = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    owners = ArrayField(models.TextField(), default=list, blank=True)
    depends_on = ArrayField(models.TextField(), default=list, blank=True)
    condition = models.TextField("if", blank=True)
    run_when = models.CharField(max_length=10, choices=RUN_WHEN, default=RunWhen.SATISFIED)
    more = OrderedJSONField(default=dict, blank=True)

    class Meta:
        abstract = True
        ordering: ClassVar = ["position", "id"]

    def __str__(self) -> str:
        return self.name or self.identifier


class DraftPhase(DraftItem):
    """A phase of a draft."""

    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="draft_phases")

    class Meta(DraftItem.Meta):
        verbose_name = "phase"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["process", "identifier"], name="draft_phase_identifier", deferrable=models.Deferrable.DEFERRED)
        ]


class DraftActivity(DraftItem):
    """An activity of a draft; its id is unique in the whole process."""

    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="draft_activities", editable=False)
    phase = models.ForeignKey(DraftPhase, on_delete=models.CASCADE, related_name="draft_activities")
    type = models.CharField(max_length=10, choices=[(item.value, item.value.capitalize()) for item in ActivityType], blank=True)

    class Meta(DraftItem.Meta):
        verbose_name = "activity"
        verbose_name_plural = "activities"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["process", "identifier"], name="draft_activity_identifier", deferrable=models.Deferrable.DEFERRED)
        ]


class DraftText(models.Model):
    """A draft as its author typed it, comments and all. It counts while it means what the rows say; `digest` tells which document that was."""

    process = models.OneToOneField(Process, on_delete=models.CASCADE, related_name="draft_text", primary_key=True)
    text = models.TextField()
    digest = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"text of {self.process_id}"
