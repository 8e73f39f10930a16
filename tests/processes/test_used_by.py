"""Where a process is used as a subprocess: versions and drafts, and only what the reader may see."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from processes import editing
from processes.models import Process, SubprocessUse
from processes.used_by import uses_of
from relorch.accounts.models import User
from relorch.lib.errors import Conflict
from tests import factories

pytestmark = pytest.mark.django_db

CALL = [{"id": "one", "activities": [{"id": "call", "type": "subprocess", "process": "deploy"}]}]
STEP = [{"id": "one", "activities": [{"id": "step", "type": "automated", "connector": "noop"}]}]


@pytest.fixture
def deploy(owner: User) -> Process:
    made = factories.process("deploy", actor=owner, phases=STEP)
    factories.version(made, actor=owner)
    return made


def caller(name: str, actor: User, *, published: bool = True) -> Process:
    made = factories.process(name, actor=actor, phases=CALL)
    if published:
        factories.version(made, actor=actor)
    return made


def seen(process: Process, reader: User) -> list[tuple[str, int | None, bool, bool]]:
    return [(use.process.identifier, use.number, use.is_newest, use.in_draft) for use in uses_of(process, reader)]


def test_versions_and_drafts_that_run_it(owner: User, deploy: Process) -> None:
    caller("always", owner)
    caller("drafted", owner, published=False)
    former = caller("former", owner)
    editing.write_draft(former, factories.document("former", phases=STEP), actor=owner)
    assert seen(deploy, owner) == [("always", 1, True, True), ("drafted", None, False, True), ("former", 1, True, False)]
    factories.version(former, actor=owner)
    assert ("former", 1, False, False) in seen(deploy, owner)
    said = page(owner)
    for words in ("Used as subprocess", "by 3 processes", "up to v1", "in its draft"):
        assert words in said


def test_only_what_the_reader_may_see(owner: User, teammate: User, deploy: Process) -> None:
    caller("hidden", owner)
    shared = caller("shared", owner)
    factories.allow(teammate, "view_process", deploy)
    assert seen(deploy, teammate) == []
    assert "Used as subprocess" not in page(teammate)
    factories.allow(teammate, "view_process", shared)
    assert [name for name, *_ in seen(deploy, teammate)] == ["shared"]
    assert "Hidden" not in page(teammate)


def test_who_may_not_delete_it_reads_no_hidden_name(owner: User, teammate: User) -> None:
    lonely = factories.process("deploy", actor=owner, phases=STEP)
    caller("hidden_one", owner, published=False)
    factories.allow(teammate, "view_process", lonely)
    with pytest.raises(Conflict) as refused:
        editing.delete(lonely, actor=teammate)
    assert "it is a subprocess of 1 process that you cannot see" in refused.value.message
    with pytest.raises(Conflict, match="it is a subprocess of hidden_one"):
        editing.delete(lonely, actor=owner)


def test_the_page_asks_no_more_for_many(owner: User, deploy: Process) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(owner)
        return len(queries)

    caller("first", owner)
    asked()
    few = asked()
    for number in range(8):
        caller(f"more_{number}", owner)
    assert asked() == few


def test_what_was_published_before_is_found(owner: User, deploy: Process) -> None:
    caller("always", owner)
    SubprocessUse.objects.all().delete()
    fill: Any = importlib.import_module("processes.migrations.0006_fill_subprocess_uses")
    with connection.cursor() as cursor:
        cursor.execute(fill.FILL)
    assert [(row.version.process.identifier, row.called) for row in SubprocessUse.objects.all()] == [("always", "deploy")]


def page(reader: User) -> str:
    client = Client()
    client.force_login(reader)
    return client.get("/processes/deploy/").content.decode()
