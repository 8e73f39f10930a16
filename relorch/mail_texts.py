"""Words of an administrator in place of ours, for each kind of mail: checked when they are saved, and left aside where they fail when a mail is written.

They are Django templates over a few facts, in an engine of their own that loads no files and no libraries: what it cannot name, it cannot show. It knows
only what makes no text much longer than it was written: a loop or a padding in a mail would hold up all the others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.template import Context, Engine, Library, Template, TemplateSyntaxError
from django.template.base import VariableNode
from django.template.defaulttags import WithNode

from processes.problems import Problem
from relorch.audit.chain import Happening, note
from relorch.lib.errors import Invalid
from relorch.models import ALWAYS, MailText

log = logging.getLogger(__name__)

PARTS: Mapping[str, int] = {"subject": 250, "title": 250, "lead": 4_000}
FACTS = ("subject", "title", "lead", "due", "person", "release", "process", "activity", "reason")
STREAM = "mail_texts"

_SAMPLE = dict.fromkeys(FACTS, "…")
_TAGS = frozenset({"if", "with", "comment", "spaceless"})
_FILTERS = frozenset(
    [
        "upper",
        "lower",
        "title",
        "capfirst",
        "default",
        "default_if_none",
        "first",
        "last",
        "length",
        "slice",
        "cut",
        "truncatechars",
        "truncatewords",
        "wordcount",
        "yesno",
        "pluralize",
    ]
)
LONGEST = 10_000
"""Characters that one part may come to."""


def problems(texts: Mapping[str, str]) -> list[Problem]:
    """Everything that is wrong with these texts, each with its field and line."""
    return [problem for part, most in PARTS.items() for problem in _of_one(part, texts.get(part, ""), most)]


def save(*, actor: Any, row: MailText) -> None:
    """Keep these texts. Raises Invalid with every problem; an earlier failure is forgotten."""
    found = problems({part: getattr(row, part) for part in PARTS})
    if found:
        raise Invalid("invalid_mail_text", "The text of the mail cannot be used as it is.", found)
    with transaction.atomic():
        row.error, row.failed_at = "", None
        row.save()
        note(Happening(STREAM, "mail_text.changed", row.kind, actor.pk, actor.email, "admin", data={part: getattr(row, part) for part in PARTS}))


def remove(*, actor: Any, row: MailText) -> None:
    """Ours again."""
    with transaction.atomic():
        note(Happening(STREAM, "mail_text.removed", row.kind, actor.pk, actor.email, "admin"))
        row.delete()


def of_kind(kind: str) -> MailText | None:
    """What an administrator has worded of this kind."""
    return MailText.objects.filter(kind=kind).exclude(kind__in=ALWAYS).first()


def worded(row: MailText, facts: Mapping[str, str]) -> dict[str, str]:
    """The parts that an administrator has worded, rendered; none of them where one fails or comes out empty: then the mail has our words, and they are told."""
    said: dict[str, str] = {}
    for part in PARTS:
        if not (text := getattr(row, part)):
            continue
        try:
            said[part] = _rendered(_compiled(text), facts)
        except Exception as error:  # whatever a filter does to a value: the mail must go out
            return _failed(row, part, f"{type(error).__name__}: {error}")
        if not said[part].strip():
            return _failed(row, part, "It came out empty.")
    return said


def _failed(row: MailText, part: str, reason: str) -> dict[str, str]:
    log.error("the text of mails of kind %s cannot be used (%s): %s", row.kind, part, reason)
    with transaction.atomic():
        first = MailText.objects.filter(pk=row.pk, error="").update(error=f"{part}: {reason}"[:2_000], failed_at=Now())
        if first:
            note(Happening(STREAM, "mail_text.failed", row.kind, data={"part": part, "reason": reason[:500]}))
    return {}


def _of_one(part: str, text: str, most: int) -> Iterator[Problem]:
    place = f"/{part}"
    if len(text) > most:
        yield Problem("too_long", f"At most {most:,} characters.", place)
    if part != "lead" and "\n" in text:
        yield Problem("invalid", "One line.", place)
    try:
        template = _compiled(text)
    except TemplateSyntaxError as error:
        token = getattr(error, "token", None)
        known = f" There are the tags {', '.join(sorted(_TAGS))}; and the filters {', '.join(sorted(_FILTERS))}." if "nvalid" in str(error) else ""
        yield Problem("invalid_template", f"Line {getattr(token, 'lineno', 1)}: {error}.{known}", place)
        return
    except RecursionError:
        yield Problem("invalid_template", "It is nested too deeply.", place)
        return
    unknown = list(_unknown(template.nodelist, set(FACTS)))
    for name, line in unknown:
        yield Problem("unknown_name", f"Line {line}: there is no {name}. There are {', '.join(FACTS)}.", place)
    if unknown or not text:
        return
    try:
        empty = not _rendered(template, _SAMPLE).strip()
    except Exception as error:  # of any kind: it is the template's
        yield Problem("invalid_template", f"It cannot be filled in: {error}", place)
        return
    if empty:
        yield Problem("empty", "It comes out empty.", place)


@lru_cache(maxsize=1)
def _engine() -> Engine:
    """With the few tags and filters that are allowed. The libraries are copies: Django's own are everybody's."""
    engine = Engine(libraries={}, autoescape=False)
    own = []
    for builtin in engine.template_builtins:
        library = Library()
        library.tags = {name: tag for name, tag in builtin.tags.items() if name in _TAGS}
        library.filters = {name: one for name, one in builtin.filters.items() if name in _FILTERS}
        own.append(library)
    engine.template_builtins = own
    return engine


def _compiled(text: str) -> Template:
    return _engine().from_string(text)


def _rendered(template: Template, facts: Mapping[str, str]) -> str:
    # what is rendered counts as safe HTML, which it is not: plain text again
    text = template.render(Context(dict(facts), autoescape=False)) + ""
    if len(text) > LONGEST:
        raise ValueError(f"it comes to {len(text):,} characters; {LONGEST:,} are the most")
    return text


def _unknown(nodes: Any, known: set[str]) -> Iterator[tuple[str, int]]:
    for node in nodes:
        inside = known
        if isinstance(node, VariableNode):
            name = getattr(node.filter_expression.var, "lookups", None)
            if name and name[0] not in known:
                yield name[0], (node.token.lineno or 1) if node.token else 1
        if isinstance(node, WithNode):
            inside = known | set(node.extra_context)
        for part in getattr(node, "child_nodelists", ()):
            yield from _unknown(getattr(node, part, None) or (), inside)
        for _, branch in getattr(node, "conditions_nodelists", ()):
            yield from _unknown(branch, inside)
