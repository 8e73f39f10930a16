"""Forms for authors. They check what can be read and make a document of it; the verbs do the rest, so that the admin is no second door."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django import forms
from django.forms.formsets import BaseFormSet
from django.forms.models import BaseInlineFormSet
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from processes import editing, owning, reading
from processes.blueprint import API_VERSION, ID_PATTERN, Activity, ActivityType, Category, Part, Phase, RunWhen
from processes.drafts import ACTIVITY_COLUMNS, ITEM_COLUMNS, document_of, item_of
from processes.models import DraftActivity, DraftPhase, Process
from processes.problems import Problem, errors, within
from processes.struct_kinds import ABSENT, Kind, broken, drawn, read, same
from processes.struct_specs import activity_kind, inputs_kind, rules_kind, value_table
from processes.surroundings import connectors

KEYS = {"identifier": "id", "condition": "if"}
"""Form field -> key of the file, where they differ."""
PHASE_FIELDS = (
    *("identifier", "name", "description", "owners", "depends_on", "condition", "run_when"),
    *("variables", "outputs", "lock", "lock_while_waiting"),
)
ACTIVITY_FIELDS = ("identifier", "name", "type", "depends_on")
_DEFAULT: tuple[Any, ...] = ("", [], {}, None, str(RunWhen.SATISFIED))


class NamesField(forms.CharField):
    """Names, one a line or with commas between them."""

    def __init__(self, *, picks: str = "", **more: Any) -> None:
        attrs = {"rows": 2} | ({"data-picks": picks} if picks else {})
        super().__init__(required=False, widget=UnfoldAdminTextareaWidget(attrs=attrs), **more)

    def prepare_value(self, value: Any) -> Any:
        """One a line."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Each once, in their order."""
        return list(dict.fromkeys(part.strip() for part in re.split(r"[,\n]", value or "") if part.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By what is named, not by how it is written."""
        return bool((initial or []) != self.to_python(data))


class StructWidget(forms.Widget):
    """A mapping or list of the file as form controls (`struct_kinds`)."""

    class Media:
        js = ("authoring/picks.js", "authoring/structs.js", "authoring/plan.js", "authoring/live.js")
        css: ClassVar = {"all": ["authoring/structs.css"]}

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The controls."""
        return format_html('<div class="st" data-field="{}">{}</div>', name, drawn(self.kind, name, ABSENT if value in (None, "", {}, []) else value))

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """The value, or None when nothing is said."""
        value = read(self.kind, data, name)
        return None if value is ABSENT else value

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Never: nothing said is an answer."""
        return False


class StructField(forms.Field):
    """A mapping or list of the file; `empty` is what nothing said is."""

    def __init__(self, kind: Kind, *, empty: Any, **more: Any) -> None:
        self.kind, self.empty = kind, empty
        super().__init__(required=False, widget=StructWidget(kind), **more)

    def clean(self, value: Any) -> Any:
        """The value. YAML in it that cannot be read is said with its beginning."""
        if text := broken(value):
            raise forms.ValidationError(f"This YAML cannot be read: {text.strip()[:60]} …")
        return type(self.empty)() if value is None else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By what it says."""
        return not same(self.kind, initial or type(self.empty)(), type(self.empty)() if data is None else data)


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
        name = next((name for name, other in KEYS.items() if other == key), key)
        self.add_error(name if name in self.fields else None, message)


class ProcessForm(_DocumentForm):
    """What is said once for the whole process."""

    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)
    identifier = _id("Its name in addresses and files; it never changes.")
    name = _text("Name", max_length=editing.LONGEST_NAME)
    description = _text("Description", rows=3)
    category = _choice("Category", Category, empty=False)
    owners = NamesField(picks="people", help_text="For instance user:ann@example.com or group:qa. Owners may edit, publish, start and operate.")
    fail_fast = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget(), help_text="The first failure stops everything outside the failure paths."
    )
    inputs = StructField(inputs_kind(), empty={}, help_text="What is asked at the start.")
    rules = StructField(rules_kind(), empty=[], help_text="Checks over several inputs.")
    variables = StructField(value_table("variable"), empty={}, help_text="Computed once at the start, for instance  shop:${{ inputs.version }}")
    outputs = StructField(value_table("output"), empty={}, help_text="Of the whole process, for a parent.")

    class Meta:
        model = Process
        fields = ()

    person: Any = None
    """Who edits."""

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

    shown: tuple[str, ...] = ()
    columns: Mapping[str, str] = ITEM_COLUMNS
    part: type[Part] = Phase

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        row = self.instance
        self.written = item_of(row, self.columns, self.part) if row.pk else {}
        inside = {KEYS.get(name, name): name for name in self.shown}
        defaults = {name: self.fields[name].initial for name in self.shown}
        self.initial = {name: self.written.get(key, defaults[name] or "") for key, name in inside.items()} | {"position": row.position} | dict(self.initial)

    def has_changed(self) -> bool:
        """Whether it says anything; where it stands does not count, because the page says that of empty forms too."""
        return any(name not in ("position", "phase") or self.instance.pk for name in self.changed_data)

    def item(self) -> dict[str, Any]:
        """Its mapping in the document: what the form shows, and every other key as it is."""
        said = {KEYS.get(name, name): self.said(name) for name in self.shown}
        kept = {key: value for key, value in self.written.items() if key not in said or value in _DEFAULT}
        return kept | {key: value for key, value in said.items() if value not in _DEFAULT}


class PhaseForm(_ItemForm):
    """A phase."""

    identifier = _id("Its name in expressions.")
    name = _text("Name", max_length=editing.LONGEST_NAME)
    description = _text("Description", rows=2)
    owners = NamesField(picks="people", help_text="For instance user:ann@example.com or group:qa; else the process's.")
    depends_on = NamesField(picks="phases", label="Depends on", help_text="Phases that come before it.")
    condition = _text("If", help_text="A CEL expression, for instance  inputs.region == 'eu'")
    run_when = _choice("Run when", RunWhen, empty=False, initial=RunWhen.SATISFIED)
    variables = StructField(value_table("variable"), empty={}, help_text="Computed when the phase opens.")
    outputs = StructField(value_table("output"), empty={}, help_text="Computed when the phase closes.")
    lock = _text("Lock", help_text="A name that one release holds at a time, from the phase's opening to its closing.")
    lock_while_waiting = _choice("Lock while waiting", ("keep", "release"))

    shown = PHASE_FIELDS

    class Meta:
        model = DraftPhase
        fields = ()


class ActivityForm(_ItemForm):
    """An activity in the list of its process: what it is, and in which order. The rest is on its own page."""

    phase = _text("Phase", help_text="The id of its phase.")
    identifier = _id("Unique in the whole process; its name in expressions.")
    name = _text("Name", max_length=editing.LONGEST_NAME)
    type = _choice("Type", ActivityType)
    depends_on = NamesField(picks="activities", label="Depends on", help_text="Activities that come before it.")

    shown = ACTIVITY_FIELDS
    columns = ACTIVITY_COLUMNS
    part = Activity

    class Meta:
        model = DraftActivity
        fields = ()

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if self.instance.phase_id:
            self.initial["phase"] = self.instance.phase.identifier


class ActivityPageForm(_DocumentForm):
    """Every key of one activity, as its type and connector want it."""

    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = DraftActivity
        fields = ()

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        known = {name: entry.schema for name, entry in (connectors() or {}).items()}
        self.fields["activity"] = StructField(activity_kind(known), empty={}, label="")
        written = item_of(self.instance, ACTIVITY_COLUMNS, Activity)
        self.initial = {"activity": {key: value for key, value in written.items() if key != "id"}, "seen": self.instance.process.revision} | dict(self.initial)
        self.document: dict[str, Any] = {}

    def clean(self) -> dict[str, Any]:
        """The whole document with this activity in its place must be readable; what is merely unsound may be saved."""
        data = super().clean() or {}
        if "activity" not in data:
            return data
        process, identifier = self.instance.process, self.instance.identifier
        document = document_of(process)
        place = ""
        for number, phase in enumerate(document.get("phases", ())):
            for index, activity in enumerate(phase.get("activities", ())):
                if activity["id"] == identifier:
                    phase["activities"][index] = {"id": identifier} | self.said("activity")
                    place = f"/phases/{number}/activities/{index}"
        found = reading.parse(document)
        for problem in errors([*found.problems, *editing.unstorable(found)]):
            where = (problem.place.removeprefix(place) if within(problem.place, place) else problem.place).strip("/").replace("/", " → ")
            self.add_error("activity", f"{where}: {problem.message}" if where else problem.message)
        if data.get("seen") != process.revision:
            by = process.updated_by.display_name if process.updated_by else "Somebody"
            self.add_error(None, f"{by} has saved this draft since you opened this page. Open it again in another window, and repeat your change there.")
        self.document = document
        return data


def place_in(places: Mapping[str, Any], place: str) -> str:
    """The innermost of these places that holds the place; "" when none does."""
    return max((known for known in places if within(place, known)), key=len, default="")


class DraftFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """The rows of one kind."""

    def add_fields(self, form: Any, index: int | None) -> None:
        """A number is enough: rows are written by the verbs. Django's own fields for it would look up every row, and cost more than all others."""
        BaseFormSet.add_fields(self, form, index)
        form.fields["id"] = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def clean(self) -> None:
        """Not row by row (see `_DocumentForm`)."""

    def kept(self) -> list[Any]:
        """The forms that are not marked to go, whether what they say can be read or not."""
        return [form for form in self.forms if not (form.is_bound and self._should_delete_form(form))]  # type: ignore[attr-defined]

    def given(self) -> list[Any]:
        """The forms that say something, in the order of their positions."""
        said = [form for form in self.kept() if form.has_changed() or form.instance.pk]
        return sorted(said, key=lambda form: form.cleaned_data.get("position") or 0)


class ActivityFormSet(DraftFormSet):
    """The last part of the page: with it the document is whole, and is read."""

    main: ProcessForm
    phases: DraftFormSet
    document: Mapping[str, Any]
    built: dict[str, Any] | None = None
    """The document as the page says it, readable or not; None where ids are missing."""
    places: Mapping[str, Any]
    """Where in it each phase and activity stands -> its form."""

    def clean(self) -> None:
        """Every problem is said at the field it is about. What is merely unsound may be saved."""
        places: dict[str, Any] = {}
        self.places = places
        if not self.main.is_valid() or not self.phases.is_valid() or any(form.errors for form in self.kept()):
            return
        document = self.built = self._document(places)
        if document is None:
            raise forms.ValidationError("Some activities name no phase.")
        found = reading.parse(document)
        problems = errors([*found.problems, *editing.unstorable(found)])
        for problem in problems:
            place = place_in(places, problem.place)
            key, *inside = problem.place.removeprefix(place).split("/")[1:] or [""]
            message = f"{' → '.join(inside)}: {problem.message}" if inside else problem.message
            (places[place] if place else self.main).problem(key, message)
        process, person = self.main.instance, self.main.person
        owners = list(document.get("owners") or ())
        if not problems and process.pk and (refused := owning.problem_with(process, owners, actor=person)):
            self.main.problem("owners", refused.message)
            problems.append(refused)
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
