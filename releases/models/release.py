"""A release and its phases. State changes only in `releases/engine.py`."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q

from processes.models import Process, ProcessVersion
from releases import overview, states
from releases.querysets import ReleaseQuerySet
from relorch.lib.fields import OrderedJSONField


class Release(models.Model):
    """One execution of one version of a process. A subprocess is a child release; `root` is the release on top, whose row guards the tree."""

    root = models.ForeignKey("self", on_delete=models.PROTECT, related_name="tree", editable=False)
    parent_run = models.ForeignKey("releases.ActivityRun", on_delete=models.PROTECT, null=True, related_name="children", editable=False)
    level = models.PositiveSmallIntegerField(default=1, editable=False)
    process = models.ForeignKey(Process, on_delete=models.PROTECT, related_name="releases")
    version = models.ForeignKey(ProcessVersion, on_delete=models.PROTECT, related_name="releases")
    name = models.CharField(max_length=200)
    identifier = models.CharField(max_length=100, blank=True, db_default="", help_text="Of a root: made from the name, editable, one of its kind.")
    description = models.TextField(blank=True, db_default="")
    tags = ArrayField(models.CharField(max_length=50), default=list, db_default=[])
    release_version = models.CharField(max_length=50, blank=True, db_default="", help_text="What goes out: digits and dots.")
    colour = models.CharField(max_length=10, blank=True, db_default="", choices=[(name, name) for name in overview.COLOURS])
    links = models.JSONField(default=list, db_default=[], help_text="Tickets, documents, dashboards: [{url, title}].")
    owners = ArrayField(models.CharField(max_length=200), default=list, db_default=[], help_text="Instead of the process's owners, for this release.")
    phase_owners = models.JSONField(default=dict, db_default={}, help_text="Instead of a phase's owners, for this release: {phase: [owner]}.")
    state = models.CharField(max_length=20, choices=[(s.value, s.value) for s in states.Release], default=states.Release.DRAFT)
    reason = models.TextField(blank=True, help_text="Why it is held or aborted, or how it failed.")
    starter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="releases_started")
    inputs = OrderedJSONField(default=dict)
    variables = OrderedJSONField(default=dict)
    outputs = OrderedJSONField(null=True)
    pins = models.JSONField(default=dict, help_text="Of a root: the version of every process in its tree.")
    held_by = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+", help_text="The release where hold was put.")
    held_at = models.DateTimeField(null=True)
    troubled = models.BooleanField(default=False, help_text="A run has ended badly at some time: causes and answers (S6) count.")
    open_phases = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    scheduled_for = models.DateTimeField(null=True)
    expected_end = models.DateTimeField(
        null=True, help_text="One week after the start unless said otherwise; a scheduled release that has not started by then is missed."
    )
    due_since = models.DateTimeField(null=True, help_text="Its time has come and it waits for a person to start it.")
    auto_start = models.BooleanField(default=False, db_default=False, help_text="The clock starts it; else it waits for a person at its time.")
    version_pinned = models.BooleanField(default=False, db_default=False, help_text="Starts with this very version; else, scheduled, with the newest.")
    prepared_by = ArrayField(models.BigIntegerField(), default=list, db_default=[], help_text="Who made, changed, scheduled or started it (S14).")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    stirred_at = models.DateTimeField(null=True, help_text="Of a root: something in its tree waits to be evaluated outside the lock.")

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["draft", "scheduled", "cancelled", "missed"]) | Q(started_at__isnull=False), name="release_started_has_time"
            ),
            models.CheckConstraint(
                condition=Q(state__in=sorted(states.FINISHED), finished_at__isnull=False)
                | (~Q(state__in=sorted(states.FINISHED)) & Q(finished_at__isnull=True)),
                name="release_finished_has_time",
            ),
            models.CheckConstraint(condition=Q(state="held", held_by__isnull=False) | ~Q(state="held"), name="release_held_says_where"),
            models.CheckConstraint(condition=Q(level__range=(1, 5)), name="release_level"),
            models.CheckConstraint(condition=Q(finished_at__isnull=True) | Q(finished_at__gte=F("started_at")), name="release_times_in_order"),
            models.CheckConstraint(
                condition=~Q(state__in=["scheduled", "missed", "cancelled"]) | (Q(scheduled_for__isnull=False) & Q(expected_end__gt=F("scheduled_for"))),
                name="release_scheduled_has_times",
            ),
            models.CheckConstraint(condition=Q(colour__in=["", *overview.COLOURS]), name="release_colour"),
            models.UniqueConstraint(fields=["identifier"], condition=~Q(identifier=""), name="release_identifier"),
            models.UniqueConstraint(fields=["parent_run"], condition=Q(state__in=["running", "held"]), name="one_live_child_of_a_run"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["stirred_at"], name="release_stirred", condition=Q(stirred_at__isnull=False)),
            models.Index(fields=["scheduled_for"], name="release_scheduled", condition=Q(state="scheduled")),
            models.Index(fields=["state", "-id"], name="release_state"),
            models.Index(fields=["process", "-finished_at", "-id"], name="release_last_succeeded", condition=Q(state="succeeded")),
            models.Index(fields=["expected_end"], name="release_to_be_missed", condition=Q(state="scheduled")),
            GinIndex(fields=["tags"], name="release_tags"),
            models.Index(fields=["starter", "process"], name="release_starter_process"),
            models.Index(fields=["release_version"], name="release_version_said", condition=~Q(release_version="")),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def source(self) -> str:
        """How it came to be: made for itself, or by an activity of another release."""
        return "subprocess" if self.parent_run_id else "ad_hoc"

    @property
    def is_over(self) -> bool:
        """Whether nothing will move any more, a reopening apart."""
        return self.state in states.ENDED


class InputValue(models.Model):
    """A value that was given to a release, to be found by; kept by a trigger of the database (migration 0012). Secrets and objects are not here."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    name = models.TextField(help_text="Of the input, in small letters.")
    value = models.TextField(help_text="In small letters, its first 200; of a list one row for each value; numbers without closing zeros.")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["value"], name="input_value", opclasses=["text_pattern_ops"])]

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


class PhaseRun(models.Model):
    """A phase of a release: counters and what was decided. Its state is derived from its runs (S5)."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="phase_runs", db_index=False)
    root = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=63)
    position = models.PositiveIntegerField()
    unmet = models.IntegerField(help_text="Phases it depends on that are not closed.")
    remaining = models.IntegerField(help_text="Its activities that are not closed.")
    total = models.PositiveIntegerField()
    decided = models.CharField(max_length=10, blank=True, choices=[("", "not yet"), ("open", "open"), ("skipped", "skipped")])
    skipped_because = models.CharField(max_length=12, blank=True)
    met = models.JSONField(default=dict, help_text="Causes met when it was decided: {activity: attempt}.")
    variables = OrderedJSONField(default=dict)
    outputs = OrderedJSONField(null=True)
    error = models.TextField(blank=True, help_text="Why it could not be decided.")
    opened_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    stopping = ArrayField(models.BigIntegerField(), default=list, db_default=[], help_text="Attempts that must have stopped before it opens afresh.")

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["release", "key"], name="phase_run_key"),
            models.CheckConstraint(condition=Q(unmet__gte=0) & Q(remaining__gte=0) & Q(remaining__lte=F("total")), name="phase_run_counters"),
            models.CheckConstraint(condition=Q(closed_at__isnull=True) | (Q(remaining=0) & ~Q(decided="")), name="phase_run_closed_is_done"),
            models.CheckConstraint(condition=Q(decided="skipped") ^ Q(skipped_because=""), name="phase_run_skipped_says_why"),
        ]
        indexes: ClassVar = [models.Index(fields=["root"], name="phase_run_stopping", condition=~Q(stopping=[]))]
        # no index names the counters: a count-down must stay a heap-only update

    def __str__(self) -> str:
        return self.key
