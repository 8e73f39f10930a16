"""A process, and its draft's head: what is said once for the whole."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower, Now

from processes.blueprint import ID_PATTERN, Category
from processes.querysets import ProcessQuerySet
from relorch.lib.fields import OrderedJSONField


class Process(models.Model):
    """A reusable blueprint of a release. Its rows are the draft; publishing makes a numbered version of it."""

    identifier = models.CharField(max_length=63, help_text="The id in its file: small letters, digits and underscores.")
    name = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    category = models.CharField(max_length=10, choices=[(item.value, item.value.capitalize()) for item in Category], default=Category.STANDARD)
    owners = ArrayField(models.TextField(), default=list, blank=True, help_text="user:<e-mail> or group:<name>")
    fail_fast = models.BooleanField(default=False)
    inputs = OrderedJSONField(default=dict, blank=True)
    rules = OrderedJSONField(default=list, blank=True)
    variables = OrderedJSONField(default=dict, blank=True)
    outputs = OrderedJSONField(default=dict, blank=True)
    revision = models.PositiveIntegerField(default=1, editable=False, help_text="Counts the edits of the draft; the ETag.")
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, editable=False, related_name="+")
    updated_at = models.DateTimeField(db_default=Now(), editable=False, help_text="The last change of the draft.")
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, editable=False, related_name="+")

    objects = ProcessQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "processes"
        ordering: ClassVar = ["name", "identifier"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["identifier"], name="process_identifier", violation_error_message="A process with this id exists already."),
            models.CheckConstraint(condition=models.Q(identifier__regex=ID_PATTERN), name="process_identifier_form"),
        ]
        indexes: ClassVar = [models.Index(Lower("name"), name="process_name")]
        permissions: ClassVar = [
            ("author", "May edit the draft"),
            ("publish", "May publish"),
            ("start", "May start releases"),
            ("operate", "May operate releases"),
            ("override", "May break the glass"),
        ]

    def __str__(self) -> str:
        return self.name or self.identifier
