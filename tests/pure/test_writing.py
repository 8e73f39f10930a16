"""One canonical document, one canonical YAML, one digest; nothing changes its type or its bytes on the way."""

from __future__ import annotations

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from processes.blueprint import Activity, Approval, Blueprint, OnFailure, Phase, Retry
from processes.reading import canonical, digest, document, parse, read, to_yaml
from processes.shapes import keys_of
from processes.writing import yaml_text
from processes.yaml_text import read_yaml
from tests.generators import EXAMPLES, JSON_VALUES, NAMES, TEXTS, VALUES, sound_documents, store_activity

EXAMPLE = (Path(__file__).parent / "data/standard_release.yaml").read_text()


def typed(found: object) -> Blueprint:
    reading = parse(found)
    assert not reading.problems
    assert isinstance(reading.blueprint, Blueprint)
    return reading.blueprint


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sound_documents())
def test_round_trips(found: dict[str, Any]) -> None:
    before = typed(found)
    text = to_yaml(before)
    again = read(text)
    assert not again.problems
    assert again.blueprint == before
    assert to_yaml(typed(again.document)) == text
    assert parse(document(before)).blueprint == before
    assert json.loads(canonical(before)) == document(before)


def test_the_example_written_and_read() -> None:
    before = read(EXAMPLE).blueprint
    assert isinstance(before, Blueprint)
    text = to_yaml(before)
    assert read(text).blueprint == before
    assert to_yaml(typed(read(text).document)) == text
    assert "instructions: |\n          Try the build, attach the report.\n        fields:" in text
    assert "    if: inputs.region == 'eu'\n" in text
    assert r"    pattern: \d+\.\d+\.\d+" + "\n" in text
    assert "attempts: 3\n          backoff: 2\n" in text  # no 2.0, and delay and max_delay as by default


def test_a_store_activity_written_and_read() -> None:
    before = store_activity()
    text = to_yaml(before)
    assert read(text).blueprint == before
    assert text.startswith("apiVersion: relorch/v1\nkind: Activity\nid: store_step\n")


def test_defaults_are_left_out_and_keys_stand_in_the_files_order() -> None:
    written = document(
        Blueprint(
            id="one",
            owners=("group:dev",),
            phases=(Phase(id="only", activities=(Activity(id="step", retry=Retry(attempts=1), timeout=90, outputs={}, approval=Approval()),)),),
        )
    )
    assert written == {
        "apiVersion": "relorch/v1",
        "kind": "Process",
        "id": "one",
        "owners": ["group:dev"],
        "phases": [{"id": "only", "activities": [{"id": "step", "approval": {}, "outputs": {}, "timeout": "1m30s"}]}],
    }
    assert list(written) == ["apiVersion", "kind", "id", "owners", "phases"]


def test_what_overrides_the_store_is_kept_even_where_it_is_the_default() -> None:
    """S2a: the keys of the instance win; `on_failure: hold` must still be there to win over the store's `ignore`."""
    text = "id: one\nphases: [{id: only, activities: [{id: step, on_failure: hold, uses: store_step, retry: {}, timeout: 1h}]}]"
    blueprint = read(text).blueprint
    assert isinstance(blueprint, Blueprint)
    step = document(blueprint)["phases"][0]["activities"][0]
    assert step == {"id": "step", "uses": "store_step", "timeout": "1h", "retry": {}, "on_failure": "hold"}
    assert list(step) == ["id", "uses", "timeout", "retry", "on_failure"]
    assert to_yaml(typed(document(blueprint))) == to_yaml(blueprint)
    built = Blueprint(id="one", phases=(Phase(id="only", activities=(Activity(id="step", uses="store_step", on_failure=OnFailure.HOLD),)),))
    assert document(built)["phases"][0]["activities"][0] == {"id": "step", "uses": "store_step", "on_failure": "hold"}


@settings(max_examples=EXAMPLES // 8, deadline=None)
@given(sound_documents(), st.integers(0, 1000))
def test_the_digest_does_not_depend_on_the_order_of_keys(found: dict[str, Any], seed: int) -> None:
    random = Random(seed)

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shuffled(value[key]) for key in random.sample(sorted(value), len(value))}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    assert digest(typed(shuffled(found))) == digest(typed(found))


def test_the_digest_is_that_of_the_meaning() -> None:
    plain, spelt = read("id: one\nphases: []"), read("kind: Process\ncategory: standard\nid: 'one'\ninputs: {}")
    assert isinstance(plain.blueprint, Blueprint)
    assert isinstance(spelt.blueprint, Blueprint)
    assert canonical(plain.blueprint) == b'{"apiVersion":"relorch/v1","id":"one","kind":"Process"}'
    assert digest(plain.blueprint) == digest(spelt.blueprint) == "f8e2790455ca37155039a0c5b930a6529d854fad2e7d4c1599ba6e9ecc5232e7"


@settings(max_examples=EXAMPLES // 5, deadline=None)
@given(st.dictionaries(NAMES, JSON_VALUES, min_size=1, max_size=4))
def test_any_value_is_read_as_what_was_written(values: dict[str, Any]) -> None:
    text = yaml_text(values)
    found = read_yaml(text)
    assert not found.problems
    assert same(found.value, values)
    assert yaml_text(found.value) == text


def same(one: Any, other: Any) -> bool:
    """Equal and of equal type: 1, 1.0 and true are three."""
    return json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_every_reader_reads_the_same(value: Any) -> None:
    """YAML 1.1 (PyYAML), YAML 1.2 (ruamel.yaml) and this one agree on every awkward text, as value, item, key and last line."""
    key = value if isinstance(value, str) and value.isprintable() and 0 < len(value) < 256 else "key"
    whole = {key: value, "list": [value, [value], {key: value}], "after": 1, "last": {"x": value}}
    text = yaml_text(whole)
    assert same(read_yaml(text).value, whole), text
    assert same(yaml.safe_load(text), whole), text
    assert same(YAML(typ="safe", pure=True).load(io.StringIO(text)), whole), text
    assert text.isascii() or all(character.isprintable() or character in "\n\xa0\xad" for character in text)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain text", "plain text"),
        ("${{ inputs.version }}", "${{ inputs.version }}"),
        ("registry.example/shop:${{ inputs.version }}", "registry.example/shop:${{ inputs.version }}"),
        ("yes", '"yes"'),
        ("1.10", '"1.10"'),
        ("2026-03-01", '"2026-03-01"'),
        ("", '""'),
        ('say "hi": now', "'say \"hi\": now'"),
        (r"\d+", r"\d+"),
        ("two\nlines", "|-\n  two\n  lines"),
        ("two\nlines\n", "|\n  two\n  lines"),
        ("two\n\nlines\n\n", "|+\n  two\n\n  lines\n"),
        (" indented\nfirst", '" indented\\nfirst"'),
        ("bell\x07", '"bell\\x07"'),
        ("\u2028", '"\\u2028"'),
        (1e-7, "1.0e-07"),
        (2.0, "2.0"),
        ([], "[]"),
        ({}, "{}"),
        (None, "null"),
        (True, "true"),
    ],
)
def test_how_it_is_written(value: Any, written: str) -> None:
    assert yaml_text({"key": value}) == f"key: {written}\n"


def test_lists_in_lists() -> None:
    assert yaml_text({"a": [[1, [2]], {"b": [3], "c": 4}, [{}]]}) == "a:\n  - - 1\n    - - 2\n  - b:\n      - 3\n    c: 4\n  - - {}\n"


def test_texts_hold_something_for_each_rule() -> None:
    assert len(set(TEXTS)) == len(TEXTS)
    assert {"if", "with", "depends_on"} <= set(keys_of(Activity))
