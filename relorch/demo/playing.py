"""Playing releases as the demo people would: started, signed off by those who may, watched to their end. The workers are the real ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from django.db import close_old_connections

from approvals.checklists import change_task
from approvals.deciding import case_of
from approvals.signing import sign_off
from processes import input_sets
from processes.blueprint import ValueType
from processes.models import InputSet, Process
from processes.quorum import may_decide
from releases import planning
from releases.engine import Actor
from releases.flows import compiled
from releases.models import Attempt, Release, Task
from releases.states import Run
from releases.taking_over import taken_over
from relorch.accounts.models import User
from relorch.lib.errors import DomainError

LOOK_EVERY = 0.25
_FILLED: dict[ValueType, Any] = {ValueType.BOOLEAN: True, ValueType.INTEGER: 1, ValueType.NUMBER: 1.0}
_TEXT = "Tried it on staging: cart, checkout and tax are right."

Watch = Callable[[Release], None]


def begin(process: str, input_set: str, starter: User, *, name: str = "") -> Release:
    """Start a release of a demo process with one of its input sets."""
    where = Process.objects.get(identifier=process)
    specs, _ = input_sets.asked_by([where])[where.pk]
    chosen = InputSet.objects.get(process=where, name=input_set)
    values, _ = taken_over(where, input_sets.values_of(chosen, specs), specs, starter=starter)
    return planning.start(process=where, given=values, actor=Actor(starter.pk, starter.email, "demo"), starter=starter, name=name)


def play(
    release: Release, people: Collection[User], *, decide: bool = True, reject: Collection[str] = (), seconds: float = 90, watch: Watch | None = None
) -> str:
    """Sign off whatever asks, until the release ends, rests with a person, or the time is up; its state then.

    With `decide` false nobody answers: it comes to rest when it waits for people. `reject` names activities that are turned down.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        close_old_connections()
        release.refresh_from_db()
        if watch is not None:
            watch(release)
        if release.is_over:
            break
        asked = list(_asked(release))
        if asked and not decide:
            break
        answered = [_answer(attempt, people, reject) for attempt in asked]
        if not any(answered):
            time.sleep(LOOK_EVERY)
    return release.state


def _asked(release: Release) -> Any:
    waiting = Attempt.objects.filter(root_id=release.root_id, state=Run.WAITING, run__type="manual")
    return waiting.select_related("run__release__version", "run__release__starter", "run__release__process", "run__release__version__published_by")


def _answer(attempt: Attempt, people: Collection[User], reject: Collection[str]) -> bool:
    case = case_of(attempt)
    voted = {vote.person for vote in case.votes if not vote.stale}
    for person in people:
        if person.email in voted or may_decide(case.rule, case.votes, person.email) != "yes":
            continue
        approves = attempt.run.key not in reject
        try:
            if approves:
                _do_tasks(attempt, person)
            sign_off(
                release=attempt.run.release_id,
                activity=attempt.run.key,
                person=person,
                actor=Actor(person.pk, person.email, "page"),
                decision="approve" if approves else "reject",
                comment="Looks right to me." if approves else "Not today: the support team is not ready.",
                fields=_fields(attempt) if approves else None,
            )
        except DomainError:
            continue  # somebody was faster, or the form wants more than we know to say: the next person tries
        return True
    return False


def _do_tasks(attempt: Attempt, person: User) -> None:
    """What must be done before an approval, done by whoever then approves."""
    for task in Task.objects.filter(attempt=attempt, required=True).exclude(status=Task.Status.DONE):
        change_task(
            release=attempt.run.release_id,
            activity=attempt.run.key,
            task=task.key,
            person=person,
            actor=Actor(person.pk, person.email, "page"),
            status=Task.Status.DONE,
        )


def _fields(attempt: Attempt) -> dict[str, Any]:
    specs = compiled(attempt.run.release.version_id).steps[attempt.run.key].activity.fields
    return {
        name: spec.options[0] if spec.options else _FILLED.get(spec.type, _TEXT)
        for name, spec in specs.items()
        if spec.type is not ValueType.FILE and name not in (attempt.filled or {})
    }
