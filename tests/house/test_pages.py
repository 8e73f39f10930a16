"""Rules about templates, styles and scripts: the content policy holds, names exist, sizes stay small."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
TEMPLATES = sorted(
    path for path in (ROOT / "templates").rglob("*.html") if not {"mail", "admin"} & set(path.relative_to(ROOT).parts)
)  # the admin has unfold's classes
OWN_CSS = sorted((STATIC / "css").glob("*.css"))
SPRITE = frozenset(re.findall(r'<symbol id="([^"]+)"', (STATIC / "img/icons.svg").read_text()))
DEFINED = frozenset(re.findall(r"\.([a-zA-Z][\w-]*)", re.sub(r"/\*.*?\*/|url\([^)]*\)", "", "".join(path.read_text() for path in OWN_CSS), flags=re.DOTALL)))
COMMENT = re.compile(r"{%\s*comment.*?endcomment\s*%}|{#.*?#}", re.DOTALL)


def source(path: Path) -> str:
    return COMMENT.sub("", path.read_text())


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[str(path.relative_to(ROOT)) for path in paths])


@named(TEMPLATES)
def test_no_inline_style_or_script(path: Path) -> None:
    """The content policy is `default-src 'self'`; htmx stays within the attributes that need no evaluation."""
    text = source(path)
    assert not re.search(r"\sstyle\s*=|<style|\shx-on|\son[a-z]+\s*=\s*[\"']|javascript:|[\"']js:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"hx-trigger=\"[^\"]*\[", text)
    assert "|safe" not in text


@named(TEMPLATES)
def test_icons_and_classes_exist(path: Path) -> None:
    text = source(path)
    icons = (
        set(re.findall(r'{%\s*icon "([^"]+)"', text))
        | set(re.findall(r'icon_name="([^"]+)"', text))
        | set(re.findall(r'{%\s*nav_link "[^"]+" "([^"]+)"', text))
    )
    assert icons <= SPRITE
    plain = re.sub(r"{{.*?}}", "", re.sub(r"{%.*?%}", " ", text))  # what a variable ends stays open: `badge--`
    for value in re.findall(r'\sclass="([^"]*)"', plain):
        assert {word for word in value.split() if not word.endswith("-")} <= DEFINED, value


@named(TEMPLATES)
def test_a_template_is_short(path: Path) -> None:
    assert path.read_text().count("\n") <= 120


@named(OWN_CSS)
def test_a_stylesheet_takes_its_colours_from_the_tokens(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 600
    if path.name != "tokens.css":
        assert not re.search(r"light-dark\(|#[0-9a-f]{3,8}\b", text)
        assert set(re.findall(r"rgba?\([^)]*\)", text)) <= {"rgb(0 0 0/.4)"}


def test_every_stylesheet_is_linked_in_order() -> None:
    linked = re.findall(r'"css/([a-z]+\.css)"', (ROOT / "templates/components/_stylesheets.html").read_text())
    assert linked[0] == "tokens.css"
    assert linked[-1] == "small.css"
    assert {*linked, "gallery.css"} == {path.name for path in OWN_CSS}


def test_the_script_stays_small_and_speaks_the_words_of_the_server() -> None:
    script = (STATIC / "js/app.js").read_text()
    assert len(script.encode()) <= 6 * 1024
    for said in ("just now", "in a moment", " min", " h", " ago", "in "):
        assert said in script
        assert said in (ROOT / "relorch/lib/words.py").read_text()


def test_what_others_made_is_unchanged_and_listed() -> None:
    listed = dict(re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \|$", (STATIC / "VENDORED.md").read_text(), re.MULTILINE))
    there = {
        str(path.relative_to(STATIC)) for folder in ("vendor", "fonts") for path in (STATIC / folder).rglob("*") if path.suffix in {".js", ".css", ".woff2"}
    }
    assert listed.keys() == there | {"img/icons.svg"}
    assert {name: hashlib.sha256((STATIC / name).read_bytes()).hexdigest() for name in listed} == listed
    assert re.findall(r'id="([^"]+)"', (STATIC / "img/icons.svg").read_text()) == sorted(SPRITE)
