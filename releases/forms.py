"""The form that starts a release, made from the inputs of a process. It asks; `planning.start` checks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from django import forms
from django.http import QueryDict
from django.utils import timezone

from processes.blueprint import Blueprint, ValueType, Variable
from processes.input_sets import values_of
from processes.models import InputSet, Process, ProcessVersion
from processes.problems import Problem
from releases import making, planning, scheduling
from releases.engine import Actor
from releases.form_secrets import context_of
from releases.models import Release
from releases.taking_over import taken_over
from relorch.lib import secrets
from relorch.lib.errors import Invalid

PREFIX = "in_"
_WIDE = frozenset({ValueType.TEXT, ValueType.LIST, ValueType.OBJECT, ValueType.MULTI_CHOICE})


class RawField(forms.Field):
    """Hands over what was sent: what is wrong with it is said by the inputs' own checks, all at once."""

    def validate(self, value: Any) -> None:
        """Not here."""

    def clean(self, value: Any) -> Any:
        """As it is."""
        return value


class StartForm(forms.Form):
    """Name, input set, and a field for each input."""

    use_required_attribute = False  # the server names every problem at once, the browser only the first one

    key = forms.CharField(required=False, widget=forms.HiddenInput, max_length=100)
    release_name = forms.CharField(label="Name of the release", required=False, max_length=200, help_text="Without it: the process and a number")

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        process: Process,
        version: ProcessVersion,
        blueprint: Blueprint,
        chosen: InputSet | None = None,
        like: Release | None = None,
        carry: bool = True,
        name: str = "",
        starter: Any = None,
    ) -> None:
        super().__init__(data, initial={"key": uuid4().hex, "release_name": name})
        self.process, self.version, self.blueprint, self.chosen, self.like = process, version, blueprint, chosen, like
        self.not_taken: list[Problem] = []
        if chosen:
            self.prefilled, self.not_taken = taken_over(process, chosen.values, blueprint.inputs, starter=starter)
        else:
            self.prefilled = making.inputs_like(like, blueprint.inputs, carry=carry) if like else {}
        for name, spec in blueprint.inputs.items():
            self.fields[PREFIX + name] = _field(spec, name, self.prefilled.get(name))

    @property
    def carries(self) -> bool:
        """Whether it takes over a secret."""
        return any(secrets.is_secret(value) for value in self.prefilled.values())

    @property
    def own(self) -> list[dict[str, Any]]:
        """The inputs' fields with how each is shown."""
        return [
            {
                "field": self[PREFIX + name],
                "wide": spec.type in _WIDE,
                "mono": spec.type in {ValueType.OBJECT, ValueType.DURATION, ValueType.DATETIME},
                "changed": self._changed(name, spec),
            }
            for name, spec in self.blueprint.inputs.items()
        ]

    def _changed(self, name: str, spec: Variable) -> str:
        """What the input set says, where something else was entered."""
        if not self.is_bound or name not in self.prefilled or spec.type in {ValueType.SECRET, ValueType.BOOLEAN}:
            return ""
        said = form_value(spec, self.prefilled[name])
        return "" if self.given().get(name) == said else ", ".join(said) if isinstance(said, list) else said or "nothing"

    def given(self) -> dict[str, Any]:
        """What was entered, by input."""
        found: dict[str, Any] = {}
        for name, spec in self.blueprint.inputs.items():
            key = PREFIX + name
            if spec.type is ValueType.MULTI_CHOICE:
                found[name] = self.data.getlist(key) if isinstance(self.data, QueryDict) else self.data.get(key, [])
            elif key in self.data:
                found[name] = _with_zone(self.data[key]) if spec.type is ValueType.DATETIME else self.data[key]
        return found

    def prefilled_values(self) -> dict[str, Any]:
        """What the fields hold before anything is entered: values of the input set, or of the release that this is to be like."""
        if self.chosen:
            opened = values_of(self.chosen, self.blueprint.inputs)
            return {name: opened[name] if secrets.is_secret(value) else value for name, value in self.prefilled.items() if name in opened}
        return {name: secrets.opened(value, context_of(self.like.root_id)) for name, value in self.prefilled.items()} if self.like else {}

    def given_with_kept(self) -> dict[str, Any]:
        """What was entered, and the secrets that were left as they are in the input set, or in the release that this is to be like."""
        given = self.given()
        left = [name for name, value in self.prefilled.items() if secrets.is_secret(value) and not given.get(name)]
        if left and self.chosen:
            kept = values_of(self.chosen, self.blueprint.inputs)
            given |= {name: kept[name] for name in left if name in kept}
        elif left and self.like:
            given |= {name: secrets.opened(self.prefilled[name], context_of(self.like.root_id)) for name in left}
        return given

    def make(self, do: str, times: Mapping[str, Any], actor: Actor, starter: Any) -> Release | None:
        """The release that was started, scheduled or drafted; None when something is wrong, which the form then says."""
        if not self.is_valid():
            return None
        made: dict[str, Any] = {"process": self.process, "actor": actor, "starter": starter, "name": self.cleaned_data["release_name"].strip()}
        made["details"] = making.details_like(self.like)
        given = self.given_with_kept()
        try:
            if do == "draft":
                plain, _ = planning.plain_inputs(self.blueprint, given)
                return planning.save_draft(**made, given=plain, version=self.version)
            if do == "schedule":
                return scheduling.save_scheduled(**made, given=given, form=True, **times)
            return planning.start(**made, given=given, version=self.version, form=True)
        except Invalid as error:
            self.take(error)
            return None

    @staticmethod
    def said(spec: Variable, value: Any) -> str:
        """A stored value in one line, for a summary."""
        if secrets.is_secret(value):
            return "set, and not shown"
        shown = form_value(spec, value)
        plain = ("yes" if shown else "no") if isinstance(shown, bool) else ", ".join(shown) if isinstance(shown, list) else str(shown)
        return plain or "empty"

    def take(self, error: Invalid) -> None:
        """Say every problem at its field."""
        for problem in error.problems:
            if isinstance(problem, Problem) and problem.severity == "error":
                field = PREFIX + problem.place.removeprefix("/inputs/").split("/")[0]
                self.add_error(field if problem.place.startswith("/inputs/") and field in self.fields else None, problem.message)
        if not self.errors:
            self.add_error(None, error.message)


def form_value(spec: Variable, value: Any) -> Any:
    """A stored value as its field shows it."""
    if value is None or secrets.is_secret(value):
        return ""
    if spec.type is ValueType.BOOLEAN:
        return bool(value)
    if spec.type is ValueType.MULTI_CHOICE:
        return [_option_text(item) for item in (value if isinstance(value, list) else [value])]
    if spec.type is ValueType.CHOICE:
        return _option_text(value)
    if spec.type is ValueType.LIST and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, dict | list) else None)


def _option_text(option: Any) -> str:
    return option if isinstance(option, str) else json.dumps(option)


def _with_zone(text: str) -> str:
    """A time of a browser's field, which has no zone, in the reader's own."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if at.tzinfo else timezone.make_aware(at).isoformat()


def _field(spec: Variable, name: str, prefilled: Any) -> forms.Field:
    initial = form_value(spec, prefilled if prefilled is not None else spec.default)
    hint = spec.description
    if spec.type is ValueType.SECRET and secrets.is_secret(prefilled):
        hint = "Kept; fill in only to use another one"
    label = spec.name or name.replace("_", " ").capitalize()
    return RawField(label=label, required=spec.required and spec.type is not ValueType.BOOLEAN, initial=initial, help_text=hint, widget=_widget(spec))


def _widget(spec: Variable) -> forms.Widget:
    attrs: dict[str, Any] = {"autocomplete": "off"}
    options = [(_option_text(option), _option_text(option)) for option in spec.options]
    match spec.type:
        case ValueType.TEXT:
            return forms.Textarea({"rows": 3})
        case ValueType.LIST:
            return forms.Textarea({"rows": 3, "placeholder": "One a line"})
        case ValueType.OBJECT:
            return forms.Textarea({"rows": 4, "spellcheck": "false", "placeholder": "{}"})
        case ValueType.BOOLEAN:
            return forms.CheckboxInput()
        case ValueType.CHOICE:
            return forms.Select(choices=options if spec.default is not None else [("", "Choose…"), *options])
        case ValueType.MULTI_CHOICE:
            return forms.CheckboxSelectMultiple(choices=options)
        case ValueType.INTEGER:
            return forms.TextInput({**attrs, "inputmode": "numeric"})
        case ValueType.NUMBER:
            return forms.TextInput({**attrs, "inputmode": "decimal"})
        case ValueType.DATE:
            return forms.DateInput({"type": "date"})
        case ValueType.DATETIME:
            return forms.TextInput({**attrs, "placeholder": "2026-03-01T10:00"})
        case ValueType.SECRET:
            return forms.PasswordInput({"autocomplete": "new-password"})
        case ValueType.USER:
            return forms.EmailInput({**attrs, "placeholder": "name@example.com"})
    return forms.TextInput(attrs)
