"""A release procedure as an outline: sections, their prose, their steps, the steps of steps. Pure.

Markdown is read by a Markdown library; what is added here is how people really write: a line such as `Phase 2: Build (Owner: Dev)` or `**Build**`
above a list is a heading, commands that were not indented under their step belong to it all the same, and a list goes on after them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

LONGEST_TEXT = 200_000
"""Characters of a procedure that are read; more is refused at the door."""

_reader = MarkdownIt("commonmark", {"html": False}).enable("table")
_CHECK_BOX = re.compile(r"^\s*\[([ xX~-])\]\s+")
_PHASE_LINE = re.compile(r"^(?:phase|stage)\b(?:\s*(?:\d+|[ivx]+|[a-z])(?![a-z]))?\s*[:.)–—-]?\s*\S", re.IGNORECASE)
_INTRODUCTION = re.compile(
    r"\b(?:steps?|following|follow|checklist|as follows|below|procedure|to do|example|e\.g\.|note|in order|instructions|then|now run)\b", re.IGNORECASE
)
_CONNECTIVE = re.compile(r"^\W*(?:afterwards?|after that|then|next|finally|lastly|now|and|also|in addition|once)\b", re.IGNORECASE)
_PARALLEL = re.compile(r"\bin parallel\b|\bat the same time\b|\bsimultaneously\b|\bconcurrently\b", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(slots=True)
class Code:
    """A block of code with the language it names."""

    language: str
    text: str


@dataclass(slots=True)
class Entry:
    """One item of a list: its paragraphs as Markdown, its code, its inner items; `number` as written, where it is numbered."""

    paragraphs: list[str] = field(default_factory=list)
    code: list[Code] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    number: int | None = None
    in_parallel: bool = False

    @property
    def text(self) -> str:
        """All of it but the inner items, as Markdown."""
        fenced = [f"```{block.language}\n{block.text.rstrip()}\n```" for block in self.code]
        return "\n\n".join([*self.paragraphs, *fenced]).strip()


@dataclass(slots=True)
class Section:
    """A heading with what stands under it, up to the next heading. `level` is 0 before the first heading."""

    title: str = ""
    level: int = 0
    prose: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    has_commands: bool = False


def outline(text: str) -> list[Section]:
    """The sections of a procedure in order; what stands before the first heading is a section without a title."""
    tree = SyntaxTreeNode(_reader.parse(_COMMENT.sub("", text)))
    sections = [Section()]
    blocks = list(tree.children)
    for place, block in enumerate(blocks):
        after = blocks[place + 1] if place + 1 < len(blocks) else None
        if block.type == "heading":
            sections.append(Section(_inline(block), int(block.tag[1])))
        elif block.type in ("bullet_list", "ordered_list"):
            _list(sections, block)
        elif block.type in ("fence", "code_block"):
            _code(sections[-1], block)
        elif block.type == "paragraph":
            _paragraph(sections, _inline(block), after)
        elif block.type == "table":
            sections[-1].prose.append(_table(block))
        elif block.type == "blockquote":
            sections[-1].prose.append("\n".join(_inline(inner) for inner in block.walk() if inner.type == "paragraph"))
    return [section for section in sections if section.title or section.prose or section.entries]


def _list(sections: list[Section], block: SyntaxTreeNode) -> None:
    """Items that name a phase and hold its steps are sections; the others are steps of the section they stand in."""
    section = sections[-1]
    in_parallel = bool(section.prose and section.prose[-1].rstrip().endswith(":") and _PARALLEL.search(section.prose[-1]))
    for entry in _entries(block):
        first = entry.paragraphs[0] if entry.paragraphs else ""
        if entry.entries and _PHASE_LINE.match(_plain_start(first)):
            level = sections[-1].level if sections[-1].title and _PHASE_LINE.match(sections[-1].title) else sections[-1].level + 1
            sections.append(Section(first, level, entry.paragraphs[1:], entry.entries))
        else:
            entry.in_parallel = in_parallel
            sections[-1].entries.append(entry)


def _code(section: Section, block: SyntaxTreeNode) -> None:
    code = Code(block.info.split()[0].lower() if block.info.strip() else "", block.content)
    if section.entries:  # not indented under its step, and meant for it nevertheless
        section.entries[-1].code.append(code)
    else:
        section.has_commands = True
        section.prose.append(f"```{code.language}\n{code.text.rstrip()}\n```")


def _paragraph(sections: list[Section], text: str, after: SyntaxTreeNode | None) -> None:
    """A heading in disguise starts a section; a remark after steps belongs to the last of them, but for a label such as `Owner: …`."""
    section = sections[-1]
    *before, last = text.split("\n")
    if after is not None and after.type in ("bullet_list", "ordered_list") and _is_heading(last, section):
        if before:
            section.prose.append("\n".join(before))
        top = section.level if section.title and _is_disguised(section.title) else section.level + 1
        sections.append(Section(_unstarred(last).rstrip(": "), top))
    elif section.entries and not (after is not None and after.type in ("bullet_list", "ordered_list")) and not re.match(r"\W*[A-Z][\w -]{2,24}:", text):
        section.entries[-1].paragraphs.append(text)
    else:
        section.prose.append(text)


def _is_heading(line: str, section: Section) -> bool:
    if len(line) > 120 or _PARALLEL.match(line) or (_CONNECTIVE.match(line) and len(line) <= 20):
        return False
    if _is_disguised(line):
        return True
    ends = _unstarred(line).rstrip().endswith(":")
    return ends and len(line) <= 80 and not _PARALLEL.search(line) and (bool(section.entries) or not section.title) and not _is_introduction(line, section)


def _is_introduction(line: str, section: Section) -> bool:
    return not section.entries and bool(_INTRODUCTION.search(line))


def _is_disguised(line: str) -> bool:
    return bool(_PHASE_LINE.match(_plain_start(line))) or bool(re.fullmatch(r"\*\*[^*]+\*\*:?|__[^_]+__:?", line.strip()))


def _plain_start(line: str) -> str:
    return line.lstrip("*_ ")


def _unstarred(line: str) -> str:
    return re.sub(r"^(\*\*|__)(.+?)\1(:?)$", r"\2\3", line.strip())


def _entries(block: SyntaxTreeNode) -> Iterator[Entry]:
    start = block.attrs.get("start", 1) if block.type == "ordered_list" else None
    for place, item in enumerate(block.children):
        entry = Entry(number=None if start is None else int(start) + place)
        for inner in item.children:
            if inner.type in ("bullet_list", "ordered_list"):
                entry.entries += _entries(inner)
            elif inner.type in ("fence", "code_block"):
                entry.code.append(Code(inner.info.split()[0].lower() if inner.info.strip() else "", inner.content))
            elif inner.type in ("paragraph", "heading"):
                text = _inline(inner)
                entry.paragraphs.append(_CHECK_BOX.sub("", text) if not entry.paragraphs else text)
            elif inner.type == "blockquote":
                entry.paragraphs += [_inline(part) for part in inner.walk() if part.type == "paragraph"]
        if entry.paragraphs or entry.code or entry.entries:
            yield entry


def _inline(block: SyntaxTreeNode) -> str:
    return "\n".join(line.strip() for child in block.children for line in child.content.split("\n"))


def _table(block: SyntaxTreeNode) -> str:
    rows = [[_inline(cell) for cell in row.children] for part in block.children for row in part.children]
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])
