"""An author's text made to mean another document, with comments and layout kept wherever the key still stands. Pure.

The text is cut at its keys and dashes. What means the same in both documents stays byte for byte; what changed is written in the canonical form, with the
comments above it and behind it; what is gone takes its comments along, and they are counted. The result is read again: if it does not mean the document,
for example because an anchor went, the canonical file is the answer and no comment is kept.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from processes.reading import read
from processes.writing import document, entry_lines, item_lines, yaml_text

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NAMES = ("id", "check", "name")
"""By which of their keys items of a list are the same ones."""
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Carried:
    """The text, and the comments of the old one that it no longer holds."""

    text: str
    lost: tuple[str, ...] = ()


def carry(text: str, wanted: Mapping[str, Any]) -> Carried:
    """`text`, changed so that it means the canonical document `wanted`."""
    old, goal = meaning(text), dict(wanted)
    if _same(old, goal):
        return Carried(text)
    new = _rewritten(text, old, goal) if old is not None else None
    if new is None or not _same(meaning(new), goal):
        new = yaml_text(goal)
    return Carried(new, tuple((Counter(comments(text)) - Counter(comments(new))).elements()))


def meaning(text: str) -> dict[str, Any] | None:
    """The canonical document of a text; None when it cannot be read as a whole."""
    found = read(text)
    return None if found.unreadable or found.blueprint is None else document(found.blueprint)


def comments(text: str) -> list[str]:
    """The comments of a text, in its order: what stands between the tokens and is no blank."""
    found, at = [], 0
    try:
        for token in yaml.scan(text, Loader=_Loader):
            found += re.findall(r"#[^\n]*", text[at : token.start_mark.index])
            at = max(at, token.end_mark.index)
    except yaml.YAMLError:
        return found
    return [comment.rstrip() for comment in found + re.findall(r"#[^\n]*", text[at:])]


def _same(one: object, other: object) -> bool:
    """As text: the order of keys counts, and True is not 1."""
    return json.dumps(one) == json.dumps(other)


def _rewritten(text: str, old: dict[str, Any], new: dict[str, Any]) -> str | None:
    if any(other in text for other in "\x85\u2028\u2029"):  # to YAML these end a line too: its numbers of lines are not ours
        return None
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        return None
    lines = text.split("\n")
    end = lines.pop() == ""
    if not end or not isinstance(root, MappingNode) or root.flow_style or not root.value:
        return None
    start = root.value[0][0].start_mark
    if start.column or any(isinstance(token, yaml.AliasToken | yaml.DocumentEndToken | yaml.DirectiveToken) for token in yaml.scan(text, Loader=_Loader)):
        return None
    # The head of the file: what stands before the last blank line above the first key belongs to no key.
    head = start.line
    while head and lines[head - 1].strip():
        head -= 1
    written = _Writer(lines).mapping(root, old, new, head, len(lines))
    return "\n".join([*lines[:head], *written]) + "\n"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A key with its value, or an item of a list: lines [lead, end), of which those before `start` are the comments above it."""

    node: Node
    lead: int
    start: int
    end: int


class _Writer:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def pieces(self, nodes: list[tuple[Node, Node]], lead: int, end: int) -> list[_Piece]:
        """Lines [lead, end) divided among keys or items, given by where each starts and what its value is."""
        found = []
        for number, (first, value) in enumerate(nodes):
            start = first.start_mark.line
            after = nodes[number + 1][0].start_mark.line if number + 1 < len(nodes) else end
            stop = max(_last_line(value), start) + 1
            while stop < after and self.lines[stop].strip() and _indent(self.lines[stop]) > first.start_mark.column:
                stop += 1
            found.append(_Piece(value, lead, start, stop))
            lead = stop
        return found

    def mapping(self, node: MappingNode, old: Mapping[str, Any], new: Mapping[str, Any], lead: int, end: int) -> list[str]:
        """Lines [lead, end), which hold the entries of a mapping in block style, with what `new` says."""
        column = node.value[0][0].start_mark.column
        names = [key.value for key, _ in node.value]
        pieces = dict(zip(names, self.pieces(node.value, lead, end), strict=True))
        out: list[str] = []
        for name in _order(names, list(old), list(new)):
            piece = pieces.get(name)
            if piece is None:
                out += entry_lines(name, new[name], " " * column)
            elif _same(old.get(name, None), new.get(name, None)) and (name in old) == (name in new):
                out += self.lines[piece.lead : piece.end]
            elif name in new:
                out += self.entry(name, piece, old.get(name, _NOTHING), new[name], column)
        return out + self.lines[max(piece.end for piece in pieces.values()) : end]  # what stands below all of them is about none

    def entry(self, name: str, piece: _Piece, old: Any, new: Any, column: int) -> list[str]:
        """One entry whose value has changed."""
        lead, first = self.lines[piece.lead : piece.start], self.lines[piece.start]
        inside = self.inside(piece, old, new, piece.start + 1, column)
        if inside is not None and piece.node.start_mark.line > piece.start:
            return [*lead, first, *inside]
        return [*lead, *self.replaced(entry_lines(name, new, " " * column), piece)]

    def inside(self, piece: _Piece, old: Any, new: Any, lead: int, column: int) -> list[str] | None:
        """The lines of a mapping or list in block style, changed within; None where that cannot be."""
        node = piece.node
        if isinstance(node, MappingNode) and not node.flow_style and node.value and isinstance(old, dict) and isinstance(new, dict) and new:
            return self.mapping(node, old, new, lead, piece.end) if node.value[0][0].start_mark.column > column else None
        if isinstance(node, SequenceNode) and not node.flow_style and isinstance(old, list) and isinstance(new, list) and new and len(old) == len(node.value):
            return self.sequence(node, old, new, lead, piece.end)
        return None

    def sequence(self, node: SequenceNode, old: list[Any], new: list[Any], lead: int, end: int) -> list[str] | None:
        """The same for a list."""
        column = node.start_mark.column
        for item in node.value:
            if not re.fullmatch(r" *- +", self.lines[item.start_mark.line][: item.start_mark.column]):
                return None
        pieces = self.pieces([(item, item) for item in node.value], lead, end)
        pieces = self.pieces_by_dash(pieces, column, end)
        out: list[str] = []
        for value, number in zip(new, _matched(old, new), strict=True):
            if number is None:
                out += item_lines(value, " " * column)
            elif _same(old[number], value):
                out += self.lines[pieces[number].lead : pieces[number].end]
            else:
                out += self.item(pieces[number], old[number], value, column)
        return out + self.lines[pieces[-1].end : end]

    def pieces_by_dash(self, pieces: list[_Piece], column: int, below: int) -> list[_Piece]:
        """Comments deeper than the dash belong to the item above, which `pieces` measured from the text behind the dash."""
        found: list[_Piece] = []
        lead = pieces[0].lead
        for number, piece in enumerate(pieces):
            end = piece.end
            after = pieces[number + 1].start if number + 1 < len(pieces) else below
            while end < after and self.lines[end].strip() and _indent(self.lines[end]) > column:
                end += 1
            found.append(_Piece(piece.node, lead, piece.start, end))
            lead = end
        return found

    def item(self, piece: _Piece, old: Any, new: Any, column: int) -> list[str]:
        """One item that has changed within."""
        node = piece.node
        if isinstance(node, MappingNode) and not node.flow_style and node.value and isinstance(old, dict) and isinstance(new, dict) and new:
            deep = node.value[0][0].start_mark.column
            written = self.lines[piece.start]
            self.lines[piece.start] = " " * deep + written[deep:]  # the dash off, and back before the first key
            inside = self.mapping(node, old, new, piece.start, piece.end)
            self.lines[piece.start] = written
            first = next(number for number, line in enumerate(inside) if line.strip() and not line.lstrip().startswith("#"))
            inside[first] = " " * column + "-" + " " * (deep - column - 1) + inside[first][deep:]
            return [*self.lines[piece.lead : piece.start], *inside]
        return [*self.lines[piece.lead : piece.start], *self.replaced(item_lines(new, " " * column), piece)]

    def replaced(self, written: list[str], piece: _Piece) -> list[str]:
        """`written` in place of the piece, with the comment behind its first line, and with what stands below it and is none of it."""
        last = max(_last_line(piece.node), piece.start)
        if isinstance(piece.node, ScalarNode) and piece.node.style in ("|", ">"):
            behind = re.search(r"[|>][-+0-9]*\s+(#.*)$", self.lines[piece.start])
        else:
            mark = piece.node.end_mark if last == piece.start else None
            rest = self.lines[piece.start][mark.column :] if mark else self.lines[piece.start].partition(":")[2]
            behind = re.fullmatch(r"\s*(#.*)", rest) if rest[:1] in (" ", "\t") or mark is None else None
        comment = behind[1].rstrip() if behind else ""
        if comment:
            written = [f"{written[0]}  {comment}", *written[1:]]
        return [*written, *self.lines[last + 1 : piece.end]]


def _order(names: list[str], old: list[str], new: list[str]) -> list[str]:
    """The author's order of the keys, where theirs is the order that is wanted; new ones behind the one before them."""
    stay = [name for name in names if name in new or name not in old]
    if [name for name in old if name in new and name in stay] != [name for name in new if name in old and name in stay]:
        stay = [name for name in stay if name not in new]
        return [*new, *stay]
    for number, name in enumerate(new):
        if name not in stay:
            before = new[number - 1] if number else None
            stay.insert(stay.index(before) + 1 if before in stay else 0, name)
    return stay


def _matched(old: list[Any], new: list[Any]) -> list[int | None]:
    """For each item of `new` the number of the one in `old` that it was."""
    names = [next((json.dumps([key, item[key]]) for key in _NAMES if isinstance(item, dict) and item.get(key)), None) for item in old]
    left = dict(enumerate(old))
    found: list[int | None] = []
    for item in new:
        name = next((json.dumps([key, item[key]]) for key in _NAMES if isinstance(item, dict) and item.get(key)), None)
        number = next((n for n, other in left.items() if (names[n] == name if name else _same(other, item))), None)
        if number is not None:
            del left[number]
        found.append(number)
    for place, item in enumerate(new):  # what has no name and stands where something like it stood
        if found[place] is None and place in left and isinstance(item, dict) and isinstance(left[place], dict) and names[place] is None:
            found[place] = place
            del left[place]
    return found


def _last_line(node: Node) -> int:
    """The last line with something of the node on it."""
    while isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1]
    mark: Any = node.end_mark
    line: int = mark.line
    return line - 1 if mark.column == 0 and line > node.start_mark.line else line


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
