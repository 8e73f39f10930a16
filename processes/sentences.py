"""What pydantic found, said as one plain sentence that names the key and what fits it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from processes.blueprint import (
    Activity,
    Approval,
    Blueprint,
    ChecklistTask,
    Escalation,
    Output,
    Part,
    Phase,
    Requirement,
    Retry,
    Rule,
    StoreActivity,
    Variable,
)
from processes.problems import Problem, did_you_mean, pointer
from processes.shapes import keys_of, owners_of_key

TITLES: dict[type[Part], str] = {
    Blueprint: "a process",
    StoreActivity: "an activity of the store",
    Phase: "a phase",
    Activity: "an activity",
    Variable: "an input or field",
    Rule: "a rule",
    Output: "an output",
    Retry: "retry",
    Requirement: "a line of requires",
    Escalation: "escalate",
    Approval: "approval",
    ChecklistTask: "a task",
}

OTHER_WORDS = {
    "needs": "depends_on",
    "after": "depends_on",
    "when": "if",
    "condition": "if",
    "steps": "activities",
    "jobs": "activities",
    "stages": "phases",
    "arguments": "with",
    "args": "with",
    "params": "inputs",
    "parameters": "inputs",
    "vars": "variables",
    "api_version": "apiVersion",
    "retries": "retry",
    "approvals": "approval",
    "approvers": "approval",
    "title": "name",
}
"""What other systems call it, or this one's own code."""

WORDS_FOR_TRUTH = ("yes", "no", "on", "off", "y", "n", "true", "false")

_FITS = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
}


def sentence(path: Sequence[str | int], details: Sequence[dict[str, Any]], value: Any, part: type[Part] | None) -> Problem:
    """One problem for all that pydantic says of one place. `part` is the class of the mapping around it, `value` what stands there."""
    kind, context = details[0]["type"], details[0].get("ctx", {})
    key = str(path[-1]) if path else ""
    place = pointer(*path)
    if kind == "missing":
        return Problem("missing_key", f'"{key}" is missing; {_title(part)} needs it.', place)
    if kind == "extra_forbidden":
        return Problem("unknown_key", _unknown_key(key, part), place)
    if kind == "string_pattern_mismatch":
        return Problem("bad_id", _bad_id(path, value, key), place) if key == "id" else Problem("bad_name", _bad_name(key), place)
    if kind in ("enum", "literal_error"):
        return Problem("bad_choice", _bad_choice(path, value, str(context.get("expected", ""))), place)
    if kind in ("greater_than_equal", "less_than_equal"):
        limit = context.get("ge", context.get("le"))
        return Problem("out_of_range", f"{_subject(path)} must be at {'least' if 'ge' in context else 'most'} {limit:g}.", place)
    if kind == "value_error":
        return Problem("bad_duration", f"{_subject(path)}: {context.get('error', 'not a duration')}.", place)
    fits = " or ".join(dict.fromkeys(_FITS.get(detail["type"], detail.get("msg", "")) for detail in details))
    return Problem("wrong_type", f"{_subject(path)} must be {fits}{_seen(value, kind)}", place)


def empty_key(key: str) -> str:
    """What is said of a key with nothing after it."""
    return f'"{key}" has no value; give it one or leave the key out.'


def _title(part: type[Part] | None) -> str:
    return TITLES.get(part, "this mapping") if part else "this mapping"


def _subject(path: Sequence[str | int]) -> str:
    if path and isinstance(path[-1], int):
        within = next((step for step in reversed(path) if isinstance(step, str)), "")
        return f'Item {path[-1] + 1} of "{within}"'
    return f'"{path[-1]}"' if path else "The document"


def _unknown_key(key: str, part: type[Part] | None) -> str:
    known = keys_of(part) if part else {}
    if (meant := OTHER_WORDS.get(key, "")) in known:
        return f'"{key}" is not a key of {_title(part)}; here it is called "{meant}".'
    homes = [TITLES[home] for home in owners_of_key(key) if home in TITLES]
    elsewhere = f"; it is a key of {_listed(homes, 'and')}" if homes else ""
    guess = "" if homes else did_you_mean(key, known) or f" Its keys are {', '.join(known)}."
    return f'"{key[:60]}" is not a key of {_title(part)}{elsewhere}.{guess}'


def _bad_id(path: Sequence[str | int], value: Any, key: str) -> str:
    rule = "a small letter first, then small letters, digits and _, at most 63 characters"
    near = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(value)[:63]).lower()).strip("_")
    guess = f' Did you mean "{near}"?' if re.match("[a-z]", near) else ""
    return f"{_subject(path)} is {_short(value)}, which is not an id: {rule}.{guess}"


def _bad_name(key: str) -> str:
    near = re.sub(r"[^A-Za-z0-9_]+", "_", key[:63]).strip("_")
    guess = f' Did you mean "{near}"?' if re.match("[A-Za-z]", near) and near != key else ""
    return f'"{key[:60]}" cannot be a name in an expression: a letter or _ first, then letters, digits and _, at most 63 characters.{guess}'


def _bad_choice(path: Sequence[str | int], value: Any, expected: str) -> str:
    choices = re.findall(r"'([^']*)'", expected)
    fits = f"one of {', '.join(choices)}" if len(choices) > 1 else "".join(choices)
    guess = did_you_mean(value, choices) if isinstance(value, str) else ""
    return f"{_subject(path)} must be {fits}, not {_short(value)}.{guess}"


def _seen(value: Any, kind: str) -> str:
    """The end of the sentence: what stands there instead, and how to mend the usual slip."""
    if value is None:
        return "; there is nothing."
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return f", not {_short(value)}; put it in quotes."
    if kind == "tuple_type" and isinstance(value, str):
        return f", not text; write [{value[:40]}]."
    if kind == "bool_type" and isinstance(value, str) and value.lower() in WORDS_FOR_TRUTH:
        return f", not the text {_short(value)}; YAML 1.2 knows only true and false, without quotes."
    if kind in ("int_type", "float_type", "int_from_float") and isinstance(value, str) and re.fullmatch(r"[-+]?[0-9.]+", value):
        return f", not the text {_short(value)}; leave the quotes out."
    return f", not {_short(value)}."


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else shown[:58] + '…"'


def _listed(words: Sequence[str], joint: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"
