"""Reads YAML text into plain values with the line of each: YAML 1.2, core schema, nothing of the host within reach. Pure.

libyaml (through PyYAML) tells what is written; what it means is decided here: which texts are numbers, which tags are known, how much an alias
may stand for. Nothing is built from a tag, and nothing is expanded before it is counted (docs/decisions, "YAML by libyaml").
"""

from __future__ import annotations

import copy
import itertools
import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.events import AliasEvent, Event, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent, StreamEndEvent

from processes.plain_text import LEFT_OUT, MAX_DEPTH, Text, Unreadable, depth_message, number_message, plain_number
from processes.problems import Problem

MAX_ALIASES = 100
MAX_ALIASED_VALUES = 10_000
"""What all aliases of a document may stand for together."""
MAX_SKIPPED_DEPTH = 500
"""libyaml's work for a token grows with the brackets open around it, so that a megabyte of brackets would take minutes."""

_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without libyaml the same events come from PyYAML, twenty times slower

_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_STARTS_NO_TEXT = frozenset("0123456789-+.~nNtTfF")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_TAG_DIRECTIVE = re.compile(r"^%TAG\b", re.MULTILINE)
_OTHER_BREAKS = "\x85\u2028\u2029"
_TAG = "tag:yaml.org,2002:"


def read_yaml(source: str) -> Text:
    """The values of one YAML document.

    Problems: yaml_syntax, duplicate_key, bad_key, merge_key, unknown_tag, bad_tag, unknown_alias, alias_bomb, several_documents, bad_number,
    control_character, too_deep, too_large.
    """
    found = Text()
    source = _without_control_characters(source, found)
    if directive := _TAG_DIRECTIVE.search(source):  # nothing here needs one, and libyaml compares each with all before it
        found.add("unknown_tag", "Tags cannot be declared (%TAG).", "", source.count("\n", 0, directive.start()) + 1)
        return found
    stand_ins = _stand_ins(source)
    reader = _Reader(source.translate({ord(real): stand_in for stand_in, real in stand_ins.items()}) if stand_ins else source, found, stand_ins)
    try:
        found.value = reader.document()
    except Unreadable as stop:
        found.problems.append(stop.problem)
    except yaml.YAMLError as error:
        found.problems.append(_syntax_problem(error, source))
    return found


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    count: int
    height: int


class _Reader:
    def __init__(self, source: str, found: Text, stand_ins: dict[str, str]) -> None:
        self.parser = _Parser(source)
        self.found = found
        self.stand_ins = str.maketrans(stand_ins)
        self.anchored: dict[str, _Anchored | None] = {}  # None while the anchored value is still being read
        self.aliases = 0
        self.aliased_values = 0
        self.bomb = False
        self.deepest = 0

    def next(self) -> Event:
        event: Event = self.parser.get_event()
        return event

    def document(self) -> Any:
        self.next()  # the stream
        start = self.next()
        if isinstance(start, StreamEndEvent):
            return None
        value = self.value(self.next(), "", 1)
        self.next()  # the document's end
        if not isinstance(after := self.next(), StreamEndEvent):
            self.found.add("several_documents", "A file holds one document; a second one starts here.", "", _line(after))
        return value

    def value(self, event: Event, place: str, depth: int) -> Any:
        """The value that starts with `event`, or LEFT_OUT."""
        if isinstance(event, AliasEvent):
            return self.alias(event, place, depth)
        line = _line(event)
        self.found.lines.setdefault(place, line)
        before = self.found.count
        self.found.counted(place, line)
        anchor: str | None = event.anchor  # type: ignore[attr-defined]
        if anchor is None:
            return self.node(event, place, depth)
        outer, self.deepest = self.deepest, depth
        self.anchored[anchor] = None
        value = self.node(event, place, depth)
        self.anchored[anchor] = _Anchored(value, self.found.count - before, self.deepest - depth)
        self.deepest = max(outer, self.deepest)
        return value

    def node(self, event: Event, place: str, depth: int) -> Any:
        if isinstance(event, ScalarEvent):
            return self.scalar(event, place)
        if depth > MAX_DEPTH:
            self.skip()
            return self.found.too_deep(place, _line(event))
        self.deepest = max(self.deepest, depth)
        if isinstance(event, MappingStartEvent):
            return self.mapping(event, place, depth)
        self.check_tag(event, "seq", place)
        values: list[Any] = []
        while not isinstance(item := self.next(), SequenceEndEvent):
            values.append(self.value(item, f"{place}/{len(values)}", depth + 1))
        return values

    def mapping(self, start: MappingStartEvent, place: str, depth: int) -> Any:
        self.check_tag(start, "map", place)
        values: dict[str, Any] = {}
        no_key = False
        while not isinstance(event := self.next(), MappingEndEvent):
            no_key = no_key or not isinstance(event, ScalarEvent)
            inner, counts = self.key(event, values, place)
            value = self.value(self.next(), inner, depth + 1)
            if counts:
                values[_text_of_key(event, self.stand_ins)] = value
        # `{{ x }}` without quotes: not the mapping that it looks like, so nothing is said of what it lacks.
        return LEFT_OUT if no_key and place else values

    def key(self, event: Event, values: dict[str, Any], place: str) -> tuple[str, bool]:
        line = _line(event)
        if not isinstance(event, ScalarEvent) or event.anchor is not None:
            self.found.add("bad_key", _NO_KEY, place, line)
            if not isinstance(event, (ScalarEvent, AliasEvent)):
                self.skip()
            return place, False
        if event.value == "<<" and not event.style:
            self.found.add("merge_key", "YAML 1.2 has no merge key <<; write the keys out.", f"{place}/<<", line)
            return f"{place}/<<", False
        if event.value == "" and not event.style:
            self.found.add("bad_key", "A key is missing before the colon.", place, line)
            return place, False
        return self.found.key(_text_of_key(event, self.stand_ins), values, place, line)

    def scalar(self, event: ScalarEvent, place: str) -> Any:
        text: str = event.value
        tag = event.tag
        if not event.style and tag is None and (not text or text[0] in _STARTS_NO_TEXT):
            return self.plain(text, place, _line(event))
        if tag is None or tag in ("!", _TAG + "str"):
            return self.found.text(text.translate(self.stand_ins) if self.stand_ins else text, place, _line(event))
        return self.tagged(tag, text, place, _line(event))

    def plain(self, text: str, place: str, line: int) -> Any:
        """The core schema of YAML 1.2: everything that is no null, boolean or number is text, dates, `yes` and `on` too."""
        if _NULL.fullmatch(text):
            return None
        if _BOOLEAN.fullmatch(text):
            return text[0] in "tT"
        if _NO_NUMBER.fullmatch(text):
            number = None
        elif _INTEGER.fullmatch(text):
            number = None if len(text) > 400 else plain_number(int(text, 0 if text[:2] in ("0o", "0x") else 10))
        elif _NUMBER.fullmatch(text):
            number = plain_number(float(text))
        else:
            return self.found.text(text.translate(self.stand_ins) if self.stand_ins else text, place, line)
        if number is None:
            self.found.add("bad_number", number_message(text), place, line)
            return LEFT_OUT
        return number

    def tagged(self, tag: str, text: str, place: str, line: int) -> Any:
        patterns = {_TAG + "null": (_NULL,), _TAG + "bool": (_BOOLEAN,), _TAG + "int": (_INTEGER,), _TAG + "float": (_INTEGER, _NUMBER)}
        if tag not in patterns:
            self.unknown_tag(tag, place, line)
            return LEFT_OUT
        if not any(pattern.fullmatch(text) for pattern in patterns[tag]):
            self.found.add("bad_tag", f"{_shown(tag)} does not fit the value {text[:40]!r}.", place, line)
            return LEFT_OUT
        value = self.plain(text, place, line)
        return float(value) if tag.endswith("float") and value is not LEFT_OUT else value

    def check_tag(self, event: Event, standard: str, place: str) -> None:
        tag: str | None = event.tag  # type: ignore[attr-defined]
        if tag is not None and tag not in ("!", _TAG + standard):
            self.unknown_tag(tag, place, _line(event))

    def unknown_tag(self, tag: str, place: str, line: int) -> None:
        self.found.add("unknown_tag", f"The tag {_shown(tag)} is not known here; leave it out.", place, line)

    def alias(self, event: AliasEvent, place: str, depth: int) -> Any:
        """What the alias stands for, counted before it is copied."""
        line = _line(event)
        self.found.lines.setdefault(place, line)
        if event.anchor not in self.anchored:
            self.found.add("unknown_alias", f"*{event.anchor} has no anchor &{event.anchor} before it. Text that starts with * needs quotes.", place, line)
            return LEFT_OUT
        meant = self.anchored[event.anchor]
        if meant is None:
            self.found.add("alias_bomb", f"*{event.anchor} stands inside what it stands for.", place, line)
            return LEFT_OUT
        if self.bomb:
            return LEFT_OUT
        self.aliases += 1
        self.aliased_values += meant.count
        if self.aliases > MAX_ALIASES or self.aliased_values > MAX_ALIASED_VALUES:
            self.bomb = True
            self.found.add("alias_bomb", f"Aliases may be used {MAX_ALIASES} times and stand for {MAX_ALIASED_VALUES:,} values in all.", place, line)
            return LEFT_OUT
        self.found.counted(place, line, meant.count)
        if depth + meant.height > MAX_DEPTH:
            return self.found.too_deep(place, line)
        self.deepest = max(self.deepest, depth + meant.height)
        return copy.deepcopy(meant.value)

    def skip(self) -> None:
        """Pass over the list or mapping that has just started."""
        depth = 1
        while depth:
            event = self.next()
            if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
                depth += 1
                if depth > MAX_SKIPPED_DEPTH:
                    raise Unreadable(Problem("too_deep", f"{depth_message()} Reading stops here.", line=_line(event)))
            elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
                depth -= 1


_NO_KEY = "A key is plain text; a list, a mapping, an anchor or an alias cannot be one. If this is ${{ … }}, put it in quotes."


def _text_of_key(event: Event, stand_ins: dict[int, str]) -> str:
    """The text of a key; `true`, `12` and the like are text there, as in JSON."""
    text: str = event.value  # type: ignore[attr-defined]
    return text.translate(stand_ins) if stand_ins else text


def _line(event: Event) -> int:
    mark: Any = event.start_mark
    line: int = mark.line
    return line + 1


def _shown(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag[:60]


def _without_control_characters(source: str, found: Text) -> str:
    """YAML has no place for them; they are named, and reading goes on without."""
    marks = list(itertools.islice(_CONTROL.finditer(source), 20))
    for mark in marks:
        line = source.count("\n", 0, mark.start()) + 1
        found.add("control_character", f"The text holds the control character U+{ord(mark[0]):04X}.", "", line)
    return _CONTROL.sub("\ufffd", source) if marks else source


def _stand_ins(source: str) -> dict[str, str]:
    """Characters not in `source` for the line breaks of YAML 1.1 that are ordinary characters in YAML 1.2; libyaml would break lines there."""
    present = [character for character in _OTHER_BREAKS if character in source]
    unused = (chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in source)
    return {next(unused): character for character in present}


_ADVICE = (
    ("cannot start any token", "\t", "YAML allows no tab for indentation; use spaces."),
    ("cannot start any token", "", "Text that starts with this character needs quotes."),
    ("found a tab character", "", "YAML allows no tab for indentation; use spaces."),
    ("mapping values are not allowed", "", "A colon followed by a space inside text needs quotes around the text; or the indentation is off."),
    ("expected <block end>", "", "The indentation does not fit the lines above, or text after a closing quote."),
    ("did not find expected key", "", "The indentation does not fit the lines above, or text follows a closing quote."),
    ("did not find expected '-'", "", "The indentation does not fit the list above."),
    ("could not find expected ':'", "", "A key lacks its colon, or its text needs quotes."),
    ("unexpected end of stream", "", "A quote or bracket is not closed."),
    ("did not find expected ',' or '}'", "", "A bracket { is not closed; text that holds {{ … }} needs quotes inside brackets."),
    ("did not find expected ',' or ']'", "", "A bracket [ is not closed."),
)


def _syntax_problem(error: yaml.YAMLError, source: str) -> Problem:
    mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it breaks off")
    if mark is None:
        return Problem("yaml_syntax", f"The YAML cannot be read: {said}.", line=1)
    lines = re.split("\r\n|\n|\r", source)
    text = lines[mark.line] if mark.line < len(lines) else ""
    character = text[mark.column : mark.column + 1]
    advice = next((hint for part, needs, hint in _ADVICE if part in said and (not needs or needs == character)), "")
    return Problem("yaml_syntax", f"The YAML cannot be read here: {said} (column {mark.column + 1}). {advice}".rstrip(), line=mark.line + 1)
