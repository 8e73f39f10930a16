"""`manage.py process`."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from processes import reading
from processes.drafts import document_of
from processes.models import Process
from relorch.accounts.models import User
from relorch.audit.models import Event
from tests import factories

pytestmark = pytest.mark.django_db


def run(*arguments: Any) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("process", *map(str, arguments), stdout=out, stderr=err)
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(reading.to_yaml(reading.parse(factories.document("shop")).blueprint))
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    path.write_text("apiVersion: relorch/v1\nkind: Process\nid: shop\nnonsense: 1\nphases: []\n")
    return path


def test_validate_says_file_and_line(good: Path, bad: Path) -> None:
    status, out, err = run("validate", good, bad)
    assert status == 1
    assert f"{good}: all well" in out
    assert f"{bad}:4: error: " in err
    assert run("validate", good)[0] == run("validate", "--offline", good)[0] == 0
    status, out, _ = run("validate", "--json", good, bad)
    assert (status, json.loads(out)[str(good)]) == (1, [])
    assert not Process.objects.exists()


def test_validate_offline_needs_no_database(good: Path, bad: Path, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert run("validate", "--offline", good)[0] == 0
        assert run("validate", "--offline", bad)[0] == 1


def test_import_goes_on_after_a_bad_file_and_is_safe_to_repeat(good: Path, bad: Path, owner: User) -> None:
    status, out, err = run("import", "--publish", "--as", owner.email, bad, good)
    assert status == 1
    assert f"{bad}:4: error" in err
    assert "shop created" in out
    assert "published as version 1" in out
    assert Process.objects.get().created_by == owner
    status, out, _ = run("import", "--publish", "--as", owner.email, good)
    assert (status, "shop as it was" in out, "still version 1" in out) == (0, True, True)
    good.write_text(good.read_text().replace("name: Shop", "name: Better shop"))
    assert "published as version 2" in run("import", "--publish", "--note", "n", good)[1]
    assert json.loads(Event.objects.latest("pk").record)["door"] == "command"


def test_import_publishes_nothing_that_is_unsound(tmp_path: Path) -> None:
    path = tmp_path / "unsound.yaml"
    path.write_text("apiVersion: relorch/v1\nkind: Process\nid: shop\n")
    status, _, err = run("import", "--publish", path)
    assert status == 1
    assert "cannot be published" in err
    assert not Process.objects.get().versions.exists()


def test_import_publishes_in_the_order_that_the_files_need(tmp_path: Path, owner: User) -> None:
    owners = [f"user:{owner.email}"]
    files = []
    for name, child in (("top", "middle"), ("middle", "bottom"), ("bottom", "")):
        activity = {"type": "subprocess", "process": child} if child else {"type": "automated", "connector": "noop"}
        keys = {"owners": owners, "phases": [{"id": "work", "activities": [{"id": "step"} | activity]}]}
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(factories.document(name, **keys)))
    status, out, err = run("import", "--publish", *files)
    assert (status, out.count("published as version 1")) == (0, 3), err


def test_export_and_import_are_the_same_bytes(good: Path, owner: User, tmp_path: Path) -> None:
    process = factories.process("shop", actor=owner)
    factories.version(process, actor=owner)
    assert run("export", "shop")[1] == run("export", "shop@1")[1] == good.read_text()
    status, out, _ = run("export", "--to", tmp_path / "all")
    assert (status, out.strip()) == (0, str(tmp_path / "all" / "shop.yaml"))
    assert (tmp_path / "all" / "shop.yaml").read_text() == good.read_text()


def test_diff_tells_changes_and_marks_what_weakens(good: Path, owner: User) -> None:
    process = factories.process("shop", actor=owner, inputs={"v": {"type": "string", "required": True}})
    assert run("diff", "shop", "shop") == (0, "", "")
    status, out, _ = run("diff", "shop", good)
    assert (status, out) == (1, "! /inputs/v: input “v” removed: " + out.split("removed: ")[1])
    status, out, _ = run("diff", "--json", "shop", good)
    assert json.loads(out)["changes"][0]["weakens"] is True
    assert document_of(process)["inputs"]


@pytest.mark.parametrize(
    "arguments", [("export", "none"), ("export", "none@1"), ("export",), ("diff", "a", "b"), ("validate", "/no/such.yaml"), ("import", "--as", "x@y.z", "f")]
)
def test_what_makes_no_sense_is_said(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        run(*arguments)
