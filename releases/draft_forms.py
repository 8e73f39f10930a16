"""The forms of a draft's pages: what it is, when it is to run, and what it runs with. They ask; the verbs check, and say every problem."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms

from processes.models import ProcessVersion
from processes.problems import Problem
from releases import overview
from releases.models import Release
from releases.times_form import TimesForm
from relorch.lib.errors import Invalid


def take(form: forms.Form, error: Invalid) -> None:
    """Say every problem of a refusal at its field."""
    for problem in error.problems:
        if isinstance(problem, Problem) and problem.severity == "error":
            name = problem.place.strip("/").split("/")[0]
            form.add_error(name if name in form.fields else None, problem.message)
    if not form.errors:
        form.add_error(None, error.message)


class OverviewForm(forms.Form):
    """The first step: what it is."""

    use_required_attribute = False

    name = forms.CharField(label="Name", max_length=200)
    identifier = forms.CharField(label="Identifier", required=False, max_length=100, help_text="One of its kind; left empty, it is made from the name")
    release_version = forms.CharField(label="Version", required=False, max_length=50, help_text="What goes out: digits and dots")
    colour = forms.ChoiceField(label="Colour", required=False, choices=[("", "None"), *((name, name.capitalize()) for name in overview.COLOURS)])
    tags = forms.CharField(label="Tags", required=False, help_text="With commas between them")
    owners = forms.CharField(
        label="Owners", required=False, help_text="E-mail addresses or group:<name>, with commas between them; without them, the process's"
    )
    phase_owners = forms.CharField(
        label="Owners of phases",
        required=False,
        widget=forms.Textarea({"rows": 2, "placeholder": "deploy: ann@example.com, group:operations"}),
        help_text="For this release, one phase a line; who decides stays who the process says",
    )
    description = forms.CharField(label="Description", required=False, widget=forms.Textarea({"rows": 4}))
    links = forms.CharField(
        label="Tickets and documents",
        required=False,
        widget=forms.Textarea({"rows": 3, "placeholder": "https://tickets.example.com/REL-12 Change ticket"}),
        help_text="One address a line; what follows it is its name",
    )

    @classmethod
    def shown(cls, release: Release) -> dict[str, Any]:
        """A release as the form shows it."""
        return {
            "name": release.name,
            "identifier": release.identifier,
            "release_version": release.release_version,
            "colour": release.colour,
            "tags": ", ".join(release.tags),
            "owners": ", ".join(name.removeprefix("user:") for name in release.owners),
            "phase_owners": "\n".join(f"{phase}: {', '.join(name.removeprefix('user:') for name in names)}" for phase, names in release.phase_owners.items()),
            "description": release.description,
            "links": "\n".join(f"{link['url']} {link.get('title', '')}".strip() for link in release.links),
        }

    @property
    def details(self) -> dict[str, Any]:
        """What was entered, as the verbs take it."""
        said = self.cleaned_data
        phases = [line.partition(":") for line in said["phase_owners"].splitlines() if line.strip()]
        links = [_link(line.strip()) for line in said["links"].splitlines() if line.strip()]
        plain: dict[str, Any] = {name: said[name] for name in ("identifier", "release_version", "colour", "description")}
        plain["phase_owners"] = {phase.strip(): _people(names) for phase, _, names in phases}
        return {**plain, "tags": list(dict.fromkeys(_listed(said["tags"]))), "owners": _people(said["owners"]), "links": links}


def _listed(text: str) -> list[str]:
    return [word for word in (part.strip() for part in re.split(r"[,\n]", text)) if word]


def _people(text: str) -> list[str]:
    return [name if name.startswith(("user:", "group:")) else f"user:{name}" for name in _listed(text)]


def _link(line: str) -> Mapping[str, str]:
    url, _, title = line.partition(" ")
    return {"url": url, "title": title.strip()}


class DatesForm(TimesForm):
    """The second step: which version, and when."""

    version = forms.ChoiceField(label="Version of the process", required=False)
    field_order = ("version", "scheduled_for", "scheduled_for_which", "expected_end", "expected_end_which", "auto_start")

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, required=False, **kwargs)
        newest = release.process.versions.order_by("-number").values_list("number", flat=True).first()
        numbers = release.process.versions.order_by("-number").values_list("number", flat=True)[:50]
        self.fields["version"].choices = [("", f"The newest, now version {newest}"), *((str(n), f"Version {n}, whatever comes") for n in numbers)]  # type: ignore[attr-defined]
        self.fields["scheduled_for"].help_text += ". Left empty: it starts when somebody starts it"

    @property
    def number(self) -> int | None:
        """The version that was pinned."""
        said = self.cleaned_data.get("version") or ""
        return int(said) if said else None


def version_row(release: Release, number: int | None) -> ProcessVersion | None:
    """The version of this number, else the newest."""
    rows = release.process.versions.order_by("-number")
    found: ProcessVersion | None = rows.first() if number is None else rows.filter(number=number).first()
    return found
