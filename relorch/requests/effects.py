"""Under which `Idempotency-Key` this thread works, and the mark that something was done under it. Apart from `claims`, because the audit trail sets it:
whatever changes something writes an event, so that the mark is made in the transaction of every change, and nobody has to think of it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from relorch.lib.errors import Conflict

_MARK = "UPDATE requests_idempotentrequest SET effective = true WHERE id = %s AND claim = %s AND status IS NULL"


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that is ours to work under; `number` is the fence."""

    pk: int
    number: int


current: ContextVar[Claim | None] = ContextVar("claim", default=None)


def mark(cursor: Any) -> None:
    """Something is done, in this transaction, under the key of this request, if it has one.

    Raises Conflict when the request took so long that another one has the key: what it wanted to change is rolled back.
    """
    claim = current.get()
    if claim is None:
        return
    cursor.execute(_MARK, (claim.pk, claim.number))
    if cursor.rowcount == 0:
        raise Conflict("idempotency_key_lost", "This request took too long; another one with its Idempotency-Key has taken over.", state="lost")
