"""What the installation knows of itself, and the mail that it sends."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Pulse(models.Model):
    """When a queue's message last reached a worker. Written by a task that the clock sends: broker, clock, worker and database all worked then."""

    queue = models.CharField(max_length=50, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.queue} at {self.at}"


class Relayed(models.Model):
    """How far the relay has read the events: everything up to `upto` is certainly told. One row."""

    upto = models.BigIntegerField()

    def __str__(self) -> str:
        return f"up to {self.upto}"


class PassedOver(models.Model):
    """An event that the relay passes over while it reads the last minutes again: one that told nobody, or, until then, one that could not be told."""

    event = models.BigIntegerField(primary_key=True)
    until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"event {self.event}"


class MailKind(models.TextChoices):
    """What a mail is about; people choose for each how they want it."""

    REQUEST = "request", "You are asked to decide"
    REMINDER = "reminder", "A reminder of it"
    ESCALATION = "escalation", "Somebody else has not decided"
    SETTLED = "settled", "A question to you is settled"
    MENTION = "mention", "Somebody mentions you"
    FAILURE = "failure", "Something of yours failed"
    RELEASE = "release", "A release of yours is due, missed or could not start"
    DELEGATION = "delegation", "Somebody lets you decide for them"
    STOOD_IN = "stood_in", "Somebody decided in your place"
    ALARM = "alarm", "An approval was forged"
    CODE = "code", "A code that you asked for"


ALWAYS = frozenset({MailKind.ALARM, MailKind.CODE})
"""Kinds that go out at once whatever people chose, and in our words: a code that is left out and an alarm that is played down help nobody."""


class Mail(models.Model):
    """One mail to one person, because of one event. Written with the place that the relay has read to, sent by a worker, kept as a record."""

    class State(models.TextChoices):
        """Where it is."""

        WAITING = "waiting"
        SENT = "sent"
        NEEDLESS = "needless", "not needed any more"
        DEAD = "dead", "given up"

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=12, choices=MailKind)
    stream = models.CharField(max_length=100)
    sequence = models.BigIntegerField()
    release_id = models.BigIntegerField(null=True)
    activity = models.CharField(max_length=200, blank=True)
    attempt_id = models.BigIntegerField(null=True)
    data = models.JSONField(default=dict, help_text="What the event said, as far as the mail needs it.")
    urgent = models.BooleanField(default=False)
    digest = models.BooleanField(default=False)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    subject = models.CharField(max_length=255, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "mail"
        verbose_name_plural = "mail"
        constraints: ClassVar = [models.UniqueConstraint(fields=["stream", "sequence", "person", "kind"], name="mail_once")]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], name="mail_waiting", condition=models.Q(state="waiting")),
            models.Index(fields=["attempt_id"], name="mail_of_attempt"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.person}"


class MailText(models.Model):
    """An administrator's words for one kind of mail, as Django templates; what is empty stays ours."""

    kind = models.CharField(max_length=12, choices=[choice for choice in MailKind.choices if choice[0] not in ALWAYS], unique=True)
    subject = models.CharField(max_length=250, blank=True)
    title = models.CharField(max_length=250, blank=True, help_text="The heading.")
    lead = models.TextField(blank=True, help_text="The first paragraph.")
    changed_at = models.DateTimeField(auto_now=True)
    error = models.TextField(blank=True, editable=False, help_text="Why it was left aside when a mail was written.")
    failed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "text of a mail"
        verbose_name_plural = "texts of mails"

    def __str__(self) -> str:
        return str(self.get_kind_display())
