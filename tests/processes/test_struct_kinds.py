"""What the authoring forms show comes back as it was: every value of every kind, and whole generated processes."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given, settings
from hypothesis import strategies as st

from processes import reading
from processes.blueprint import Approval, Variable
from processes.struct_kinds import ABSENT, BLANK, Choice, Flag, Lines, Number, Rows, Struct, Table, Text, Value, When, broken, drawn, read, same
from processes.struct_specs import activity_kind, inputs_kind, part_kind, rules_kind, value_table
from releases.connectors.registry import info
from tests.generators import sound_blueprints


class Form(HTMLParser):
    """What a browser would send of these controls, in their order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.sent = QueryDict(mutable=True)
        self.hidden = 0
        self.depth: list[str] = []
        self.area: tuple[str, list[str]] | None = None
        self.select: str | None = None
        self.chosen = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "div":
            self.depth.append("blank" if "data-blank" in found else "")
        if "blank" in self.depth:
            return
        if tag == "input" and "disabled" not in found and "name" in found:
            if found.get("type") != "checkbox" or "checked" in found:
                self.sent.appendlist(found["name"], found.get("value", ""))
        elif tag == "textarea":
            self.area = found["name"], []
        elif tag == "select":
            self.select, self.chosen = found["name"], ""
        elif tag == "option" and "selected" in found:
            self.chosen = found["value"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "div":
            self.depth.pop()
        elif tag == "textarea" and self.area:
            name, parts = self.area
            self.sent.appendlist(name, "".join(parts).removeprefix("\n").replace("\n", "\r\n"))
            self.area = None
        elif tag == "select" and self.select:
            self.sent.appendlist(self.select, self.chosen)
            self.select = None

    def handle_data(self, data: str) -> None:
        if self.area:
            self.area[1].append(data)


def sent(kind: Any, value: Any) -> QueryDict:
    form = Form()
    form.feed(str(drawn(kind, "x", value)))
    form.close()
    return form.sent


def back(kind: Any, value: Any) -> Any:
    return read(kind, sent(kind, value), "x")


JSON = st.recursive(
    st.text(max_size=12) | st.integers(-(2**53), 2**53) | st.booleans() | st.floats(-1e9, 1e9).map(lambda number: round(number, 3)),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=6), inner, min_size=1, max_size=3),
    max_leaves=8,
)
STORABLE = JSON.filter(lambda value: reading.parse({"id": "x", "variables": {"v": value}}).problems == [])
KINDS = [
    Text(), Text(4), Number(), Flag(), Choice(("a", "b")), Choice((True, False)), Lines(), Value(), When(), Rows(Value(), "one"), Table(Value(), "one"),
    inputs_kind(), rules_kind(), part_kind(Approval), part_kind(Variable),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
@settings(max_examples=40, deadline=None)
@given(value=STORABLE)
def test_any_value_comes_back_from_any_kind(kind: Any, value: Any) -> None:
    assert back(kind, value) == value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_nothing_said_is_nothing(kind: Any) -> None:
    assert back(kind, ABSENT) in (ABSENT, "")


CONNECTORS = {name: entry.schema for name, entry in info().items()}


@settings(max_examples=40, deadline=None)
@given(sound_blueprints())
def test_whole_processes_come_back(blueprint: Any) -> None:
    document = reading.document(blueprint)
    kind = activity_kind(CONNECTORS)
    for phase in document.get("phases", ()):
        for activity in phase.get("activities", ()):
            value = {key: inner for key, inner in activity.items() if key != "id"}
            again = back(kind, value or ABSENT)
            assert again == (value or ABSENT)
            assert list(again) == list(value), "in the file's order"
            assert same(kind, again, value)
    for key, of in (("inputs", inputs_kind()), ("rules", rules_kind()), ("variables", value_table("v")), ("outputs", value_table("o"))):
        if document.get(key):
            assert back(of, document[key]) == document[key]


def test_rows_are_taken_in_the_order_on_the_page_and_empty_ones_are_not() -> None:
    data = QueryDict(mutable=True)
    for name, said in [("x.@row", "7"), ("x.7", "last first"), ("x.@row", "0"), ("x.0", "then"), ("x.@row", "9"), ("x.9", "")]:
        data.appendlist(name, said)
    assert read(Rows(Text(), "one"), data, "x") == ["last first", "then"]


def test_a_row_without_a_name_is_not_lost() -> None:
    data = QueryDict("x.@row=0&x.0.@=&x.0=lost&x.0.%40kind=text")
    assert list(read(Table(Value(), "one"), data, "x").values()) == ["lost"]


def test_yaml_that_cannot_be_read_is_kept_for_the_form_to_refuse() -> None:
    data = QueryDict(mutable=True)
    data["x.@yaml"] = "a: [1"
    value = read(Struct(()), data, "x")
    assert broken({"deep": [value]}) == "a: [1"
    assert "a: [1" in drawn(Struct(()), "x", value)


def test_the_blank_row_is_never_sent() -> None:
    html = str(drawn(Table(part_kind(Variable), "input"), "x", {"a": {"type": "text"}}))
    assert BLANK in html
    assert BLANK not in sent(Table(part_kind(Variable), "input"), {"a": {"type": "text"}}).urlencode()


def test_a_number_of_brackets_is_text_for_the_reader_to_refuse() -> None:
    assert read(Number(), QueryDict("x=" + "[" * 100_000), "x") == "[" * 100_000
