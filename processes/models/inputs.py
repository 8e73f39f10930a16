"""Named sets of values for the inputs of a process."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower, Now

from processes.models.process import Process
from processes.querysets import InputSetQuerySet
from relorch.lib.fields import OrderedJSONField


class InputSet(models.Model):
    """Values that a start of the process can take over; secrets are kept encrypted."""

    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="input_sets")
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    values = OrderedJSONField(default=dict, help_text="By input; a text with `${{ … }}` is worked out when a start takes it over.")
    is_default = models.BooleanField(default=False, db_default=False, help_text="Taken by a start that names none.")
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+")

    objects = InputSetQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint("process", Lower("name"), name="input_set_name", violation_error_message="This process has an input set of that name."),
            models.UniqueConstraint(fields=["process"], condition=models.Q(is_default=True), name="input_set_one_default"),
        ]

    def __str__(self) -> str:
        return self.name
