"""Beside each field of an input set: is its value fixed, an expression, or an output of the last release? Works without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from processes import computed
from processes.blueprint import Blueprint, ValueType, Variable
from processes.problems import Problem
from processes.value_fields import label_of

FIXED, EXPRESSION = "", "expression"
MOST_PICKS = 300


class SourceForm(forms.Form):
    """Two controls for each input but secrets: where its value comes from, and the expression."""

    use_required_attribute = False
    prefix = "source"

    def __init__(self, specs: Mapping[str, Variable], blueprint: Blueprint | None, data: Any = None, *, values: Mapping[str, Any]) -> None:
        super().__init__(data)
        self.specs = {name: spec for name, spec in specs.items() if spec.type is not ValueType.SECRET}
        self.earlier = computed.earlier_values(blueprint)[:MOST_PICKS]
        picks = {value for value, _ in self.earlier}
        choices: list[Any] = [(FIXED, "This value"), (EXPRESSION, "An expression")]
        if self.earlier:
            choices.append(("Of the last release", self.earlier))
        for name, spec in self.specs.items():
            said = values.get(name)
            written = said if isinstance(said, str) and computed.is_computed(spec, said) else ""
            source = FIXED if not written else written if written in picks else EXPRESSION
            label = label_of(name, spec)
            widget = forms.Select({"class": "select sourced__from", "aria-label": f"Where {label} comes from"})
            self.fields[name] = forms.ChoiceField(choices=choices, required=False, initial=source, label=f"Where {label} comes from", widget=widget)
            text = forms.TextInput({"class": "mono", "data-completes": "names", "autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"})
            hint = "Text with ${{ … }}, worked out when a start takes it over"
            self.fields[f"{name}.text"] = forms.CharField(
                required=False, initial=written, label=f"{label}: expression", widget=text, help_text=hint, strip=True, max_length=20_000
            )

    def given(self) -> dict[str, str]:
        """What is to be worked out, by input; absent where the value is fixed. An expression without braces gets them."""
        found = {}
        for name in self.specs:
            source = self.data.get(self.add_prefix(name), FIXED)
            if source == EXPRESSION:
                text = self.data.get(self.add_prefix(f"{name}.text"), "").strip()
                found[name] = text if "${{" in text or not text else f"${{{{ {text} }}}}"
            elif source:
                found[name] = source
        return found

    def names(self) -> Iterable[str]:
        """What an expression may read, for completing."""
        yield from ("process.id", "process.name", "process.category", "release.starter", "release.started_at", "last.id", "last.name", "last.release_version")
        yield from (value.removeprefix("${{ ").removesuffix(" }}") for value, _ in self.earlier)

    def refuse(self, problems: Iterable[Problem]) -> list[Problem]:
        """Put what is wrong with an expression at it; the rest comes back."""
        left = []
        for problem in problems:
            name = problem.place.removeprefix("/values/").partition("/")[0]
            if name in self.given():
                self.add_error(f"{name}.text", problem.message)
            else:
                left.append(problem)
        return left
