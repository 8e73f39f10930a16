"""Where a process is used as a subprocess: by published versions and by drafts, and only those that the reader may see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models.fields.json import KeyTextTransform

from processes.blueprint import ActivityType, Blueprint
from processes.models import DraftActivity, Process, ProcessVersion, SubprocessUse

MOST_USERS = 100


@dataclass(frozen=True, slots=True)
class Use:
    """A process that runs the other one: the newest version that does, whether a newer one does not any more, and whether its draft does."""

    process: Process
    number: int | None
    is_newest: bool
    in_draft: bool


def note_calls(version: ProcessVersion, blueprint: Blueprint) -> None:
    """Remember what a version that is being published runs."""
    SubprocessUse.objects.bulk_create([SubprocessUse(version=version, called=called) for called in sorted(calls_of(blueprint))])


def calls_of(blueprint: Blueprint) -> set[str]:
    """The ids of the processes that it runs."""
    steps = (activity for phase in blueprint.phases for activity in phase.activities)
    return {activity.process for activity in steps if activity.type is ActivityType.SUBPROCESS and activity.process}


def uses_of(process: Process, reader: Any) -> list[Use]:
    """By whom it is run, as far as this person may know; in the order of their names."""
    known = Process.objects.visible_to(reader)
    rows = SubprocessUse.objects.filter(called=process.identifier, version__process__in=known)
    numbers = dict(rows.order_by("version__process", "-version__number").distinct("version__process").values_list("version__process", "version__number"))
    drafts = set(drafts_running(process).filter(process__in=known).values_list("process", flat=True))
    found = known.filter(pk__in={*numbers, *drafts}).with_counts().order_by("name", "identifier")[:MOST_USERS]
    return [_use(row, numbers, drafts) for row in found]


def drafts_running(process: Process) -> Any:
    """Activities of other drafts that run it."""
    called = DraftActivity.objects.annotate(called=KeyTextTransform("process", "more"))
    return called.filter(type="subprocess", called=process.identifier).exclude(process=process)


def _use(process: Any, numbers: dict[int, int], drafts: Iterable[int]) -> Use:
    number = numbers.get(process.pk)
    return Use(process, number, number is not None and number == process.newest_number, process.pk in drafts)
