"""The verb of whoever is responsible: to ask other people. For this attempt only; the process stays as it is (semantics, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from approvals import signing
from approvals.asked import newest, still_open, the_one_waiting
from approvals.deciding import Case, case_of, votes_on
from approvals.packets import LINES_BEFORE
from approvals.people import still_asked
from processes.problems import Problem, pointer
from processes.quorum import verdict
from processes.reassignment import reassigned
from releases.asking import people_rows
from releases.engine import Actor, Move, Work, locked
from releases.models import Attempt, RunPerson
from releases.operating import need_reason
from relorch.lib.errors import Invalid

MOST_OWNERS = 100


def reassign(*, release: int, activity: str, actor: Actor, reason: str, owners: Sequence[str], line: int | None = None, preview: bool = False) -> list[Move]:
    """Ask `owners` instead of those who are asked in the lines that are not filled (`line` picks one, from 0). Filled places stay.

    Who may is asked at the door (`releases/access.py`). Whoever is newly asked is told, and whoever is not asked any more. Raises LookupError,
    Conflict (not waiting), Invalid (no reason, unknown people, a line that is not there or filled, a rule that could not be met).
    """
    with locked(release, actor=actor, preview=preview) as work:
        _reassign(work, release, activity, reason, owners, line)
    return work.moves


@dataclass(frozen=True, slots=True)
class Change:
    """What a reassignment would change: who is asked then and was not, who is not asked any more, and what would move."""

    asked: list[str]
    spared: list[str]
    moves: list[Move]


def change_by(*, release: int, activity: str, actor: Actor, owners: Sequence[str], line: int | None = None) -> Change:
    """What `reassign` would do: the verb itself, rolled back. Raises what it raises."""
    with locked(release, actor=actor, preview=True) as work:
        before, after = _reassign(work, release, activity, "preview", owners, line)
    return Change(sorted(after - before), sorted(before - after), work.moves)


def _reassign(work: Work, release: int, activity: str, reason: str, owners: Sequence[str], line: int | None) -> tuple[set[str], set[str]]:
    """Whoever was asked, and whoever is now."""
    owners = list(dict.fromkeys(_spelled(name) for name in owners))
    attempt = the_one_waiting(work, newest(release, activity), release, activity)
    still_open(work, attempt)
    need_reason(reason)
    case = case_of(attempt)
    before = set(still_asked(case))
    asked = (attempt.request or {}).get("lines") or []
    problems = [*_unknown(owners), *_wrong_line(case, line)]
    if problems:
        raise Invalid("invalid_reassignment", "It cannot be reassigned so.", problems)
    entitlements = {vote.person: vote.entitlement for vote in case.votes}
    new = reassigned(asked, case.verdict.lines, entitlements, owners, line)
    _write(attempt, asked, new.lines)
    now = case_of(attempt)
    if now.verdict.state in ("impossible", "rejected"):
        message = "These people could not meet it: there are too few of them, or they may not decide here."
        raise Invalid("approval_unmeetable", message, [Problem("approval_unmeetable", message, "/owners")])
    after = set(still_asked(now))
    data: dict[str, Any] = {"owners": owners, "line": line, "lines": list(new.lines), "attempt": attempt.number}
    work.say("activity.reassigned", release, activity, reason=reason, **data, to=sorted(after - before))
    if before - after:
        work.say("sign_off.not_needed", release, activity, reason=reason, because="reassigned", attempt=attempt.number, to=sorted(before - after))
    # somebody who is asked now may have voted before: their vote was kept and fills a place from now on
    signing.take_verdict(work, attempt, now, votes_on(attempt), reason)
    return before, after


def _spelled(name: str) -> str:
    kind, _, who = name.strip().partition(":")
    return f"{kind}:{who.strip().lower() if kind == 'user' else who.strip()}"


def _unknown(owners: Sequence[str]) -> list[Problem]:
    if not owners:
        return [Problem("required", "Say who is to be asked.", "/owners")]
    if len(owners) > MOST_OWNERS:
        return [Problem("too_long", f"At most {MOST_OWNERS} names.", "/owners")]
    people = set(get_user_model().objects.filter(email__in=[n[5:] for n in owners if n.startswith("user:")], is_active=True).values_list("email", flat=True))
    groups = set(Group.objects.filter(name__in=[n[6:] for n in owners if n.startswith("group:")]).values_list("name", flat=True))
    known = {f"user:{email}" for email in people} | {f"group:{name}" for name in groups}
    return [
        Problem("unknown_person", f'"{name}" is no active person and no group: write user:<e-mail> or group:<name>.', pointer("owners", n))
        for n, name in enumerate(owners)
        if name not in known
    ]


def _wrong_line(case: Case, line: int | None) -> list[Problem]:
    states = verdict(case.rule, case.votes).lines
    if line is None:
        if all(state.filled for state in states):
            return [Problem("line_filled", "Every line is filled.", "/line")]
        return []
    if not 0 <= line < len(states):
        return [Problem("unknown_line", f"There is no line {line}: they count from 0 to {len(states) - 1}.", "/line")]
    return [Problem("line_filled", f"Line {line} is filled.", "/line")] if states[line].filled else []


def _write(attempt: Attempt, asked: Sequence[Any], lines: Sequence[dict[str, Any]]) -> None:
    request = dict(attempt.request or {})
    attempt.request = {**request, LINES_BEFORE: request.get(LINES_BEFORE, list(asked)), "lines": list(lines)}
    Attempt.objects.filter(pk=attempt.pk).update(request=attempt.request)
    RunPerson.objects.filter(run=attempt.run_id, role=RunPerson.DECIDER).delete()
    people = [(RunPerson.DECIDER, n, who) for n, line in enumerate(lines) for who in line["of"]]
    RunPerson.objects.bulk_create(people_rows(attempt.run_id, attempt.release_id, list(dict.fromkeys(people))))
