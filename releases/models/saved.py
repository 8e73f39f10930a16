"""A filter of the list of releases that somebody keeps: their own, or shared with groups."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models

from releases.querysets import SavedFilterQuerySet


class SavedFilter(models.Model):
    """A view of the list with words to find by, under a name. Whoever it is shared with may use it; its owner alone changes it."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)
    query = models.JSONField(default=dict, help_text="`view` and the words of releases/finding.py, as in the list's address.")
    groups = models.ManyToManyField(Group, related_name="+", blank=True)
    default_of = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", blank=True, help_text="Whose list opens with it.")

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name", "id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "name"], name="saved_filter_name")]

    def __str__(self) -> str:
        return self.name
