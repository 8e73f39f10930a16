"""What the YAML editor offers at which place, asked of its script in a browser without an installation."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processes.reading import json_schema

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the journeys were NOT tried")]

SCRIPT = Path(__file__).parents[2] / "static" / "authoring" / "completing.js"
TEXT = """\
apiVersion: relorch/v1
kind: Process
id: shop
inputs:
  version: {type: string}
phases:
  - id: build
    name: Build
    activities:
      - id: compile
        type: automated
        connector: http
        with:
          url: https://shop.example
      - id: test
        type: manual
"""
WORDS = {
    "names": ["inputs.version", "activities.compile.outputs.image"],
    "functions": ["size"],
    "phases": ["build", "ship"],
    "activities": ["compile", "test"],
    "connector": ["noop", "http"],
    "uses": ["run_tests", "run_tests@1"],
    "process": ["deploy"],
    "owners": ["group:qa"],
    "with": {"http": ["url", "method"], "noop": ["outputs"]},
}
STEP = "        "
CASES = [
    ("cat|", {"category", "owners", "rules"}, {"phases", "inputs", "id", "activities"}),
    (f"{STEP}approv|", {"approval", "owners"}, {"type", "id"}),
    (f"{STEP}approval:\n{STEP}  ord|", {"order", "requires"}, {"type"}),
    (f"{STEP}approval:\n{STEP}  order: |", {"any", "sequential"}, set()),
    (f"{STEP}approval:\n{STEP}  requires:\n{STEP}    - {{co|", {"count", "of"}, set()),
    (f"{STEP}approval:\n{STEP}  requires: [{{count: 1, of: [gr|", {"group:qa"}, set()),
    (f"{STEP}owners: [group:|", {"group:qa"}, set()),
    (f"{STEP}approval: {{exclude: [st|", {"starter", "author"}, set()),
    (f"{STEP}run_when: |", {"satisfied", "failed", "always"}, set()),
    (f"{STEP}optional: |", {"true", "false"}, set()),
    (f"{STEP}depends_on: [com|", {"compile", "test"}, {"build"}),
    (f"{STEP}depends_on:\n{STEP}  - te|", {"compile", "test"}, {"build"}),
    ("  - id: ship\n    depends_on: [bu|", {"build"}, {"compile"}),
    ("  - i|", {"id", "activities"}, {"connector"}),
    ("      - uses: run|", {"run_tests@1"}, set()),
    ("      - id: h\n        type: |", {"automated", "manual", "subprocess"}, set()),
    ("      - id: h\n        connector: |", {"noop", "http"}, set()),
    ("      - id: h\n        connector: http\n        with:\n          me|", {"url", "method"}, {"outputs"}),
    ("      - id: h\n        connector: noop\n        with: {ou|", {"outputs"}, {"url"}),
    (f"{STEP}fields:\n{STEP}  summary: {{type: |", {"string", "file"}, set()),
    (f"{STEP}fields:\n{STEP}  summary:\n{STEP}    ty|", {"type", "min_length"}, {"approval"}),
    ("rules:\n- che|", {"check", "message"}, set()),
    (f'{STEP}instructions: "Try ${{{{ |', {"inputs.version", "activities.compile.outputs.image", "size("}, {"approval"}),
    (f"{STEP}instructions: >\n{STEP}  Try ${{{{ in|", {"inputs.version"}, {"approval"}),
    (f'{STEP}if: "activities.|', {"activities.compile.outputs.image"}, {"inputs.version", "size("}),
    (f'{STEP}if: "in|', {"inputs.version"}, set()),
    ('rules:\n- check: "inp|', {"inputs.version"}, set()),
]
NOTHING = ["# cat|", f"{STEP}instructions: >\n{STEP}  nam|", f"{STEP}name: Te|", f'{STEP}instructions: "Try ${{{{ inputs.version }}}} and |', "|"]


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with sync_api.sync_playwright() as playing:
        browser = playing.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--headless=new"])
        page = browser.new_page()
        page.add_script_tag(path=SCRIPT)
        yield page
        browser.close()


def offered(page: Any, tail: str) -> dict[str, Any] | None:
    before, _, after = (TEXT + tail).partition("|")
    row, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    found: dict[str, Any] | None = page.evaluate("given => yamlCompleting(...given)", [before + after, row, column, json_schema(), WORDS, False])
    return found


@pytest.mark.parametrize(("tail", "there", "not_there"), CASES)
def test_what_fits_is_offered(page: Any, tail: str, there: set[str], not_there: set[str]) -> None:
    found = offered(page, tail)
    assert found is not None
    labels = {option["label"] for option in found["options"]}
    assert there <= labels
    assert not labels & not_there


@pytest.mark.parametrize("tail", NOTHING)
def test_nothing_is_offered_in_plain_text(page: Any, tail: str) -> None:
    assert offered(page, tail) is None
