"""When a release is to start and to have ended, as a person writes it: local times in the reader's zone. What does not exist or comes twice is said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone

from releases.models import Release
from releases.planning import TOO_FAR
from relorch.lib.local_time import NoSuchTime, TwoTimes, instant_of

_WHICH = {"1": False, "2": True}


def reader_zone() -> ZoneInfo:
    """The zone in which this reader writes and reads times."""
    zone = timezone.get_current_timezone()
    return zone if isinstance(zone, ZoneInfo) else ZoneInfo("UTC")


class LocalTime(forms.DateTimeInput):
    """The browser's own field for a local time; without it, text."""

    input_type = "datetime-local"

    def format_value(self, value: Any) -> str | None:
        """To the minute, as the browser wants it."""
        return value.strftime("%Y-%m-%dT%H:%M") if isinstance(value, datetime) else value


class TimesForm(forms.Form):
    """Start, expected end, and whether the clock starts it."""

    use_required_attribute = False

    scheduled_for = forms.CharField(label="Start", required=False, widget=LocalTime)
    scheduled_for_which = forms.ChoiceField(label="Which one", required=False, widget=forms.RadioSelect)
    expected_end = forms.CharField(label="Expected end", required=False, widget=LocalTime, help_text="Left empty: one week after the start")
    expected_end_which = forms.ChoiceField(label="Which one", required=False, widget=forms.RadioSelect)
    auto_start = forms.BooleanField(label="Start by itself", required=False, help_text="Without it, it waits for a person to start it")

    def __init__(self, *args: Any, required: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.needs_time = required
        self.times: dict[str, Any] = {}
        self.asked: list[str] = []
        self.fields["scheduled_for"].help_text = f"In your time zone, {reader_zone().key}"
        for name in ("scheduled_for_which", "expected_end_which"):
            self.fields[name].choices = [("1", ""), ("2", "")]  # type: ignore[attr-defined]

    @classmethod
    def shown(cls, release: Release) -> dict[str, Any]:
        """The times of a release as the form shows them."""
        zone = reader_zone()
        local = {name: at.astimezone(zone) for name, at in (("scheduled_for", release.scheduled_for), ("expected_end", release.expected_end)) if at}
        which = {f"{name}_which": "2" for name, at in local.items() if at.fold}
        return {**local, **which, "auto_start": release.auto_start}

    def clean(self) -> dict[str, Any]:
        """`times` hold instants; what cannot be one is said at its field."""
        given: dict[str, Any] = self.cleaned_data
        for name in ("scheduled_for", "expected_end"):
            self.times[name] = self._instant(name, str(given.get(name) or "").strip(), str(given.get(f"{name}_which") or ""))
        self.times["auto_start"] = bool(given.get("auto_start"))
        if self.needs_time and self.times["scheduled_for"] is None and not self.errors:
            self.add_error("scheduled_for", "Say when it is to start.")
        return given

    def _instant(self, name: str, text: str, which: str) -> datetime | None:
        if not text:
            return None
        try:
            local = datetime.fromisoformat(text)
        except ValueError:
            self.add_error(name, "Write it as 2026-03-29T14:30.")
            return None
        try:
            return local.astimezone(UTC) if local.tzinfo is not None else instant_of(local, reader_zone(), second=_WHICH.get(which))
        except OverflowError:
            self.add_error(name, TOO_FAR)
        except NoSuchTime as refusal:
            self.add_error(name, str(refusal))
        except TwoTimes as question:
            self.add_error(name, str(question))
            self.asked.append(f"{name}_which")
            self.fields[f"{name}_which"].choices = [("1", question.choices[0].label), ("2", question.choices[1].label)]  # type: ignore[attr-defined]
        return None

    @property
    def shown_fields(self) -> list[Any]:
        """The fields to show: which of two times only when it is to be asked."""
        return [field for field in self if not field.name.endswith("_which") or field.name in self.asked]
