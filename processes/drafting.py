"""A process drafted from plain text: by rules, or by a language model that the administrator has named. Nothing is stored.

Both ways answer in one shape, and both are only proposals: whoever asked looks at the draft, answers its questions and saves it, or does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from processes import asking_model, describing, publishing, reading
from processes.blueprint import Blueprint
from processes.describing import Known, Question
from processes.describing.outline import LONGEST_TEXT
from processes.models import Process
from processes.problems import Problem
from processes.writing import yaml_text
from relorch.lib.errors import Invalid


@dataclass(frozen=True, slots=True)
class Draft:
    """A proposal: its canonical document and the same as YAML, what is wrong with it here, what the text leaves open, and what it does in a sentence."""

    document: dict[str, Any]
    problems: list[Problem]
    questions: list[Question]
    summary: str

    @property
    def yaml(self) -> str:
        """The process file."""
        return yaml_text(self.document)

    @property
    def blueprint(self) -> Blueprint | None:
        """The draft as typed values."""
        found = reading.parse(self.document).blueprint
        return found if isinstance(found, Blueprint) else None


Reader = Callable[[str, Known, Any, str], "describing.Description"]


def _by_rules(text: str, known: Known, actor: Any, door: str) -> describing.Description:
    return describing.describe(text, known)


def ways() -> Mapping[str, Reader]:
    """How a text can be read here: `rules` always, `model` where an endpoint is set."""
    return {"rules": _by_rules} | ({"model": asking_model.describe} if settings.RELORCH_MODEL_URL else {})


def drafted(text: str, *, actor: Any, using: str = "rules", door: str = "page") -> Draft:
    """The process that the text describes, as a proposal.

    Raises Invalid (nothing to read, too long, a way that is not there) and Unavailable (the model does not answer).
    """
    _check(text, using)
    found = ways()[using](text, known_to(actor), actor, door)
    read = reading.parse(found.document)
    if not isinstance(read.blueprint, Blueprint):
        raise Invalid("nothing_drafted", "No process could be made of this text.", list(read.problems))
    return Draft(reading.document(read.blueprint), publishing.problems_in(read, actor=actor), found.questions, found.summary)


def known_to(actor: Any) -> Known:
    """What the reader may know: groups, active people, the processes this person may see; and which ids are taken by anybody's."""
    people = get_user_model().objects.filter(is_active=True).values_list("email", "name")
    return Known(
        groups=tuple(Group.objects.order_by("name").values_list("name", flat=True)),
        users=dict(people),
        processes=dict(Process.objects.visible_to(actor).filter(archived_at=None).values_list("identifier", "name")),
        taken=Known().taken | frozenset(Process.objects.values_list("identifier", flat=True)),
    )


def _check(text: str, using: str) -> None:
    problems = []
    if not text.strip():
        problems.append(Problem("required", "There is no text to read.", "/text"))
    elif len(text) > LONGEST_TEXT:
        problems.append(Problem("too_long", f"A text has at most {LONGEST_TEXT:,} characters, this one has {len(text):,}.", "/text"))
    if using not in ways():
        more = " To read by a model an administrator sets RELORCH_MODEL_URL." if using == "model" else ""
        problems.append(Problem("not_an_option", f"“{using[:40]}” is no way to read a text here: {', '.join(ways())}.{more}", "/using"))
    if problems:
        raise Invalid("invalid", "The request does not fit.", problems)
