"""Which releases, which runs?"""

from __future__ import annotations

from typing import Any, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.lookups import In

from processes.access import Permission, processes_with
from processes.models import Process

SHOWING = (Permission.VIEW, Permission.OPERATE, Permission.START, Permission.OVERRIDE)
"""Any of these on a process shows its releases."""


class ReleaseQuerySet(models.QuerySet[Any]):
    """Releases, gotten only through permission."""

    def visible_to(self, user: Any) -> Self:
        """Those of processes this person may see, those they started, and those in which they own or decide something (with their trees)."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_superuser:
            return self
        from releases.models.run import RunPerson
        from releases.standins import stood_in_for

        processes = Process.objects.filter(processes_with(user, *SHOWING)).order_by().values("pk")
        named, groups = RunPerson.objects.order_by(), user.groups.order_by().values("pk")
        # each way of being named in a set of its own, which an index has
        mine = Q()
        for way in (Q(user=user), Q(group__in=groups), stood_in_for(user)):
            mine |= Q(pk__in=named.filter(way).values("release_id"))
        # asked of children alone, and as a value: a join, or EXISTS made into a set of all roots, costs as much as there are releases
        root = Subquery(self.model._base_manager.filter(pk=OuterRef("root_id")).values("process_id"))
        below = Q(level__gt=1) & Q(In(root, processes))
        return self.filter(Q(process__in=processes) | Q(starter=user) | mine | below)

    def on_top_for(self, user: Any) -> Self:
        """Those visible to this person, without the children of a release that they see too."""
        seen = self.visible_to(user)
        if user.is_superuser:
            return seen.filter(parent_run__isnull=True)
        # a range of one, because of an equality the database would make the set of everything seen
        root = self.model.objects.filter(pk__gte=OuterRef("root_id"), pk__lte=OuterRef("root_id"))
        return seen.filter(Q(parent_run__isnull=True) | ~Q(Exists(root.visible_to(user))))


class SavedFilterQuerySet(models.QuerySet[Any]):
    """Filters of the list."""

    def visible_to(self, user: Any) -> Self:
        """One's own, and those shared with a group that one is in."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.filter(Q(owner=user) | Q(pk__in=self.model._base_manager.filter(groups__in=user.groups.order_by()).order_by().values("pk")))


class ActivityRunQuerySet(models.QuerySet[Any]):
    """Runs of activities."""

    def waiting_for(self, user: Any) -> Self:
        """Manual runs that wait, in open releases, and that this person may decide on directly, by group or by delegation (S19)."""
        from releases.models.run import RunPerson
        from releases.standins import people_of, stood_in_for

        # a subquery and no join with DISTINCT, which JSON columns do not have
        mine = RunPerson.objects.filter(people_of(user) | stood_in_for(user), role=RunPerson.DECIDER)
        return self.filter(pk__in=mine.values("run"), type="manual", state="waiting", release__state__in=["running", "held"])
