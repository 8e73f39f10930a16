"""Which event is told to whom: one table, and the function that reads what is new and writes one mail for each person who is to be told.

The events are the outbox: they are written with the change that they record, and the relay reads them afterwards, so that nothing is told that did not
happen. Reading and writing are one transaction under one lock. Events are numbered before they commit, so that a smaller number may appear later than a
larger one; the last minutes are therefore looked through again each time for what is new in them. A mail that is there already is not written twice (its key
is the event, the person and the kind), and what told nobody is noted, so that however much of it there is keeps nothing waiting.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from approvals.deciding import approval_of
from approvals.people import members_of
from approvals.querysets import cases_of
from releases.asking import owners_of
from releases.models import ActivityRun, Attempt, Release
from releases.states import LIVE, Run
from relorch.audit.models import Event
from relorch.lib.quiet import after_quiet, next_daily
from relorch.models import ALWAYS, Mail, MailKind, PassedOver, Relayed

log = logging.getLogger(__name__)

MOST = 500
LOOK_BACK = timedelta(minutes=2)
"""Longer than any transaction of the application may take (its statements end after 30 s, its idle transactions after 60 s)."""
TRY_AGAIN = timedelta(seconds=20)
"""When what could not be told is tried again, as long as the last minutes are read."""
_LOCK = 0x6D61696C

People = Callable[["Told"], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Told:
    """An event that is told: itself, what it says, and the newest attempt of its activity, if it is about one."""

    event: Event
    data: Mapping[str, Any]
    actor: str
    reason: str
    release: Release | None
    attempt: Attempt | None


def _named(told: Told) -> Iterable[str]:
    """Whom the event itself names."""
    to = told.data.get("to")
    return [str(email) for email in to] if isinstance(to, list) else []


def _deciders(told: Told) -> Iterable[str]:
    """Who can decide now, for themselves or for somebody they stand in for (S19)."""
    attempt = told.attempt
    if attempt is None or attempt.state != Run.WAITING or attempt.run.release.state not in LIVE:
        return []
    case = cases_of([attempt])[attempt.pk]
    known = set().union(*(line.of for line in case.rule.lines)) if case.rule.lines else set()
    voted = {vote.person for vote in case.votes if not vote.stale}
    known |= case.stand_ins(known)
    able = {email for email in known if email not in voted and case.entitlement(email)[0] == "yes"}
    return sorted(able - _named_later(told))


def _named_later(told: Told) -> set[str]:
    """Whom a later event asks the same by name: that one tells them."""
    later = Event.objects.filter(stream=told.event.stream, sequence__gt=told.event.sequence, release_id=told.event.release_id, subject=told.event.subject)
    records = later.filter(verb__in=["activity.reassigned", "sign_off.stale"]).values_list("record", flat=True)
    return {str(email) for record in records for email in json.loads(record)["data"].get("to", ())}


def _next_in_line(told: Told) -> Iterable[str]:
    """Where lines are asked one after the other: who can decide since this vote and has not been asked (S15)."""
    attempt = told.attempt
    if attempt is None or attempt.state != Run.WAITING or approval_of(attempt).order != "sequential":
        return []
    asked = Mail.objects.filter(attempt_id=attempt.pk, kind=MailKind.REQUEST).values_list("person__email", flat=True)
    return sorted({*_deciders(told)} - {*asked})


def _asked_before(told: Told) -> Iterable[str]:
    """Who was mailed the question and has not answered it, nor had it answered by a stand-in, which they are told of."""
    attempt = told.attempt
    if attempt is None:
        return []
    asked = Mail.objects.filter(attempt_id=attempt.pk, kind__in=[MailKind.REQUEST, MailKind.REMINDER]).exclude(state=Mail.State.NEEDLESS)
    votes = attempt.sign_offs.filter(stale=False)
    stood_in_for = votes.exclude(for_person=None).values("for_person")
    return asked.exclude(person__in=votes.values("person")).exclude(person__in=stood_in_for).values_list("person__email", flat=True).distinct()


def _owners(told: Told) -> Iterable[str]:
    """Who is responsible for the activity; of a release, who started it."""
    if told.release is None:
        return []
    try:
        names = owners_of(told.release, told.event.subject)
    except (KeyError, LookupError):
        return [told.release.starter.email]
    return members_of(names) or [told.release.starter.email]


def _owners_of_a_failure(told: Told) -> Iterable[str]:
    """As `_owners`, where the run has ended with it: not of an attempt that is followed by another, nor where it is held or ignored."""
    attempt = told.attempt
    over = attempt is None or (attempt.run.state == Run.FAILED and told.data.get("attempt", attempt.number) == attempt.number)
    return _owners(told) if over else []


TABLE: tuple[tuple[str, MailKind, People], ...] = (
    ("activity.asked", MailKind.REQUEST, _deciders),
    ("sign_off.given", MailKind.REQUEST, _next_in_line),
    ("sign_off.changed", MailKind.REQUEST, _next_in_line),
    ("sign_off.given", MailKind.STOOD_IN, _named),
    ("sign_off.changed", MailKind.STOOD_IN, _named),
    ("activity.reassigned", MailKind.REQUEST, _named),
    ("sign_off.stale", MailKind.REQUEST, _named),
    ("sign_off.reminded", MailKind.REMINDER, _named),
    ("sign_off.nudged", MailKind.REMINDER, _named),
    ("sign_off.escalated", MailKind.ESCALATION, _named),
    ("comment.added", MailKind.MENTION, _named),
    ("comment.changed", MailKind.MENTION, _named),
    ("delegation.made", MailKind.DELEGATION, _named),
    ("delegation.ended", MailKind.DELEGATION, _named),
    ("sign_off.not_needed", MailKind.SETTLED, _named),
    ("code.asked", MailKind.CODE, _named),
    ("approval.broken", MailKind.ALARM, _named),
    ("release.due", MailKind.RELEASE, _named),
    ("release.missed", MailKind.RELEASE, _named),
    ("release.start_failed", MailKind.RELEASE, _named),
    ("activity.succeeded", MailKind.SETTLED, _asked_before),
    ("activity.overridden", MailKind.SETTLED, _asked_before),
    ("activity.skipped", MailKind.SETTLED, _asked_before),
    ("activity.aborted", MailKind.SETTLED, _asked_before),
    ("activity.rejected", MailKind.SETTLED, _asked_before),
    ("activity.expired", MailKind.SETTLED, _asked_before),
    ("activity.on_hold", MailKind.FAILURE, _owners),
    ("activity.failed", MailKind.FAILURE, _owners_of_a_failure),
    ("activity.interrupted", MailKind.FAILURE, _owners),
)
"""Verb of the event, kind of mail, and who gets it. A new one is a line here."""
_BY_VERB: Mapping[str, list[tuple[MailKind, People]]] = defaultdict(list)
for _verb, _kind, _people in TABLE:
    _BY_VERB[_verb].append((_kind, _people))

_OF_QUESTIONS = [verb for verb, kind, _ in TABLE if kind is MailKind.SETTLED]


def relay() -> int:
    """Read what is new and write the mails of it; how many. Nothing when mail is off: what happens until it is on is never told."""
    if not settings.RELORCH_MAIL:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s), clock_timestamp()", [_LOCK])
        free, at = cursor.fetchone()
        if not free:
            return 0
        place = Relayed.objects.first()
        if place is None:
            cursor.execute("SELECT coalesce(max(id), 0) FROM audit_event")
            Relayed.objects.create(upto=cursor.fetchone()[0])
            return 0
        events = list(_untold(place, at)[: MOST + 1])
        told = {event.pk: _tell_alone(event, at) for event in events[:MOST]}
        _pass_over(told, at)
        _move(place, at, first_left=events[MOST].pk if len(events) > MOST else None)
        return sum(number or 0 for number in told.values())


def _untold(place: Relayed, at: datetime) -> QuerySet[Event]:
    """What may have to be told: not what has its mails or is passed over, nor the end of what asked nobody, which is most of what happens."""
    mails = Mail.objects.filter(stream=OuterRef("stream"), sequence=OuterRef("sequence"))
    passed = PassedOver.objects.filter(Q(until=None) | Q(until__gt=at), event=OuterRef("pk"))
    questions = ActivityRun.objects.filter(release=OuterRef("release_id"), key=OuterRef("subject"), type="manual")
    rows = Event.objects.filter(~Exists(mails), ~Exists(passed), pk__gt=place.upto, verb__in=_BY_VERB)
    return rows.filter(~Q(verb__in=_OF_QUESTIONS) | Exists(questions)).order_by("pk")


def _pass_over(told: Mapping[int, int | None], at: datetime) -> None:
    """What told nobody is not read again, and what could not be told not before a while: neither keeps what comes after it waiting."""
    rows = [PassedOver(event=pk, until=at + TRY_AGAIN if number is None else None) for pk, number in told.items() if not number]
    PassedOver.objects.bulk_create(rows, update_conflicts=True, unique_fields=["event"], update_fields=["until"])


def _move(place: Relayed, at: datetime, *, first_left: int | None) -> None:
    """Forget what is so old that nothing smaller can still appear, as far as it has been told."""
    old = Event.objects.filter(pk__gt=place.upto, at__lt=at - LOOK_BACK)
    if first_left is not None:
        old = old.filter(pk__lt=first_left)
    last = old.order_by("-pk").values_list("pk", flat=True).first()
    if last is not None:
        place.upto = last
        place.save(update_fields=["upto"])
        PassedOver.objects.filter(event__lte=last).delete()


def _tell_alone(event: Event, at: datetime) -> int | None:
    """How many are told. What is wrong with one event keeps nobody from hearing of the others: None, and it is tried again a few times."""
    try:
        with transaction.atomic():
            return _tell(event, at)
    except Exception:
        log.exception("event %s (%s) is not told", event.pk, event.verb)
        return None


def _tell(event: Event, at: datetime) -> int:
    told = _told(event)
    rows = [row for kind, people in _BY_VERB[event.verb] for row in _mails(told, kind, people, at)]
    return len(Mail.objects.bulk_create(rows, ignore_conflicts=True))


def _mails(told: Told, kind: MailKind, people: People, at: datetime) -> list[Mail]:
    emails = {email.lower() for email in people(told)}
    # whoever did it knows it already, but for what they are asked
    if kind not in (MailKind.REQUEST, MailKind.ALARM):
        emails.discard(told.actor.lower())
    persons = get_user_model().objects.filter(email__in=emails, is_active=True)
    return [row for person in persons if (row := _mail(told, kind, person, at)) is not None]


def _told(event: Event) -> Told:
    record = json.loads(event.record)
    release = Release.objects.select_related("process", "starter", "version").filter(pk=event.release_id).first() if event.release_id else None
    attempt = None
    if release is not None and event.subject:
        rows = Attempt.objects.filter(run__release=release, run__key=event.subject).select_related(
            "run__release__process", "run__release__starter", "run__release__version__published_by"
        )
        attempt = rows.order_by("-number").first()
    return Told(event, record.get("data") or {}, record.get("actor") or "", record.get("reason") or "", release, attempt)


def _mail(told: Told, kind: MailKind, person: Any, at: datetime) -> Mail | None:
    mode = (person.mail_modes or {}).get(str(kind), "at_once")
    urgent = kind in ALWAYS
    if mode == "off" and not urgent:
        return None
    zone = person.zone
    quiet_ends = after_quiet(at, zone, person.quiet_from, person.quiet_until)
    due = told.attempt.due_at if told.attempt is not None else None
    urgent = urgent or (kind in (MailKind.REQUEST, MailKind.REMINDER) and due is not None and due <= quiet_ends)
    digest = mode == "digest" and not urgent
    return Mail(
        person=person,
        kind=kind,
        stream=told.event.stream,
        sequence=told.event.sequence,
        release_id=told.event.release_id,
        activity=told.event.subject,
        attempt_id=told.attempt.pk if told.attempt else None,
        data={"verb": told.event.verb, "actor": told.actor, "reason": told.reason[:2_000], "said": _kept(told.data)},
        urgent=urgent,
        digest=digest,
        next_at=next_daily(at, zone, person.digest_at) if digest else at if urgent else quiet_ends,
    )


def _kept(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "to" and isinstance(value, str | int | float | bool)}
