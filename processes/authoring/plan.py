"""Phases with their activities as rows of a page, from the two formsets of the admin. Plain values: a widget for each field of 300 rows would cost seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse

from processes.blueprint import ActivityType, RunWhen

TYPES = tuple(str(kind.value) for kind in ActivityType)
RUN_WHEN = tuple(str(kind.value) for kind in RunWhen)
BLANK = "__prefix__"


@dataclass(slots=True)
class Row:
    """One form: how the names of its fields begin, its values as text, what is wrong with them, where its own page is, and whether it is to go."""

    form: Any
    prefix: str
    values: dict[str, Any]
    errors: list[str]
    address: str = ""
    gone: bool = False
    activities: list[Row] = field(default_factory=list)

    @property
    def variables(self) -> Any:
        """The controls of a phase's variables."""
        return self.form["variables"]

    @property
    def outputs(self) -> Any:
        """The controls of a phase's outputs."""
        return self.form["outputs"]

    @property
    def said(self) -> str:
        """What the row is called."""
        return str(self.values["name"] or self.values["identifier"] or "")


def plan_of(phases: Any, activities: Any) -> tuple[list[Row], list[Row]]:
    """The phases in their order, each with its activities in theirs; and the activities that name no phase which is here."""
    rows = sorted((_row(form) for form in phases.initial_forms + _said(phases)), key=_position)
    known = {row.values["identifier"]: row for row in reversed(rows)}
    lost: list[Row] = []
    for row in sorted((_row(form) for form in activities.initial_forms + _said(activities)), key=_position if activities.is_bound else _nothing):
        home = known.get(row.values["phase"])
        (home.activities if home else lost).append(row)
    return rows, lost


def blank(formset: Any) -> Row:
    """The row that is copied when one is added."""
    return _row(formset.empty_form)


def _said(formset: Any) -> list[Any]:
    return [form for form in formset.extra_forms if formset.is_bound and form.has_changed()]


def _row(form: Any) -> Row:
    values = {name: form[name].value() for name in form.fields if name not in ("variables", "outputs", "process", "DELETE")}
    gone = bool(form.is_bound and getattr(form, "cleaned_data", {}).get("DELETE"))
    wrong = [f"{_label(form, name)}{message}" for name, messages in form.errors.items() for message in messages] if form.is_bound and not gone else []
    own = reverse("admin:processes_draftactivity_change", args=[form.instance.pk]) if "phase" in form.fields and form.instance.pk else ""
    return Row(form, form.prefix, {name: "" if value is None else value for name, value in values.items()} | {"pk": form.instance.pk or ""}, wrong, own, gone)


def _label(form: Any, name: str) -> str:
    return f"{form.fields[name].label or name.replace('_', ' ').capitalize()}: " if name in form.fields else ""


def _position(row: Row) -> int:
    text = str(row.values["position"])
    return int(text) if text.isdecimal() and len(text) < 8 else 0


def _nothing(row: Row) -> int:
    return 0
