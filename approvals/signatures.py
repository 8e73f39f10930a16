"""Signatures: what is kept of a decision that was confirmed (printed name, meaning, time, reason, packet), sealed so that no part changes unseen."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from approvals import evidence, packets
from approvals.models import Signature, SignOff
from releases.models import Attempt
from relorch.accounts import passkeys
from relorch.accounts.confirming import Proof
from relorch.audit.chain import instant
from relorch.lib import clock, sealing
from relorch.lib.errors import Conflict

PURPOSE = "signature"
STATEMENT = "to_sign"
"""In the session: the statement that a passkey was last asked to sign; it serves once."""


def statement_for(request: HttpRequest, attempt: Attempt, *, decision: str, reason: str, through: str | None) -> dict[str, Any]:
    """What this person's passkey is to sign: who says what about which packet, and why. It is remembered in the session, and serves once (S17)."""
    person: Any = request.user
    statement = {
        "purpose": evidence.PURPOSE,
        "nonce": secrets.token_urlsafe(32),
        "asked_at": instant(clock.now()),
        "release": attempt.run.release_id,
        "activity": attempt.run.key,
        "attempt": attempt.number,
        "packet": packets.current_hash(attempt),
        "person": person.email,
        "name": person.display_name,
        "for": through or "",
        "meaning": decision,
        "reason": reason,
        "keys": [passkeys.fingerprint_of(one) for one in passkeys.of(person)],
    }
    request.session[STATEMENT] = statement
    return statement


def taken_statement(request: HttpRequest) -> dict[str, Any]:
    """The statement that was asked for last; it cannot be used again."""
    return request.session.pop(STATEMENT, None) or {}


def check_signed(vote: SignOff, proof: Proof, at: datetime) -> None:
    """Raises Conflict unless a passkey has signed this very vote: packet, decision, reason, person and for whom, lately."""
    said = proof.about
    wanted = {
        "release": vote.attempt.run.release_id,
        "activity": vote.attempt.run.key,
        "attempt": vote.attempt.number,
        "packet": vote.packet.hash,
        "person": vote.person.email,
        "name": vote.person.display_name,
        "for": vote.for_person.email if vote.for_person else "",
        "meaning": vote.decision,
        "reason": vote.comment,
    }
    asked = datetime.fromisoformat(said["asked_at"]) if said else at
    if not said or any(said.get(name) != value for name, value in wanted.items()) or not -60 <= (at - asked).total_seconds() <= passkeys.TIMEOUT:
        raise Conflict("packet_changed", "Your passkey signed something else than what is there now. Look at it and sign again.", state="waiting")


def signed(vote: SignOff, proof: Proof, at: datetime) -> Signature:
    """The signature of this vote, kept with it. A changed vote is signed anew; the earlier signature stays."""
    if proof.evidence:
        check_signed(vote, proof, at)
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
        evidence={"statement": dict(proof.about), "passkey": dict(proof.evidence)} if proof.evidence else None,
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
        **({"evidence": row.evidence} if row.evidence is not None else {}),
    }


def document_of(row: Signature) -> dict[str, Any]:
    """The signature as it is exported. One by passkey is verified from this alone (`approvals.evidence`); what is `sealed`, by this installation."""
    vote = row.sign_off
    packet = next((one for one in vote.attempt.packets.all() if one.hash == row.packet), None)
    proof = row.evidence or {}
    return {
        "format": evidence.FORMAT,
        "record": {"name": row.name, "email": row.email, "for": row.behalf, "meaning": row.meaning, "reason": row.reason, "packet": row.packet},
        "sealed": {"id": row.pk, "at": instant(row.at), "method": row.method, "door": row.door, "address": row.address or "", "verifies": verifies(row)},
        "packet": packet.content if packet else None,
        "statement": proof.get("statement"),
        "passkey": proof.get("passkey"),
    }


def verifies(row: Signature) -> bool:
    """Whether nothing of the signature has changed, nor of the vote that it is of (unless that was changed by its person, and signed anew)."""
    if not sealing.is_sealed(row.seal, PURPOSE, content_of(row)):
        return False
    vote = row.sign_off
    if row.evidence is not None and _evidence_fails(row):
        return False
    newest = max(vote.signatures.all(), key=lambda one: one.pk)
    if newest.pk != row.pk:
        return True
    behalf = vote.for_person.email if vote.for_person else ""
    said = (vote.person_id, behalf, vote.decision, vote.comment, vote.packet.hash, vote.door, vote.address, vote.at)
    return said == (row.person_id, row.behalf, row.meaning, row.reason, row.packet, row.door, row.address, row.at)


def _evidence_fails(row: Signature) -> bool:
    """Without the packet's content, which is another row's: its hash is in the statement."""
    statement = row.evidence["statement"]
    said = (statement["name"], statement["person"], statement["for"], statement["meaning"], statement["reason"], statement["packet"])
    return said != (row.name, row.email, row.behalf, row.meaning, row.reason, row.packet) or bool(evidence.assertion_problems(row.evidence))
