"""The form and the evidence of a question (S17a): checked before the lock, written under it, part of the packet from then on.

A file of the form is an attachment of the activity: given as the number of one that was brought before, or (by a page) as a file just stored. What the form
then holds, and later the output, is its name, size, hash and link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from approvals import packets
from approvals.asked import newest, still_open, the_one_waiting
from approvals.deciding import Case, case_of
from approvals.staling import make_stale
from processes.blueprint import Activity, ValueType, Variable
from processes.problems import Problem, errors
from processes.store_scope import GIVEN
from processes.surroundings import knows
from processes.variables import resolve_inputs
from releases import form_secrets, talking
from releases.access import owns_run
from releases.engine import Actor, Work, locked
from releases.flows import compiled
from releases.models import Attachment, Attempt
from releases.names import names_of
from releases.states import Run
from relorch.lib import secrets
from relorch.lib.errors import Conflict, Invalid, NotAllowed
from relorch.lib.files import Kept

PENDING = "pending file"


@dataclass(frozen=True, slots=True)
class Filled:
    """A form read before the lock: what it held, what it would hold, files to be attached with it, and what is wrong."""

    attempt: int = 0
    seen: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Kept] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything would be different."""
        return bool(self.files) or self.values != self.seen


def read(attempt: Attempt, given: Mapping[str, Any] | None, *, form: bool, complete: bool) -> Filled:
    """The form of this attempt with `given` over what it holds; null takes a value away. `complete` asks for what is required. Evaluates: not under a lock."""
    specs = specs_of(attempt)
    seen = dict(attempt.filled or {})
    if given is None and not complete:
        return Filled(attempt.pk, seen, seen)
    activity, root = _activity(attempt), attempt.root_id
    merged, files, problems = _with_files(
        attempt, specs, {**form_secrets.opened(activity, seen, root), **_without_kept(activity, given or {}, form=form)}, seen
    )
    merged = {name: value for name, value in merged.items() if value is not None}
    if not complete:
        specs = {name: spec.model_copy(update={"required": False, "required_if": None}) for name, spec in specs.items()}
    values, found = resolve_inputs(specs, merged, names=names_of(attempt.run.release, [(GIVEN,)], step=attempt.run.key), form=form, people=knows)
    known = {problem.place for problem in problems}
    wrong = [Problem(p.code, p.message, p.place.replace("/inputs/", "/fields/"), p.severity) for p in errors(found)]
    values = form_secrets.stored(activity, values, root, seen=seen)
    return Filled(attempt.pk, seen, values, files, (*problems, *(problem for problem in wrong if problem.place not in known)))


def specs_of(attempt: Attempt) -> Mapping[str, Variable]:
    """The fields of its form."""
    return _activity(attempt).fields


def _activity(attempt: Attempt) -> Activity:
    return compiled(attempt.run.release.version_id).steps[attempt.run.key].activity


def _without_kept(activity: Activity, given: Mapping[str, Any], *, form: bool) -> dict[str, Any]:
    """Without secrets that stay as they are: shown as hidden and given back so, or left empty in a form, which never shows them."""
    same = {name for name in form_secrets.names_in(activity) if secrets.is_hidden(given.get(name)) or (form and given.get(name) == "")}
    return {name: value for name, value in given.items() if name not in same}


def check_unchanged(attempt: Attempt, filled: Filled) -> None:
    """Raises Conflict when somebody else has filled in the form since it was read."""
    if attempt.pk != filled.attempt or (attempt.filled or {}) != filled.seen:
        raise Conflict("packet_changed", "Somebody else has just filled in the form: look at it again.", state=Run.WAITING)


def write(work: Work, attempt: Attempt, filled: Filled) -> None:
    """Under the lock: attach the files, keep the values; votes on what it was go stale (S17a)."""
    values = dict(filled.values)
    for name, kept in filled.files.items():
        values[name] = talking.evidence_of(talking.attach_in(work, attempt.run.release_id, attempt.run, kept, field=name))
    attempt.filled = values
    Attempt.objects.filter(pk=attempt.pk).update(filled=values)
    make_stale(work, attempt, "form")


def fill(*, release: int, activity: str, person: Any, actor: Actor, fields: Mapping[str, Any], packet: str = "", form: bool = False) -> Attempt:
    """Fill in the form without deciding: by a responsible person, or somebody who may decide. Required fields may still be empty.

    Raises LookupError, NotAllowed, Conflict (closed, another packet, somebody was faster), Invalid with every problem.
    """
    before = newest(release, activity)
    filled = read(before, fields, form=form, complete=False) if before is not None and before.state == Run.WAITING else Filled()
    with locked(release, actor=actor) as work:
        attempt = the_one_waiting(work, before, release, activity)
        _may_fill(case_of(attempt), person, attempt)
        still_open(work, attempt)
        check_unchanged(attempt, filled)
        if packet and packet != packets.current_hash(attempt):
            raise Conflict("packet_changed", "What you saw has changed since: look at it again.", state=Run.WAITING)
        if filled.problems:
            raise Invalid("invalid_form", "The form cannot be taken as it is.", filled.problems)
        if filled.changes:
            write(work, attempt, filled)
            changed = sorted(name for name in {*filled.seen, *(attempt.filled or {})} if filled.seen.get(name) != (attempt.filled or {}).get(name))
            work.say("form.filled", release, activity, fields=changed, packet=packets.current_hash(attempt))
    return attempt


def may_fill(case: Case, person: Any, attempt: Attempt) -> bool:
    """Who is responsible for the activity, and who may decide on it now or later."""
    return person.is_active and (case.entitlement(person.email)[0] in ("yes", "not_yet_asked") or owns_run(person, attempt.run.release, attempt.run.key))


def _may_fill(case: Case, person: Any, attempt: Attempt) -> None:
    if not may_fill(case, person, attempt):
        raise NotAllowed("not_entitled", "The form is filled in by who is responsible for this activity, or may decide on it.")


def _with_files(
    attempt: Attempt, specs: Mapping[str, Variable], given: Mapping[str, Any], seen: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Kept], list[Problem]]:
    """Values of fields of type `file` as what they stand for. Nobody hands in evidence by describing it: it is looked up."""
    merged, files, problems = dict(given), {}, []
    for name, spec in specs.items():
        value = merged.get(name)
        if spec.type is not ValueType.FILE or value is None or value == "" or value == seen.get(name):
            continue
        if isinstance(value, Kept):
            files[name] = value
            merged[name] = {"name": value.name, "size": value.size, "hash": value.hash, "link": PENDING}
            continue
        number = value.get("attachment") if isinstance(value, dict) else value
        found = None
        if type(number) is int and 0 < number < 2**63:
            found = Attachment.objects.filter(release=attempt.run.release_id, run=attempt.run_id, pk=number, removed_at=None).first()
        if found is None:
            message = f"{spec.name or name}: give the number of a file that was attached to this activity."
            problems.append(Problem("not_found", message, f"/fields/{name}"))
            del merged[name]
        else:
            merged[name] = talking.evidence_of(found)
    return merged, files, problems
