"""A list of steps without headings, divided into the stages that its words speak of. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from processes.describing.wording import asks_approval, name_of

T = TypeVar("T")
FEWEST = 5
"""Steps below which a list stays one phase."""

_STAGES = (
    ("Roll-back", re.compile(r"\broll(?:ing)?[- ]?back\b", re.IGNORECASE)),
    ("Test", re.compile(r"\btest(?:s|ed|ing)?\b|\buat\b|\bqa\b|\bregression\b|\bscan\b|\bvalidat", re.IGNORECASE)),
    ("Deploy", re.compile(r"\bdeploy|\broll\s?out\b|\brelease to\b|\bpromote\b|\bgo live\b|\bstaging\b|\bproduction\b", re.IGNORECASE)),
    ("Build", re.compile(r"\bbuild|\bcompile|\bpackage\b|\bartifacts?\b|\bassemble\b", re.IGNORECASE)),
    ("Publish", re.compile(r"\bpublish|\bupload|\bannounce|\bnotify\b|\brelease notes\b|\bblog\b|\btweet\b|\bmailing list\b|\bnewsletter\b", re.IGNORECASE)),
    ("Verify", re.compile(r"\bverif|\bmonitor|\bhealth\b|\bsmoke\b|\bwatch\b|\bobserve\b", re.IGNORECASE)),
    ("Prepare", re.compile(r"\bbranch\b|\bfreeze\b|\bplan\b|\bprepare\b|\bchangelog\b|\bversion\b|\btag\b|\bmerge\b|\bticket\b|\bcommit\b", re.IGNORECASE)),
)


def in_stages(steps: Sequence[tuple[str, T]]) -> list[tuple[str, list[T]]]:
    """Runs of steps that speak of the same stage, each with its name; a step that speaks of none stays with the one before it.

    Approvals belong to nobody's stage but their own, and a stage that comes again is called by its first step. One group when the list is short, or
    does not speak of stages.
    """
    if len(steps) < FEWEST:
        return [("", [step for _, step in steps])]
    groups: list[tuple[str, list[T]]] = []
    titles: list[str] = []
    stages = [_stage(text) for text, _ in steps]
    if stages.count("") > len(stages) // 4:
        return [("", [step for _, step in steps])]
    for stage, (text, step) in zip(stages, steps, strict=True):
        if groups and stage in ("", groups[-1][0]):
            groups[-1][1].append(step)
        else:
            groups.append((stage or "Prepare", [step]))
            titles.append(name_of(text))
    if len(groups) > 8:
        return [("", [step for _, step in steps])]
    known = [name for name, _ in groups]
    return [(name if known.index(name) == place else titles[place], group) for place, (name, group) in enumerate(groups)]


def _stage(text: str) -> str:
    said = name_of(text)
    if asks_approval(said):
        return "Approval"
    first = sorted((found.start(), name) for name, pattern in _STAGES if (found := pattern.search(said)))
    return first[0][1] if first else ""
