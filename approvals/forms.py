"""The form of a decision: the activity's own fields, the choice, the comment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from django import forms

from approvals.models import SignOff
from processes.blueprint import Approval, Variable
from processes.problems import Problem
from processes.value_fields import ValueForm
from relorch.lib import secrets

COMMENT_HINTS = {"required": "required", "required_on_reject": "needed when you reject", "optional": "optional"}


_CONFIRMING: dict[str, tuple[str, str, Any]] = {
    "identity": (
        "Your e-mail address",
        "Who signs. Asked at the first signature, and after 15 minutes without one.",
        partial(forms.EmailInput, {"autocomplete": "off"}),
    ),
    "password": ("Your password", "Confirms that it is you.", partial(forms.PasswordInput, {"autocomplete": "current-password"})),
    "code": ("A code", "Of your authenticator app.", partial(forms.TextInput, {"autocomplete": "one-time-code", "inputmode": "numeric"})),
    "passkey": ("Passkey", "", forms.HiddenInput),
}
"""What confirms who decides: label, hint and widget."""


class DecisionForm(ValueForm):
    """Fields of the activity under `field-…`, and what every decision has, kept under names that no field can have. Nothing is chosen beforehand."""

    def __init__(
        self,
        specs: Mapping[str, Variable],
        approval: Approval,
        data: Any = None,
        *,
        filled: Mapping[str, Any] | None = None,
        files: Any = None,
        asked: Sequence[str] = (),
    ) -> None:
        super().__init__(specs, data, values={name: value for name, value in (filled or {}).items() if not secrets.is_secret(value)}, files=files)
        for name in specs:
            if secrets.is_secret((filled or {}).get(name)):
                self.fields[name].help_text = "Kept; fill in only to use another one"
        self.fields["-decision"] = forms.ChoiceField(choices=SignOff.Decision.choices, widget=forms.RadioSelect, label="Your decision")
        self.fields["-comment"] = forms.CharField(
            widget=forms.Textarea(attrs={"rows": 3}), required=False, label="Comment", help_text=COMMENT_HINTS[approval.comment]
        )

        for name in asked:
            label, hint, widget = _CONFIRMING[name]
            self.fields[f"-{name}"] = forms.CharField(widget=widget(), required=False, label=label, strip=False, help_text=hint)

    def refuse_confirmation(self, message: str) -> None:
        """Said at the password, or at what is asked instead."""
        self.add_error(next((f"-{name}" for name in ("password", "code", "passkey") if f"-{name}" in self.fields), None), message)

    @property
    def confirmation(self) -> list[Any]:
        """The bound fields that confirm who decides."""
        return [self[name] for name in ("-identity", "-password", "-code") if name in self.fields]

    @property
    def passkey(self) -> Any:
        """The bound field of the passkey's answer, where one may be used."""
        return self["-passkey"] if "-passkey" in self.fields else None

    def add_prefix(self, field_name: str) -> str:
        """The activity's fields cannot be confused with our own, whatever their names."""
        return field_name[1:] if field_name.startswith("-") else f"field-{field_name}"

    def refuse(self, problems: Iterable[Problem], under: str = "/fields/") -> None:
        """Also `/decision` and `/comment`."""
        own = {"/decision": "-decision", "/comment": "-comment"}
        problems = list(problems)
        for problem in problems:
            if problem.place.startswith("/tasks/"):
                self.add_error(None, problem.message)
        for problem in problems:
            if problem.place in own:
                self.add_error(own[problem.place], problem.message)
        super().refuse([problem for problem in problems if problem.place not in own and not problem.place.startswith("/tasks/")], under)

    @property
    def of_activity(self) -> list[Any]:
        """The bound fields of the activity."""
        return [self[name] for name in self.specs]

    @property
    def chosen(self) -> str:
        """What was chosen, when the form comes back."""
        return str(self.data.get("decision", "")) if self.is_bound else ""

    @property
    def comment(self) -> Any:
        """The bound field of the comment."""
        return self["-comment"]

    @property
    def decision(self) -> Any:
        """The bound field of the choice."""
        return self["-decision"]
