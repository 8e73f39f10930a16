"""Signatures: what is kept of a decision that was confirmed (printed name, meaning, time, reason, packet), sealed so that no part changes unseen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from approvals.models import Signature, SignOff
from relorch.accounts.confirming import Proof
from relorch.audit.chain import instant
from relorch.lib import sealing

PURPOSE = "signature"


def signed(vote: SignOff, proof: Proof, at: datetime) -> Signature:
    """The signature of this vote, kept with it. A changed vote is signed anew; the earlier signature stays."""
    row = Signature(
        sign_off=vote,
        person=vote.person,
        name=vote.person.display_name,
        email=vote.person.email,
        behalf=vote.for_person.email if vote.for_person else "",
        meaning=vote.decision,
        reason=vote.comment,
        packet=vote.packet.hash,
        method=proof.method,
        door=vote.door,
        address=vote.address,
        at=at,
    )
    row.seal = sealing.seal(PURPOSE, content_of(row))
    row.save()
    return row


def content_of(row: Signature) -> dict[str, Any]:
    """All that the seal covers."""
    return {
        "sign_off": row.sign_off_id,
        "person": row.person_id,
        "name": row.name,
        "email": row.email,
        "for": row.behalf,
        "meaning": row.meaning,
        "reason": row.reason,
        "packet": row.packet,
        "method": row.method,
        "door": row.door,
        "address": row.address or "",
        "at": instant(row.at),
    }


def verifies(row: Signature) -> bool:
    """Whether nothing of the signature has changed, nor of the vote that it is of (unless that was changed by its person, and signed anew)."""
    if not sealing.is_sealed(row.seal, PURPOSE, content_of(row)):
        return False
    vote = row.sign_off
    newest = max(vote.signatures.all(), key=lambda one: one.pk)
    if newest.pk != row.pk:
        return True
    behalf = vote.for_person.email if vote.for_person else ""
    said = (vote.person_id, behalf, vote.decision, vote.comment, vote.packet.hash, vote.door, vote.address, vote.at)
    return said == (row.person_id, row.behalf, row.meaning, row.reason, row.packet, row.door, row.address, row.at)
