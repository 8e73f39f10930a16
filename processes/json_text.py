"""Reads JSON text into plain values with the line of each. Pure.

The standard library's parser gives no positions, takes NaN, and keeps the last of two equal keys; hence this one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # undocumented, but what the module's own parser is made of
from typing import Any

from processes.plain_text import LEFT_OUT, MAX_DEPTH, Text, Unreadable, number_message, plain_number
from processes.problems import Problem

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_]+")
_WORDS = {"true": True, "false": False, "null": None}
_BRACKETS = re.compile(r'["\[\]{}]')


def read_json(source: str) -> Text:
    """The values of one JSON text. Problems: json_syntax, duplicate_key, bad_key, bad_number, control_character, too_deep, too_large."""
    reader = _Reader(source)
    try:
        value, end = reader.value(reader.skip(0), "", 1)
        end = reader.skip(end)
        if end < len(source):
            raise reader.broken("The JSON goes on after its end.", end)
        reader.found.value = value
    except Unreadable as stop:
        reader.found.problems.append(stop.problem)
    return reader.found


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.newlines = [match.start() for match in re.finditer("\n", source)]
        self.found = Text()

    def line(self, at: int) -> int:
        return bisect_left(self.newlines, at) + 1

    def skip(self, at: int) -> int:
        match = _SPACE.match(self.source, at)
        return match.end() if match else at

    def broken(self, message: str, at: int, place: str = "") -> Unreadable:
        column = at - (self.newlines[self.line(at) - 2] if self.line(at) > 1 else -1)
        return Unreadable(Problem("json_syntax", f"{message} (column {column})", place, line=self.line(at)))

    def string(self, at: int, place: str) -> tuple[str, int]:
        try:
            text, end = scanstring(self.source, at + 1, True)
        except JSONDecodeError as error:
            messages = {
                "Unterminated": "A text is not closed with a quote.",
                "Invalid control": "A text holds a raw control character; write a line break as \\n and a tab as \\t.",
            }
            message = next((text for start, text in messages.items() if error.msg.startswith(start)), "A text holds a backslash that starts no JSON escape.")
            raise self.broken(message, error.pos, place) from None
        return text, end

    def value(self, at: int, place: str, depth: int) -> tuple[Any, int]:
        """The value that starts at `at` and where it ends."""
        character = self.source[at : at + 1]
        self.found.lines.setdefault(place, self.line(at))
        if character in ("{", "["):
            if depth > MAX_DEPTH:
                self.found.too_deep(place, self.line(at))
                return LEFT_OUT, self.skip_nested(at)
            return self.mapping(at, place, depth) if character == "{" else self.items(at, place, depth)
        self.found.counted(place, self.line(at))
        if character == '"':
            text, end = self.string(at, place)
            return self.found.text(text, place, self.line(at)), end
        return self.bare(at, place)

    def bare(self, at: int, place: str) -> tuple[Any, int]:
        if (match := _NUMBER.match(self.source, at)) is not None:
            text = match[0]
            # int() refuses thousands of digits by raising ValueError; they are beyond 64 bits anyway.
            number = None if len(text) > 400 else plain_number(float(text) if match[1] or match[2] else int(text))
            if number is None:
                self.found.add("bad_number", number_message(text), place, self.line(at))
                return LEFT_OUT, match.end()
            return number, match.end()
        word = _WORD.match(self.source, at)
        if word and word[0] in _WORDS:
            return _WORDS[word[0]], word.end()
        raise self.broken(f'"{word[0][:40]}" is no JSON value; text needs double quotes.' if word else "A JSON value is missing here.", at, place)

    def mapping(self, at: int, place: str, depth: int) -> tuple[dict[str, Any], int]:
        self.found.counted(place, self.line(at))
        values: dict[str, Any] = {}
        at = self.skip(at + 1)
        if self.source[at : at + 1] == "}":
            return values, at + 1
        while True:
            if self.source[at : at + 1] != '"':
                raise self.broken("A key in double quotes is missing here.", at, place)
            line = self.line(at)
            key, at = self.string(at, place)
            at = self.skip(at)
            if self.source[at : at + 1] != ":":
                raise self.broken(f'After the key "{key[:40]}" a colon is missing.', at, place)
            inner, counts = self.found.key(key, values, place, line)
            value, at = self.value(self.skip(at + 1), inner, depth + 1)
            if counts:
                values[key] = value
            at, more = self.next(at, "}", place)
            if not more:
                return values, at

    def items(self, at: int, place: str, depth: int) -> tuple[list[Any], int]:
        self.found.counted(place, self.line(at))
        values: list[Any] = []
        at = self.skip(at + 1)
        if self.source[at : at + 1] == "]":
            return values, at + 1
        while True:
            value, at = self.value(at, f"{place}/{len(values)}", depth + 1)
            values.append(value)
            at, more = self.next(at, "]", place)
            if not more:
                return values, at

    def next(self, at: int, closing: str, place: str) -> tuple[int, bool]:
        """Where the next entry starts, or where the list or mapping ends."""
        at = self.skip(at)
        character = self.source[at : at + 1]
        if character == closing:
            return at + 1, False
        if character != ",":
            raise self.broken(f'"," or "{closing}" is missing here.', at, place)
        return self.skip(at + 1), True

    def skip_nested(self, at: int) -> int:
        """The end of the list or mapping that starts at `at`, found without going into it."""
        depth = 0
        while match := _BRACKETS.search(self.source, at):
            at = match.end()
            if match[0] == '"':
                at = self.string(match.start(), "")[1]
            else:
                depth += 1 if match[0] in "[{" else -1
                if depth == 0:
                    return at
        raise self.broken("A list or mapping is not closed.", len(self.source))
