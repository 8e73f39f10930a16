"""Which processes?"""

from __future__ import annotations

from typing import Any, Self

from django.db import models
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce

from processes.access import Permission, processes_with


class ProcessQuerySet(models.QuerySet[Any]):
    """Processes, gotten only through permission."""

    def visible_to(self, user: Any) -> Self:
        """Those this person may see: any permission on a process shows it."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_superuser:
            return self
        return self.filter(processes_with(user, *Permission))

    def with_counts(self) -> Self:
        """Annotated for lists: `newest_number` of its versions (None: never published) and `release_count`."""
        versions = self.model._meta.get_field("versions").related_model.objects.filter(process=OuterRef("pk")).order_by("-number").values("number")
        releases = self.model._meta.get_field("releases").related_model.objects.filter(process=OuterRef("pk")).order_by().values("process")
        counted = Coalesce(Subquery(releases.annotate(found=Count("pk")).values("found")), 0)
        return self.annotate(newest_number=Subquery(versions[:1]), release_count=counted)

    def startable_by(self, user: Any) -> Self:
        """Those this person may start, not archived and published at least once."""
        open_ones = self.filter(models.Exists(self.model.objects.filter(pk=OuterRef("pk"), versions__isnull=False)), archived_at__isnull=True)
        if user.is_superuser:
            return open_ones
        return open_ones.filter(processes_with(user, Permission.START))


class InputSetQuerySet(models.QuerySet[Any]):
    """Input sets, as visible as their process."""

    def visible_to(self, user: Any) -> Self:
        """Those of processes that this person may see."""
        return self.filter(process__in=self.model._meta.get_field("process").related_model.objects.visible_to(user))


class TemplateQuerySet(models.QuerySet[Any]):
    """Activities of the store."""

    def visible_to(self, user: Any) -> Self:
        """Those that are shared, and this person's own."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_superuser:
            return self
        return self.filter(models.Q(shared=True) | models.Q(created_by=user))

    def with_newest(self) -> Self:
        """Annotated with `newest_number`; None: it was never sound."""
        versions = self.model._meta.get_field("versions").related_model.objects.filter(template=OuterRef("pk")).order_by("-number").values("number")
        return self.annotate(newest_number=Subquery(versions[:1]))
