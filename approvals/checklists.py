"""The verb of people who do the tasks of a checklist: move one on, or say better what it is. A change makes earlier votes stale (S17a)."""

from __future__ import annotations

from typing import Any

from approvals.asked import newest, still_open, the_one_waiting
from approvals.deciding import case_of
from approvals.filling import may_fill
from approvals.staling import make_stale
from processes.access import owner_names
from processes.problems import Problem, did_you_mean
from releases.engine import Actor, Work, locked
from releases.models import Attempt, Task, TaskChange
from relorch.lib.errors import Invalid, NotAllowed

LONGEST_NOTE = 1_024
LONGEST_NAME = 200
LONGEST_DESCRIPTION = 10_000
LONGEST_TIME = 10 * 366 * 24 * 3600
_ENDED = frozenset({Task.Status.DONE, Task.Status.FAILED})


def change_task(
    *,
    release: int,
    activity: str,
    task: str,
    person: Any,
    actor: Actor,
    status: str | None = None,
    name: str | None = None,
    description: str | None = None,
    actual: int | None = None,
    note: str = "",
) -> Task:
    """Change a task of the newest attempt while it is asked. The same status again changes nothing.

    Its owners may, whoever is responsible for the activity, and whoever may decide on it. Raises LookupError, NotAllowed, Conflict (closed), Invalid.
    """
    problems = _problems(status, name, description, actual, note)
    before = newest(release, activity)
    with locked(release, actor=actor) as work:
        attempt = the_one_waiting(work, before, release, activity)
        found = Task.objects.filter(attempt=attempt, key=task).first()
        if found is None:
            raise LookupError(task)
        if not may_work_on(found, attempt, person):
            raise NotAllowed("not_entitled", "A task is changed by its owners, by who is responsible for the activity, or by who may decide on it.")
        still_open(work, attempt)
        if problems:
            raise Invalid("invalid_task", "The task cannot be changed so.", problems)
        _apply(work, found, attempt, person, {"status": status, "name": name, "description": description, "actual": actual}, note)
    return found


def may_work_on(task: Task, attempt: Attempt, person: Any) -> bool:
    """Whether this person may change the task."""
    return person.is_active and (not set(task.owners).isdisjoint(owner_names(person)) or may_fill(case_of(attempt), person, attempt))


def _apply(work: Work, task: Task, attempt: Attempt, person: Any, wanted: dict[str, Any], note: str) -> None:
    was = task.status
    changed = [key for key, value in wanted.items() if value is not None and value != getattr(task, key)]
    if not changed:
        return
    for key in changed:
        setattr(task, key, wanted[key])
    if "status" in changed:
        if task.status == Task.Status.TODO:
            task.started_at = None
        elif task.started_at is None:
            task.started_at = work.at
        task.ended_at = work.at if task.status in _ENDED else None
    task.save(update_fields=[*changed, "started_at", "ended_at"])
    if "status" in changed:
        TaskChange.objects.create(task=task, before=was, after=task.status, by=person, at=work.at, note=note)
    work.say("task.changed", attempt.run.release_id, attempt.run.key, reason=note, task=task.key, changed=changed, before=was, after=task.status)
    if changed != ["actual"]:
        make_stale(work, attempt, "task")


def _problems(status: str | None, name: str | None, description: str | None, actual: int | None, note: str) -> list[Problem]:
    found = []
    if status is None and name is None and description is None and actual is None:
        found.append(Problem("required", "Say what is to change: status, name, description or actual.", ""))
    if status is not None and status not in Task.Status.values:
        found.append(
            Problem("not_an_option", f'"{status}" is no status: {", ".join(Task.Status.values)}.{did_you_mean(status, Task.Status.values)}', "/status")
        )
    if name is not None and not name.strip():
        found.append(Problem("required", "A task needs a name.", "/name"))
    for text, longest, place in ((name, LONGEST_NAME, "/name"), (description, LONGEST_DESCRIPTION, "/description"), (note, LONGEST_NOTE, "/note")):
        if text is not None and len(text) > longest:
            found.append(Problem("too_long", f"At most {longest:,} characters.", place))
        if text is not None and "\0" in text:
            found.append(Problem("invalid_character", "The character NUL cannot be kept.", place))
    if actual is not None and not 0 <= actual <= LONGEST_TIME:
        found.append(Problem("out_of_range", "The time it took is a number of seconds, 0 or more.", "/actual"))
    return found
