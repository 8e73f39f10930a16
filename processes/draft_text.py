"""A draft's text as its author typed it: kept beside the rows, shown while it means the same, carried over when the draft was changed elsewhere.

Nobody who changes a draft needs to know of it: whether the text still fits is seen from its digest when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processes.carrying import Carried, carry
from processes.drafts import digest, document_of
from processes.models import DraftText, Process
from processes.reading import Reading
from processes.writing import to_yaml, yaml_text


def text_of(process: Process) -> Carried:
    """The draft as a file: with its author's comments and layout, as far as they still fit."""
    document = document_of(process)
    kept = DraftText.objects.filter(process=process).first()
    if kept is None:
        return Carried(yaml_text(document))
    return Carried(kept.text) if kept.digest == digest(document) else carry(kept.text, document)


def typed(read: Reading) -> str | None:
    """What of a file that came from elsewhere is worth keeping: nothing of JSON, and nothing of what an export looks like, which has no comments to say."""
    text = plain(read.source)
    return None if read.blueprint is None or text.lstrip().startswith("{") or text == to_yaml(read.blueprint) else text


def plain(source: str) -> str:
    """The text with line ends as YAML is written, whatever a browser made of them."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") or not text else text + "\n"


def kept_as(text: str | None, wanted: Mapping[str, Any]) -> str | None:
    """The text to keep for this document; empty where the canonical file says the same, None where nothing is known."""
    if text is None:
        return None
    kept = carry(plain(text), wanted).text
    return "" if kept == yaml_text(dict(wanted)) else kept


def keep_text(process: Process, kept: str | None, document: Mapping[str, Any]) -> bool:
    """Keep it, inside the change of the draft; whether anything is other than before."""
    if kept is None:
        return False
    rows = DraftText.objects.filter(process=process)
    if not kept:
        return bool(rows.delete()[0])
    now = {"text": kept, "digest": digest(document)}
    if rows.filter(**now).exists():
        return False
    DraftText.objects.update_or_create(process=process, defaults=now)
    return True
