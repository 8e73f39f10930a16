"""The verbs of input sets: named values for a process's inputs, checked one by one when saved, secrets encrypted; expressions are checked as such."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from processes import computed, reading, variables
from processes.blueprint import API_VERSION, Blueprint, Rule, ValueType, Variable
from processes.editing import record
from processes.models import InputSet, Process
from processes.problems import Problem, did_you_mean, errors, pointer
from processes.versions import newest_blueprints
from relorch.lib import secrets
from relorch.lib.errors import Conflict, Invalid

Asked = tuple[Mapping[str, Variable], tuple[Rule, ...]]


def asked_by(processes: Iterable[Process]) -> dict[int, Asked]:
    """Process's number -> the inputs and rules that a start would ask now: of the newest version, or of the draft of what was never published."""
    processes = list({process.pk: process for process in processes}.values())
    published = newest_blueprints(process.pk for process in processes)
    found: dict[int, Asked] = {}
    for process in processes:
        blueprint = published.get(process.pk) or _draft_head(process)
        found[process.pk] = (blueprint.inputs, blueprint.rules) if blueprint else ({}, ())
    return found


def save(
    process: Process,
    *,
    actor: Any,
    name: str | None = None,
    values: Mapping[str, Any] | None = None,
    description: str | None = None,
    input_set: InputSet | None = None,
    seen: str | None = None,
    door: str = "page",
) -> InputSet:
    """A new input set, or the new content of this one; what is not given stays. Not every input needs a value; each that has one is checked, and null is none.

    `seen` is what `state_of` said of the row that was looked at. Raises Invalid with every problem (places under `/values`), Conflict (the name is taken, or
    somebody saved meanwhile).
    """
    specs, _ = asked_by([process])[process.pk]
    try:
        with transaction.atomic():
            # what is kept is read under the lock: another save, or new keys for its secrets, may have come between
            row = InputSet.objects.select_for_update(of=("self",)).get(pk=input_set.pk) if input_set else InputSet(process=process)
            if seen is not None and seen != state_of(row):
                by = row.updated_by.display_name if row.updated_by else "Somebody"
                raise Conflict("changed", f"{by} has saved this input set since you opened it. Saving again replaces that.", state="changed")
            kept = row.values if input_set else {}
            wanted = secrets.hide(kept) if values is None else values
            plain, problems = _checked(process, specs, {key: value for key, value in wanted.items() if value is not None}, kept)
            name = row.name if name is None else name.strip()
            if not name:
                problems.append(Problem("required", "An input set needs a name.", "/name"))
            if errors(problems):
                raise Invalid("invalid", "The values do not fit.", problems)
            row.name, row.updated_by, row.updated_at = name, actor, Now()
            row.description = row.description if description is None else description
            if input_set is None:
                row.save()  # for its number, to which its secrets are bound
            row.values = {key: _sealed(row, key, specs[key], value, kept) for key, value in plain.items()}
            row.save()
            row.refresh_from_db()
            data = {"input_set": row.pk, "name": name, "values": secrets.hide(row.values)}
            record(process, "input_set.saved", actor=actor, door=door, data=data)
    except IntegrityError as error:
        raise Conflict("input_set_exists", f"“{process}” has an input set of the name “{name}” already.", state="exists") from error
    return row


def state_of(input_set: InputSet) -> str:
    """What tells one state of an input set from another."""
    return input_set.updated_at.isoformat() if input_set.pk else ""


def choose_default(input_set: InputSet, *, chosen: bool, actor: Any, door: str = "page") -> None:
    """Whether a start that names no input set takes this one. A process has at most one such: choosing another takes its place."""
    with transaction.atomic():
        Process.objects.select_for_update(of=("self",)).get(pk=input_set.process_id)
        now = InputSet.objects.get(pk=input_set.pk)
        if now.is_default == chosen:
            return
        InputSet.objects.filter(process=input_set.process_id, is_default=True).update(is_default=False)
        InputSet.objects.filter(pk=input_set.pk).update(is_default=chosen)
        data = {"input_set": input_set.pk, "name": now.name, "default": chosen}
        record(input_set.process, "input_set.default", actor=actor, door=door, data=data)
    input_set.is_default = chosen


def default_of(process: Process) -> InputSet | None:
    """The input set that a start takes when it names none."""
    return process.input_sets.filter(is_default=True).first()


def delete(input_set: InputSet, *, actor: Any, door: str = "page") -> None:
    """Gone; releases that were started with it keep their values."""
    with transaction.atomic():
        record(input_set.process, "input_set.deleted", actor=actor, door=door, data={"input_set": input_set.pk, "name": input_set.name})
        input_set.delete()


def values_of(input_set: InputSet, specs: Mapping[str, Variable]) -> dict[str, Any]:
    """The values as they were saved, secrets opened, expressions as they are written: for the verb that starts, never for an answer.

    A secret goes only where it stays one: it is left out when its input is of another type now.
    """
    return {
        key: secrets.opened(value, _context(input_set, key))
        for key, value in input_set.values.items()
        if not secrets.is_secret(value) or (key in specs and specs[key].type is ValueType.SECRET)
    }


def renew_secrets() -> int:
    """Every stored secret under the newest key; how many input sets that changed."""
    changed = 0
    for pk in InputSet.objects.values_list("pk", flat=True).order_by("pk"):
        with transaction.atomic():
            row = InputSet.objects.select_for_update().filter(pk=pk).first()
            values = {key: secrets.renewed_in(value, _context(row, key)) for key, value in row.values.items()} if row else {}
            if row and values != row.values:
                InputSet.objects.filter(pk=pk).update(values=values)
                changed += 1
    return changed


def problems_of(input_set: InputSet, asked: Asked) -> list[Problem]:
    """What a start with just these values would say, as far as it is known: what an expression gives is not, and what reads it is not asked.

    Secrets were checked when they were saved; no message holds one.
    """
    specs, rules = asked
    unknown = [key for key, value in input_set.values.items() if key in specs and computed.is_computed(specs[key], value)]
    relaxed = {
        key: Variable(type=ValueType.STRING) if spec.type is ValueType.SECRET and secrets.is_secret(input_set.values.get(key)) else spec
        for key, spec in specs.items()
    }
    return errors(variables.resolve_inputs(relaxed, values_of(input_set, specs), rules=rules, unknown=unknown)[1])


def published(process: Process) -> Blueprint | None:
    """What the newest version says; an input set may name its outputs."""
    return newest_blueprints([process.pk]).get(process.pk)


def _draft_head(process: Process) -> Blueprint | None:
    document = {"apiVersion": API_VERSION, "kind": "Process", "id": process.identifier, "inputs": process.inputs, "rules": process.rules}
    blueprint = reading.parse(document).blueprint
    return blueprint if isinstance(blueprint, Blueprint) else None


def _checked(process: Process, specs: Mapping[str, Variable], values: Mapping[str, Any], kept: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    plain: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in values.items():
        place = pointer("values", key)
        if key not in specs:
            problems.append(Problem("unknown_input", f'The process has no input "{key}".{did_you_mean(key, specs)}', place))
        elif specs[key].type is ValueType.SECRET and secrets.is_hidden(value) and secrets.is_secret(kept.get(key)):
            plain[key] = value
        elif speaks_of_secrets(value):
            problems.append(Problem("reserved_key", f'The key "{secrets.MARK}" is reserved for secrets; give the secret itself as text.', place))
        elif computed.is_computed(specs[key], value):
            plain[key] = value
            problems += computed.problems_of(key, value, published(process))
        else:
            plain[key], found = variables.check_value(specs[key], value, name=key)
            problems += [Problem(item.code, item.message, "/values" + item.place.removeprefix("/inputs"), item.severity) for item in found]
    return plain, problems


def _sealed(row: InputSet, key: str, spec: Variable, value: Any, kept: Mapping[str, Any]) -> Any:
    if spec.type is not ValueType.SECRET:
        return value
    return kept[key] if secrets.is_hidden(value) else secrets.stored(value, _context(row, key))


def speaks_of_secrets(value: Any) -> bool:
    """Whether a JSON value holds the key that marks a secret."""
    if isinstance(value, dict):
        return secrets.MARK in value or any(speaks_of_secrets(item) for item in value.values())
    return isinstance(value, list) and any(speaks_of_secrets(item) for item in value)


def _context(input_set: InputSet, key: str) -> str:
    return f"input_set:{input_set.pk}:{key}"
