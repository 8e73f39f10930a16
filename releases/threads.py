"""What a page shows of a thread: its comments and files, what the reader may do with each, and whom they can ask. A constant number of queries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q
from django.urls import reverse
from django.utils.safestring import SafeString

from releases import talking
from releases.models import Attachment, Comment, Release, RunPerson
from relorch.lib.markdown import to_html

MOST = 200
MOST_PEOPLE = 50


@dataclass(frozen=True, slots=True)
class SaidComment:
    """One comment for one reader."""

    row: Comment
    mine: bool
    about: str

    @property
    def html(self) -> SafeString:
        """The text, sanitised."""
        return to_html(self.row.text)

    @property
    def change_url(self) -> str:
        """Where it is changed or taken back."""
        return reverse("releases:change_comment", args=[self.row.release_id, self.row.pk])


@dataclass
class Thread:
    """The thread of a release, or of one of its activities (`key`)."""

    release: Release
    user: Any
    key: str = ""
    labels: Any = None
    here: str = ""
    """Where a form leads back to."""

    @cached_property
    def comments(self) -> list[SaidComment]:
        """The latest ones, oldest first. The thread of a release holds those of its activities, but not of their tasks."""
        rows = Comment.objects.filter(release=self.release).select_related("by", "run")
        rows = rows.filter(run__key=self.key) if self.key else rows.filter(task="")
        latest = list(rows.order_by("-pk")[:MOST])[::-1]
        names = self.labels or {}
        return [
            SaidComment(row, row.by_id == self.user.pk, row.task if self.key else (names.get(row.run.key, row.run.key) if row.run else "")) for row in latest
        ]

    @cached_property
    def files(self) -> list[Attachment]:
        """What was brought and not removed."""
        rows = Attachment.objects.filter(release=self.release, removed_at=None).select_related("by", "run")
        return list((rows.filter(run__key=self.key) if self.key else rows).order_by("pk")[:MOST])

    @property
    def count(self) -> int:
        """For the tab."""
        return sum(said.row.deleted_at is None for said in self.comments) + len(self.files)

    @cached_property
    def people(self) -> list[Any]:
        """Whom the reader can ask: the starter, and who is responsible or decides here."""
        rows = RunPerson.objects.filter(release=self.release)
        if self.key:
            rows = rows.filter(run__key=self.key)
        of_release = Q(pk=self.release.starter_id) | Q(pk__in=rows.values("user")) | Q(groups__in=rows.exclude(group=None).values("group"))
        return list(get_user_model().objects.filter(of_release, is_active=True).exclude(pk=self.user.pk).distinct().order_by("email")[:MOST_PEOPLE])

    @property
    def comment_url(self) -> str:
        """Where the form of a comment goes."""
        return reverse("releases:comment_activity", args=[self.release.pk, self.key]) if self.key else reverse("releases:comment", args=[self.release.pk])

    @property
    def attach_url(self) -> str:
        """Where a file goes."""
        return reverse("releases:attach_activity", args=[self.release.pk, self.key]) if self.key else reverse("releases:attach", args=[self.release.pk])

    @property
    def longest(self) -> int:
        """Characters of a comment."""
        return talking.LONGEST
