"""Inputs of a start and variables of a run: every problem at once, or the values that the run will see (semantics section 1, S2). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import tzinfo
from typing import Any

from processes.blueprint import Rule, ValueType, Variable
from processes.constraints import spec_problems
from processes.expressions import ExpressionError, condition, references, references_of_condition, render
from processes.problems import Problem, did_you_mean, pointer
from processes.values import People, check_value, is_empty

__all__ = ["check_value", "resolve_inputs", "resolve_variables", "restored", "spec_problems", "variable_circle"]


def resolve_inputs(
    specs: Mapping[str, Variable],
    given: Mapping[str, Any],
    *,
    rules: Iterable[Rule] = (),
    names: Mapping[str, Any] | None = None,
    form: bool = False,
    people: People | None = None,
    zone: tzinfo | None = None,
    unknown: Collection[str] = (),
) -> tuple[dict[str, Any], list[Problem]]:
    """The inputs as the run will see them, and every problem at its input's place.

    What is not given and has no default is absent. In a `form` an empty field is not given, and a check box that is not there is off. `names`
    are further names for `required_if` and rules (release, process; for the form of an activity also the release's inputs, which its own
    fields of the same name hide). Inputs that are `unknown` have a value that nobody can tell yet: nothing is said of them, or asked that reads them.
    """
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    missing: list[str] = []
    bad: set[str] = set(unknown)
    for name, spec in specs.items():
        if name in unknown:
            continue
        value, there = given.get(name), name in given
        if there and is_empty(spec, value, form=form):
            there = False
        if not there and form and spec.type is ValueType.BOOLEAN:
            # A browser says nothing about a check box that is off, whatever its default.
            value, there = False, True
        as_form = form
        if not there and spec.default is not None:
            value, there, as_form = spec.default, True, False
        if not there:
            missing.append(name)
            continue
        plain, found = check_value(spec, value, name=name, form=as_form, people=people, zone=zone)
        problems += found
        if found:
            bad.add(name)
        else:
            values[name] = plain
    around = names or {}
    known = {**around, "inputs": {**around.get("inputs", {}), **values}}
    for name in missing:
        found = _required(name, specs[name], known, bad)
        problems += found
        if found:
            bad.add(name)
    for name in given:
        if name not in specs:
            problems.append(Problem("unknown_input", f'There is no input "{name}".{did_you_mean(name, specs)}', pointer("inputs", name)))
    order = {pointer("inputs", name): index for index, name in enumerate(specs)}
    problems.sort(key=lambda problem: order.get(problem.place, len(order)))
    for rule in rules:
        problems += _rule_problems(rule, specs, known, bad)
    return values, problems


def resolve_variables(variables: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a mapping of variables, which may read each other in any order, and those that `names` holds already. Raises ExpressionError."""
    order, circle = _order(variables)
    if circle:
        raise ExpressionError(" → ".join(circle), "Variables read each other in a circle.")
    outer = {name: value for name, value in (names.get("variables") or {}).items() if name not in variables}
    known = {**names, "variables": outer}
    found: dict[str, Any] = {}
    for name in order:
        found[name] = outer[name] = render(variables[name], known)
    return {name: found[name] for name in variables}


def variable_circle(variables: Mapping[str, Any]) -> list[str] | None:
    """Names of variables that read each other in a circle, the first one again at the end; None when there is no circle."""
    return _order(variables)[1]


def restored(specs: Mapping[str, Variable], values: Mapping[str, Any]) -> dict[str, Any]:
    """Stored inputs for expressions: PostgreSQL gives a JSON number such as 1e16 back as an integer, and a `number` is always a double."""
    return {name: float(value) if type(value) is int and name in specs and specs[name].type is ValueType.NUMBER else value for name, value in values.items()}


def _required(name: str, spec: Variable, known: Mapping[str, Any], bad: set[str]) -> list[Problem]:
    place = pointer("inputs", name)
    needed = spec.required
    if not needed and spec.required_if is not None and not _reads(spec.required_if, bad):
        try:
            needed = condition(spec.required_if, known)
        except ExpressionError as error:
            return [Problem(error.code, f"It cannot be said whether {spec.name or name} is required: {error}", place)]
    return [Problem("required", f"{spec.name or name} is required.", place)] if needed else []


def _rule_problems(rule: Rule, specs: Mapping[str, Variable], known: Mapping[str, Any], bad: set[str]) -> list[Problem]:
    """A rule is only asked when nothing that it reads is wrong already; its place is the first input of the form that it reads."""
    if _reads(rule.check, bad):
        return []
    read = {path[1] for path in references_of_condition(rule.check) if path[0] == "inputs" and len(path) > 1}
    first = next((name for name in specs if name in read), None)
    place = pointer("inputs", first) if first else "/inputs"
    try:
        return [] if condition(rule.check, known) else [Problem("rule", rule.message, place)]
    except ExpressionError as error:
        return [Problem(error.code, f'The rule "{rule.message}" cannot be checked: {error}', place)]


def _reads(text: str, names: set[str]) -> bool:
    return bool(names) and any(path[0] == "inputs" and (len(path) == 1 or path[1] in names) for path in references_of_condition(text))


def _order(variables: Mapping[str, Any]) -> tuple[list[str], list[str] | None]:
    """The names, each after those that it reads, or a circle."""
    reads = {name: _read_by(value, variables, name) for name, value in variables.items()}
    done: dict[str, bool] = {}  # False while its readings are being followed
    order: list[str] = []
    for first in variables:
        path: list[tuple[str, list[str]]] = [] if first in done else [(first, list(reads[first]))]
        if path:
            done[first] = False
        while path:
            name, left = path[-1]
            if not left:
                done[name] = True
                order.append(name)
                path.pop()
                continue
            other = left.pop(0)
            if other not in done:
                done[other] = False
                path.append((other, list(reads[other])))
            elif not done[other]:
                names = [name for name, _ in path]
                return [], [*names[names.index(other) :], other]
    return order, None


def _read_by(value: Any, variables: Mapping[str, Any], name: str) -> list[str]:
    found: set[str] = set()
    for path in references(value):
        if path[0] == "variables":
            # All of them are read where the name is only known at run time.
            found |= {path[1]} & set(variables) if len(path) > 1 else set(variables) - {name}
    return sorted(found)
