"""What an input set gives to a start: its fixed values, and those that are worked out at that moment (`processes/computed.py`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from processes import computed
from processes.blueprint import Variable
from processes.expressions import ExpressionError, references, render
from processes.input_sets import published, speaks_of_secrets
from processes.models import Process
from processes.problems import Problem, pointer
from releases import states
from releases.models import Release
from releases.names import names_of
from relorch.audit.chain import instant
from relorch.lib import clock, secrets

NOTHING_YET = " No release of the process has succeeded yet."
WENT_OUT = (states.Release.SUCCEEDED, states.Release.PARTIALLY_SUCCEEDED)


def taken_over(
    process: Process, values: Mapping[str, Any], specs: Mapping[str, Variable], *, starter: Any, without: Collection[str] = ()
) -> tuple[dict[str, Any], list[Problem]]:
    """The values as a start takes them, and why some of them have none, each at its input's place; those are left out, as are those of `without`.

    Secrets, encrypted or open, stay as they are.
    """
    wanted = {name: value for name, value in values.items() if name not in without}
    worked_out = [name for name, value in wanted.items() if name in specs and computed.is_computed(specs[name], value)]
    names = _names(process, {path for name in worked_out for path in references(wanted[name])}, starter) if worked_out else {}
    problems = []
    for name in worked_out:
        text = wanted.pop(name)
        label, place = specs[name].name or name, pointer("inputs", name)
        try:
            value = render(text, names)
        except ExpressionError as error:
            hint = "" if "id" in names[computed.LAST] or not any(path[0] == computed.LAST for path in references(text)) else NOTHING_YET
            problems.append(Problem(error.code, f"The input set gives no value for {label}: {error}{hint}", place))
            continue
        if speaks_of_secrets(value):
            problems.append(Problem("secret", f"The input set gives no value for {label}: a secret is not handed on from one release to another.", place))
        else:
            wanted[name] = value
    return {name: wanted[name] for name in values if name in wanted}, problems


def _names(process: Process, paths: set[tuple[str, ...]], starter: Any) -> dict[str, Any]:
    return {
        "process": {"id": process.identifier, "name": process.name or process.identifier, "category": process.category},
        "release": {"starter": starter.email, "started_at": instant(clock.now())},
        computed.LAST: _last(process, {path[1:] for path in paths if path[0] == computed.LAST}, starter),
    }


def _last(process: Process, paths: set[tuple[str, ...]], starter: Any) -> dict[str, Any]:
    blueprint = published(process)
    known = computed.nothing_yet(blueprint) if blueprint else {}
    rows = Release.objects.visible_to(starter).filter(process=process, parent_run=None, state__in=WENT_OUT)
    release = rows.select_related("process", "version", "starter").order_by("-finished_at", "-pk").first() if paths else None
    if release is None:
        return known
    every = {("activities",), ("phases",)} if () in paths else set()
    names = names_of(release, paths | every)
    about = {
        "id": release.pk,
        "name": release.name,
        "release_version": release.release_version,
        "started_at": instant(release.started_at),
        "finished_at": instant(release.finished_at),
        "outputs": _open(secrets.hide(release.outputs or {})),
        "inputs": _open(names["inputs"]),
        "variables": _open(names["variables"]),
    }
    return known | about | {kind: known.get(kind, {}) | names[kind] for kind in ("activities", "phases")}


def _open(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without secrets: they are not handed on from one release to another."""
    return {name: value for name, value in values.items() if not secrets.is_hidden(value)}
