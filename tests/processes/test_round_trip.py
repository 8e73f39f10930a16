"""Random process files through the rows, and through the admin's page, come out as they went in."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest
from django.test import Client

from processes import editing, reading
from processes.drafts import document_of
from processes.models import Process
from processes.writing import yaml_text
from relorch.accounts.models import User
from tests import factories, generators
from tests.conftest import CI
from tests.processes.test_admin import change, page

pytestmark = pytest.mark.django_db


def random_document(seed: int) -> dict[str, Any]:
    found = reading.parse(generators.document(Random(seed), generators.EVERYTHING))
    assert found.blueprint is not None
    document = reading.document(found.blueprint)
    for item in (document, *document["phases"], *(activity for phase in document["phases"] for activity in phase["activities"])):
        if "name" in item:
            item["name"] = item["name"][: editing.LONGEST_NAME]
    return document


CHUNKS = 10
ASKED = os.environ.get("RELORCH_ROUND_TRIPS", "")
ROWS = int(ASKED or (1_000 if CI else 100)) // CHUNKS
PAGES = int(ASKED or (50 if CI else 10)) // CHUNKS
"""Of each chunk. `RELORCH_ROUND_TRIPS=1000` sends as many through the admin too, which takes a quarter of an hour."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_export_import_export_through_the_rows(owner: User, chunk: int) -> None:
    process = factories.process("any_process", actor=owner)
    for seed in range(chunk * ROWS, (chunk + 1) * ROWS):
        document = random_document(seed) | {"id": "any_process"}
        exported = reading.to_yaml(reading.parse(document).blueprint)
        read = reading.read(exported)
        assert not read.problems, seed
        saved = editing.write_draft(process, read.document, actor=owner)
        assert repr(document_of(saved)) == repr(document), seed
        assert yaml_text(document_of(saved)) == exported, seed


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_admin_yaml_admin(chunk: int) -> None:
    """A page of the admin that is saved as it is, its export read as another process, and the page of that saved as it is."""
    owner = factories.person("root", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    for seed in range(1000 + chunk * PAGES, 1000 + (chunk + 1) * PAGES):
        process = editing.create_process(random_document(seed) | {"id": f"first_{seed}"}, actor=owner)
        exported = through_the_page(client, process)
        again = editing.create_process(reading.read(exported.replace(f"id: first_{seed}", f"id: second_{seed}", 1)).document, actor=owner)
        assert through_the_page(client, again).replace(f"id: second_{seed}", f"id: first_{seed}", 1) == exported, seed


def test_a_text_that_begins_with_an_empty_line_keeps_it_in_the_admin() -> None:
    owner = factories.person("root", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    phase = {"id": "work", "description": "\n\nlate\n", "activities": [{"id": "step", "type": "manual", "description": "\nlate"}]}
    through_the_page(client, factories.process("late", actor=owner, description="\nlate", phases=[phase]))


def through_the_page(client: Client, process: Process) -> str:
    """The export after the admin's page was saved as it is, which must have changed nothing."""
    before = document_of(process)
    _, fields = page(client, change(process))
    assert client.post(change(process), fields).status_code == 302
    saved = Process.objects.get(pk=process.pk)
    assert repr(document_of(saved)) == repr(before)
    assert saved.revision == 1
    return yaml_text(document_of(saved))
