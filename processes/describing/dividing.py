"""Which sections are phases, which entries their steps, and what only describes. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from processes.describing import wording
from processes.describing.outline import Entry, Section
from processes.describing.staging import in_stages

MOST_STEPS = 500
"""Steps of a procedure that are read."""


@dataclass(slots=True)
class Step:
    """An activity while it is made: `text` is all that is said of it, inner labels included."""

    entry: Entry
    text: str
    name: str
    id: str = ""
    depends_on: list[str] = field(default_factory=list)
    place: str = ""


@dataclass(slots=True)
class Phase:
    """A phase while it is made: its heading as written, what describes it, its steps; `notes` are labels such as `Owner: QA`."""

    title: str
    prose: list[str]
    steps: list[Step] = field(default_factory=list)
    id: str = ""
    name: str = ""
    notes: str = ""


def divided(sections: Sequence[Section]) -> tuple[str, list[str], list[str], list[Phase]]:
    """Title, description and owners of the process, and its phases with their steps."""
    description: list[str] = []
    owners: list[str] = []
    phases: list[Phase] = []
    first = next((section for section in sections if section.title), None)
    title = first.title if first is not None and _is_title(first, sections) else ""
    if sections and not sections[0].title and sections[0].prose and _looks_like_title(sections[0].prose[0]):
        title = sections[0].prose.pop(0)
    count = 0
    for section in sections:
        labels = [text for text in section.prose if _labelled(text)]
        prose = [text for text in section.prose if text not in labels]
        if section.title and (section is first or not section.entries):
            labels.append(section.title)
        entries = [entry for entry in section.entries if not _says_owner(entry)][: MOST_STEPS - count]
        count += len(entries)
        if entries:
            phase = Phase(
                "" if section is first and section.title == title else section.title,
                prose,
                notes="\n".join([*labels, *(whole(e) for e in section.entries if _says_owner(e))]),
            )
            phase.steps = [step for entry in entries for step in _steps(entry)]
            phase.steps += [Step(Entry([text]), text, wording.name_of(text)) for text in labels if wording.approvers_in(text) and text != section.title]
            phases.append(phase)
        else:
            owners += [name for text in labels for name in wording.owners_in(text)]
            description += ([f"## {section.title}"] if section.title and section.title != title and prose else []) + prose
    if len(phases) == 1 and not phases[0].title:
        owners += wording.owners_in(phases[0].notes)
        staged = in_stages([(step.text, step) for step in phases[0].steps])
        if len(staged) > 1:
            description += phases[0].prose
            phases = [Phase(stage, [], steps) for stage, steps in staged]
        elif phases[0].prose:
            description, phases[0].prose = description + phases[0].prose, []
    return title, description, owners, phases


def _is_title(first: Section, sections: Sequence[Section]) -> bool:
    """Whether the first heading names the whole: it has no steps of its own, or it is the only one that has any."""
    if not first.entries:
        return len(sections) > 1 or first.level == 1
    return first.level == 1 and sum(section.level == 1 for section in sections) == 1 and sum(bool(section.entries) for section in sections) == 1


def _looks_like_title(text: str) -> bool:
    """Whether the first line of a text without headings names it."""
    return len(text) <= 100 and "\n" not in text and not text.rstrip().endswith((".", ":", "!")) and not text.startswith("```") and not _labelled(text)


def _steps(entry: Entry) -> list[Step]:
    """One step, or several where it says that several things are done in parallel."""
    labels = "\n".join(whole(inner) for inner in entry.entries if is_label(inner))
    text = f"{entry.text}\n{labels}".strip()
    first = entry.paragraphs[0] if entry.paragraphs else ""
    parts = [first] if entry.entries or entry.code else wording.split_parallel(wording.without_owners(first))
    if len(parts) > 1:
        owner = " ".join(f"(Owner: {name})" for name in wording.owners_in(first))
        return [
            Step(Entry([part], number=entry.number, in_parallel=place > 0), f"{part} {owner}".strip(), wording.name_of(part))
            for place, part in enumerate(parts)
        ]
    return [Step(entry, text, wording.name_of(entry.text) or wording.name_of(whole(entry)) or "Step")]


_LABEL = re.compile(
    r"^\W*(?:owners?|owned by|responsible|assignees?|approv(?:al|ed|ers?)(?: (?:by|from|needed|required))*|sign[- ]?off(?: by)?"
    r"|after|depends on|duration|takes|manual|automated)\b\s*(?::|by\b|from\b|$)",
    re.IGNORECASE,
)


def is_label(entry: Entry) -> bool:
    """Whether an item says something about the step around it and is none itself: `Owner: QA`."""
    return (
        len(entry.paragraphs) == 1
        and not entry.entries
        and not entry.code
        and len(entry.paragraphs[0]) <= 120
        and bool(_LABEL.match(wording.plain(entry.paragraphs[0])))
    )


def _says_owner(entry: Entry) -> bool:
    """At the top of a list only an owner is about the whole; `Approval by QA` is a step there."""
    return is_label(entry) and bool(re.match(r"\W*(?:owner|owned|responsible|assignee)", wording.plain(entry.paragraphs[0]), re.IGNORECASE))


def _labelled(text: str) -> bool:
    return len(text) <= 200 and bool(_LABEL.match(wording.plain(text)))


def whole(entry: Entry, depth: int = 0) -> str:
    """An item with its inner items, as Markdown."""
    inner = "\n".join(f"{'  ' * depth}- {whole(item, depth + 1)}" for item in entry.entries)
    return f"{entry.text}\n{inner}".strip() if inner else entry.text
