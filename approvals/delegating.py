"""The verbs of delegation (S19): to let somebody decide for oneself, and to end that. A leave with a deputy is a delegation of everything with two dates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from approvals.asked import newest
from approvals.deciding import case_of
from approvals.models import Delegation
from processes.models import Process
from processes.problems import Problem
from processes.standing_in import circle
from releases.engine import Actor
from releases.models import ActivityRun
from relorch.audit import chain
from relorch.audit.chain import Happening, instant
from relorch.lib.errors import Conflict, Invalid, NotAllowed

STREAM = "delegations"
LONGEST_REASON = 1_000


def delegate(
    *,
    actor: Actor,
    by: Any,
    person: Any,
    to: Any,
    process: Process | None = None,
    run: ActivityRun | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    reason: str = "",
) -> Delegation:
    """`to` may decide for `person`: everything, in `process`, or on `run`; from `starts_at` (now) to `ends_at` (until ended).

    Given by the person itself (`by`). Raises NotAllowed, Invalid (itself, a person who has left, times, a circle), and for a
    run Conflict when it does not wait or the person does not decide there.
    """
    if by.pk != person.pk:
        raise NotAllowed("delegation_of_another", "A delegation is given by its own person.")
    with transaction.atomic():
        now = _alone()
        starts_at = starts_at or now
        problems = _problems(person, to, now, starts_at, ends_at, reason)
        if not problems:
            problems = _circle(person, to, process, run, starts_at, ends_at)
        if problems:
            raise Invalid("invalid_delegation", "It cannot be delegated so.", problems)
        if run is not None:
            _decides(person, run)
        made = Delegation.objects.create(
            person=person, delegate=to, process=process, run=run, starts_at=starts_at, ends_at=ends_at, reason=reason.strip(), created_by=by
        )
        _note("delegation.made", actor, made, reason, [to.email])
    return made


def end(*, actor: Actor, by: Any, delegation: Delegation) -> Delegation:
    """It holds no more, at once: votes given under it and not yet part of a verdict count no more. Either of the two may."""
    if by.pk not in (delegation.person_id, delegation.delegate_id):
        raise NotAllowed("delegation_of_another", "A delegation is ended by one of its two people.")
    with transaction.atomic():
        _alone()
        if Delegation.objects.filter(pk=delegation.pk, ended_at=None).update(ended_at=Now(), ended_by=by):
            other = [person.email for person in (delegation.person, delegation.delegate) if person.pk != by.pk]
            _note("delegation.ended", actor, delegation, "", other)
    delegation.refresh_from_db()
    return delegation


def _alone() -> datetime:
    """One at a time, so that two delegations cannot close a circle between them; the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0)), clock_timestamp()", (STREAM,))
        now: datetime = cursor.fetchone()[1]
    return now


def _problems(person: Any, to: Any, now: datetime, starts_at: datetime, ends_at: datetime | None, reason: str) -> list[Problem]:
    found = []
    if to.pk == person.pk:
        found.append(Problem("to_itself", "Choose somebody else.", "/to"))
    if not to.is_active or not person.is_active:
        found.append(Problem("unknown_person", "This account is not active.", "/to"))
    if ends_at is not None and ends_at <= max(starts_at, now):
        found.append(Problem("ends_too_early", "It must end after it begins, and in the future.", "/ends_at"))
    if len(reason) > LONGEST_REASON:
        found.append(Problem("too_long", f"At most {LONGEST_REASON:,} characters.", "/reason"))
    return found


def _circle(person: Any, to: Any, process: Process | None, run: ActivityRun | None, starts_at: datetime, ends_at: datetime | None) -> list[Problem]:
    """Against every delegation that could hold at the same time and place."""
    others = Delegation.objects.not_over().filter(Q(ends_at=None) | Q(ends_at__gt=starts_at))
    if ends_at is not None:
        others = others.filter(starts_at__lt=ends_at)
    if run is not None:
        others = others.filter(Q(process=None) | Q(process=run.release.process_id), Q(run=None) | Q(run=run))
    if process is not None:
        others = others.filter(Q(process=None) | Q(process=process), Q(run=None) | Q(run__release__process=process))
    around = circle(others.values_list("person__email", "delegate__email"), person.email, to.email)
    return [Problem("delegation_circle", f"That would go in a circle: {' → '.join(around)}.", "/to")] if around else []


def _decides(person: Any, run: ActivityRun) -> None:
    attempt = newest(run.release_id, run.key)
    if attempt is None or attempt.state != "waiting":
        raise Conflict("not_waiting", f"This activity is {run.state}: nobody is asked.", state=run.state)
    if case_of(attempt).entitlement(person.email, person.email)[0] not in ("yes", "not_yet_asked"):
        raise NotAllowed("not_entitled", "Only who decides there can let somebody else decide.")


def _note(verb: str, actor: Actor, made: Delegation, reason: str, to: list[str]) -> None:
    data: dict[str, Any] = {
        "delegation": made.pk,
        "from": made.person.email,
        "delegate": made.delegate.email,
        "scope": made.scope,
        "starts_at": instant(made.starts_at),
        "ends_at": instant(made.ends_at) if made.ends_at else None,
        "to": to,
    }
    if made.process is not None:
        data["process"] = made.process.identifier
    if made.run is not None:
        data |= {"release": made.run.release_id, "activity": made.run.key}
    subject = made.person.email
    chain.note(Happening(STREAM, verb, subject, actor.id, actor.name, actor.door, reason, made.run.release_id if made.run else None, data))
