"""Verbs before the start, and the start itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection

from processes.blueprint import ActivityType, Blueprint, ValueType
from processes.deprecating import problems_of_starting
from processes.expressions import ExpressionError, references
from processes.models import Process, ProcessVersion
from processes.problems import Problem, errors, pointer
from processes.resolving import executable
from processes.surroundings import knows
from processes.variables import resolve_inputs, resolve_variables
from releases import engine, overview
from releases.asking import owner_rows
from releases.engine import Actor, Move, Work
from releases.flows import compiled
from releases.form_secrets import context_of
from releases.meetable import problems_of_starter
from releases.models import Release, RunPerson
from releases.names import about_process, about_release
from releases.states import Release as State
from relorch.audit.chain import instant
from relorch.lib import secrets
from relorch.lib.errors import Conflict, Invalid

MOST_LEVELS = 5
FARTHEST = timedelta(days=3660)
TOO_FAR = "That is more than ten years away."
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

    Raises Invalid naming the path when a subprocess is not there, not published, contains itself or lies too deep (S12), and what is deprecated.
    """
    root = compiled(version.pk).flow.blueprint
    pins = {root.id: version.pk}
    if problems := [*_walk(root, (root.id,), pins), *problems_of_starting(pins.values())]:
        raise Invalid("cannot_start", "The process cannot start.", problems)
    return pins


def problems_below(version: ProcessVersion, above: tuple[str, ...], pins: Mapping[str, int]) -> list[Problem]:
    """Why this version cannot run below these processes, the top one first (S12): it or what it calls is above already, or the tree would be too deep."""
    root = compiled(version.pk).flow.blueprint
    path = " -> ".join((*above, root.id))
    if root.id in above:
        return [Problem("recursion", f"{path}: a process cannot contain itself.")]
    if len(above) >= MOST_LEVELS:
        return [Problem("too_deep", f"{path}: at most {MOST_LEVELS} levels.")]
    return _walk(root, (*above, root.id), {**pins, root.id: version.pk})


def _walk(root: Blueprint, path: tuple[str, ...], pins: dict[str, int]) -> list[Problem]:
    """What is wrong with the tree below; `pins` grow by what it runs."""
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
                        pins[name] = executable(found).pk
                    visit(compiled(pins[name]).flow.blueprint, (*path, name))

    visit(root, path)
    return problems


def _refuse_starters(release: Release, pins: Mapping[str, int]) -> None:
    """Raises Invalid naming each decision that could never be taken if these people start it (S18)."""
    if problems := problems_of_starter(release, pins.values()):
        raise Invalid("cannot_start", "Somebody else must start this release.", problems)


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
    details: Mapping[str, Any] | None = None,
) -> Release:
    """Start a release at once: inputs checked, versions of the whole tree pinned, runs created, what is ready begins (section 4).

    `details` are the fields of `releases/overview.py`. Raises Invalid (inputs, details, recursion, S18), Conflict (archived, unpublished, identifier taken).
    """
    release = fresh(process, version or newest_version(process), starter, name)
    prepared = checked(release, given, describe(release, details or {}), form=form)
    release.inputs, release.variables, release.pins = prepared.inputs, prepared.variables, pins_of(release.version)
    _refuse_starters(release, release.pins)
    with inserted(release, actor) as work:
        begin(work, release)
    return release


@contextmanager
def inserted(release: Release, actor: Actor) -> Iterator[Work]:
    """The work that makes this root release. Raises Conflict when its identifier is taken."""

    def insert() -> int:
        release.save(force_insert=True)
        return release.pk

    with one_identifier(release), engine.created(insert, actor=actor) as work:
        yield work


@contextmanager
def one_identifier(release: Release) -> Iterator[None]:
    """An identifier names one release only. Raises Conflict when somebody else has it."""
    try:
        yield
    except IntegrityError as error:
        if "release_identifier" not in str(error):
            raise
        raise Conflict("identifier_taken", f'Another release is called "{release.identifier}": choose another identifier.', state=release.state) from None


def describe(release: Release, details: Mapping[str, Any]) -> list[Problem]:
    """Take over what is said of the release (`releases/overview.py`); the problems of it, if any. Keys that are absent stay as they are."""
    given = {name: value for name, value in details.items() if name in overview.FIELDS and value is not None}
    if not given.get("identifier", "unsaid"):
        given["identifier"] = overview.identifier_from(release.name, release.pk)
    for name, value in given.items():
        setattr(release, name, value)
    return overview.problems_of(given, phases=compiled(release.version_id).flow.phases, knows=knows)


def checked(release: Release, given: Mapping[str, Any], problems: Sequence[Problem], *, form: bool = False) -> Values:
    """The values of a release, as `values_for`, with these problems of its other fields beside those of its inputs."""
    try:
        prepared = values_for(release, compiled(release.version_id).flow.blueprint, given, form=form)
    except Invalid as error:
        raise Invalid(error.code, error.message, [*problems, *error.problems]) from None
    if problems:
        raise Invalid("invalid", "The release cannot be made so.", problems)
    return prepared


def plain_inputs(blueprint: Blueprint, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """What was typed into a form as values of their types, and what is wrong with it; what is empty is left out."""
    return resolve_inputs(blueprint.inputs, given, form=True, people=knows)


def from_form(release: Release, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """As `plain_inputs`, for a draft."""
    return plain_inputs(compiled(release.version_id).flow.blueprint, given)


def fresh(process: Process, version: ProcessVersion, starter: Any, name: str) -> Release:
    """A root release that is not stored yet. Raises Conflict for an archived process."""
    if process.archived_at:
        raise Conflict("archived", f"{process} is archived.", state="archived")
    version = executable(version)
    identity, at = next_id()
    return Release(
        pk=identity,
        root_id=identity,
        process=process,
        version=version,
        name=(named := shortened(name or f"{process} {identity}")),
        identifier=overview.identifier_from(named, identity),
        starter=starter,
        prepared_by=[starter.pk],
        state=State.RUNNING,
        started_at=at,
        created_at=at,
        open_phases=len(compiled(version.pk).flow.blueprint.phases),
    )


def save_draft(
    *,
    process: Process,
    given: Mapping[str, Any],
    actor: Actor,
    starter: Any,
    version: ProcessVersion | None = None,
    name: str = "",
    details: Mapping[str, Any] | None = None,
    pinned: bool = False,
) -> Release:
    """Keep a release that is not started yet. Its inputs are checked when it starts or is scheduled; secrets are encrypted at once.

    Raises Invalid for details that cannot be taken, Conflict (archived, never published, identifier taken).
    """
    release = fresh(process, version or newest_version(process), starter, name)
    problems = describe(release, details or {})
    if problems:
        raise Invalid("invalid", "The release cannot be made so.", problems)
    release.state, release.started_at, release.version_pinned = State.DRAFT, None, pinned
    release.inputs = kept(release, given)
    with inserted(release, actor) as work:
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


def joined(people: Sequence[int], actor: Actor) -> list[int]:
    """Those who prepared a release, and whoever does it now."""
    return [*people, actor.id] if actor.id is not None and actor.id not in people else list(people)


def start_draft(*, release: Release, actor: Actor) -> Release:
    """Start a draft, or a scheduled release before or at its time. Raises Conflict naming the state, Invalid with every problem of its inputs."""
    moves_of_start(release=release, actor=actor)
    return release


STARTABLE = frozenset({State.DRAFT, State.SCHEDULED})


def moves_of_start(*, release: Release, actor: Actor, preview: bool = False, by_clock: bool = False) -> list[Move]:
    """As `start_draft`, saying what it moves at once; with `preview` nothing is changed. `by_clock`: only when its time has come and it starts by itself.

    A scheduled release takes the newest version, unless it was pinned (S13).
    """
    if release.process.archived_at:
        raise Conflict("archived", f"{release.process} is archived.", state="archived")
    before = _row_of(release)
    _, release.started_at = next_id() if release.state in STARTABLE else (0, release.started_at)
    if release.state in STARTABLE:
        if release.state == State.SCHEDULED and not release.version_pinned:
            release.version = newest_version(release.process)
        release.version = executable(release.version)
        given = secrets.opened(release.inputs, context_of(release.root_id))
        prepared = values_for(release, compiled(release.version_id).flow.blueprint, given)
        pins = pins_of(release.version)
        release.prepared_by = joined(release.prepared_by, actor)
        _refuse_starters(release, pins)
    with engine.locked(release.pk, actor=actor, preview=preview) as work:
        now = Release.objects.get(pk=release.pk)
        if now.state not in STARTABLE:
            raise Conflict("wrong_state", f"This release is {now.state}: only a draft or a scheduled release can be started.", state=now.state)
        if _row_of(now) != before:
            raise Conflict("changed", "Somebody has changed this release meanwhile: look at it again.", state=now.state)
        if by_clock and not (now.auto_start and now.scheduled_for and now.scheduled_for <= work.at):
            return []
        early = now.scheduled_for is not None and work.at < now.scheduled_for
        release.state, release.started_at, release.due_since = State.RUNNING, work.at, None
        release.prepared_by = joined(now.prepared_by, actor)
        release.inputs, release.variables, release.pins = prepared.inputs, prepared.variables, pins
        release.open_phases = len(compiled(release.version_id).flow.blueprint.phases)
        release.save(update_fields=_OF_A_START)
        work.forget(release.pk)
        work.moves.append(Move(release.pk, "", now.state, State.RUNNING))
        begin(work, release, early=early)
    return work.moves


_OF_A_START = ("state", "started_at", "due_since", "prepared_by", "inputs", "variables", "pins", "open_phases", "version")


def _row_of(release: Release) -> tuple[Any, ...]:
    """Everything of a release before its start that a start rests on."""
    told = (release.scheduled_for, release.auto_start, release.version_pinned, release.phase_owners, release.prepared_by)
    return (release.state, release.version_id, release.inputs, *told)


def change_draft(
    *,
    release: Release,
    actor: Actor,
    seen: Callable[[Release], None],
    name: str | None = None,
    given: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
    version: ProcessVersion | None = None,
    pinned: bool | None = None,
    times: Mapping[str, Any] | None = None,
) -> None:
    """Change a draft: its name, details, version, the times it is meant for, or all of its inputs (a secret that comes back hidden keeps its value).

    `seen` may refuse the row as it is under the lock. Raises Conflict naming the state, Invalid with every problem.
    """
    with one_identifier(release), engine.locked(release.pk, actor=actor) as work:
        now = Release.objects.select_related("process", "version", "starter").get(pk=release.pk)
        seen(now)
        if now.state != State.DRAFT:
            raise Conflict("wrong_state", f"This release is {now.state}: only a draft can be changed.", state=now.state)
        was = {field.name: getattr(now, field.attname) for field in Release._meta.concrete_fields}
        if name is not None and name.strip():
            if now.identifier == overview.identifier_from(now.name, now.pk):
                now.identifier = overview.identifier_from(name, now.pk)
            now.name = name
        if version is not None:
            now.version = version
        if pinned is not None:
            now.version_pinned = pinned
        for field, value in (times or {}).items():
            setattr(now, field, value)
        problems = [*describe(now, details or {}), *far_away(work.at, times or {})]
        if now.scheduled_for and now.expected_end and now.expected_end <= now.scheduled_for:
            problems.append(Problem("ends_before_start", "It is to end after it starts.", "/expected_end"))
        if problems:
            raise Invalid("invalid", "The release cannot be changed so.", problems)
        release.identifier = now.identifier
        if given is not None:
            now.inputs = kept(now, given)
        now.prepared_by = joined(now.prepared_by, actor)
        changed = [field.name for field in Release._meta.concrete_fields if getattr(now, field.attname) != was[field.name]]
        if changed:
            now.save(update_fields=changed)
        if told := [name for name in changed if name != "prepared_by"]:
            work.say("release.changed", now.pk, changed=told)


def far_away(at: datetime, times: Mapping[str, Any]) -> list[Problem]:
    """Times that nobody means, which no page could show in every time zone: more than ten years from `at`, on either side."""
    return [Problem("too_far", TOO_FAR, f"/{name}") for name, when in times.items() if isinstance(when, datetime) and abs(when - at) > FARTHEST]


def delete_draft(*, release: Release, actor: Actor, seen: Callable[[Release], None] | None = None) -> None:
    """Drafts alone can be deleted; the event of it stays. `seen` may refuse the row as it is under the lock."""
    with engine.locked(release.pk, actor=actor) as work:
        if seen is not None:
            seen(Release.objects.get(pk=release.pk))
        state = work.release(release.pk).state
        if state != State.DRAFT:
            raise Conflict("wrong_state", f"This release is {state}: only a draft is deleted so; what is over by `delete/`, with a reason.", state=state)
        work.say("release.deleted", release.pk, name=release.name)
        work.write()
        # by hand: the ORM sees that a release is its own root, and refuses; what people said and brought goes with it
        work.cursor.execute("DELETE FROM releases_comment WHERE release_id = %s", (release.pk,))
        work.cursor.execute("DELETE FROM releases_attachment WHERE release_id = %s", (release.pk,))
        work.cursor.execute("DELETE FROM releases_release WHERE id = %s AND state = 'draft'", (release.pk,))


def begin(work: Work, release: Release, *, early: bool = False) -> None:
    """The release has just started: its event, its phases and runs, and what is ready."""
    said: dict[str, Any] = {"process": release.process.identifier, "version": release.version.number, "hash": release.version.hash}
    if release.parent_run is not None:
        said["parent"] = release.parent_run.release_id
    elif release.scheduled_for:
        said |= {"scheduled_for": instant(release.scheduled_for), "early": early}
    work.say("release.started", release.pk, **said)
    work.begin(release.pk)
    RunPerson.objects.bulk_create(owner_rows(release))
