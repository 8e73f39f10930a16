"""What people decided."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from processes.models import Process
from releases.models import ActivityRun, Attempt
from relorch.lib.fields import OrderedJSONField


class Packet(models.Model):
    """What exactly was decided on: the values bound, the process version and the text shown; stored with the first vote."""

    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="packets")
    hash = models.CharField(max_length=64)
    content = OrderedJSONField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["attempt", "hash"], name="packet_once")]

    def __str__(self) -> str:
        return self.hash[:12]


class SignOff(models.Model):
    """One person's vote on one attempt. A changed vote replaces it, the event of each stays."""

    class Decision(models.TextChoices):
        """What a vote says."""

        APPROVE = "approve"
        REJECT = "reject"

    class Door(models.TextChoices):
        """Which way it came in."""

        PAGE = "page"
        MAIL = "mail"
        API = "api"

    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="sign_offs")
    packet = models.ForeignKey(Packet, on_delete=models.PROTECT, related_name="sign_offs")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sign_offs")
    for_person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    decision = models.CharField(max_length=7, choices=Decision.choices)
    comment = models.TextField(blank=True)
    door = models.CharField(max_length=4, choices=Door.choices)
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField()
    stale = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["attempt", "person"], name="one_vote_per_person"),
            models.CheckConstraint(condition=Q(decision__in=["approve", "reject"]), name="sign_off_decision"),
        ]

    def __str__(self) -> str:
        return f"{self.person} {self.decision}s"


class DelegationQuerySet(models.QuerySet["Delegation"]):
    """Which delegations?"""

    def holding(self) -> DelegationQuerySet:
        """Those that hold now, by the database's clock: begun, not over, and both people are there (S19)."""
        return self.not_over().filter(starts_at__lte=Now())

    def not_over(self) -> DelegationQuerySet:
        """Those that hold or will."""
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=Now()), ended_at=None, person__is_active=True, delegate__is_active=True)


class Delegation(models.Model):
    """One person may decide for another: everything, in one process, or on one run; between two times. It ends by its date, or by either of them."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_given")
    delegate = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_received")
    process = models.ForeignKey(Process, on_delete=models.CASCADE, null=True, related_name="+")
    run = models.ForeignKey(ActivityRun, on_delete=models.CASCADE, null=True, related_name="+")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    objects = DelegationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(person=models.F("delegate")), name="delegation_to_another"),
            models.CheckConstraint(condition=Q(ends_at=None) | Q(ends_at__gt=models.F("starts_at")), name="delegation_has_a_length"),
            models.CheckConstraint(condition=Q(process=None) | Q(run=None), name="delegation_one_scope"),
        ]

    def __str__(self) -> str:
        return f"{self.delegate} for {self.person}"

    @property
    def question(self) -> str:
        """Of one on a run: what people call it."""
        newest = self.run.attempts.order_by("-number").first() if self.run else None
        return newest.title if newest else self.run.key if self.run else ""

    @property
    def scope(self) -> str:
        """What it is for: all, process or approval."""
        return "approval" if self.run_id else "process" if self.process_id else "all"


class Signature(models.Model):
    """A vote that its person confirmed with password or code in that very request: what is printed, and the seal over it."""

    sign_off = models.ForeignKey(SignOff, on_delete=models.PROTECT, related_name="signatures")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=150, help_text="As printed, at that time.")
    email = models.CharField(max_length=254)
    behalf = models.CharField(max_length=254, blank=True, help_text="For whom, where it was for somebody else.")
    meaning = models.CharField(max_length=100)
    reason = models.TextField(blank=True)
    packet = models.CharField(max_length=64)
    method = models.CharField(max_length=20)
    evidence = OrderedJSONField(null=True, help_text="Of a passkey: the statement that it signed, and the assertion.")
    door = models.CharField(max_length=4)
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField()
    seal = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.name}: {self.meaning}"


class LinkToken(models.Model):
    """The way from one mail to one question, for one person (S20). It points and does not act; only its hash is kept."""

    hash = models.CharField(max_length=64, unique=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="links")
    packet = models.CharField(max_length=64, help_text="The hash of what was to be decided when the mail was written.")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, help_text="When the decision came in through it.")

    def __str__(self) -> str:
        return f"link of {self.person} to {self.attempt_id}"


class MailCode(models.Model):
    """For one decision of one person on one packet, asked for from a mail's link. What is typed is derived from `nonce` by the installation's key."""

    link = models.ForeignKey(LinkToken, on_delete=models.CASCADE, related_name="codes")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="+")
    packet = models.CharField(max_length=64)
    nonce = models.CharField(max_length=64)
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"code of {self.person} for {self.attempt_id}"
