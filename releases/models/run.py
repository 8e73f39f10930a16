"""The run of one activity in one release."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from processes.blueprint import ActivityType
from releases import states
from releases.models.release import PhaseRun, Release
from releases.querysets import ActivityRunQuerySet
from relorch.lib.fields import OrderedJSONField

_CLOSED = sorted(states.CLOSED)


class ActivityRun(models.Model):
    """What became of one activity. `state` is of the run, each try of it is an `Attempt`; `met` are the causes it met (S6)."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="runs", db_index=False)
    root = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+", db_index=False)
    phase_run = models.ForeignKey(PhaseRun, on_delete=models.CASCADE, related_name="runs")
    key = models.CharField(max_length=63)
    position = models.PositiveIntegerField()
    type = models.CharField(max_length=10, choices=[(t.value, t.value) for t in ActivityType])
    recovers = models.BooleanField(default=False)
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in states.Run], default=states.Run.PENDING)
    outcome = models.CharField(max_length=12, blank=True, help_text="How it ended while a person must choose: failed, rejected or expired.")
    skipped_because = models.CharField(max_length=12, blank=True)
    met = models.JSONField(default=dict)
    unmet = models.IntegerField(help_text="Activities it depends on that are not closed, and 1 while its phase is not decided.")
    attempt_count = models.PositiveIntegerField(default=0)
    tried_before = models.PositiveIntegerField(default=0, db_default=0, help_text="Attempts before the first that the retry policy counts.")
    outputs = OrderedJSONField(default=dict)
    code = models.CharField(max_length=60, blank=True)
    message = models.TextField(blank=True)
    overridden = models.BooleanField(default=False, help_text="A person broke the glass.")
    changes = OrderedJSONField(default=dict, help_text="Inputs that a retry merged over the resolved ones.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = ActivityRunQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["release", "key"], name="run_key"),
            models.CheckConstraint(condition=Q(unmet__gte=0), name="run_counter"),
            models.CheckConstraint(condition=Q(state="on_hold") ^ Q(outcome=""), name="run_on_hold_keeps_outcome"),
            models.CheckConstraint(
                condition=Q(state__in=_CLOSED, finished_at__isnull=False) | (~Q(state__in=_CLOSED) & Q(finished_at__isnull=True)), name="run_closed_has_time"
            ),
            models.CheckConstraint(condition=Q(state="skipped", skipped_because__gt="") | ~Q(state="skipped"), name="run_skipped_says_why"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "skipped", "aborted", "failed", "ignored", "on_hold"]) | Q(attempt_count__gt=0), name="run_tried_has_attempt"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["root"], name="run_to_decide", condition=Q(state="pending", unmet=0)),
            models.Index(fields=["release"], name="run_carries_causes", condition=Q(state__in=sorted(states.BAD)) | Q(skipped_because="bad_end")),
            models.Index(fields=["release"], name="run_answers", condition=Q(recovers=True, state="succeeded")),
            models.Index(fields=["root", "state"], name="run_open", condition=Q(state__in=["queued", "running", "waiting", "on_hold", "interrupted"])),
        ]

    def __str__(self) -> str:
        return self.key


class RunPerson(models.Model):
    """Who is responsible for a run, and who may decide on it: a person or a group, resolved when the run is asked for. The inbox is a query over these."""

    OWNER, DECIDER, TOLD = "owner", "decider", "told"

    run = models.ForeignKey(ActivityRun, on_delete=models.CASCADE, related_name="people")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=8, choices=[(OWNER, "responsible"), (DECIDER, "may decide"), (TOLD, "was told, and may look")])
    line = models.PositiveSmallIntegerField(default=0, help_text="The line of `requires`, from 0.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, related_name="+")

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(user__isnull=True) ^ Q(group__isnull=True), name="run_person_is_one")]
        indexes: ClassVar = [
            models.Index(fields=["user", "release"], name="run_person_of_user", condition=Q(user__isnull=False)),
            models.Index(fields=["group", "release"], name="run_person_of_group", condition=Q(group__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.user or self.group}"


def is_overdue(due_at: datetime | None, at: datetime) -> bool:
    """Whether something due was not done in time."""
    return due_at is not None and due_at <= at
