"""The activity store: reusable activities with typed inputs and outputs, and their published versions."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from processes.blueprint import ID_PATTERN
from processes.models.version import ProcessVersion
from processes.querysets import TemplateQuerySet
from relorch.lib.fields import OrderedJSONField


class ActivityTemplate(models.Model):
    """An activity of the store. `document` is its draft; each sound state of it that was saved is a version."""

    identifier = models.CharField("id", max_length=63, help_text="What `uses` names: small letters, digits and underscores.")
    name = models.CharField(max_length=200, blank=True)
    category = models.CharField(max_length=100, blank=True)
    description = models.TextField(blank=True)
    document = OrderedJSONField()
    shared = models.BooleanField(default=True, help_text="Everybody who is signed in may see and use it; else only who made it and administrators.")
    shipped = models.BooleanField(default=False, editable=False, help_text="It comes with relorch.")
    revision = models.PositiveIntegerField(default=1, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, editable=False, related_name="+")
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, editable=False, related_name="+")

    objects = TemplateQuerySet.as_manager()

    class Meta:
        verbose_name = "activity of the store"
        verbose_name_plural = "activity store"
        ordering: ClassVar = ["category", "name", "identifier"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["identifier"], name="template_identifier", violation_error_message="The store has an activity with this id."),
            models.CheckConstraint(condition=models.Q(identifier__regex=ID_PATTERN), name="template_identifier_form"),
        ]

    def __str__(self) -> str:
        return self.name or self.identifier


class TemplateVersion(models.Model):
    """What `uses: id@number` means, for ever (S13). The database refuses to change or delete one."""

    template = models.ForeignKey(ActivityTemplate, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = OrderedJSONField()
    hash = models.CharField(max_length=64)
    note = models.TextField(blank=True)
    published_at = models.DateTimeField(db_default=Now(), editable=False)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["template", "number"], name="template_version_number")]

    def __str__(self) -> str:
        return f"{self.template.identifier}@{self.number}"


class TemplateUse(models.Model):
    """That a published version of a process uses an activity of the store; without a number it takes the newest when a release starts."""

    version = models.ForeignKey(ProcessVersion, on_delete=models.PROTECT, related_name="template_uses")
    template = models.ForeignKey(ActivityTemplate, on_delete=models.PROTECT, related_name="uses")
    number = models.PositiveIntegerField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["version", "template", "number"], nulls_distinct=False, name="template_use_once")]

    def __str__(self) -> str:
        return f"{self.version} uses {self.template.identifier}"
