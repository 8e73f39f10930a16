"""Typed values as fields of an HTML form: inputs of a release, forms of a sign-off. The verbs check the values; the form shows what they say, in its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.forms.utils import ErrorDict
from django.utils import timezone

from processes.blueprint import ValueType, Variable
from processes.problems import Problem

_LONG = frozenset({ValueType.TEXT, ValueType.LIST, ValueType.OBJECT})
_HINTS = {
    ValueType.LIST: "One element a line.",
    ValueType.OBJECT: "A JSON object.",
    ValueType.DURATION: "Such as 90s, 30m, 24h or 2d.",
    ValueType.USER: "The e-mail address of a person.",
    ValueType.GROUP: "The name of a group.",
}


class ValueForm(forms.Form):
    """A field for each of `specs`. It checks nothing itself: `given` is what was entered, as `resolve_inputs(form=True)` takes it."""

    use_required_attribute = False

    def __init__(self, specs: Mapping[str, Variable], data: Any = None, *, values: Mapping[str, Any] | None = None, files: Any = None) -> None:
        known = values or {}
        super().__init__(data, files, initial={name: _shown(spec, known[name]) for name, spec in specs.items() if name in known})
        self.specs = specs
        for name, spec in specs.items():
            self.fields[name] = _field(name, spec)

    def full_clean(self) -> None:
        """Nothing is wrong until `refuse` says so."""
        self._errors = ErrorDict()
        self.cleaned_data = {}

    @property
    def given(self) -> dict[str, Any]:
        """What was entered; a check box that is off is absent, and so are files: they are `uploads`."""
        found: dict[str, Any] = {}
        for name, spec in self.specs.items():
            key = self.add_prefix(name)
            if spec.type is ValueType.MULTI_CHOICE:
                found[name] = self.data.getlist(key) if hasattr(self.data, "getlist") else list(self.data.get(key) or [])
            elif key in self.data and spec.type is not ValueType.FILE:
                found[name] = _with_zone(self.data[key]) if spec.type is ValueType.DATETIME else self.data[key]
        return found

    @property
    def uploads(self) -> dict[str, Any]:
        """The files that were sent."""
        keys = {name: self.add_prefix(name) for name, spec in self.specs.items() if spec.type is ValueType.FILE}
        return {name: self.files[key] for name, key in keys.items() if key in self.files}

    def refuse(self, problems: Iterable[Problem], under: str) -> None:
        """Put each problem at its field; `under` is the place above the fields (`/fields/`). What belongs to none stands above the form."""
        for problem in problems:
            name = problem.place.removeprefix(under).partition("/")[0] if problem.place.startswith(under) else problem.place.removeprefix("/")
            self.add_error(name if name in self.fields else None, problem.message)


def label_of(name: str, spec: Variable) -> str:
    """What people read beside a value."""
    return spec.name or name.replace("_", " ").capitalize()


def _field(name: str, spec: Variable) -> forms.Field:
    help_text = spec.description or (_limits(spec) if spec.type is ValueType.FILE else _HINTS.get(spec.type, ""))
    common: dict[str, Any] = {"label": label_of(name, spec), "required": spec.required, "help_text": help_text}
    if spec.type is ValueType.BOOLEAN:
        return forms.BooleanField(**common | {"required": False})
    options = [(_option(option), _option(option)) for option in spec.options]
    if spec.type is ValueType.MULTI_CHOICE:
        return forms.MultipleChoiceField(choices=options, widget=forms.CheckboxSelectMultiple, **common)
    if spec.type is ValueType.CHOICE:
        return forms.ChoiceField(choices=[("", "Choose…"), *options], **common)
    return forms.CharField(widget=_widget(spec), **common)


def _limits(spec: Variable) -> str:
    """Which files are taken, in words."""
    said = [f"{', '.join(spec.accept)}" if spec.accept else "", f"at most {spec.max_size}" if spec.max_size else ""]
    return ", ".join(part for part in said if part)


def _widget(spec: Variable) -> forms.Widget:
    match spec.type:
        case kind if kind in _LONG:
            return forms.Textarea(attrs={"rows": 3})
        case ValueType.SECRET:
            return forms.PasswordInput(attrs={"autocomplete": "off"})
        case ValueType.INTEGER | ValueType.NUMBER:
            step = {"step": "1" if spec.type is ValueType.INTEGER else "any"}
            return forms.NumberInput(attrs=step | {bound: value for bound, value in (("min", spec.min), ("max", spec.max)) if value is not None})
        case ValueType.DATE:
            return forms.DateInput(attrs={"type": "date"})
        case ValueType.DATETIME:
            return forms.DateTimeInput(attrs={"type": "datetime-local"})
        case ValueType.USER:
            return forms.EmailInput(attrs={"autocomplete": "off"})
        case ValueType.FILE:
            return forms.FileInput(attrs={"accept": ",".join(spec.accept)} if spec.accept else {})
    return forms.TextInput(attrs={"autocomplete": "off"})


def _option(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _shown(spec: Variable, value: Any) -> Any:
    """A stored value as its control shows it."""
    if spec.type is ValueType.BOOLEAN:
        return value is True
    if spec.type is ValueType.FILE:
        return None  # a browser shows none; what is there is said beside the field
    if spec.type is ValueType.MULTI_CHOICE:
        return [_option(item) for item in value or []]
    if spec.type is ValueType.LIST and all(isinstance(item, str) and item.strip() and "\n" not in item for item in value or []):
        return "\n".join(value or [])
    if spec.type is ValueType.DATETIME and isinstance(value, str):
        try:
            return timezone.localtime(datetime.fromisoformat(value)).strftime("%Y-%m-%dT%H:%M")
        except ValueError:
            return value
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _with_zone(text: str) -> str:
    """A time as the browser sends it belongs to the reader's zone."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return text
    return (at if at.tzinfo else timezone.make_aware(at)).isoformat()
