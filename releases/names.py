"""The names that expressions see in a release (semantics, section 1): read outside any lock, only what a text refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from processes.expressions import references, references_of_condition
from processes.store_scope import GIVEN
from processes.surroundings import knows
from processes.variables import resolve_variables
from releases import form_secrets, states
from releases.flows import compiled
from releases.form_secrets import context_of
from releases.models import ActivityRun, PhaseRun, Release
from releases.scheduler import Answer, Fact, phase_state
from relorch.audit.chain import instant
from relorch.lib import secrets

Paths = Iterable[tuple[str, ...]]


def about_release(release: Release) -> dict[str, Any]:
    """`release.…`"""
    return {
        "id": release.pk,
        "name": release.name,
        "version": release.version.number,
        "started_at": instant(release.started_at) if release.started_at else "",
        "starter": release.starter.email,
    }


def about_process(release: Release) -> dict[str, Any]:
    """`process.…`"""
    process = release.process
    return {"id": process.identifier, "name": process.name or process.identifier, "category": process.category}


def paths_of(*templates: Any, conditions: Iterable[str | None] = ()) -> set[tuple[str, ...]]:
    """Every dotted path that these templates and conditions use."""
    found: set[tuple[str, ...]] = set()
    for template in templates:
        found |= references(template)
    for text in conditions:
        if text:
            found |= references_of_condition(text)
    return found


def names_of(release: Release, paths: Paths, *, phase: str = "", step: str = "", reveal: bool = False) -> dict[str, Any]:
    """The names for these paths. With `phase`, its variables win over the process's; with `step`, there is what it gives to its activity of the store.
    Secrets stay hidden unless `reveal`. Raises ExpressionError when what is given cannot be taken.

    Every activity and phase that is named and known is there with `state` and `outputs` (S1).
    """

    def shown(values: Any) -> Any:
        return secrets.opened(values, context_of(release.root_id)) if reveal else secrets.hide(values)

    variables = dict(release.variables)
    flow = compiled(release.version_id).flow
    given = compiled(release.version_id).steps[step].given if step else None
    paths = list(paths)
    if given is not None and any(path[0] == GIVEN for path in paths):
        paths += paths_of(dict(given.templates))
    else:
        given = None
    if phase and flow.phases[phase].variables:
        variables |= PhaseRun.objects.values_list("variables", flat=True).get(release=release, key=phase)
    activities = {path[1] for path in paths if len(path) > 1 and path[0] == "activities"}
    phases = {path[1] for path in paths if len(path) > 1 and path[0] == "phases"}
    if any(path == ("activities",) for path in paths):
        activities = set(flow.steps)
    if any(path == ("phases",) for path in paths):
        phases = set(flow.phases)
    names = {
        "inputs": shown(release.inputs),
        "variables": shown(variables),
        "activities": _activities(release, activities, reveal=reveal) if activities else {},
        "phases": _phases(release, phases) if phases else {},
        "release": about_release(release),
        "process": about_process(release),
    }
    return names if given is None else names | {GIVEN: given.values(names, check=reveal, people=knows)}


def names_of_step(release: Release, key: str, *templates: Any, conditions: Iterable[str | None] = (), reveal: bool = False) -> dict[str, Any]:
    """The names for these templates and conditions of an activity; its own variables win over its phase's (S2). Raises ExpressionError."""
    flow = compiled(release.version_id).flow
    variables = flow.steps[key].variables
    names = names_of(release, paths_of(variables, *templates, conditions=conditions), phase=flow.phase_of[key], step=key, reveal=reveal)
    if variables:
        names["variables"] = {**names["variables"], **resolve_variables(variables, names)}
    return names


def _activities(release: Release, keys: Iterable[str], *, reveal: bool) -> dict[str, Any]:
    rows = ActivityRun.objects.filter(release=release, key__in=list(keys)).values_list("key", "state", "outputs")
    steps = compiled(release.version_id).flow.steps
    return {key: {"state": state, "outputs": form_secrets.shown(steps[key], outputs or {}, release.root_id, reveal=reveal)} for key, state, outputs in rows}


def _phases(release: Release, keys: Iterable[str]) -> dict[str, Any]:
    flow = compiled(release.version_id).flow
    answers = answers_in(release)
    found = {}
    for row in PhaseRun.objects.filter(release=release, key__in=list(keys)).prefetch_related("runs"):
        facts = {run.key: Fact(states.Run(run.state), run.skipped_because, run.met, run.attempt_count) for run in row.runs.all()}
        state = phase_state(flow, row.key, decided=bool(row.decided), closed=row.closed_at is not None, facts=facts, answers=answers)
        found[row.key] = {"state": state, "outputs": row.outputs or {}}
    return found


def answers_in(release: Release) -> list[Answer]:
    """The recovering runs that succeeded, with the causes that they and their phases had met (S6)."""
    if not release.troubled:
        return []
    recovered = ActivityRun.objects.filter(release=release, recovers=True, state=states.Run.SUCCEEDED).select_related("phase_run")
    return [Answer(run.key, {**run.phase_run.met, **run.met}) for run in recovered]


def with_result(names: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The names inside an activity's own `outputs`: also `result`."""
    return {**names, "result": {"outputs": dict(outputs)}}
