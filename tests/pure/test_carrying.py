"""An author's text made to mean another document: what stays keeps every byte, comments go with their keys, and the meaning is always right."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest
import yaml

from processes import reading
from processes.carrying import carry, comments, meaning
from processes.writing import document, yaml_text
from tests import generators

TEXT = """\
# Head of the file

apiVersion: relorch/v1
kind: Process
id: shop   # never changes
name: "Shop"  # the name
owners: [group:a, group:b] # two
# inputs come here
inputs:
  # version comment
  version: {type: string, required: true} # flow
  # region comment
  region:
    type: choice   # chosen
    options: [eu, us]
    # deeper end

# phases
phases:
  # first
  - id: build   # b
    activities:
      # compile it
      - id: compile
        type: automated
        connector: script
        run_when: satisfied   # said although it is so
        with:
          # the script
          run: | # header
            # not a comment
            make
        # about the timeout
        timeout: 30m # half an hour
      # second activity
      - {id: test, type: automated, connector: noop}
    # after the activities
  # second
  - id: ship
    # why
    depends_on:
      - build # because
    activities:
    - id: go
      type: manual
      owners: [group:a]
# the end
"""


def canonical(wanted: dict[str, Any]) -> dict[str, Any]:
    blueprint = reading.parse(wanted).blueprint
    assert blueprint is not None
    return document(blueprint)


def changed(change: str) -> dict[str, Any]:
    found = copy.deepcopy(meaning(TEXT))
    assert found is not None
    exec(change, {"d": found, "build": found["phases"][0], "ship": found["phases"][1], "compile": found["phases"][0]["activities"][0]})
    return canonical(found)


# What changes, the lines that go, the lines that come: everything else stays byte for byte.
CHANGES: list[tuple[str, list[str], list[str]]] = [
    ("d['name'] = 'Corner'", ['name: "Shop"  # the name'], ["name: Corner  # the name"]),
    ("compile['timeout'] = '1h'", ["        timeout: 30m # half an hour"], ["        timeout: 1h  # half an hour"]),
    ("d['inputs']['tag'] = {'type': 'integer'}", [], ["  tag:", "    type: integer"]),
    ("compile['with']['run'] = '# not a comment\\nmake\\nmake all\\n'", ["          run: | # header"], ["          run: |  # header", "            make all"]),
    ("d['inputs']['region']['options'].append('ap')", ["    options: [eu, us]"], ["    options:", "      - eu", "      - us", "      - ap"]),
    ("build['activities'].insert(0, {'id': 'lint', 'type': 'manual'})", [], ["      - id: lint", "        type: manual"]),
    ("ship['depends_on'] = []", ["    # why", "    depends_on:", "      - build # because"], []),
    ("build['name'] = 'Build'", [], ["    name: Build"]),
    ("compile['connector'] = 'noop'; del compile['with']", [
        "        connector: script", "        with:", "          # the script", "          run: | # header", "            # not a comment", "            make",
    ], ["        connector: noop"]),
    ("ship['activities'][0]['owners'] = ['group:b']", ["      owners: [group:a]"], ["      owners:", "        - group:b"]),
    ("build['activities'].pop()", ["      # second activity", "      - {id: test, type: automated, connector: noop}"], []),
    ("compile['depends_on'] = ['test']", [], ["        depends_on:", "          - test"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "gone", "come"), CHANGES, ids=[change for change, _, _ in CHANGES])
def test_only_the_lines_of_what_changed_change(change: str, gone: list[str], come: list[str]) -> None:
    wanted = changed(change)
    carried = carry(TEXT, wanted)
    assert meaning(carried.text) == wanted
    before, after = TEXT.splitlines(), carried.text.splitlines()
    assert sorted(set(before) - set(after)) == sorted(gone)
    assert sorted(set(after) - set(before)) == sorted(come)
    left = [line for line in before if line not in gone]
    assert [line for line in after if line in left] == left  # in the same order
    assert sorted(carried.lost) == sorted(comment for comment in comments(TEXT) if not any(comment in line for line in after))


def test_a_phase_that_goes_takes_its_comments_and_they_are_named() -> None:
    wanted = changed("del d['phases'][0]; del ship['depends_on']")
    carried = carry(TEXT, wanted)
    assert meaning(carried.text) == wanted
    gone = "first, b, compile it, said although it is so, the script, about the timeout, half an hour, second activity, after the activities, why, because"
    assert carried.lost == tuple(f"# {comment}" for comment in gone.split(", "))
    assert "# second\n  - id: ship" in carried.text


def test_moved_phases_take_their_comments_along() -> None:
    carried = carry(TEXT, changed("d['phases'].reverse()"))
    assert carried.lost == ()
    assert carried.text.index("# second") < carried.text.index("- id: ship") < carried.text.index("# first") < carried.text.index("- id: build")


def test_the_same_meaning_is_the_same_text() -> None:
    wanted = meaning(TEXT)
    assert wanted is not None
    assert carry(TEXT, wanted).text == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "{id: shop, name: Shop, phases: []} # flow\n",
        '{"id": "shop", "name": "Shop", "phases": []}',
        "--- # start\nid: shop\nname: &a Shop\ndescription: *a\n",
        "id: shop # no end of line",
        "? id\n: shop\n",
        "id: shop\n...\n# after\n",
        "not: [a process",
        "",
        "  id: shop\n  name: Shop\n",
    ],
)
def test_what_cannot_be_cut_becomes_the_canonical_file(text: str) -> None:
    wanted = canonical({"id": "shop", "name": "Other", "phases": [{"id": "a", "activities": [{"id": "b", "type": "manual"}]}]})
    carried = carry(text, wanted)
    assert meaning(carried.text) == wanted
    assert list(carried.lost) == [comment for comment in comments(text) if comment not in comments(carried.text)]


def commented(text: str) -> str:
    """With a comment above each key and item, and behind each value on one line, that names its line."""
    keys = {token.start_mark.line for token in yaml.scan(text) if isinstance(token, yaml.KeyToken | yaml.BlockEntryToken)}
    lines = text.split("\n")
    for number in sorted(keys, reverse=True):
        line = lines[number]
        if not line.rstrip().endswith(("|", "|-", "|+")) and line.count('"') % 2 == 0 and not line.endswith("'"):
            lines[number] = f"{line}  # behind {number}"
        lines.insert(number, " " * (len(line) - len(line.lstrip(" "))) + f"# above {number}")
    return "\n".join(lines)


def mutated(random: Random, value: Any, depth: int = 0) -> Any:
    """The same with something taken away, repeated, moved or written anew here and there."""
    if isinstance(value, dict):
        return {key: item if random.random() < 0.8 else mutated(random, item, depth + 1) for key, item in value.items() if random.random() < 0.97 or depth < 2}
    if isinstance(value, list):
        found = [item if random.random() < 0.6 else mutated(random, item, depth + 1) for item in value if random.random() < 0.9]
        if random.random() < 0.2:
            random.shuffle(found)
        return found
    return f"{value}x" if isinstance(value, str) and random.random() < 0.3 else value


@pytest.mark.parametrize("seed", range(25))
def test_any_change_of_any_process_keeps_the_meaning_and_its_comments(seed: int) -> None:
    random = Random(seed)
    first = canonical(generators.document(random, generators.EVERYTHING))
    text = commented(yaml_text(first))
    assert meaning(text) == first
    wanted = canonical(mutated(random, first))
    carried = carry(text, wanted)
    assert meaning(carried.text) == wanted
    assert yaml_text(meaning(carried.text) or {}) == yaml_text(wanted)
    kept = len(comments(carried.text))
    assert kept + len(carried.lost) == len(comments(text))
    assert kept > 0.2 * len(comments(text))  # it was cut, not given up


@pytest.mark.parametrize("other", ["\x85", "\u2028", "\u2029"])
def test_what_ends_a_line_for_yaml_alone_is_no_trap(other: str) -> None:
    text = TEXT.replace("# region comment", f"# region{other}# comment")
    goal = meaning(text)
    assert goal is not None
    changed = copy.deepcopy(goal)
    changed["name"] = "Other"
    assert meaning(carry(text, changed).text) == changed
