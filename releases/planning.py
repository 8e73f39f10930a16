"""Verbs before the start, and the start itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection

from processes.blueprint import ActivityType, Blueprint, ValueType
from processes.expressions import ExpressionError, references
from processes.models import Process, ProcessVersion
from processes.problems import Problem, errors, pointer
from processes.variables import resolve_inputs, resolve_variables
from releases import engine
from releases.asking import owner_rows
from releases.engine import Actor, Move, Work
from releases.flows import compiled
from releases.models import Release, RunPerson
from releases.names import about_process, about_release, context_of
from releases.states import Release as State
from relorch.lib import secrets
from relorch.lib.errors import Conflict, Invalid

MOST_LEVELS = 5
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Values:
    """Inputs and variables of a release, ready to be stored: secrets encrypted."""

    inputs: dict[str, Any]
    variables: dict[str, Any]


def newest_version(process: Process) -> ProcessVersion:
    """The version a start without a number takes. Raises Conflict when nothing was ever published."""
    version = process.versions.order_by("-number").first()
    if version is None:
        raise Conflict("not_published", f"{process} has no published version yet: publish it first.", state="draft")
    return version


def pins_of(version: ProcessVersion) -> dict[str, int]:
    """The version of every process in the tree that starts from this one (S10): `{process id: version row}`.

    Raises Invalid naming the path when a subprocess is not there, not published, contains itself or lies too deep (S12).
    """
    pins: dict[str, int] = {}
    problems: list[Problem] = []

    def visit(blueprint: Blueprint, path: tuple[str, ...]) -> None:
        for n, phase in enumerate(blueprint.phases):
            for m, activity in enumerate(phase.activities):
                if activity.type is not ActivityType.SUBPROCESS or not activity.process:
                    continue
                name, place = activity.process, pointer("phases", n, "activities", m, "process")
                if name in path:
                    problems.append(Problem("recursion", f"{' -> '.join((*path, name))}: a process cannot contain itself.", place))
                elif len(path) >= MOST_LEVELS:
                    problems.append(Problem("too_deep", f"{' -> '.join((*path, name))}: at most {MOST_LEVELS} levels.", place))
                else:
                    if name not in pins:
                        found = ProcessVersion.objects.filter(process__identifier=name).order_by("-number").first()
                        if found is None:
                            problems.append(Problem("unknown_process", f'The process "{name}" is not there or has never been published.', place))
                            continue
                        pins[name] = found.pk
                    visit(compiled(pins[name]).flow.blueprint, (*path, name))

    root = compiled(version.pk).flow.blueprint
    pins[root.id] = version.pk
    visit(root, (root.id,))
    if problems:
        raise Invalid("cannot_start", "The process cannot start.", problems)
    return pins


def knows(kind: str, name: str) -> bool:
    """Whether there is such a person (`user`, an e-mail) or group (`group`)."""
    if kind == "user":
        return get_user_model().objects.filter(email__iexact=name, is_active=True).exists()
    return Group.objects.filter(name=name).exists()


def shortened(name: str) -> str:
    """A release's name within what its column holds; the end tells releases apart, so the middle goes."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 61]}…{name[-60:]}"


def values_for(release: Release, blueprint: Blueprint, given: Mapping[str, Any], *, form: bool = False) -> Values:
    """Check the inputs and compute the variables once for the whole run (S2). Raises Invalid with every problem at its input's place."""
    names: dict[str, Any] = {"release": about_release(release), "process": about_process(release)}
    inputs, problems = resolve_inputs(blueprint.inputs, given, rules=blueprint.rules, names=names, form=form, people=knows)
    variables: dict[str, Any] = {}
    if not errors(problems):
        try:
            variables = resolve_variables(blueprint.variables, {**names, "inputs": inputs})
        except ExpressionError as error:
            problems = [*problems, Problem(error.code, str(error), "/variables")]
    if errors(problems):
        raise Invalid("invalid_inputs", "Some inputs cannot be taken as they are.", problems)
    context = context_of(release.root_id)
    secret = {("inputs", name) for name, spec in blueprint.inputs.items() if spec.type is ValueType.SECRET}
    grown = True
    while grown:
        more = {("variables", name) for name, text in blueprint.variables.items() if any(path[:2] in secret for path in references(text))}
        grown = not more <= secret
        secret |= more
    return Values(
        {name: secrets.stored(value, context) if ("inputs", name) in secret else value for name, value in inputs.items()},
        {name: secrets.stored(str(value), context) if ("variables", name) in secret else value for name, value in variables.items()},
    )


def next_id() -> tuple[int, datetime]:
    """The id of a release to be, which its names and secrets need before its row is there, and the database's time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('releases_release', 'id')), clock_timestamp()")
        found: tuple[int, datetime] = cursor.fetchone()
    return found


def start(
    *,
    process: Process,
    given: Mapping[str, Any],
    actor: Actor,
    starter: Any,
    version: ProcessVersion | None = None,
    name: str = "",
    form: bool = False,
) -> Release:
    """Start a release at once: inputs checked, versions of the whole tree pinned, runs created, what is ready begins (section 4).

    Raises Invalid (inputs, recursion), Conflict (archived, never published).
    """
    release = _fresh(process, version or newest_version(process), starter, name)
    prepared = values_for(release, compiled(release.version_id).flow.blueprint, given, form=form)
    release.inputs, release.variables, release.pins = prepared.inputs, prepared.variables, pins_of(release.version)

    def insert() -> int:
        release.save(force_insert=True)
        return release.pk

    with engine.created(insert, actor=actor) as work:
        begin(work, release)
    return release


def _fresh(process: Process, version: ProcessVersion, starter: Any, name: str) -> Release:
    if process.archived_at:
        raise Conflict("archived", f"{process} is archived.", state="archived")
    identity, at = next_id()
    return Release(
        pk=identity,
        root_id=identity,
        process=process,
        version=version,
        name=shortened(name or f"{process} {identity}"),
        starter=starter,
        state=State.RUNNING,
        started_at=at,
        created_at=at,
        open_phases=len(compiled(version.pk).flow.blueprint.phases),
    )


def save_draft(*, process: Process, given: Mapping[str, Any], actor: Actor, starter: Any, version: ProcessVersion | None = None, name: str = "") -> Release:
    """Keep a release that is not started yet. Its inputs are checked when it starts; secrets are encrypted at once."""
    release = _fresh(process, version or newest_version(process), starter, name)
    release.state, release.started_at = State.DRAFT, None
    release.inputs = kept(release, given)

    def insert() -> int:
        release.save(force_insert=True)
        return release.pk

    with engine.created(insert, actor=actor) as work:
        work.say("release.drafted", release.pk)
    return release


def kept(release: Release, given: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a draft as they are stored; a secret that comes back hidden keeps its value."""
    specs = compiled(release.version_id).flow.blueprint.inputs
    values = {}
    for name, value in given.items():
        if name in specs and specs[name].type is ValueType.SECRET:
            if secrets.is_hidden(value) and name in release.inputs:
                value = release.inputs[name]
            elif isinstance(value, str):
                value = secrets.stored(value, context_of(release.root_id))
        values[name] = value
    return values


def start_draft(*, release: Release, actor: Actor) -> Release:
    """Start a draft. Raises Conflict naming the state when it is none any more, Invalid with every problem of its inputs."""
    moves_of_start(release=release, actor=actor)
    return release


def moves_of_start(*, release: Release, actor: Actor, preview: bool = False) -> list[Move]:
    """As `start_draft`, saying what it moves at once; with `preview` nothing is changed."""
    if release.process.archived_at:
        raise Conflict("archived", f"{release.process} is archived.", state="archived")
    _, at = next_id()
    if release.state == State.DRAFT:
        release.started_at = at
        given = secrets.opened(release.inputs, context_of(release.root_id))
        prepared = values_for(release, compiled(release.version_id).flow.blueprint, given)
        pins = pins_of(release.version)
    with engine.locked(release.pk, actor=actor, preview=preview) as work:
        state = work.release(release.pk).state
        if state != State.DRAFT:
            raise Conflict("wrong_state", f"This release is {state}: only a draft can be started.", state=state)
        release.state, release.started_at = State.RUNNING, work.at
        release.inputs, release.variables, release.pins = prepared.inputs, prepared.variables, pins
        release.open_phases = len(compiled(release.version_id).flow.blueprint.phases)
        release.save()
        work.forget(release.pk)
        work.moves.append(Move(release.pk, "", State.DRAFT, State.RUNNING))
        begin(work, release)
    return work.moves


def change_draft(*, release: Release, actor: Actor, seen: Callable[[Release], None], name: str | None = None, given: Mapping[str, Any] | None = None) -> None:
    """Change a draft's name, or replace its inputs (a secret that comes back hidden keeps its value). `seen` may refuse the row as it is under the lock."""
    with engine.locked(release.pk, actor=actor) as work:
        now = Release.objects.select_related("process", "version", "starter").get(pk=release.pk)
        seen(now)
        if now.state != State.DRAFT:
            raise Conflict("wrong_state", f"This release is {now.state}: only a draft can be changed.", state=now.state)
        changed = []
        if name is not None and name.strip() and name != now.name:
            now.name = name
            changed.append("name")
        if given is not None:
            now.inputs = kept(now, given)
            changed.append("inputs")
        if changed:
            now.save(update_fields=changed)
            work.say("release.changed", now.pk, changed=changed)


def delete_draft(*, release: Release, actor: Actor, seen: Callable[[Release], None] | None = None) -> None:
    """Drafts alone can be deleted; the event of it stays. `seen` may refuse the row as it is under the lock."""
    with engine.locked(release.pk, actor=actor) as work:
        if seen is not None:
            seen(Release.objects.get(pk=release.pk))
        state = work.release(release.pk).state
        if state != State.DRAFT:
            raise Conflict("wrong_state", f"This release is {state}: only a draft can be deleted.", state=state)
        work.say("release.deleted", release.pk, name=release.name)
        work.write()
        # by hand: the ORM sees that a release is its own root, and refuses
        work.cursor.execute("DELETE FROM releases_release WHERE id = %s AND state = 'draft'", (release.pk,))


def begin(work: Work, release: Release) -> None:
    """The release has just started: its event, its phases and runs, and what is ready."""
    said: dict[str, Any] = {"process": release.process.identifier, "version": release.version.number, "hash": release.version.hash}
    if release.parent_run is not None:
        said["parent"] = release.parent_run.release_id
    work.say("release.started", release.pk, **said)
    work.begin(release.pk)
    RunPerson.objects.bulk_create(owner_rows(release))
