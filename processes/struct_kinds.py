"""Mappings, lists and values of the process file as form fields: what each is shown as, and how what comes back is read.

A *kind* knows three things: whether a value fits it, how it is drawn, and how it is read from what a browser sends. A value that does not fit, such as an
expression where a mapping is usual, is drawn as YAML in its place; so whatever a file says survives the form, to the letter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from processes.plain_text import LEFT_OUT
from processes.problems import errors
from processes.writing import yaml_text
from processes.yaml_text import read_yaml

ABSENT: Final = LEFT_OUT
"""What a key is read as when nothing is said."""
RAW = "@yaml"
BLANK = "__row__"
"""The index of the row that is copied when one is added; it is never sent, because it is disabled."""


class Kind(Protocol):
    """One way to show and read a value."""

    @property
    def template(self) -> str:
        """Which template draws it."""
        ...

    def fits(self, value: Any) -> bool:
        """Whether the value comes back as it is."""
        ...

    def read(self, data: QueryDict, name: str) -> Any:
        """The value in what was sent, or ABSENT."""
        ...

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """What its template needs."""
        ...


def drawn(kind: Kind, name: str, value: Any) -> SafeString:
    """The controls of a value, or a YAML text where it does not fit."""
    if value is not ABSENT and not kind.fits(value):
        text = value if isinstance(value, _Broken) else _yaml(value)
        return render_to_string("admin/processes/struct/raw.html", {"name": f"{name}.{RAW}", "value": str(text)})
    return render_to_string(kind.template, {"name": name, **kind.shown(name, value)})


def read(kind: Kind, data: QueryDict, name: str) -> Any:
    """The value in what was sent, or ABSENT; a YAML text that cannot be read is kept as it is, for the form to refuse."""
    text = data.get(f"{name}.{RAW}")
    if text is None:
        return kind.read(data, name)
    if not text.strip():
        return ABSENT
    found = read_yaml(text.replace("\r\n", "\n"))
    return _Broken(text) if errors(found.problems) or found.value is LEFT_OUT else found.value


def _yaml(value: Any) -> str:
    """A value by itself as YAML."""
    text = yaml_text({"x": value}).removeprefix("x:")
    return "\n".join(line[2:] for line in text[1:].split("\n")) if text.startswith("\n") else text[1:]


def same(kind: Kind, one: Any, other: Any) -> bool:
    """Whether two values say the same: the order of an author's own keys counts, that of known keys does not."""
    if isinstance(one, dict) and isinstance(other, dict):
        inner = {key.key: key.kind for key in kind.keys} if isinstance(kind, Struct) else {}
        if set(one) != set(other) or (isinstance(kind, Table) and list(one) != list(other)):
            return False
        return all(same(inner.get(key, kind.item if isinstance(kind, Table) else kind), one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(kind.item if isinstance(kind, Rows) else kind, *pair) for pair in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


def broken(value: Any) -> str:
    """The first YAML text in a value that cannot be read; "" when there is none."""
    if isinstance(value, _Broken):
        return str(value)
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((text for item in inside if (text := broken(item))), "")


class _Broken(str):
    """A YAML text that cannot be read."""

    __slots__ = ()


@dataclass(frozen=True)
class Text:
    """Text; several lines where `rows` says so, or it has them."""

    rows: int = 0
    list_id: str = ""
    hint: str = ""
    """What it may look like, shown while it is empty."""
    template: str = "admin/processes/struct/text.html"

    def fits(self, value: Any) -> bool:
        """Some text. Browsers keep no single carriage returns."""
        return isinstance(value, str) and value != "" and "\r" not in value

    def read(self, data: QueryDict, name: str) -> Any:
        """As typed, with plain line breaks."""
        return (data.get(name) or "").replace("\r\n", "\n") or ABSENT

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """With room for its lines."""
        text = "" if value is ABSENT else value
        return {"value": text, "rows": max(self.rows, min(12, text.count("\n") + 2) if "\n" in text else 0), "list_id": self.list_id, "hint": self.hint}


@dataclass(frozen=True)
class Number:
    """A number; an expression in its place is text."""

    template: str = "admin/processes/struct/text.html"

    def fits(self, value: Any) -> bool:
        """A number that is written as it is read."""
        return isinstance(value, int | float) and not isinstance(value, bool)

    def read(self, data: QueryDict, name: str) -> Any:
        """A number, or the text for the reader of the file to refuse."""
        text = (data.get(name) or "").strip()
        return _number(text) if text else ABSENT

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """As JSON has it."""
        return {"value": "" if value is ABSENT else json.dumps(value), "rows": 0}


def _number(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


@dataclass(frozen=True)
class Flag:
    """Yes or nothing."""

    template: str = "admin/processes/struct/flag.html"

    def fits(self, value: Any) -> bool:
        """Only what is true is said."""
        return value is True

    def read(self, data: QueryDict, name: str) -> Any:
        """Ticked, or not said."""
        return True if name in data else ABSENT

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """Ticked or not."""
        return {"checked": value is True}


@dataclass(frozen=True)
class Choice:
    """One of a few; the first is what is meant when nothing is said."""

    options: tuple[Any, ...]
    empty: str = "---------"
    template: str = "admin/processes/struct/choice.html"

    def fits(self, value: Any) -> bool:
        """One of them."""
        return any(value == option and type(value) is type(option) for option in self.options)

    def read(self, data: QueryDict, name: str) -> Any:
        """The option of that name."""
        text = data.get(name) or ""
        return next((option for option in self.options if _said(option) == text), text or ABSENT)

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """All of them."""
        return {"empty": self.empty, "options": [(_said(option), _label(option), value is not ABSENT and option == value) for option in self.options]}


def _said(option: Any) -> str:
    return option if isinstance(option, str) else json.dumps(option)


def _label(option: Any) -> str:
    return {True: "Yes", False: "No"}.get(option, str(option)) if isinstance(option, bool) else str(option).replace("_", " ")


@dataclass(frozen=True)
class Lines:
    """Texts, one a line."""

    picks: str = ""
    """What is offered beside it: people, phases, activities, or names of values; see picks.js."""
    template: str = "admin/processes/struct/lines.html"

    def fits(self, value: Any) -> bool:
        """Texts of one line without blanks around them."""
        return (
            isinstance(value, list)
            and bool(value)
            and all(isinstance(item, str) and item and item == item.strip() and not set(item) & set("\r\n") for item in value)
        )

    def read(self, data: QueryDict, name: str) -> Any:
        """One for each line that holds something."""
        return [line.strip() for line in (data.get(name) or "").replace("\r\n", "\n").split("\n") if line.strip()] or ABSENT

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """One a line."""
        return {"value": "" if value is ABSENT else "\n".join(value), "picks": self.picks}


_VALUE_KINDS = (("text", "text"), ("number", "number"), ("truth", "yes or no"))


@dataclass(frozen=True)
class Value:
    """Any value of one line or more: text (with expressions), a number, yes or no; anything else is YAML. An `optional` one may not be said at all."""

    optional: bool = False
    template: str = "admin/processes/struct/value.html"

    def fits(self, value: Any) -> bool:
        """No list and no mapping."""
        return (isinstance(value, str) and "\r" not in value) or (isinstance(value, int | float))

    def read(self, data: QueryDict, name: str) -> Any:
        """By the kind that was chosen."""
        if name not in data:
            return ABSENT
        text = (data.get(name) or "").replace("\r\n", "\n")
        kind = data.get(f"{name}.@kind") or ""
        if self.optional and not kind and not text:
            return ABSENT
        if kind == "number":
            return _number(text.strip())
        if kind == "truth":
            return text.strip().lower() in ("yes", "true", "on", "1")
        return text

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """With its kind."""
        kind = "truth" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "" if value is ABSENT and self.optional else "text"
        text: str = "" if value is ABSENT else value if isinstance(value, str) else ("no", "yes")[value] if isinstance(value, bool) else json.dumps(value)
        kinds = [(name_, label, name_ == kind) for name_, label in (*((("", "—"),) if self.optional else ()), *_VALUE_KINDS)]
        return {"value": text, "rows": min(12, text.count("\n") + 1) if "\n" in text else 0, "kinds": kinds}


@dataclass(frozen=True)
class When:
    """No, yes, or a condition."""

    template: str = "admin/processes/struct/when.html"

    def fits(self, value: Any) -> bool:
        """Yes, or an expression."""
        return value is True or (isinstance(value, str) and value != "" and not set(value) & set("\r\n"))

    def read(self, data: QueryDict, name: str) -> Any:
        """The condition counts where one is chosen."""
        kind = data.get(f"{name}.@kind", "")
        return True if kind == "yes" else (data.get(name) or ABSENT) if kind == "when" else ABSENT

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """Which of the three."""
        return {"kind": "yes" if value is True else "when" if isinstance(value, str) else "", "value": value if isinstance(value, str) else ""}


@dataclass(frozen=True)
class Key:
    """One key of a mapping: its kind, what it is called, what it means, and when it is shown (`type=manual`)."""

    key: str
    kind: Kind
    label: str = ""
    help: str = ""
    when: str = ""
    part: str = ""
    """Under which heading it is shown; keys of one part stand together."""
    rare: bool = False
    """Folded away while it says nothing."""


@dataclass(frozen=True)
class Struct:
    """A mapping with known keys; what comes back has them in the order in which they stand here."""

    keys: tuple[Key, ...]
    order: tuple[str, ...] = ("",)
    """The headings (`Key.part`) as they follow each other on the page."""
    template: str = "admin/processes/struct/struct.html"

    def fits(self, value: Any) -> bool:
        """Known keys only; each of them may be whatever it is."""
        return isinstance(value, dict) and bool(value) and set(value) <= {key.key for key in self.keys}

    def read(self, data: QueryDict, name: str) -> Any:
        """What is said, in the order of the keys."""
        found = {key.key: value for key in self.keys if (value := read(key.kind, data, f"{name}.{key.key}")) is not ABSENT}
        return found or ABSENT

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """Every key with its controls."""
        values = {} if value is ABSENT else value
        for key in self.keys:
            if isinstance(key.kind, Switch):
                values = choosing(key.kind, key.key, values)
        parts: dict[str, tuple[list[Any], list[Any]]] = {part: ([], []) for part in self.order}
        for key in self.keys:
            value_ = values.get(key.key, ABSENT)
            usual, rare = parts[key.part]
            (rare if key.rare and value_ is ABSENT else usual).append((key, drawn(key.kind, f"{name}.{key.key}", value_)))
        return {"parts": [(heading, usual, rare) for heading, (usual, rare) in parts.items()], "prefix": name}


@dataclass(frozen=True)
class Rows:
    """A list of mappings or values."""

    item: Kind
    one: str
    template: str = "admin/processes/struct/rows.html"

    def fits(self, value: Any) -> bool:
        """A list with something in it."""
        return isinstance(value, list) and bool(value)

    def read(self, data: QueryDict, name: str) -> Any:
        """In the order in which they stand on the page; an empty row says nothing."""
        found = [value for index in data.getlist(f"{name}.@row") if (value := read(self.item, data, f"{name}.{index}")) is not ABSENT]
        return found or ABSENT

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """Each row, and the blank one that is copied."""
        items = [] if value is ABSENT else value
        rows = [(str(index), drawn(self.item, f"{name}.{index}", item)) for index, item in enumerate(items)]
        return {"rows": rows, "blank": (BLANK, drawn(self.item, f"{name}.{BLANK}", ABSENT)), "one": self.one}


@dataclass(frozen=True)
class Table:
    """A mapping with the author's keys."""

    item: Kind
    one: str
    key_label: str = "Name"
    template: str = "admin/processes/struct/table.html"

    def fits(self, value: Any) -> bool:
        """A mapping with something in it, whose keys a line can hold."""
        return (
            isinstance(value, dict) and bool(value) and all(isinstance(key, str) and key and key == key.strip() and not set(key) & set("\r\n") for key in value)
        )

    def read(self, data: QueryDict, name: str) -> Any:
        """In the order on the page. A row without name that says something keeps a name that no reader takes, so that it is not lost."""
        found: dict[str, Any] = {}
        for index in data.getlist(f"{name}.@row"):
            key = (data.get(f"{name}.{index}.@") or "").strip()
            value = read(self.item, data, f"{name}.{index}")
            if key:
                while key in found:
                    key += " (again)"
                found[key] = {} if value is ABSENT and isinstance(self.item, Struct) else "" if value is ABSENT else value
            elif value not in (ABSENT, ""):
                found[f"({len(found) + 1})"] = value
        return found or ABSENT

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """Each entry with its name, and the blank one that is copied."""
        items = {} if value is ABSENT else value
        said = {key: ABSENT if item == {} and isinstance(self.item, Struct) else item for key, item in items.items()}
        rows = [(str(index), key, drawn(self.item, f"{name}.{index}", item)) for index, (key, item) in enumerate(said.items())]
        return {"rows": rows, "blank": (BLANK, "", drawn(self.item, f"{name}.{BLANK}", ABSENT)), "one": self.one, "key_label": self.key_label}


@dataclass(frozen=True)
class Switch:
    """One of several kinds, by what another key of the same mapping says; `otherwise` where it says something else."""

    by: str
    cases: Mapping[str, Kind]
    first: Sequence[tuple[str, Kind]] = field(default_factory=tuple)
    """Keys whose being said decides before `by` does."""
    template: str = "admin/processes/struct/switch.html"

    def fits(self, value: Any) -> bool:
        """Decided with the mapping around it; see `shown`."""
        return isinstance(value, _Chosen)

    def read(self, data: QueryDict, name: str) -> Any:
        """By the case that the rest of the form says."""
        around = name.rpartition(".")[0]
        for key, kind in self.first:
            if (data.get(f"{around}.{key}") or "").strip():
                return read(kind, data, f"{name}.{key}")
        case = data.get(f"{around}.{self.by}") or ""
        return read(self.cases[case], data, f"{name}.{case}") if case in self.cases else ABSENT

    def shown(self, name: str, value: Any) -> dict[str, Any]:
        """Every case; the value stands in the one that is chosen."""
        chosen = value if isinstance(value, _Chosen) else _Chosen("", None, ABSENT)
        every = [*((key, kind, f"{key}=*") for key, kind in self.first), *((case, kind, f"{self.by}={case}") for case, kind in self.cases.items())]
        return {"cases": [(case, when, drawn(kind, f"{name}.{case}", chosen.value if case == chosen.case else ABSENT)) for case, kind, when in every]}


@dataclass(frozen=True)
class _Chosen:
    case: str
    kind: Kind | None
    value: Any


def choosing(switch: Switch, key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with the value at `key` marked by the case that the mapping says, so that the switch can draw it."""
    found = dict(value)
    if key in found:
        case = next((name for name, _ in switch.first if found.get(name)), None)
        kind = dict(switch.first).get(case) if case else switch.cases.get(str(found.get(switch.by, "")))
        case = case or str(found.get(switch.by, ""))
        if kind is not None:
            found[key] = _Chosen(case, kind, found[key])
    return found
