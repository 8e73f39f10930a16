"""Which kind each key of the process file is shown as: read off its types and a connector's schema, so that a new key is there without a line here."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

from processes.blueprint import Activity, Approval, ChecklistTask, Part, Rule, Seconds, Variable
from processes.struct_kinds import Choice, Flag, Key, Kind, Lines, Number, Rows, Struct, Switch, Table, Text, Value, When

_OTHERS = "Values, locks and freezes"
_PARTS = {
    **dict.fromkeys(("name", "description", "type", "uses"), ""),
    **dict.fromkeys(("connector", "connection", "effect", "with", "process", "inputs", "instructions", "fields", "tasks", "outputs"), "What it does"),
    **dict.fromkeys(("owners", "approval"), "Who answers for it"),
    **dict.fromkeys(("depends_on", "if", "run_when"), "When it runs"),
    **dict.fromkeys(("timeout", "retry", "on_failure", "optional", "recovers"), "When it fails"),
}
"""The heading of each key of an activity, in their order on the page; every other key is under the last."""
_RARE = {
    Variable: {"name", "pattern", "min", "max", "min_length", "max_length", "required_if"},
    ChecklistTask: {"description", "expected"},
    Approval: {"escalate", "reminders", "on_expiry", "on_reject", "reject_when", "comment", "reauthenticate", "allow_tokens", "binds"},
    Activity: {"connection", "effect", "run_when", "recovers"},
}
"""What is seldom said stands folded away until it is."""
_TEXTS = {(Activity, "instructions"): 5, (Activity, "description"): 2, (Variable, "description"): 0, (ChecklistTask, "description"): 0}
_PEOPLE = {"owners", "of", "to"}
_WHEN = {
    **dict.fromkeys(("connector", "with", "effect", "connection"), "type=automated"),
    **dict.fromkeys(("instructions", "fields", "tasks", "approval"), "type=manual"),
    **dict.fromkeys(("process", "inputs"), "type=subprocess"),
}
_ONES = {"fields": "field", "tasks": "task", "requires": "line", "variables": "variable", "outputs": "output", "inputs": "input", "rules": "rule"}
_CHOICES = ("choice", "multi_choice")
_NUMBERS = ("integer", "number")
_VARIABLE_WHEN = {
    "options": f"type={'|'.join(_CHOICES)}",
    "pattern": "type=string|text|",
    "min": "type=integer|number|date|datetime|duration",
    "max": "type=integer|number|date|datetime|duration",
    "min_length": "type=string|text|list|multi_choice|",
    "max_length": "type=string|text|list|multi_choice|",
    "accept": "type=file",
    "max_size": "type=file",
}


def value_table(one: str) -> Table:
    """A mapping of names to values or expressions."""
    return Table(Value(), one)


def inputs_kind() -> Table:
    """What a start asks, or what a form asks."""
    return Table(part_kind(Variable), "input")


def rules_kind() -> Rows:
    """Checks over several inputs."""
    return Rows(part_kind(Rule), "rule")


def activity_kind(connectors: Mapping[str, Mapping[str, Any]]) -> Struct:
    """An activity with all its keys but its id; `connectors` are names and the JSON Schema of their `with`."""
    keys = []
    for key in part_kind(Activity).keys:
        if key.key == "id":
            continue
        kind: Kind = key.kind
        if key.key == "connector":
            kind = Choice(tuple(connectors))
        elif key.key == "with":
            kind = Switch("connector", {name: schema_kind(schema) for name, schema in connectors.items()}, (("uses", value_table("input")),))
        elif key.key == "process":
            kind = Text(list_id="known-processes")
        elif key.key == "uses":
            kind = Text(list_id="known-templates")
        when = "uses=*|type=automated" if key.key == "with" else _WHEN.get(key.key, "")
        keys.append(Key(key.key, kind, key.label, key.help, when, _PARTS.get(key.key, _OTHERS), key.rare))
    return Struct(tuple(keys), tuple(dict.fromkeys((*_PARTS.values(), _OTHERS))))


@cache
def part_kind(part: type[Part]) -> Struct:
    """A mapping of the file with every key that its class has."""
    keys = []
    for name, field in part.model_fields.items():
        key = field.alias or name
        kind = _with_default(_kind(part, key, field.annotation), field.default)
        when = _VARIABLE_WHEN.get(key, "") if part is Variable else ""
        keys.append(Key(key, kind, key.replace("_", " ").capitalize(), field.description or "", when, rare=key in _RARE.get(part, ())))
    return Struct(tuple(keys))


def _with_default(kind: Kind, default: Any) -> Kind:
    """A choice says what is meant when none is chosen."""
    if isinstance(kind, Choice) and isinstance(default, str) and default:
        return Choice(kind.options, f"{str(default).replace('_', ' ')} (default)")
    return kind


def _kind(part: type[Part], key: str, annotation: Any) -> Kind:
    if part is ChecklistTask and key == "required":
        return When()
    if part is Variable and key in ("options", "accept"):
        return Lines()
    if part is Variable and key in ("default", "min", "max"):
        return Value(optional=True)
    if key in _PEOPLE:
        return Lines("people")
    if part is Approval and key in ("exclude", "binds"):
        return Lines("exclude" if key == "exclude" else "names")
    if part is Approval and key == "reauthenticate":
        return Choice((True, "signature", "passkey"), "No (default)")
    if key == "depends_on":
        return Lines("activities" if part is Activity else "phases")
    return _by_type(part, key, annotation)


def _by_type(part: type[Part], key: str, annotation: Any) -> Kind:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation == Seconds:
        return Text(hint="30m, 24h, 2d or 1d12h")
    if origin is typing.Annotated:
        return Text() if arguments[0] is int or arguments[0] is str else _by_type(part, key, arguments[0])
    if origin in (typing.Union, types.UnionType):
        given = [argument for argument in arguments if argument is not type(None)]
        return Choice((True, False)) if given == [bool] else _by_type(part, key, given[0]) if len(given) == 1 else Value(optional=True)
    if origin is typing.Literal:
        return Choice(tuple(arguments))
    if origin is tuple:
        return _list(part, key, arguments[0])
    if origin is dict:
        inner = arguments[1]
        one = _ONES.get(key, "entry")
        return Table(part_kind(inner), one) if _is_part(inner) else value_table(one)
    if _is_part(annotation):
        return part_kind(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return Choice(tuple(str(item.value) for item in annotation))
    if annotation is bool:
        return Flag()
    if annotation in (int, float):
        return Number()
    return Text(_TEXTS.get((part, key), 0)) if annotation is str else Value(optional=True)


def _list(part: type[Part], key: str, inner: Any) -> Kind:
    if _is_part(inner):
        return Rows(part_kind(inner), _ONES.get(key, "entry"))
    return Lines()


def _is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Part)


def schema_kind(schema: Mapping[str, Any]) -> Kind:
    """A connector's `with`, or a part of it, from its JSON Schema."""
    if "enum" in schema:
        return Choice(tuple(schema["enum"]))
    kind = schema.get("type")
    if kind == "object" and schema.get("properties"):
        return Struct(tuple(Key(name, schema_kind(inner), inner.get("title", name), _help(inner)) for name, inner in schema["properties"].items()))
    if kind == "object":
        return value_table("entry")
    if kind == "array":
        return Lines()
    if kind == "boolean":
        return Flag()
    if kind == "string":
        return Text(8 if schema.get("contentMediaType") else 0)
    return Value(optional=True)


def _help(schema: Mapping[str, Any]) -> str:
    examples = ", ".join(str(example) for example in schema.get("examples", ()))
    return " ".join(part for part in (schema.get("description", ""), f"For instance {examples}." if examples else "") if part)
