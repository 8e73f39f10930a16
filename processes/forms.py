"""Forms for authors. They check what can be read and make a document of it; the verbs do the rest, so that the admin is no second door."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.forms.models import BaseInlineFormSet
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from processes import editing, reading
from processes.blueprint import API_VERSION, ID_PATTERN, ActivityType, Category, RunWhen
from processes.models import DraftActivity, DraftPhase, Process
from processes.plain_text import LEFT_OUT
from processes.problems import Problem, errors
from processes.surroundings import connectors
from processes.writing import yaml_text
from processes.yaml_text import read_yaml

_KEYS = {"identifier": "id", "condition": "if", "arguments": "with", "subprocess": "process"}
"""Form field -> key of the file, where they differ."""
PHASE_FIELDS = ("identifier", "name", "description", "owners", "depends_on", "condition", "run_when")
ACTIVITY_FIELDS = (*PHASE_FIELDS, "type", "connector", "subprocess", "arguments", "instructions", "approval")
_DEFAULT: tuple[Any, ...] = ("", [], {}, None, str(RunWhen.SATISFIED))


class NamesField(forms.CharField):
    """Names, one a line or with commas between them."""

    def __init__(self, **more: Any) -> None:
        super().__init__(required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}), **more)

    def prepare_value(self, value: Any) -> Any:
        """One a line."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Each once, in their order."""
        return list(dict.fromkeys(part.strip() for part in re.split(r"[,\n]", value or "") if part.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By what is named, not by how it is written."""
        return bool((initial or []) != self.to_python(data))


class YamlField(forms.CharField):
    """A JSON value written as YAML, a mapping unless `empty` is a list."""

    def __init__(self, *, empty: Any = None, rows: int = 4, **more: Any) -> None:
        self.empty = {} if empty is None else empty
        widget = UnfoldAdminTextareaWidget(attrs={"rows": rows, "spellcheck": "false", "style": "font-family: ui-monospace, monospace"})
        super().__init__(required=False, strip=False, widget=widget, **more)

    def prepare_value(self, value: Any) -> Any:
        """As the exported file would write it."""
        if isinstance(value, str):
            return value
        if not value:
            return ""
        return yaml_text({"x": value}).removeprefix("x:\n") if isinstance(value, list) else yaml_text(value)

    def to_python(self, value: Any) -> Any:
        """Plain values. Every problem of the text at once, each with its line."""
        if not (value or "").strip():
            return type(self.empty)()
        text = read_yaml(value)
        problems = errors(text.problems)
        if not problems and not isinstance(text.value, type(self.empty)):
            kind = "a list" if isinstance(self.empty, list) else "a mapping (name: value)"
            problems = [Problem("wrong_type", f"This should be {kind}.")]
        if problems or text.value is LEFT_OUT:
            raise forms.ValidationError([f"Line {problem.line}: {problem.message}" if problem.line else problem.message for problem in problems])
        return text.value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By the text, so that an error in it is not overlooked."""
        return (self.prepare_value(initial) or "").split() != (data or "").split()


class TextField(forms.CharField):
    """Text. Browsers send line breaks as CR LF and this gives them back as LF; what comes as it was shown is no change, whatever blanks it has."""

    def to_python(self, value: Any) -> Any:
        """With plain line breaks."""
        return (super().to_python(value) or "").replace("\r\n", "\n")

    def has_changed(self, initial: Any, data: Any) -> bool:
        """As a reader sees it."""
        return bool(self.to_python(initial) != self.to_python(data))


def _text(label: str, *, required: bool = False, rows: int = 0, **more: Any) -> forms.CharField:
    widget = UnfoldAdminTextareaWidget(attrs={"rows": rows}) if rows else UnfoldAdminTextInputWidget()
    return TextField(label=label, required=required, strip=not rows, widget=widget, **more)


def _choice(label: str, choices: Iterable[Any], *, empty: bool = True, **more: Any) -> forms.ChoiceField:
    found = [(str(item), str(item).capitalize()) for item in choices]
    return forms.ChoiceField(label=label, required=not empty, choices=[("", "---------"), *found] if empty else found, widget=UnfoldAdminSelectWidget(), **more)


def _id(help_text: str) -> forms.CharField:
    return forms.RegexField(ID_PATTERN, label="Id", help_text=help_text, widget=UnfoldAdminTextInputWidget(), error_messages={
        "invalid": "Small letters, digits and underscores, a letter first, at most 63 characters."
    })  # fmt: skip


class _DocumentForm(forms.ModelForm):  # type: ignore[type-arg]
    """Shows a row, is read as part of a document, and changes nothing itself."""

    def _post_clean(self) -> None:
        # The model's own checks would see single rows, half of them not yet changed; the document is checked as a whole instead.
        pass

    def _get_validation_exclusions(self) -> set[str]:
        return {field.name for field in self._meta.model._meta.get_fields()}

    def said(self, name: str) -> Any:
        """The value of a field; of one that is as it was shown, to the letter what it was."""
        return self.cleaned_data[name] if name in self.changed_data or name not in self.initial else self.initial[name]

    def problem(self, key: str, message: str) -> None:
        """Say a problem at the field of this key of the file."""
        name = next((name for name, other in _KEYS.items() if other == key), key)
        self.add_error(name if name in self.fields else "rest" if "rest" in self.fields else None, message)


class ProcessForm(_DocumentForm):
    """What is said once for the whole process."""

    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)
    identifier = _id("Its name in addresses and files; it never changes.")
    name = _text("Name", max_length=editing.LONGEST_NAME)
    description = _text("Description", rows=3)
    category = _choice("Category", Category, empty=False)
    owners = NamesField(help_text="One a line, for instance user:ann@example.com or group:qa. Owners may edit, publish, start and operate.")
    fail_fast = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget(), help_text="The first failure stops everything outside the failure paths."
    )
    inputs = YamlField(help_text="What is asked at the start, for instance  version: {type: string, required: true}")
    rules = YamlField(empty=[], help_text='Checks over several inputs, for instance  - {check: "inputs.a != inputs.b", message: They must differ}')
    variables = YamlField(help_text='Computed once at the start, for instance  image: "shop:${{ inputs.version }}"')
    outputs = YamlField(help_text="Of the whole process, for a parent.")

    class Meta:
        model = Process
        fields = ()

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.initial = {name: getattr(self.instance, name) for name in self.fields if name != "seen"} | {"seen": self.instance.revision} | dict(self.initial)
        if self.instance.pk:
            self.fields["identifier"].disabled = True

    def head(self) -> dict[str, Any]:
        """The document without its phases."""
        said = {key: self.said(key) for key in ("name", "description", "category", "owners", "fail_fast", "inputs", "rules", "variables", "outputs")}
        head = {"apiVersion": API_VERSION, "kind": "Process", "id": self.cleaned_data["identifier"]}
        return head | {key: value for key, value in said.items() if value not in ("", [], {}, False)}


class _ItemForm(_DocumentForm):
    position = forms.IntegerField(required=False, initial=0, widget=UnfoldAdminIntegerFieldWidget())
    rest = YamlField(label="More keys", help_text="Every other key of the file, as YAML.")

    shown: tuple[str, ...] = ()

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        row = self.instance
        inside = {_KEYS.get(name, name): name for name in self.shown}
        values = {name: getattr(row, name) for name in self.shown if hasattr(row, name)} | {
            inside[key]: value for key, value in row.more.items() if key in inside and not hasattr(row, inside[key])
        }
        rest = {key: value for key, value in row.more.items() if key not in inside or hasattr(row, inside[key])}
        self.initial = values | {"rest": rest, "position": row.position} | dict(self.initial)

    def has_changed(self) -> bool:
        """Whether it says anything; where it stands does not count, because the page numbers empty forms too."""
        return any(name != "position" for name in self.changed_data)

    def item(self) -> dict[str, Any]:
        """Its mapping in the document."""
        said = {_KEYS.get(name, name): self.said(name) for name in self.shown}
        rest: dict[str, Any] = self.said("rest")
        return rest | {key: value for key, value in said.items() if value not in _DEFAULT}


class PhaseForm(_ItemForm):
    """A phase."""

    identifier = _id("Its name in expressions.")
    name = _text("Name", max_length=editing.LONGEST_NAME)
    description = _text("Description", rows=2)
    owners = NamesField(help_text="One a line, for instance user:ann@example.com or group:qa; else the process's.")
    depends_on = NamesField(label="Depends on", help_text="Ids of phases that come before it.")
    condition = _text("If", help_text="A CEL expression, for instance  inputs.region == 'eu'")
    run_when = _choice("Run when", RunWhen, empty=False, initial=RunWhen.SATISFIED)

    shown = PHASE_FIELDS

    class Meta:
        model = DraftPhase
        fields = ()


class ActivityForm(_ItemForm):
    """An activity."""

    phase = _text("Phase", help_text="The id of its phase.")
    identifier = _id("Unique in the whole process; its name in expressions.")
    name = _text("Name", max_length=editing.LONGEST_NAME)
    description = _text("Description", rows=2)
    type = _choice("Type", ActivityType)
    owners = NamesField(help_text="One a line, for instance user:ann@example.com or group:qa; else its phase's.")
    depends_on = NamesField(label="Depends on", help_text="Ids of activities that come before it.")
    condition = _text("If", help_text="A CEL expression, for instance  inputs.region == 'eu'")
    run_when = _choice("Run when", RunWhen, empty=False, initial=RunWhen.SATISFIED)
    connector = _choice("Connector", (), help_text="Automated: what runs it.")
    arguments = YamlField(label="With", rows=8, help_text='Automated: what the connector is given, for instance  run: "make test"')
    subprocess = _text("Process", help_text="Subprocess: the id of the process that it runs.")
    instructions = _text("Instructions", rows=3, help_text="Manual: what people are asked to do, in Markdown.")
    approval = YamlField(rows=6, help_text='Manual: who must agree, for instance  requires: [{count: 2, of: ["group:qa"]}]')

    shown = ACTIVITY_FIELDS

    class Meta:
        model = DraftActivity
        fields = ()

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if self.instance.phase_id:
            self.initial["phase"] = self.instance.phase.identifier
        known = connectors() or {}
        wanted = self.initial.get("connector")
        connector: Any = self.fields["connector"]
        connector.choices = [("", "---------"), *((name, name) for name in [*known, *([wanted] if wanted and wanted not in known else [])])]


class DraftFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """The rows of one kind."""

    def clean(self) -> None:
        """Not row by row (see `_DocumentForm`)."""

    def given(self) -> list[Any]:
        """The forms that say something, in the order of their positions."""
        forms_ = [form for form in self.forms if form.has_changed() or form.instance.pk]
        kept = [form for form in forms_ if form not in self.deleted_forms]
        return sorted(kept, key=lambda form: form.cleaned_data.get("position") or 0)


class ActivityFormSet(DraftFormSet):
    """The last part of the page: with it the document is whole, and is read."""

    main: ProcessForm
    phases: DraftFormSet
    document: Mapping[str, Any]

    def clean(self) -> None:
        """Every problem is said at the field it is about. What is merely unsound may be saved."""
        if not self.main.is_valid() or not self.phases.is_valid() or any(form.errors for form in self.forms):
            return
        places: dict[str, Any] = {}
        document = self._document(places)
        if document is None:
            raise forms.ValidationError("Some activities name no phase.")
        found = reading.parse(document)
        problems = errors([*found.problems, *editing.unstorable(found)])
        for problem in problems:
            place = max((place for place in places if f"{problem.place}/".startswith(f"{place}/")), key=len, default="")
            key = problem.place.removeprefix(place).split("/")[1:2]
            (places[place] if place else self.main).problem(key[0] if key else "", problem.message)
        if (now := self._changed_meanwhile()) is not None:
            self.main.add_error(None, now)
            problems.append(Problem("stale", now))
        if problems:
            raise forms.ValidationError("The draft cannot be saved; what is wrong is said at its place.")
        self.document = document

    def _changed_meanwhile(self) -> str | None:
        process, seen = self.main.instance, self.main.cleaned_data["seen"]
        if process.pk is None or process.revision == seen:
            return None
        by = process.updated_by.display_name if process.updated_by else "Somebody"
        return f"{by} has saved this draft since you opened this page. Open it again in another window, and repeat your change there."

    def _document(self, places: dict[str, Any]) -> dict[str, Any] | None:
        phases: dict[str, dict[str, Any]] = {}
        for number, form in enumerate(self.phases.given()):
            item = form.item() | {"activities": []}
            places[f"/phases/{number}"] = form
            phases[item["id"]] = item
        order = list(phases)
        complete = len(order) == len(self.phases.given())
        if not complete:
            raise forms.ValidationError("Two phases have the same id.")
        for form in self.given():
            phase = form.cleaned_data["phase"] or (order[0] if len(order) == 1 else "")
            if phase not in phases:
                form.add_error("phase", f'There is no phase "{phase}" here.' if phase else "Say to which phase it belongs.")
                complete = False
                continue
            places[f"/phases/{order.index(phase)}/activities/{len(phases[phase]['activities'])}"] = form
            phases[phase]["activities"].append(form.item())
        whole = [{key: value for key, value in phase.items() if key != "activities" or value} for phase in phases.values()]
        return self.main.head() | ({"phases": whole} if whole else {}) if complete else None
