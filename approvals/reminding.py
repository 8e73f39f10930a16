"""Telling people that nobody has answered: reminders, escalation, and the nudge of a person. It never decides anything (reliability, rule 15).

When the next one is due is a column of the attempt (`notice_at`), set with the request and moved by the time held (S12a). It is sent under the
tree's lock by whoever still finds the count of those sent as it was: two clocks send it once, and one killed before the commit not at all.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection

from approvals.asked import newest, still_open, the_one_waiting
from approvals.deciding import approval_of, case_of
from approvals.people import members_of, still_asked
from processes.silence import Notice, notices
from releases.asking import people_rows
from releases.engine import Actor, Work, locked
from releases.models import Attempt, RunPerson
from releases.states import Run
from releases.sweep import MOST, each
from relorch.audit.models import Event
from relorch.lib.errors import Conflict, Invalid

NUDGE_EVERY = timedelta(hours=1)
LONGEST_NUDGE = 1_000

_DUE = """
SELECT a.id FROM releases_attempt a JOIN releases_release r ON r.id = a.release_id
WHERE a.state = 'waiting' AND a.notice_at <= clock_timestamp() AND r.state = 'running' ORDER BY a.notice_at LIMIT %s
"""
_SENT = """
UPDATE releases_attempt SET notices = notices + 1, notice_at = notice_at + %(gap)s * interval '1 second'
WHERE id = %(attempt)s AND state = 'waiting' AND notices = %(sent)s AND notice_at <= %(at)s RETURNING id
"""


def sweep() -> int:
    """One round; the number of attempts that had something due."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, (MOST,))
        found = [row[0] for row in cursor.fetchall()]
    return each(found, come_due)


def come_due(attempt_id: int) -> None:
    """Send what is due of this attempt, each once; nothing when it was answered or held meanwhile."""
    release = Attempt.objects.values_list("release_id", flat=True).get(pk=attempt_id)
    with locked(release) as work:
        attempt = Attempt.objects.select_related("run__release__version", "run__release__starter", "run__release__process").get(pk=attempt_id)
        if attempt.state != Run.WAITING or work.release(release).state != "running":
            return
        planned = notices(approval_of(attempt))
        while attempt.notices < len(planned) and _take(work, attempt, planned):
            _send(work, attempt, planned[attempt.notices])
            attempt.notices += 1


def _take(work: Work, attempt: Attempt, planned: tuple[Notice, ...]) -> bool:
    """Whether the next one is due and ours to send."""
    sent = attempt.notices
    # past the last one there is no next time: NULL
    gap = planned[sent + 1].after - planned[sent].after if sent + 1 < len(planned) else None
    work.cursor.execute(_SENT, {"gap": gap, "attempt": attempt.pk, "sent": sent, "at": work.at})
    return work.cursor.fetchone() is not None


def _send(work: Work, attempt: Attempt, notice: Notice) -> None:
    key, release = attempt.run.key, attempt.release_id
    asked = still_asked(case_of(attempt))
    said: dict[str, Any] = {"attempt": attempt.number, "number": notice.number, "after": notice.after}
    if notice.kind == "reminder":
        work.say("sign_off.reminded", release, key, **said, to=asked)
        return
    # they are told and may look; whether they may decide is only a question of the lines
    known = RunPerson.objects.filter(run=attempt.run_id, role=RunPerson.TOLD).exists()
    if not known:
        RunPerson.objects.bulk_create(people_rows(attempt.run_id, release, [(RunPerson.TOLD, 0, who) for who in notice.to]))
    work.say("sign_off.escalated", release, key, **said, of=list(notice.to), asked=asked, to=sorted(members_of(notice.to)))


def nudge(*, release: int, activity: str, actor: Actor, message: str = "") -> list[str]:
    """A person asks the others to answer, at most once an hour for each question; who was told.

    May be done by whoever sees the release: the door asks. Raises LookupError, Conflict (settled, held, nobody left to ask, nudged before), Invalid.
    """
    if len(message) > LONGEST_NUDGE:
        raise Invalid("too_long", f"A nudge has at most {LONGEST_NUDGE:,} characters.")
    with locked(release, actor=actor) as work:
        attempt = the_one_waiting(work, newest(release, activity), release, activity)
        still_open(work, attempt)
        last = (
            Event.objects.filter(stream=f"release:{work.release(release).root}", release_id=release, verb="sign_off.nudged", subject=activity)
            .order_by("-sequence")
            .first()
        )
        if last is not None and attempt.asked_at is not None and last.at > max(attempt.asked_at, work.at - NUDGE_EVERY):
            again = last.at + NUDGE_EVERY
            raise Conflict("nudged_before", f"They were nudged at {last.at:%H:%M} UTC; again from {again:%H:%M} UTC.", state=Run.WAITING)
        told = [email for email in still_asked(case_of(attempt)) if email != actor.name]
        if not told:
            raise Conflict("nobody_to_nudge", "Nobody else is there who could still answer.", state=Run.WAITING)
        work.say("sign_off.nudged", release, activity, reason=message.strip(), attempt=attempt.number, to=told)
    return told
