"""Which releases, which runs?"""

from __future__ import annotations

from typing import Any, Self

from django.db import models
from django.db.models import Q

from processes.access import Permission, processes_with
from processes.models import Process


class ReleaseQuerySet(models.QuerySet[Any]):
    """Releases, gotten only through permission."""

    def visible_to(self, user: Any) -> Self:
        """Those of processes this person may see, those they started, and those in which they own or decide something (with their trees)."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_superuser:
            return self
        from releases.models.run import RunPerson
        from releases.standins import people_of, stood_in_for

        processes = Process.objects.filter(processes_with(user, Permission.VIEW, Permission.OPERATE, Permission.START, Permission.OVERRIDE))
        mine = RunPerson.objects.filter(people_of(user) | stood_in_for(user))
        return self.filter(
            Q(process__in=processes.values("pk")) | Q(starter=user) | Q(pk__in=mine.values("release_id")) | Q(root__process__in=processes.values("pk"))
        )


class ActivityRunQuerySet(models.QuerySet[Any]):
    """Runs of activities."""

    def waiting_for(self, user: Any) -> Self:
        """Manual runs that wait, in open releases, and that this person may decide on directly, by group or by delegation (S19)."""
        from releases.models.run import RunPerson
        from releases.standins import people_of, stood_in_for

        # a subquery and no join with DISTINCT, which JSON columns do not have
        mine = RunPerson.objects.filter(people_of(user) | stood_in_for(user), role=RunPerson.DECIDER)
        return self.filter(pk__in=mine.values("run"), type="manual", state="waiting", release__state__in=["running", "held"])
