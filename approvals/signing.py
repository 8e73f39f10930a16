"""The verb of people: to decide. One door for page, mail and API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from django.contrib.auth import get_user_model

from approvals import filling, packets, signatures
from approvals.asked import newest, still_open, the_one_waiting
from approvals.deciding import Case, approval_of, case_of, votes_in, votes_on
from approvals.filling import Filled
from approvals.models import SignOff
from processes.problems import Problem
from processes.quorum import Answer
from releases.attempts import claim_of
from releases.engine import Actor, End, Work, locked
from releases.models import Attempt, Task
from releases.sealing import seal_of
from releases.states import Run
from relorch.accounts.confirming import Proof
from relorch.lib import faults
from relorch.lib.errors import Conflict, Invalid, NotAllowed
from relorch.lib.prepared import insert

LONGEST_COMMENT = 10_000


@dataclass(frozen=True, slots=True)
class Signed:
    """What came of a vote: the row, whether it is the person's first on this attempt, and the verdict with it (open, approved, rejected …)."""

    sign_off: SignOff
    is_first: bool
    verdict: str


def _with_refusals_kept(act: Callable[..., Signed]) -> Callable[..., Signed]:
    """A decision that is refused changes nothing but the record: who tried what through which door, and why it was not taken (reliability A-06)."""

    @wraps(act)
    def tried(**asked: Any) -> Signed:
        try:
            return act(**asked)
        except (Conflict, NotAllowed) as refused:
            with locked(asked["release"], actor=asked["actor"]) as work:
                said = {"code": refused.code, "decision": asked["decision"][:20], "packet": asked.get("packet", "")[:64], "address": asked.get("address") or ""}
                work.say("sign_off.refused", asked["release"], asked["activity"], **said)
            raise

    return tried


@_with_refusals_kept
def sign_off(
    *,
    release: int,
    activity: str,
    person: Any,
    actor: Actor,
    decision: str,
    comment: str = "",
    fields: Mapping[str, Any] | None = None,
    packet: str = "",
    behalf: str = "",
    by_token: bool = False,
    proof: Proof | None = None,
    address: str | None = None,
    form: bool = False,
    by_code: bool = False,
) -> Signed:
    """Give or change a vote; with the vote that makes a verdict the activity ends and what follows starts, in the same transaction (S16).

    `behalf` says for whom, of those the person stands in for (S19); without it, through whom it fills most places.
    `packet` is the hash that the person saw: another one is refused. Raises LookupError (no such waiting activity), NotAllowed (not entitled,
    excluded, not their delegate, a token, not confirmed by `proof` where the approval wants that), Conflict (settled, closed, not yet asked,
    another packet), Invalid (comment or fields).
    """
    # expressions are never evaluated under a lock (S1): the form is checked before, and must be the same after
    before = newest(release, activity)
    filled, problems = _checked(before, decision, comment, fields, form=form)
    with locked(release, actor=actor) as work:
        attempt = the_one_waiting(work, before, release, activity)
        votes = votes_on(attempt)
        case = case_of(attempt, votes)
        answer, through = _entitled(case, person, behalf, by_token=by_token)
        still_open(work, attempt)
        _confirmed(case, person, proof)
        if answer != "yes":
            raise Conflict("not_yet_asked", "You are asked once the lines before yours are filled.", state=Run.WAITING)
        filling.check_unchanged(attempt, filled)
        if packet and packet != packets.current_hash(attempt):
            raise Conflict("packet_changed", "What you saw has changed since: look at it again.", state=Run.WAITING)
        problems += _undone(attempt, decision)
        if problems:
            raise Invalid("invalid_decision", "The decision cannot be taken as it is.", problems)
        if filled.changes:
            if proof is not None and proof.evidence:
                raise Conflict("packet_changed", "Save the form first, then sign what you saved.", state=Run.WAITING)
            filling.write(work, attempt, filled)
            votes = votes_on(attempt)  # those on what the form was are stale now
        stored = packets.stored(attempt, work.at, votes)
        for_person = get_user_model().objects.get(email=through) if through else None
        vote, is_first = _cast(
            attempt, votes, person, for_person=for_person, packet=stored, decision=decision, comment=comment, door=actor.door, address=address, at=work.at
        )
        if proof is not None:
            signatures.signed(vote, proof, work.at)
        work.say(
            "sign_off.given" if is_first else "sign_off.changed",
            release,
            activity,
            reason=comment,
            decision=decision,
            packet=stored.hash,
            address=address or "",
            **({"for": through, "to": [through]} if through else {}),
            **({"confirmed": proof.method} if proof else {}),
            **({"by": "code by mail"} if by_code else {}),
        )
        faults.point("vote.written")
        verdict = take_verdict(work, attempt, case, [*(one for one in votes if one.pk != vote.pk), vote], comment)
    return Signed(vote, is_first, verdict)


def take_verdict(work: Work, attempt: Attempt, case: Case, votes: Sequence[SignOff], comment: str) -> str:
    """What the rule of this case says of the votes as they are now, the newest last; where that is a verdict, the attempt ends with it."""
    verdict = replace(case, votes=votes_in(votes, case.pairs)).verdict.state
    if verdict in ("approved", "rejected"):
        counted = [vote for vote, as_it_counts in zip(votes, votes_in(votes, case.pairs), strict=True) if not as_it_counts.stale]
        _settle(work, attempt, counted, Run.SUCCEEDED if verdict == "approved" else Run.REJECTED, comment)
    return verdict


def _cast(attempt: Attempt, votes: Sequence[SignOff], person: Any, **values: Any) -> tuple[SignOff, bool]:
    """The person's vote with these values, and whether it is the first. Under the tree's lock nobody else writes one: no savepoints."""
    vote = next((one for one in votes if one.person_id == person.pk), None)
    if vote is None:
        return insert(SignOff(attempt=attempt, person=person, **values)), True
    for name, value in values.items():
        setattr(vote, name, value)
    vote.attempt, vote.stale = attempt, False
    vote.save()
    return vote, False


def _entitled(case: Case, person: Any, behalf: str, *, by_token: bool) -> tuple[Answer, str | None]:
    """What the person may, and through whom (S19). Raises NotAllowed: asked before the state, so that a settled decision tells an outsider nothing of it."""
    if not person.is_active:
        raise NotAllowed("not_entitled", "This account is not active.")
    if by_token and not case.approval.allow_tokens:
        raise NotAllowed("token_may_not_decide", "A token may propose and comment; deciding takes a person who is signed in.")
    answer, through = case.entitlement(person.email, behalf)
    if answer == "excluded":
        raise NotAllowed("excluded", "You cannot decide here: this approval excludes its starter, author or earlier approvers.")
    if answer not in ("yes", "not_yet_asked"):  # whatever it is: deny on any doubt
        if behalf and behalf != person.email:
            raise NotAllowed("not_delegated", f"You do not decide for {behalf} here.")
        raise NotAllowed("not_entitled", "You are not among those who decide here.")
    return answer, through


def _confirmed(case: Case, person: Any, proof: Proof | None) -> None:
    """Raises NotAllowed where the approval wants the person to confirm that it is them, and this request did not: no door goes around it."""
    if proof is not None and proof.person != person.pk:
        raise NotAllowed("not_confirmed", "Somebody else was confirmed.")
    wants = case.approval.reauthenticate
    if wants and proof is None:
        raise NotAllowed("reauthenticate", _CONFIRM[wants])
    if (wants == "signature" and proof is not None and not proof.as_signature) or (wants == "passkey" and proof is not None and not proof.evidence):
        raise NotAllowed("reauthenticate", _CONFIRM[wants])


_CONFIRM: dict[bool | str, str] = {
    True: "This decision wants you to confirm that it is you: give your password, a code of your authenticator app, or use a passkey.",
    "signature": "This decision is signed: give your password on its page, and what else is asked there.",
    "passkey": "This decision is signed with a passkey, on its page.",
}


def _checked(attempt: Attempt | None, decision: str, comment: str, fields: Mapping[str, Any] | None, *, form: bool) -> tuple[Filled, list[Problem]]:
    """The form with `fields`, and what is wrong: an unknown decision, no comment where the approval wants one, an approval without required fields (S17a).

    It is said after who may and what fits, so that a run that does not wait is left to the lock to refuse.
    """
    if attempt is None or attempt.state != Run.WAITING:
        return Filled(), []
    problems = []
    if decision not in SignOff.Decision.values:
        problems.append(Problem("not_an_option", f'"{decision}" is no decision: approve or reject.', "/decision"))
    if len(comment) > LONGEST_COMMENT:
        problems.append(Problem("too_long", f"A comment has at most {LONGEST_COMMENT:,} characters.", "/comment"))
    wants = approval_of(attempt).comment
    if not comment.strip() and (wants == "required" or (wants == "required_on_reject" and decision == SignOff.Decision.REJECT)):
        problems.append(Problem("required", "Say why: this approval wants a comment.", "/comment"))
    filled = filling.read(attempt, fields, form=form, complete=decision != SignOff.Decision.REJECT)
    return filled, [*problems, *filled.problems]


def _undone(attempt: Attempt, decision: str) -> list[Problem]:
    """Required tasks come before an approval (S17a); read under the lock, which a change of a task takes too."""
    if decision != SignOff.Decision.APPROVE or not (attempt.request or {}).get("tasks"):
        return []
    open_tasks = Task.objects.filter(attempt=attempt, required=True).exclude(status=Task.Status.DONE).order_by("position")
    return [
        Problem("task_not_done", f"{task.name} must be done before this is approved; it is {task.get_status_display().lower()}.", f"/tasks/{task.key}")
        for task in open_tasks
    ]


def _settle(work: Work, attempt: Attempt, votes: Sequence[SignOff], state: Run, comment: str) -> None:
    faults.point("verdict.reached")
    claim = claim_of(attempt)
    decision = {
        "verdict": "approved" if state is Run.SUCCEEDED else "rejected",
        "packet": votes[-1].packet.hash,
        "votes": [_counted(vote) for vote in votes],
    }
    outputs = dict(attempt.filled or {}) if state is Run.SUCCEEDED else {}
    work.finish(
        [
            End(
                claim.attempt,
                claim.run,
                state,
                claim.fence,
                Run.WAITING,
                outputs=outputs,
                code="" if state is Run.SUCCEEDED else "rejected",
                message=comment,
                seal=seal_of(claim.attempt, decision),
                decision=decision,
                number=claim.number,
                final=True,
            )
        ]
    )


def _counted(vote: SignOff) -> dict[str, Any]:
    behalf = {"for": vote.for_person.email} if vote.for_person else {}
    return {"by": vote.person.email, **behalf, "decision": vote.decision, "packet": vote.packet.hash}
