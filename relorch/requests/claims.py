"""The life of an `Idempotency-Key`: claimed, marked when its request commits something, answered; the answer is given to whoever asks again.

Exactly one request works under a key. When its process dies, the key is free again after a minute, unless something was committed under it: then
nobody does it a second time. The audit trail makes that mark inside the transaction of the change (`effects`), so that both are there or neither.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from relorch.lib import secrets
from relorch.lib.errors import Conflict, Invalid
from relorch.requests.effects import Claim, current
from relorch.requests.models import IdempotentRequest

LOST_AFTER = timedelta(seconds=60)
KEPT = timedelta(hours=48)
PATIENCE = 2.0
"""Seconds that a second request waits for the answer of the first before it is told to come again."""

_INSERT = """
INSERT INTO requests_idempotentrequest (person_id, key, fingerprint, claim, effective, answer) VALUES (%s, %s, %s, 1, false, '')
ON CONFLICT (person_id, key) DO NOTHING RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: str


def take(*, person: Any, key: str, fingerprint: str) -> Claim | Answer:
    """The key to work under, or the answer that it has already.

    Raises Invalid when the key was used for another request, Conflict while the first one is still worked on or when its answer was lost.
    """
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise Invalid("idempotency_key", "An Idempotency-Key has 1 to 255 printable characters.")
    ends, pause = time.monotonic() + PATIENCE, 0.01
    while True:
        claim = _insert(person, key, fingerprint)
        if claim is not None:
            return claim
        row = IdempotentRequest.objects.filter(person=person, key=key).first()
        if row is not None:
            if row.fingerprint != fingerprint:
                raise Invalid("idempotency_key_reused", "This Idempotency-Key was used for a different request; take a new one.")
            if row.status is not None:
                return _answer(row)
            claim = _take_over(row)
            if claim is not None:
                return claim
            if time.monotonic() > ends:
                raise _refusal(row)
            time.sleep(pause)
            pause = min(2 * pause, 0.2)


def begin(claim: Claim) -> None:
    """From now on, what this thread commits is done under the key."""
    current.set(claim)


def settle(claim: Claim, answer: Answer) -> None:
    """End of the request. A success is kept; a refusal that changed nothing frees the key, so that it can be tried again."""
    current.set(None)
    if not 200 <= answer.status < 300:
        _mine(claim).filter(effective=False).delete()
    text = json.dumps([answer.headers, answer.body])
    _mine(claim).update(status=answer.status, answer=secrets.encrypt(text, _context(claim.pk)))


def give_up(claim: Claim) -> None:
    """The request broke without an answer. The key is free again, unless something was committed."""
    current.set(None)
    _mine(claim).filter(effective=False).delete()


def forget() -> int:
    """Delete what is older than two days; how many rows that were."""
    return IdempotentRequest.objects.filter(created_at__lt=Now() - KEPT).delete()[0]


def _insert(person: Any, key: str, fingerprint: str) -> Claim | None:
    # The unique constraint is the judge; `get_or_create` would read first, and the common case is a new key.
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, (person.pk, key, fingerprint))
        row = cursor.fetchone()
    if row is None:
        return None
    if row[0] % 256 == 0:
        forget()
    return Claim(row[0], 1)


def _take_over(row: IdempotentRequest) -> Claim | None:
    taken = IdempotentRequest.objects.filter(pk=row.pk, claim=row.claim, status=None, effective=False, claimed_at__lt=Now() - LOST_AFTER).update(
        claim=F("claim") + 1, claimed_at=Now()
    )
    return Claim(row.pk, row.claim + 1) if taken else None


def _refusal(row: IdempotentRequest) -> Conflict:
    if row.effective and IdempotentRequest.objects.filter(pk=row.pk, claimed_at__lt=Now() - LOST_AFTER).exists():
        return Conflict(
            "answer_lost", "This request was carried out, but its answer was lost. Look at what is there before you ask with a new key.", state="done"
        )
    return Conflict("request_in_progress", "The first request with this Idempotency-Key is still worked on; ask again in a moment.", state="in_progress")


def _mine(claim: Claim) -> Any:
    return IdempotentRequest.objects.filter(pk=claim.pk, claim=claim.number, status=None)


def _answer(row: IdempotentRequest) -> Answer:
    headers, body = json.loads(secrets.decrypt(row.answer, _context(row.pk)))
    return Answer(int(row.status or 0), headers, body)


def _context(pk: int) -> str:
    return f"request:{pk}"
