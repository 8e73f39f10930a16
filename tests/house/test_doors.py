"""One door out and one door to processes (reliability, rule 19; N-04): whoever imports past them fails the build."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APPS = ("relorch", "processes", "releases", "approvals")

OUT = frozenset({"socket", "socketserver", "ssl", "http.client", "urllib.request", "ftplib", "smtplib", "telnetlib", "xmlrpc", "httpx", "httpcore"})
OUT |= {"requests", "aiohttp", "urllib3", "websockets", "paramiko", "pycurl", "anyio", "trio"}
PROCESSES = frozenset({"subprocess", "pty", "multiprocessing", "asyncio.subprocess", "pexpect", "ctypes", "_posixsubprocess"})
PROCESS_CALLS = ("system", "popen", "fork", "forkpty", "exec", "spawn", "posix_spawn")
"""Of `os`: these, and whatever begins with them."""

DOOR_OUT = {"relorch/lib/egress.py"}
DOOR_TO_PROCESSES = {"releases/connectors/runner.py", "releases/connectors/supervisor.py"}
OWN_PARTS = {
    # These start, connect and listen to the parts that relorch itself is made of: no author and no release has a word in it.
    "relorch/children.py": "the processes of serve",
    "relorch/cluster.py": "the embedded database",
    "relorch/demo/serving.py": "the demo's own server",
    "relorch/demo/shops.py": "the demo's shops",
    "relorch/embedded.py": "the embedded database",
    "relorch/lib/unprivileged.py": "the embedded database",
    "relorch/management/commands/demo.py": "the demo's own server",
    "relorch/postgres.py": "the embedded database",
    "relorch/serving.py": "the processes of serve",
}


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of the modules that are imported, wherever that stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.args[0] if node.args else None, ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield str(node.args[0].value)  # type: ignore[attr-defined]


def os_calls(tree: ast.AST) -> Iterator[str]:
    """What is taken from `os` to start a process."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os" and node.attr.startswith(PROCESS_CALLS):
            yield f"os.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (f"os.{alias.name}" for alias in node.names if alias.name.startswith(PROCESS_CALLS))


def taken(source: str, doors: frozenset[str]) -> set[str]:
    """Which of the modules (or parts of them) a source imports."""
    return {name for name in imports(ast.parse(source)) for door in doors if name == door or name.startswith(f"{door}.")}


def sources() -> Iterator[tuple[str, str]]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text()


def test_one_door_out() -> None:
    allowed = DOOR_OUT | OWN_PARTS.keys()
    assert {path: found for path, text in sources() if path not in allowed and (found := taken(text, OUT))} == {}


def test_one_door_to_processes() -> None:
    allowed = DOOR_TO_PROCESSES | OWN_PARTS.keys()
    assert {path: found for path, text in sources() if path not in allowed and (found := taken(text, PROCESSES) | set(os_calls(ast.parse(text))))} == {}


def test_the_exceptions_are_needed() -> None:
    texts = dict(sources())
    needless = {path for path in OWN_PARTS if path not in texts or not (taken(texts[path], OUT | PROCESSES) | set(os_calls(ast.parse(texts[path]))))}
    assert needless == set()
    assert texts.keys() >= DOOR_OUT | DOOR_TO_PROCESSES


def test_the_supervisor_stands_alone() -> None:
    text = (ROOT / "releases/connectors/supervisor.py").read_text()
    known = {name.partition(".")[0] for name in imports(ast.parse(text))}
    assert known.isdisjoint({*APPS, "django", "celery", "psutil"})


WAYS_OUT = [
    *("import socket", "import urllib.request", "from urllib import request", "from httpx import get", "import httpx as h", "from http import client"),
    *("def f():\n    import requests", "import importlib\nimportlib.import_module('socket')", "__import__('httpx')"),
]
WAYS_TO_PROCESSES = [
    *("import subprocess", "from subprocess import run", "import os\nos.system('x')", "import os\nos.execv('x', [])", "from os import fork", "import pty"),
    *("from asyncio import subprocess", "import ctypes.util", "from multiprocessing.pool import Pool", "import os\nrun = os.popen"),
]
HARMLESS = ["from http import HTTPStatus", "from urllib.parse import quote", "import os\nos.getpid()", "from relorch.lib import egress", "import requests_like"]


@pytest.mark.parametrize("bad", WAYS_OUT)
def test_the_rule_sees_every_way_out(bad: str) -> None:
    assert taken(bad, OUT)


@pytest.mark.parametrize("bad", WAYS_TO_PROCESSES)
def test_the_rule_sees_every_way_to_a_process(bad: str) -> None:
    assert taken(bad, PROCESSES) | set(os_calls(ast.parse(bad)))


@pytest.mark.parametrize("good", HARMLESS)
def test_the_rule_lets_the_rest_pass(good: str) -> None:
    assert not taken(good, OUT | PROCESSES)
    assert not set(os_calls(ast.parse(good)))
