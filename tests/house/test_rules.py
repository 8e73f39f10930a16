"""Rules about the code itself, each with its reason."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("relorch", "processes", "releases", "approvals")


def code() -> Iterator[tuple[str, ast.Module]]:
    """Every module of ours but migrations, parsed."""
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def found(rule) -> list[str]:
    """Places where `rule(node)` is true."""
    return [f"{name}:{node.lineno}" for name, tree in code() for node in ast.walk(tree) if rule(node)]


def templates() -> list[Path]:
    return sorted((ROOT / "templates").rglob("*.html"))


def test_imports_point_down_and_the_core_is_pure() -> None:
    done = subprocess.run([Path(sys.executable).parent / "lint-imports", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_save_has_consequences() -> None:
    """A change has one door, a verb; a model's save or delete is none."""
    places = found(lambda node: isinstance(node, ast.FunctionDef) and node.name in {"save", "delete"})
    assert not [place for place in places if "models" in place]


def test_no_model_signals() -> None:
    """Calls go down and can be read; a signal is a call that nobody sees."""

    def signal(node: ast.AST) -> bool:
        if isinstance(node, ast.ImportFrom):
            return (node.module or "") in {"django.db.models.signals", "django.dispatch"}
        return isinstance(node, ast.Import) and any(name.name.startswith(("django.db.models.signals", "django.dispatch")) for name in node.names)

    assert not found(signal)


def test_no_shell_no_pickle_no_eval() -> None:
    def dangerous(node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            if any(word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False) for word in node.keywords):
                return True
            return isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}
        return isinstance(node, ast.Import) and any(name.name in {"pickle", "marshal", "shelve"} for name in node.names)

    assert not found(dangerous)


def test_html_is_escaped() -> None:
    """`format_html` and templates escape; `mark_safe` does not."""
    allowed = {"relorch/lib/templatetags", "relorch/lib/rendering.py", "relorch/lib/markdown.py"}
    places = found(lambda node: isinstance(node, ast.Name | ast.Attribute) and (getattr(node, "id", None) or getattr(node, "attr", None)) == "mark_safe")
    assert not [place for place in places if not place.startswith(tuple(allowed))]


def test_requests_are_not_unpacked() -> None:
    """What a client sends is named field by field."""

    def unpacked(node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        for word in node.keywords:
            if word.arg is None and isinstance(word.value, ast.Attribute) and word.value.attr in {"data", "POST", "GET", "query_params"}:
                return isinstance(word.value.value, ast.Name) and word.value.value.id == "request"
        return False

    assert not found(unpacked)


def test_modules_say_what_they_are_for() -> None:
    silent = [name for name, tree in code() if tree.body and not ast.get_docstring(tree) and not name.endswith(("__init__.py", "apps.py"))]
    assert not silent


def test_files_stay_small() -> None:
    """600 lines are the hard end."""
    long = {name: lines for name, _ in code() if (lines := len((ROOT / name).read_text(encoding="utf-8").splitlines())) > 600}
    assert not long


@pytest.mark.parametrize(
    "pattern",
    [
        r"""<[^>]+\sstyle\s*=""",
        r"""<[^>]+\son[a-z]+\s*=""",
        r"""<[^>]+\s(data-)?hx-on""",
        r"""<script(?![^>]*\ssrc=)(?![^>]*type="(application/json|text/template|speculationrules)")[^>]*>""",
        r"""<style[\s>]""",
        r"""(src|href|action)\s*=\s*["']?\s*(https?:)?//""",
        r"""javascript:""",
    ],
)
def test_templates_have_nothing_the_content_policy_forbids(pattern: str) -> None:
    """No inline style or script, nothing from elsewhere. Mails are read elsewhere and have their own rules."""
    pages = [path for path in templates() if "mail" not in path.parts]
    places = []
    for path in pages:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(pattern, line, re.IGNORECASE) and "xmlns" not in line:
                places.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert not places


def test_nothing_names_a_registry_or_a_machine() -> None:
    """No file that is kept says on which machine it was made."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    words = re.compile("/" + r"(work|root|home)/[a-z.]+/|--(extra-)?index-url|--find-links")
    allowed = {"tests/house/test_requirements.py", "tests/house/test_rules.py"}
    places = []
    for name in listed:
        path = ROOT / name
        if name and name not in allowed and path.suffix in {".py", ".txt", ".toml", ".md", ".yaml", ".html", ".in", ".sh", ""} and path.is_file():
            places += [f"{name}: {match[0]}" for match in words.finditer(path.read_text(encoding="utf-8", errors="replace"))]
    assert not places
