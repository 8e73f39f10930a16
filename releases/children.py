"""A subprocess is a child release (S12): prepared outside the lock, started within the tree of its parent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from processes.blueprint import Activity, ActivityType
from processes.expressions import render
from processes.models import ProcessVersion
from processes.problems import Problem
from processes.resolving import executable
from releases import planning
from releases.engine import Ref, Work
from releases.flows import compiled
from releases.models import ActivityRun, Release
from releases.names import names_of_step
from releases.retrying import DEFAULT_TIMEOUT
from releases.states import Release as State
from releases.states import Run
from relorch.lib import faults
from relorch.lib.errors import Invalid

_START = """
WITH started AS (
    UPDATE releases_attempt SET state = 'waiting', started_at = %(at)s, reference = %(reference)s::json,
        due_at = %(at)s + %(timeout)s * interval '1 second' WHERE id = %(attempt)s AND state = 'queued' RETURNING run_id
)
UPDATE releases_activityrun run SET state = 'waiting', started_at = coalesce(run.started_at, %(at)s)
FROM started WHERE run.id = started.run_id AND run.state = 'queued' RETURNING run.id
"""


def _version(root: Release, identifier: str) -> ProcessVersion | None:
    """The version pinned at the start; of a process that only a retry named, the newest as it can be executed now."""
    if identifier in root.pins:
        return ProcessVersion.everything.select_related("process").filter(pk=root.pins[identifier]).first()
    newest = ProcessVersion.objects.select_related("process").filter(process__identifier=identifier).first()
    return executable(newest) if newest else None


def unfit(parent: Release, identifier: str) -> list[Problem]:
    """Why this process cannot run below the release: it is not there, it or what it calls is above it already, or the tree would be too deep (S12)."""
    root = parent if parent.root_id == parent.pk else Release.objects.get(pk=parent.root_id)
    version = _version(root, identifier)
    if version is None:
        return [Problem("unknown_process", f'The process "{identifier}" is not there or has never been published.', "/process")]
    path: list[str] = []
    above: Release | None = parent
    while above is not None:
        path.insert(0, above.process.identifier)
        above = above.parent_run.release if above.parent_run is not None else None
    return [replace(problem, place="/process") for problem in planning.problems_below(version, tuple(path), root.pins)]


def prepare(parent: Release, activity: Activity, ref: Ref, attempt: int, number: int) -> Callable[[Work], None]:
    """Work out the child of this attempt; the answer starts it under the lock. Raises ExpressionError, and Invalid when its inputs do not fit."""
    root = parent if parent.root_id == parent.pk else Release.objects.get(pk=parent.root_id)
    run = ActivityRun.objects.get(pk=ref.id)
    identifier = run.changes.get("process") or activity.process or ""
    version = _version(root, identifier)
    if version is None:
        raise Invalid("unknown_process", f'The process "{identifier}" was not published when this release started.', [Problem("unknown_process", identifier)])
    if problems := unfit(parent, identifier):
        raise Invalid(problems[0].code, problems[0].message, problems)
    own = activity.inputs if activity.type is ActivityType.SUBPROCESS else {}
    given = {**render(own, names_of_step(parent, activity.id, own, reveal=True)), **run.changes.get("inputs", {})}
    identity, at = planning.next_id()
    child = Release(
        pk=identity,
        root_id=parent.root_id,
        parent_run=run,
        level=parent.level + 1,
        process=version.process,
        version=version,
        name=planning.shortened(f"{parent.name}: {activity.label}" if number == 1 else f"{parent.name}: {activity.label} ({number})"),
        starter=parent.starter,
        prepared_by=parent.prepared_by,
        state=State.RUNNING,
        started_at=at,
        open_phases=len(compiled(version.pk).flow.blueprint.phases),
    )
    values = planning.values_for(child, compiled(version.pk).flow.blueprint, given)
    child.inputs, child.variables = values.inputs, values.variables

    # a process in place of a machine has the machine's time
    timeout = activity.timeout if activity.type is ActivityType.SUBPROCESS or activity.timeout is not None else DEFAULT_TIMEOUT

    def begin(work: Work) -> None:
        work.cursor.execute(_START, {"at": work.at, "attempt": attempt, "reference": json.dumps({"release": identity}), "timeout": timeout})
        if work.cursor.fetchone():
            child.started_at = work.at
            child.save(force_insert=True)
            faults.point("child.written")
            work.moved(ref, Run.QUEUED, Run.WAITING)
            work.say("activity.child_started", ref.release, ref.key, child=identity, process=identifier, version=version.number)
            planning.begin(work, child)

    return begin
