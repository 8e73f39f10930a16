"""One value of a typed input or form field: is it of its type, and does it keep its constraints? Pure.

Two doors: strict JSON (`"3"` is not an integer) and HTML forms, where everything arrives as text. No message holds the value of a secret.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import date, datetime, tzinfo
from typing import Any, TypeAlias

from processes.blueprint import ValueType, Variable
from processes.durations import duration_text, parse_duration
from processes.evaluation import matches
from processes.functions import TooMuch, instant_text, read_instant, type_name, weigh
from processes.problems import Problem, did_you_mean, pointer

People: TypeAlias = Callable[[str, str], bool]
"""`(kind, name)`: is there such a `user` (an e-mail address) or `group`?"""

LONGEST_TEXT = 1_000_000
LARGEST = 1_000_000
_INT_64 = range(-(2**63), 2**63)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?")
_SIZE = re.compile(r"(\d{1,9}) ?(B|KB|MB|GB|KiB|MiB|GiB)?")
_SIZE_UNITS = {"B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1_024, "MiB": 1_024**2, "GiB": 1_024**3}

TEXTS = frozenset({ValueType.STRING, ValueType.TEXT, ValueType.SECRET})
ORDERED = frozenset({ValueType.INTEGER, ValueType.NUMBER, ValueType.DATE, ValueType.DATETIME, ValueType.DURATION})
SIZED = TEXTS | {ValueType.LIST, ValueType.OBJECT, ValueType.MULTI_CHOICE}


class Wrong(ValueError):
    """A value that cannot be taken: a stable code and a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_value(
    spec: Variable, value: Any, *, name: str, form: bool = False, people: People | None = None, zone: tzinfo | None = None
) -> tuple[Any, list[Problem]]:
    """`value` in the form in which it is stored, and what is wrong with it, at `/inputs/<name>`.

    With `form` texts are read as an HTML form sends them; `zone` is that of a time written without one. A value with problems is returned as None.
    """
    place = pointer("inputs", name)
    label = spec.name or name
    try:
        plain = _from_form(spec, value, zone) if form and isinstance(value, str | list) else value
        plain = _READERS[spec.type](spec, plain)
    except Wrong as wrong:
        return None, [Problem(wrong.code, f"{label} {wrong}", place)]
    problems = [Problem(wrong.code, f"{label} {wrong}", place) for wrong in _broken(spec, plain)]
    if not problems and people and spec.type in {ValueType.USER, ValueType.GROUP} and not people(str(spec.type), plain):
        problems.append(Problem("not_found", f"{label}: there is no {spec.type} “{plain}”.", place))
    return (None if problems else plain), problems


def is_empty(spec: Variable, value: Any, *, form: bool) -> bool:
    """Does this stand for "not given"? In a form every empty field; for a required text also one of nothing but space, and no choice at all."""
    if isinstance(value, str):
        blank = not value.strip() if spec.type is not ValueType.SECRET else not value
        return blank and (form or (spec.required and spec.type in TEXTS))
    if isinstance(value, list) and not [item for item in value if item != ""]:
        return form or (spec.required and spec.type is ValueType.MULTI_CHOICE)
    return False


def fits(value: Any, option: Any) -> bool:
    """Are they the same, in type too? `1`, `1.0` and `true` are three different options."""
    return type(value) is type(option) and value == option


def size_of(text: str) -> int:
    """Bytes of a size such as `10MB`. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError("a size is written 500KB, 10MB or 1GB")
    return int(found[1]) * _SIZE_UNITS[found[2] or "B"]


def comparable(spec: Variable, value: Any) -> Any:
    """A stored value, or a bound written by the author, as something that `<` puts in order. Raises ValueError or TypeError."""
    match spec.type:
        case ValueType.INTEGER | ValueType.NUMBER:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError("a number is needed here")
            return value
        case ValueType.DATE:
            return date.fromisoformat(_text(value)) if _DATE.fullmatch(_text(value)) else _refuse("a date is written 2026-03-01")
        case ValueType.DATETIME:
            return read_instant(_text(value))
        case ValueType.DURATION:
            return parse_duration(value)
    raise TypeError(f"a {spec.type} has no order")


def _refuse(message: str) -> Any:
    raise ValueError(message)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is needed here")
    return value


# ---------------------------------------------------------------------------------------------------------------- forms


def _from_form(spec: Variable, value: str | list[Any], zone: tzinfo | None) -> Any:
    """What a field of an HTML form means; what does not read as its type is left for the strict check to refuse."""
    if isinstance(value, list) and spec.type not in {ValueType.MULTI_CHOICE, ValueType.LIST}:
        if len(value) != 1:
            raise Wrong("wrong_type", "takes one value.")
        value = value[0]
    if spec.type is ValueType.MULTI_CHOICE:
        return [_option(spec, item) for item in (value if isinstance(value, list) else [value]) if item != ""]
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n")
    stripped = text.strip()
    match spec.type:
        case ValueType.TEXT | ValueType.SECRET:
            return text
        case ValueType.INTEGER:
            return int(stripped) if re.fullmatch(r"[+-]?[0-9]{1,19}", stripped) else text
        case ValueType.NUMBER:
            return float(stripped) if re.fullmatch(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", stripped) else text
        case ValueType.BOOLEAN:
            return {"on": True, "true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "off": False}.get(stripped.lower(), text)
        case ValueType.CHOICE:
            return _option(spec, stripped)
        case ValueType.DATETIME if _LOCAL.fullmatch(stripped):
            return instant_text(datetime.fromisoformat(stripped).replace(tzinfo=zone)) if zone else stripped
        case ValueType.LIST if not stripped.startswith("["):
            return [line.strip() for line in stripped.split("\n") if line.strip()]
        case ValueType.LIST | ValueType.OBJECT:
            try:
                return json.loads(stripped, parse_constant=_refuse)
            except (ValueError, RecursionError):
                raise Wrong("wrong_type", f"must be {'one element a line, or a JSON list' if spec.type is ValueType.LIST else 'a JSON object'}.") from None
    return stripped


def _option(spec: Variable, text: Any) -> Any:
    """The option that a form shows with this text."""
    for option in spec.options if isinstance(text, str) else ():
        if text == option or text == (option if isinstance(option, str) else json.dumps(option)):
            return option
    return text


# ---------------------------------------------------------------------------------------------------------------- types


def _read_text(spec: Variable, value: Any) -> str:
    if not isinstance(value, str):
        raise _not_a(spec, "a text", value)
    _check_characters(value)
    if len(value) > LONGEST_TEXT:
        raise Wrong("too_long", f"must have at most {LONGEST_TEXT:,} characters.")
    return value


def _read_secret(spec: Variable, value: Any) -> str:
    if not _read_text(spec, value):
        raise Wrong("too_short", "must not be empty.")
    return str(value)


def _read_integer(spec: Variable, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _not_a(spec, "a whole number", value)
    if value not in _INT_64:
        raise Wrong("too_large" if value > 0 else "too_small", "must be a number of 64 bits.")
    return value


def _read_number(spec: Variable, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _not_a(spec, "a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Wrong("wrong_type", "must be a number that is not infinite.")
    return number


def _read_boolean(spec: Variable, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _not_a(spec, "true or false", value)
    return value


def _read_choice(spec: Variable, value: Any) -> Any:
    for option in spec.options:
        if fits(value, option):
            return option
    listed = ", ".join(_shown(option) for option in spec.options[:20])
    near = did_you_mean(value, [option for option in spec.options if isinstance(option, str)]) if isinstance(value, str) else ""
    raise Wrong("not_an_option", f"must be one of {listed}.{near}")


def _read_choices(spec: Variable, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _not_a(spec, "a list of options", value)
    found: list[Any] = []
    for item in value:
        option = _read_choice(spec, item)
        if any(fits(option, other) for other in found):
            raise Wrong("duplicate", f"names {_shown(option)} twice.")
        found.append(option)
    return found


def _read_date(spec: Variable, value: Any) -> str:
    if not isinstance(value, str):
        raise _not_a(spec, "a date such as 2026-03-01", value)
    try:
        comparable(spec, value)
    except ValueError:
        raise Wrong("wrong_type", "must be a date such as 2026-03-01.") from None
    return value


def _read_datetime(spec: Variable, value: Any) -> str:
    if not isinstance(value, str):
        raise _not_a(spec, "a time with its zone, such as 2026-03-01T10:00:00Z", value)
    try:
        return instant_text(read_instant(value))
    except ValueError:
        raise Wrong("wrong_type", "must be a time with its zone, such as 2026-03-01T10:00:00Z.") from None


def _read_duration(spec: Variable, value: Any) -> str:
    if not isinstance(value, str):
        raise _not_a(spec, "a duration such as 30m", value)
    try:
        return duration_text(parse_duration(value))
    except ValueError:
        raise Wrong("wrong_type", "must be a duration such as 90s, 30m, 24h, 2d, 1d12h or PT30M, at most ten years.") from None


def _read_list(spec: Variable, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _not_a(spec, "a list", value)
    _check_json(value)
    return value


def _read_object(spec: Variable, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _not_a(spec, "an object", value)
    _check_json(value)
    return value


def _read_name(spec: Variable, value: Any) -> str:
    if not isinstance(value, str):
        raise _not_a(spec, "the e-mail address of a user" if spec.type is ValueType.USER else "the name of a group", value)
    _check_characters(value)
    if not value.strip():
        raise Wrong("too_short", "must not be empty.")
    return value.strip()


def _read_file(spec: Variable, value: Any) -> dict[str, Any]:
    """What an upload left: at least `name` and `size` (bytes)."""
    if not (isinstance(value, dict) and isinstance(value.get("name"), str) and type(value.get("size")) is int):
        raise Wrong("wrong_type", "must be an uploaded file.")
    _check_json(value)
    return value


_READERS: dict[ValueType, Callable[[Variable, Any], Any]] = {
    ValueType.STRING: _read_text,
    ValueType.TEXT: _read_text,
    ValueType.SECRET: _read_secret,
    ValueType.INTEGER: _read_integer,
    ValueType.NUMBER: _read_number,
    ValueType.BOOLEAN: _read_boolean,
    ValueType.CHOICE: _read_choice,
    ValueType.MULTI_CHOICE: _read_choices,
    ValueType.DATE: _read_date,
    ValueType.DATETIME: _read_datetime,
    ValueType.DURATION: _read_duration,
    ValueType.LIST: _read_list,
    ValueType.OBJECT: _read_object,
    ValueType.USER: _read_name,
    ValueType.GROUP: _read_name,
    ValueType.FILE: _read_file,
}


def _not_a(spec: Variable, wanted: str, value: Any) -> Wrong:
    given = "" if spec.type is ValueType.SECRET else f", not {_article(value)}"
    hint = "; leave it out to give no value" if value is None else ""
    return Wrong("wrong_type", f"must be {wanted}{given}{hint}.")


def _article(value: Any) -> str:
    name = type_name(value)
    return {"null": "null", "integer": "an integer", "object": "an object", "boolean": "true or false"}.get(name, f"a {name}")


def _shown(option: Any) -> str:
    return option if isinstance(option, str) else json.dumps(option)


def _check_characters(text: str) -> None:
    """Neither the database nor an environment variable can hold these."""
    if "\0" in text:
        raise Wrong("invalid_character", "must not hold the character NUL.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Wrong("invalid_character", "holds a character that is none in Unicode.") from None


def _check_json(value: Any) -> None:
    """Plain JSON of a size that expressions can handle."""
    try:
        weigh(value, LARGEST)
    except TooMuch as error:
        raise Wrong("too_large", f"is too large: {error}.") from None
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left.extend(item)
        elif isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                raise Wrong("wrong_type", "must have texts as keys.")
            left.extend(item.keys())
            left.extend(item.values())
        elif isinstance(item, str):
            _check_characters(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise Wrong("wrong_type", "must hold no infinite numbers.")
        elif not (item is None or isinstance(item, bool | int | float)):
            raise Wrong("wrong_type", "must be plain JSON.")


# ---------------------------------------------------------------------------------------------------------- constraints


def _broken(spec: Variable, value: Any) -> list[Wrong]:
    """Every constraint that a value of the right type breaks. What the author wrote wrongly is not the value's fault (see constraints.py)."""
    found: list[Wrong] = []
    if spec.type in SIZED:
        unit = "characters" if isinstance(value, str) else "elements" if spec.type is not ValueType.MULTI_CHOICE else "options"
        if spec.min_length is not None and len(value) < spec.min_length:
            found.append(Wrong("too_short", f"must have at least {spec.min_length} {unit}, and has {len(value)}."))
        if spec.max_length is not None and len(value) > spec.max_length:
            found.append(Wrong("too_long", f"must have at most {spec.max_length} {unit}, and has {len(value)}."))
    if spec.type in TEXTS and spec.pattern is not None:
        try:
            if not matches_whole(value, spec.pattern):
                found.append(Wrong("pattern", f"must match the pattern {spec.pattern}"))
        except ValueError:
            found.append(Wrong("pattern", "cannot be checked: its pattern cannot be read."))
    if spec.type in ORDERED:
        found += _out_of_bounds(spec, value)
    if spec.type is ValueType.FILE:
        found += _wrong_file(spec, value)
    return found


def matches_whole(text: str, pattern: str) -> bool:
    """Does the pattern match the whole text? Raises ValueError when it is not a pattern."""
    # By itself first: "a)|(b" would read as a pattern between the anchors, and pass what it should not.
    matches("", pattern)
    return matches(text, rf"\A(?:{pattern})\z")


def _out_of_bounds(spec: Variable, value: Any) -> list[Wrong]:
    found = []
    for bound, code, words, over in ((spec.min, "too_small", "at least", False), (spec.max, "too_large", "at most", True)):
        if bound is None:
            continue
        try:
            limit, given = comparable(spec, bound), comparable(spec, value)
        except (ValueError, TypeError):
            continue
        if given > limit if over else given < limit:
            found.append(Wrong(code, f"must be {words} {_shown(bound)}."))
    return found


def _wrong_file(spec: Variable, value: dict[str, Any]) -> list[Wrong]:
    found = []
    if spec.accept and not value["name"].lower().endswith(tuple(ending.lower() for ending in spec.accept)):
        found.append(Wrong("not_an_option", f"must be a file of the kind {', '.join(spec.accept)}."))
    try:
        if spec.max_size is not None and value["size"] > size_of(spec.max_size):
            found.append(Wrong("too_large", f"must have at most {spec.max_size}."))
    except ValueError:
        pass
    return found
