"""The verb of people: to decide. One door for page, mail and API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from approvals import packets
from approvals.deciding import Case, approval_of, case_of, votes_in
from approvals.models import SignOff
from processes.problems import Problem, errors
from processes.quorum import may_decide
from processes.variables import resolve_inputs
from releases.attempts import claim_of
from releases.engine import Actor, End, Work, locked
from releases.flows import compiled
from releases.models import Attempt, Release
from releases.names import names_of
from releases.planning import knows
from releases.sealing import seal_of
from releases.states import Run
from relorch.lib.errors import Conflict, Invalid, NotAllowed

LONGEST_COMMENT = 10_000


@dataclass(frozen=True, slots=True)
class Signed:
    """What came of a vote: the row, whether it is the person's first on this attempt, and the verdict with it (open, approved, rejected …)."""

    sign_off: SignOff
    is_first: bool
    verdict: str


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
    by_token: bool = False,
    address: str | None = None,
    form: bool = False,
) -> Signed:
    """Give or change a vote; with the vote that makes a verdict the activity ends and what follows starts, in the same transaction (S16).

    `packet` is the hash that the person saw: another one is refused. Raises LookupError (no such waiting activity), NotAllowed (not entitled,
    excluded, a token), Conflict (settled, closed, not yet asked, another packet), Invalid (comment or fields).
    """
    # expressions are never evaluated under a lock (S1): the form is checked before, and must be the same after
    before = _newest(release, activity)
    form_of, seen, filled, problems = _checked(before, decision, comment, fields, form=form)
    with locked(release, actor=actor) as work:
        attempt = _as_it_is(work, before) or _asked(release, activity)
        case = case_of(attempt)
        _entitled(case, person, by_token=by_token)
        _still_open(work, attempt)
        if may_decide(case.rule, case.votes, person.email) == "not_yet_asked":
            raise Conflict("not_yet_asked", "You are asked once the lines before yours are filled.", state=Run.WAITING)
        if attempt.pk != form_of or (attempt.filled or {}) != seen:
            raise Conflict("packet_changed", "Somebody else has just filled in the form: look at it again.", state=Run.WAITING)
        if packet and packet != packets.current_hash(attempt):
            raise Conflict("packet_changed", "What you saw has changed since: look at it again.", state=Run.WAITING)
        if problems:
            raise Invalid("invalid_decision", "The decision cannot be taken as it is.", problems)
        if filled != seen:
            _fill(work, attempt, filled)
        stored = packets.stored(attempt, work.at)
        vote, is_first = _cast(attempt, person, packet=stored, decision=decision, comment=comment, door=actor.door, address=address, at=work.at)
        work.say(
            "sign_off.given" if is_first else "sign_off.changed",
            release,
            activity,
            reason=comment,
            decision=decision,
            packet=stored.hash,
            address=address or "",
        )
        votes = list(attempt.sign_offs.select_related("person", "for_person", "packet"))
        verdict = replace(case, votes=votes_in(votes)).verdict.state
        if verdict in ("approved", "rejected"):
            _settle(work, attempt, votes, Run.SUCCEEDED if verdict == "approved" else Run.REJECTED, comment)
    return Signed(vote, is_first, verdict)


def _cast(attempt: Attempt, person: Any, **values: Any) -> tuple[SignOff, bool]:
    """The person's vote with these values, and whether it is the first. Under the tree's lock nobody else writes one: no savepoints."""
    vote = SignOff.objects.filter(attempt=attempt, person=person).first()
    if vote is None:
        return SignOff.objects.create(attempt=attempt, person=person, **values), True
    for name, value in values.items():
        setattr(vote, name, value)
    vote.stale = False
    vote.save()
    return vote, False


def _as_it_is(work: Work, before: Attempt | None) -> Attempt | None:
    """The attempt that was read before the lock, if it is still the newest and waits, with what can have changed; else None: read it again.

    What was asked (request, bound values, the release's values) does not change while it waits.
    """
    if before is None or before.state != Run.WAITING:
        return None
    work.cursor.execute("SELECT id, state, fence, filled FROM releases_attempt WHERE run_id = %s ORDER BY number DESC LIMIT 1", (before.run_id,))
    number, state, fence, filled = work.cursor.fetchone()
    if number != before.pk or state != Run.WAITING:
        return None
    before.fence, before.filled = fence, json.loads(filled) if isinstance(filled, str) else filled
    return before


def _asked(release: int, activity: str) -> Attempt:
    """The newest attempt of a manual activity. Raises LookupError, Conflict when nobody was ever asked."""
    attempt = _newest(release, activity)
    if attempt is None:
        run = Release.objects.get(pk=release).runs.filter(key=activity, type="manual").first()
        if run is None:
            raise LookupError(activity)
        raise Conflict("not_waiting", f"This activity is {run.state}: nobody is asked.", state=run.state)
    return attempt


def _still_open(work: Work, attempt: Attempt) -> None:
    """Raises Conflict saying what happened and who decided."""
    if attempt.state != Run.WAITING or work.release(attempt.run.release_id).state not in ("running", "held"):
        raise Conflict("settled", _how_it_ended(attempt), state=attempt.run.state)


def _newest(release: int, activity: str) -> Attempt | None:
    return (
        Attempt.objects.select_related("run__release__version", "run__release__starter", "run__release__process")
        .defer("run__release__version__document", "run__release__outputs", "run__release__pins")
        .filter(run__release_id=release, run__key=activity, run__type="manual")
        .order_by("-number")
        .first()
    )


def _how_it_ended(attempt: Attempt) -> str:
    last = attempt.sign_offs.select_related("person").order_by("-at").first()
    if last is not None and attempt.run.state in (Run.SUCCEEDED, Run.REJECTED, Run.ON_HOLD):
        word = "approved" if last.decision == SignOff.Decision.APPROVE else "rejected"
        return f"Already {word} by {last.person} at {last.at:%Y-%m-%d %H:%M:%S} UTC."
    return f"No longer needed: this activity is {attempt.run.state}."


def _entitled(case: Case, person: Any, *, by_token: bool) -> None:
    """Raises NotAllowed: asked before the state, so that a settled decision tells an outsider nothing of it."""
    if not person.is_active:
        raise NotAllowed("not_entitled", "This account is not active.")
    if by_token and not case.approval.allow_tokens:
        raise NotAllowed("token_may_not_decide", "A token may propose and comment; deciding takes a person who is signed in.")
    answer = may_decide(case.rule, case.votes, person.email)
    if answer == "excluded":
        raise NotAllowed("excluded", "You cannot decide here: this approval excludes its starter, author or earlier approvers.")
    if answer == "not_entitled":
        raise NotAllowed("not_entitled", "You are not among those who decide here.")


def _checked(
    attempt: Attempt | None, decision: str, comment: str, fields: Mapping[str, Any] | None, *, form: bool
) -> tuple[int, dict[str, Any], dict[str, Any], list[Problem]]:
    """Of which attempt the form is, what it held, what it holds with `fields`, and what is wrong.

    Wrong is an unknown decision, no comment where the approval wants one, an approval without the required fields (S17a). It is said after who
    may and what fits, so that a run that does not wait is left to the lock to refuse.
    """
    if attempt is None or attempt.state != Run.WAITING:
        return 0, {}, {}, []
    problems = []
    if decision not in SignOff.Decision.values:
        problems.append(Problem("not_an_option", f'"{decision}" is no decision: approve or reject.', "/decision"))
    if len(comment) > LONGEST_COMMENT:
        problems.append(Problem("too_long", f"A comment has at most {LONGEST_COMMENT:,} characters.", "/comment"))
    wants = approval_of(attempt).comment
    if not comment.strip() and (wants == "required" or (wants == "required_on_reject" and decision == SignOff.Decision.REJECT)):
        problems.append(Problem("required", "Say why: this approval wants a comment.", "/comment"))
    seen = dict(attempt.filled or {})
    specs = compiled(attempt.run.release.version_id).steps[attempt.run.key].activity.fields
    if decision == SignOff.Decision.REJECT:
        specs = {name: spec.model_copy(update={"required": False, "required_if": None}) for name, spec in specs.items()}
    filled = seen
    if fields is not None or decision == SignOff.Decision.APPROVE:
        filled, found = resolve_inputs(specs, {**seen, **(fields or {})}, names=names_of(attempt.run.release, ()), form=form, people=knows)
        problems += [Problem(p.code, p.message, p.place.replace("/inputs/", "/fields/"), p.severity) for p in errors(found)]
    return attempt.pk, seen, filled, problems


def _fill(work: Work, attempt: Attempt, values: Mapping[str, Any]) -> None:
    """Fields belong to the attempt and are part of the packet: a vote that changes them makes the earlier votes stale (S17a)."""
    attempt.filled = dict(values)
    Attempt.objects.filter(pk=attempt.pk).update(filled=attempt.filled)
    if attempt.sign_offs.exclude(stale=True).update(stale=True):
        work.say("sign_off.stale", attempt.run.release_id, attempt.run.key)


def _settle(work: Work, attempt: Attempt, votes: Sequence[SignOff], state: Run, comment: str) -> None:
    claim = claim_of(attempt)
    votes = [vote for vote in votes if not vote.stale]
    decision = {
        "verdict": "approved" if state is Run.SUCCEEDED else "rejected",
        "packet": votes[-1].packet.hash,
        "votes": [{"by": vote.person.email, "decision": vote.decision, "packet": vote.packet.hash} for vote in votes],
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
