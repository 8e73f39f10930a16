"""Mail links (S20): a link points to a question and does nothing by itself. Deciding takes a session, and the door is then `mail`."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from approvals import packets
from approvals.models import LinkToken
from releases.models import Attempt
from relorch.audit.chain import Happening, note

USUAL = timedelta(hours=72)
LONGEST = timedelta(days=7)


def issue(attempt: Attempt, person: Any, *, at: datetime, lasts: timedelta = USUAL) -> str:
    """A new token for this person and attempt, bound to what is asked now; 256 bits, of which only the hash is kept."""
    token = secrets.token_urlsafe(32)
    LinkToken.objects.create(hash=hash_of(token), person=person, attempt=attempt, packet=packets.current_hash(attempt), expires_at=at + min(lasts, LONGEST))
    return token


def hash_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(f"link:{token}".encode()).hexdigest()


def found(token: str) -> LinkToken | None:
    """The link of this token, whoever asks."""
    return LinkToken.objects.select_related("attempt__run__release", "person").filter(hash=hash_of(token)).first()


def is_over(link: LinkToken) -> bool:
    """Whether it has expired, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s <= clock_timestamp()", [link.expires_at])
        return bool(cursor.fetchone()[0])


def opened_by_another(link: LinkToken, person: Any) -> None:
    """Somebody signed in came with a link that is not theirs: they learn nothing, the record keeps it."""
    with transaction.atomic():
        note(
            Happening(
                f"account:{link.person_id}",
                "link.refused",
                link.person.email,
                person.pk,
                person.email,
                "mail",
                data={"release": link.attempt.release_id, "activity": link.attempt.run.key, "opened_by": person.email},
            )
        )


def used(attempt: Attempt, person: Any) -> None:
    """The decision has come in: this person's links to the attempt have served."""
    LinkToken.objects.filter(attempt=attempt, person=person, used_at=None).update(used_at=Now())
