"""One try of a run, and what it wrote."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from releases import states
from releases.models.release import Release
from releases.models.run import ActivityRun
from relorch.lib.fields import OrderedJSONField


class Attempt(models.Model):
    """A claim has a `fence`, a `worker` and a lease; a result is taken only with the newest fence, while `running`."""

    ENGINE, SLOW, PREPARE = "engine", "slow", "prepare"

    run = models.ForeignKey(ActivityRun, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+")
    root = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+", db_index=False)
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in states.Run], default=states.Run.QUEUED)
    lane = models.CharField(max_length=8, help_text="Which workers claim it: engine, slow (may block), or prepare (evaluated, then it waits).")
    key = models.UUIDField(help_text="The idempotency key that the other side sees.")
    fence = models.IntegerField(default=0)
    worker = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True)
    lost = models.PositiveSmallIntegerField(default=0, help_text="How often its worker was lost.")
    effect = models.CharField(max_length=5, default="once")
    queued_at = models.DateTimeField(db_default=Now())
    next_at = models.DateTimeField(null=True, help_text="Not before.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    inputs = OrderedJSONField(null=True, help_text="Resolved; secrets masked.")
    reference = OrderedJSONField(null=True, help_text="What the connector said to come back with.")
    poll_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    notice_at = models.DateTimeField(null=True, help_text="When people are next reminded, or others told, that nobody has answered.")
    notices = models.PositiveSmallIntegerField(db_default=0, help_text="How many of these were sent.")
    outputs = OrderedJSONField(null=True)
    code = models.CharField(max_length=60, blank=True)
    message = models.TextField(blank=True)
    stop_asked_at = models.DateTimeField(null=True)
    stop_confirmed_at = models.DateTimeField(null=True)
    stop_noted_at = models.DateTimeField(null=True, help_text="When it was said that its stop had not been confirmed.")
    asked_at = models.DateTimeField(null=True)
    excludes_starter = models.BooleanField(db_default=False, help_text="Its approval leaves out the starter; the database refuses such a vote itself.")
    bound = OrderedJSONField(null=True, help_text="What the decision is about: the values that `binds` names.")
    bound_hash = models.CharField(max_length=64, blank=True)
    worded_for = models.CharField(max_length=64, blank=True, db_default="", help_text="The `bound_hash` for which the request was worded.")
    request = OrderedJSONField(null=True, help_text="What the person is shown: instructions, fields, tasks, lines; values filled in.")
    filled = OrderedJSONField(null=True, help_text="What people entered in the form.")
    decision = OrderedJSONField(null=True, help_text="What the verdict rested on: packet hash and votes.")
    seal = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["run", "number"], name="attempt_number"),
            models.UniqueConstraint(fields=["run"], condition=Q(state__in=["queued", "running", "waiting"]), name="one_open_attempt_of_a_run"),
            models.CheckConstraint(condition=~Q(state="running") | (Q(lease_until__isnull=False) & Q(fence__gt=0)), name="attempt_running_is_leased"),
            models.CheckConstraint(condition=Q(state__in=["queued", "running", "waiting"]) ^ Q(finished_at__isnull=False), name="attempt_ended_has_time"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["lane", "id"], name="attempt_queued", condition=Q(state="queued")),
            models.Index(fields=["lease_until"], name="attempt_leased", condition=Q(state="running")),
            models.Index(fields=["due_at"], name="attempt_due", condition=Q(state="waiting", due_at__isnull=False)),
            models.Index(fields=["notice_at"], name="attempt_to_remind", condition=Q(state="waiting", notice_at__isnull=False)),
            models.Index(fields=["poll_at"], name="attempt_to_poll", condition=Q(state="waiting", poll_at__isnull=False)),
            models.Index(
                fields=["stop_asked_at"],
                name="attempt_not_confirmed",
                condition=Q(stop_asked_at__isnull=False, stop_confirmed_at__isnull=True, stop_noted_at__isnull=True),
            ),
            models.Index(fields=["root"], name="attempt_open", condition=Q(state__in=["queued", "running", "waiting"])),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.run_id}"

    @property
    def title(self) -> str:
        """What people call the activity: as it was asked, else its id."""
        return str((self.request or {}).get("title") or self.run.key)

    @property
    def override(self) -> dict[str, str] | None:
        """Who broke the glass, and why: `{by, reason}`. It stays, whatever becomes of the run."""
        decision = self.decision or {}
        return {"by": str(decision["override"]), "reason": str(decision.get("reason", ""))} if "override" in decision else None


class LogChunk(models.Model):
    """Some lines of an attempt's log, written while it runs; secrets are masked before they get here."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="log", db_index=False)
    first_line = models.PositiveIntegerField(help_text="From 1.")
    lines = models.PositiveIntegerField()
    text = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["attempt", "first_line"], name="log_chunk_place")]

    def __str__(self) -> str:
        return f"lines {self.first_line} to {self.first_line + self.lines - 1}"
