"""Is a typed input or form field described without contradictions? What `publish` says of it. Pure."""

from __future__ import annotations

import math
from typing import Any

from processes.blueprint import ValueType, Variable
from processes.evaluation import matches
from processes.expressions import syntax_problems
from processes.problems import Problem, Severity
from processes.values import ORDERED, SIZED, TEXTS, check_value, comparable, fits, size_of

_CHOICES = frozenset({ValueType.CHOICE, ValueType.MULTI_CHOICE})


def spec_problems(spec: Variable, place: str, *, form: bool = False) -> list[Problem]:
    """What is wrong with a description of a value at `place`. `form`: a field of an activity's form, where files may be asked for."""
    return [
        *_unfitting(spec, place, form),
        *_options(spec, place),
        *_bounds(spec, place),
        *_pattern(spec, place),
        *_file(spec, place),
        *_default(spec, place),
        *_required(spec, place),
    ]


def _unfitting(spec: Variable, place: str, form: bool) -> list[Problem]:
    found = []
    if spec.type is ValueType.FILE and not form:
        found.append(Problem("file_only_in_forms", "A file can only be asked for in the form of a manual activity.", f"{place}/type"))
    fitting: tuple[tuple[str, Any, frozenset[ValueType]], ...] = (
        ("min", spec.min, ORDERED),
        ("max", spec.max, ORDERED),
        ("min_length", spec.min_length, SIZED),
        ("max_length", spec.max_length, SIZED),
        ("pattern", spec.pattern, TEXTS),
        ("options", spec.options or None, _CHOICES),
        ("accept", spec.accept or None, frozenset({ValueType.FILE})),
        ("max_size", spec.max_size, frozenset({ValueType.FILE})),
    )
    for key, value, types in fitting:
        if value is not None and spec.type not in types:
            names = ", ".join(sorted(types))
            found.append(Problem("constraint_does_not_fit", f'"{key}" has no meaning for the type {spec.type}; it is for {names}.', f"{place}/{key}"))
    return found


def _options(spec: Variable, place: str) -> list[Problem]:
    if spec.type not in _CHOICES:
        return []
    if not spec.options:
        return [Problem("no_options", f"A {spec.type} needs options to choose from.", place)]
    found = []
    for index, option in enumerate(spec.options):
        if not isinstance(option, str | int | float) or option == "" or (isinstance(option, float) and not math.isfinite(option)):
            found.append(Problem("invalid_option", "An option is a text that is not empty, a number, true or false.", f"{place}/options/{index}"))
        elif any(fits(option, other) for other in spec.options[:index]):
            found.append(Problem("duplicate_option", "This option is there twice.", f"{place}/options/{index}"))
    return found


def _bounds(spec: Variable, place: str) -> list[Problem]:
    found = []
    if spec.min_length is not None and spec.max_length is not None and spec.min_length > spec.max_length:
        found.append(Problem("min_over_max", f"min_length is {spec.min_length} and max_length {spec.max_length}.", f"{place}/min_length"))
    if spec.type not in ORDERED:
        return found
    limits = {}
    for key, bound in (("min", spec.min), ("max", spec.max)):
        if bound is None:
            continue
        try:
            limits[key] = comparable(spec, bound)
        except (ValueError, TypeError) as error:
            found.append(Problem("invalid_bound", f'"{key}" is no {spec.type}: {error}.', f"{place}/{key}"))
    if len(limits) == 2 and limits["min"] > limits["max"]:
        found.append(Problem("min_over_max", f"min is {spec.min} and max {spec.max}.", f"{place}/min"))
    return found


def _pattern(spec: Variable, place: str) -> list[Problem]:
    if spec.pattern is None:
        return []
    if len(spec.pattern) > 1_000:
        return [Problem("invalid_pattern", "A pattern has at most 1,000 characters.", f"{place}/pattern")]
    try:
        matches("", spec.pattern)
    except ValueError as error:
        return [Problem("invalid_pattern", f"{error}. Patterns are RE2's: no look-around and no back references.", f"{place}/pattern")]
    return []


def _file(spec: Variable, place: str) -> list[Problem]:
    found = [
        Problem("invalid_ending", f'An ending begins with a dot, as in ".pdf", not "{ending}".', f"{place}/accept/{index}")
        for index, ending in enumerate(spec.accept)
        if not ending.startswith(".") or len(ending) < 2
    ]
    if spec.max_size is not None:
        try:
            size_of(spec.max_size)
        except ValueError as error:
            found.append(Problem("invalid_bound", f"{str(error).capitalize()}.", f"{place}/max_size"))
    return found


def _default(spec: Variable, place: str) -> list[Problem]:
    if spec.default is None:
        return []
    if spec.type is ValueType.SECRET:
        return [Problem("secret_default", "A secret in the process file is none; store it with an input set.", f"{place}/default")]
    if spec.type is ValueType.FILE:
        return [Problem("invalid_default", "A file has no default.", f"{place}/default")]
    if spec.type in _CHOICES and not spec.options:
        return []
    return [
        Problem("invalid_default", f"The default does not fit: {problem.message}", f"{place}/default")
        for problem in check_value(spec, spec.default, name="it")[1]
    ]


def _required(spec: Variable, place: str) -> list[Problem]:
    found = []
    if spec.required and spec.default is not None:
        found.append(Problem("required_with_default", "With a default it is never missing; leave out one of the two.", f"{place}/required", Severity.WARNING))
    if spec.required_if is not None:
        if spec.required:
            found.append(Problem("required_twice", '"required: true" leaves nothing to "required_if".', f"{place}/required_if", Severity.WARNING))
        for message, column in syntax_problems(spec.required_if):
            where = f" (column {column})" if column else ""
            found.append(Problem("expression_error", f"{message}{where}", f"{place}/required_if", column=column))
    return found
