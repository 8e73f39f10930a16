"""What a new release is made of: a process and version, and values that come from an input set, from another release, and from the request itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.http import Http404

from processes import input_sets
from processes.blueprint import ValueType, Variable
from processes.models import InputSet, Process, ProcessVersion
from processes.problems import Problem, pointer
from releases import overview, planning, scheduling
from releases.access import may_operate
from releases.engine import Actor
from releases.flows import compiled
from releases.form_secrets import context_of
from releases.models import Release
from releases.taking_over import taken_over
from relorch.lib import secrets
from relorch.lib.errors import Conflict, Invalid


def process_for(data: Any, user: Any) -> tuple[Process, Release | None]:
    """The process that a request names, directly or by a release to be like; 404 for what this person may not see. Raises Invalid when none is named."""
    wanted = data if isinstance(data, Mapping) else {}
    name, number = wanted.get("process"), wanted.get("like")
    like = None
    if isinstance(number, int) and not isinstance(number, bool):
        like = Release.objects.visible_to(user).select_related("process").filter(pk=number).first() if abs(number) < 2**63 else None
        if like is None:
            raise Http404
        # who may see the child of another process need not see that process
        if name in (None, like.process.identifier):
            return like.process, like
        raise Invalid("invalid", "The release cannot be made so.", [Problem("other_process", f"Release {number} is of another process.", "/process")])
    if not isinstance(name, str) or not name or "\x00" in name:
        raise Invalid("invalid", "The release cannot be made so.", [Problem("required", "Say which process: its id, or a release to be like.", "/process")])
    process = Process.objects.visible_to(user).filter(identifier=name).first()
    if process is None:
        raise Http404
    return process, like


def make(process: Process, like: Release | None, wanted: Mapping[str, Any], *, actor: Actor, starter: Any) -> Release:
    """A draft or, with `start`, a release that runs, or with `scheduled_for` one that starts then.

    Raises Conflict (archived, never published, identifier taken), Invalid with every problem.
    """
    if process.archived_at:
        raise Conflict("archived", f"{process} is archived.", state="archived")
    version = version_of(process, wanted.get("version"))
    given = _values(process, version, like, wanted, starter)
    name = wanted.get("name") or (like.name if like else "")
    details = details_like(like) | {name: wanted[name] for name in overview.FIELDS if name in wanted}
    made: dict[str, Any] = {"process": process, "given": given, "actor": actor, "starter": starter, "name": name, "details": details}
    if wanted.get("scheduled_for"):
        if wanted.get("start"):
            said = Problem("start_or_schedule", "It either starts now or is scheduled.", "/start")
            raise Invalid("invalid", "The release cannot be made so.", [said])
        times = {key: wanted[key] for key in ("scheduled_for", "expected_end", "auto_start") if key in wanted}
        return scheduling.save_scheduled(**made, **times, version=version if "version" in wanted else None)
    unscheduled = [Problem("not_scheduled", "Only with scheduled_for.", f"/{key}") for key in ("expected_end", "auto_start") if wanted.get(key)]
    if unscheduled:
        raise Invalid("invalid", "The release cannot be made so.", unscheduled)
    if wanted.get("start"):
        return planning.start(**made, version=version)
    _text_only(version.pk, given)
    return planning.save_draft(**made, version=version, pinned=wanted.get("version") is not None)


def inputs_like(like: Release, specs: Mapping[str, Variable], *, carry: bool) -> dict[str, Any]:
    """The stored inputs that a release like this one takes over. A secret goes only where it stays one, and with `carry`: for who may operate that release."""
    found = {name: value for name, value in like.inputs.items() if name in specs}
    return {name: value for name, value in found.items() if not secrets.is_secret(value) or (carry and specs[name].type is ValueType.SECRET)}


def details_like(like: Release | None) -> dict[str, Any]:
    """What a release that is like another one takes over of it: all but its identifier and its owners."""
    return {name: getattr(like, name) for name in ("description", "tags", "release_version", "colour", "links")} if like else {}


def text_secrets(release: Release, given: Mapping[str, Any]) -> dict[str, Any]:
    """New inputs for a draft, without those that are null. Raises Invalid for a secret that is no text, because it could not be encrypted."""
    values = {name: value for name, value in given.items() if value is not None}
    _text_only(release.version_id, {name: value for name, value in values.items() if not (secrets.is_hidden(value) and name in release.inputs)})
    return values


def version_of(process: Process, number: int | None) -> ProcessVersion:
    if number is None:
        return planning.newest_version(process)
    version = process.versions.filter(number=number).first() if number < 2**31 else None
    if version is None:
        raise Invalid("invalid", "The release cannot be made so.", [Problem("unknown_version", f"{process} has no version {number}.", "/version")])
    return version


def _values(process: Process, version: ProcessVersion, like: Release | None, wanted: Mapping[str, Any], user: Any) -> dict[str, Any]:
    specs = compiled(version.pk).flow.blueprint.inputs
    values: dict[str, Any] = {}
    if like is not None:
        values |= secrets.opened(inputs_like(like, specs, carry=may_operate(user, like)), context_of(like.root_id))
    chosen = _input_set(process, wanted["input_set"]) if "input_set" in wanted else None if like else input_sets.default_of(process)
    if chosen is not None:
        given = {name for name, value in wanted.get("inputs", {}).items() if not secrets.is_hidden(value)}
        taken, problems = taken_over(process, input_sets.values_of(chosen, specs), specs, starter=user, without=given)
        if problems:
            raise Invalid("invalid_inputs", f"The input set “{chosen}” cannot be taken over as it is.", problems)
        values |= taken
    for name, value in wanted.get("inputs", {}).items():
        if value is None:
            values.pop(name, None)
        elif not (secrets.is_hidden(value) and name in values):
            values[name] = value
    return values


def _input_set(process: Process, wanted: int | str | None) -> InputSet | None:
    if wanted is None:
        return None
    rows = InputSet.objects.filter(process=process)
    row = (rows.filter(name=wanted) if isinstance(wanted, str) else rows.filter(pk=wanted) if abs(wanted) < 2**63 else rows.none()).first()
    if row is None:
        raise Invalid("invalid", "The release cannot be made so.", [Problem("unknown_input_set", f"{process} has no such input set.", "/input_set")])
    return cast(InputSet, row)


def _text_only(version: int, given: Mapping[str, Any]) -> None:
    specs = compiled(version).flow.blueprint.inputs
    wrong = [name for name, value in given.items() if name in specs and specs[name].type is ValueType.SECRET and not isinstance(value, str)]
    if wrong:
        said = [Problem("wrong_type", f"{name} is a secret: give it as text.", pointer("inputs", name)) for name in wrong]
        raise Invalid("invalid_inputs", "Some inputs cannot be taken as they are.", said)
