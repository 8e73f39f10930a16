"""Random process files through the rows, and through the admin's page, come out as they went in."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from django.test import Client

from processes import editing, reading
from processes.drafts import document_of
from processes.models import Process
from relorch.accounts.models import User
from tests import factories, generators
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


def test_through_the_rows(owner: User) -> None:
    process = factories.process("any_process", actor=owner)
    for seed in range(60):
        document = random_document(seed) | {"id": "any_process"}
        saved = editing.write_draft(process, document, actor=owner)
        assert repr(document_of(saved)) == repr(document), seed
        assert reading.to_yaml(reading.parse(document_of(saved)).blueprint) == reading.to_yaml(reading.parse(document).blueprint)


@pytest.mark.parametrize("seed", range(6))
def test_through_the_admins_page(seed: int) -> None:
    owner = factories.person("root", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    process = editing.create_process(random_document(1000 + seed), actor=owner)
    before = document_of(process)
    _, fields = page(client, change(process))
    assert client.post(change(process), fields).status_code == 302
    assert repr(document_of(Process.objects.get())) == repr(before)
    assert Process.objects.get().revision == 1
