"""Forms of the page where a process begins."""

from __future__ import annotations

from typing import Any

from django import forms

from processes import drafting
from processes.access import Permission, processes_with
from processes.describing.outline import LONGEST_TEXT
from processes.models import Process
from processes.starting_points import blueprints

LARGEST_FILE = 1024 * 1024


class DescriptionForm(forms.Form):
    """A release procedure, and by what it is read."""

    text = forms.CharField(
        label="Release procedure",
        help_text="Paste it as it is: headings, lists, check boxes, Markdown or not.",
        widget=forms.Textarea({"rows": 16, "class": "textarea mono"}),
        max_length=LONGEST_TEXT,
    )
    using = forms.ChoiceField(label="Read by", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {"rules": "Rules, here", "model": "The language model that your administrator has set"}
        field: Any = self.fields["using"]
        field.choices = [(key, names[key]) for key in drafting.ways()]
        if len(field.choices) == 1:
            field.widget = forms.HiddenInput()
        field.initial = "rules"


class BlueprintForm(forms.Form):
    """One of the blueprints that come with relorch."""

    blueprint = forms.ChoiceField(label="Blueprint", widget=forms.RadioSelect)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["blueprint"]
        field.choices = [(point.key, f"{point.blueprint.label}: {point.blueprint.description}") for point in blueprints()]


class CopyForm(forms.Form):
    """Another process."""

    process = forms.ModelChoiceField(queryset=Process.objects.none(), to_field_name="identifier", label="Process", empty_label="Choose a process")

    def __init__(self, *args: Any, person: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["process"]
        field.queryset = Process.objects.visible_to(person).filter(archived_at=None).order_by("name", "identifier")


class FileForm(forms.Form):
    """A process file, uploaded or pasted."""

    file = forms.FileField(label="File", required=False, help_text="YAML or JSON, at most 1 MiB.")
    source = forms.CharField(label="Or its text", required=False, strip=False, widget=forms.Textarea({"rows": 14, "class": "textarea mono"}))

    def clean(self) -> dict[str, Any]:
        """One of the two, not too large."""
        data = super().clean() or {}
        file = data.get("file")
        if file and file.size > LARGEST_FILE:
            self.add_error("file", "The file is larger than 1 MiB.")
        elif not file and not (data.get("source") or "").strip() and "file" not in self.errors:
            self.add_error("source", "Choose a file or paste its text.")
        return data


class SaveForm(forms.Form):
    """The draft as it is to be saved: as a new process, or as the draft of one that is there."""

    yaml = forms.CharField(label="Process file", strip=False, widget=forms.Textarea({"rows": 18, "class": "textarea mono", "spellcheck": "false"}))
    into = forms.ModelChoiceField(queryset=Process.objects.none(), to_field_name="identifier", required=False, label="Save as", empty_label="A new process")
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, person: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["into"]
        rows = Process.objects.filter(archived_at=None).order_by("name", "identifier")
        field.queryset = rows if person.is_superuser else rows.filter(processes_with(person, Permission.AUTHOR))
        field.label_from_instance = lambda process: f"The draft of {process}"
