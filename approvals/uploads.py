"""Files that come with the form of a question: stored before the verb, forgotten again when the verb refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from approvals.forms import DecisionForm
from processes.problems import Problem
from releases import talking
from relorch.lib import files
from relorch.lib.errors import Invalid
from relorch.lib.files import Kept
from relorch.lib.rest import TooLarge


@contextmanager
def stored(form: DecisionForm) -> Iterator[dict[str, Any]]:
    """The values of the form with each file as it is kept. What no attachment names in the end is not kept. Raises Invalid with every problem."""
    kept: dict[str, Kept] = {}
    problems: list[Problem] = []
    try:
        for name, upload in form.uploads.items():
            accept, most = talking.limits_of(form.specs[name])
            try:
                kept[name] = files.keep(upload.chunks(), upload.name or "", accept=accept, most=most, place=f"/fields/{name}")
            except TooLarge as refused:
                problems.append(Problem("too_large", refused.message, f"/fields/{name}"))
            except Invalid as refused:
                problems += [Problem(found["code"], found["message"], found["place"]) for found in refused.problems]
        if problems:
            raise Invalid("invalid_form", "The form cannot be taken as it is.", problems)
        yield {**form.given, **kept}
    finally:
        talking.forget_unnamed(one.hash for one in kept.values())
