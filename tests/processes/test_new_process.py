"""The page where a process begins: each way to a draft, nothing stored before it is saved, nothing lost when it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from processes import publishing, reading
from processes.drafts import document_of
from processes.models import Process, ProcessVersion
from processes.problems import errors
from processes.starting_points import blueprints, owned
from relorch.accounts.models import User
from tests import factories
from tests.processes.test_from_text import TEXT

pytestmark = pytest.mark.django_db
PAGE = "/processes/new-process/"


@pytest.fixture
def page(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def yaml_in(response: Any) -> str:
    return str(response.context["form"]["yaml"].value())


@pytest.mark.parametrize("way", ["", "description", "blueprint", "copy", "file", "nonsense"])
def test_each_way_has_its_form(page: Client, way: str) -> None:
    assert page.get(PAGE, {"from": way}).status_code == 200


def test_who_may_not_author_is_refused(teammate: User) -> None:
    client = Client()
    client.force_login(teammate)
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"save": "1", "yaml": "id: x"}).status_code == 403
    assert "New process" not in client.get("/processes/").content.decode()


def test_from_a_description_to_a_saved_draft(page: Client, owner: User) -> None:
    look = page.post(f"{PAGE}?from=description", {"text": TEXT, "using": "rules"})
    assert look.status_code == 200
    assert Process.objects.count() == 0
    said = look.content.decode()
    assert "2 phases (Build, Go live) with 3 activities" in said
    assert "Who owns “Go live”?" in said
    assert 'class="graph' in said
    saved = page.post(PAGE, {"save": "1", "yaml": yaml_in(look)})
    assert saved["Location"] == "/processes/shop_release/"
    assert ProcessVersion.objects.count() == 0, "never published by itself"
    assert document_of(Process.objects.get())["phases"][1]["depends_on"] == ["build"]


def test_the_draft_of_a_process_is_shown_as_a_difference_and_never_written_over(page: Client, owner: User) -> None:
    there = factories.process("shop", actor=owner)
    look = page.post(f"{PAGE}?from=description", {"text": TEXT, "using": "rules"})
    again = page.post(PAGE, {"look": "1", "yaml": yaml_in(look), "into": "shop"})
    assert again.context["difference"].total > 1
    stale = page.post(PAGE, {"save": "1", "yaml": yaml_in(look), "into": "shop", "seen": f"{there.pk}.{there.revision - 1}"})
    assert stale.status_code == 412
    assert "has saved this draft since" in stale.content.decode()
    assert yaml_in(stale) == yaml_in(look), "nothing of the text is lost"
    other = factories.process("other", actor=owner)
    for seen in ("", "x", "1.", f"{other.pk}.{there.revision}"):  # never looked at, or at another one of the same revision
        unseen = page.post(PAGE, {"save": "1", "yaml": yaml_in(look), "into": "shop", "seen": seen})
        assert unseen.status_code == 409
        assert "Look at what it changes" in unseen.content.decode()
    assert document_of(Process.objects.get(pk=there.pk)) == document_of(there)
    kept = page.post(PAGE, {"save": "1", "yaml": yaml_in(look), "into": "shop", "seen": unseen.context["seen"]})
    assert kept["Location"] == "/processes/shop/"
    there.refresh_from_db()
    assert (there.identifier, there.name) == ("shop", "Shop release")


def test_a_draft_of_somebody_else_is_not_offered(page: Client, stranger: User) -> None:
    factories.process("unseen_one", actor=stranger)
    answer = page.post(PAGE, {"save": "1", "yaml": "apiVersion: relorch/v1\nkind: Process\nid: x\n", "into": "unseen_one", "seen": "1.1"})
    assert answer.status_code == 422
    assert "unseen_one" not in page.get(f"{PAGE}?from=copy").content.decode()


@pytest.mark.parametrize("point", blueprints(), ids=lambda point: point.key)
def test_every_blueprint_is_sound_for_whoever_takes_it(page: Client, owner: User, point: Any) -> None:
    look = page.post(f"{PAGE}?from=blueprint", {"blueprint": point.key})
    document = owned(reading.document(point.blueprint), owner)
    assert errors(publishing.problems_of(document, actor=owner)) == []
    assert errors(look.context["problems"]) == []
    assert page.post(PAGE, {"save": "1", "yaml": yaml_in(look)}).status_code == 302
    assert Process.objects.get().owners == [f"user:{owner.email}"]


def test_a_copy_of_another_process(page: Client, process: Process) -> None:
    look = page.post(f"{PAGE}?from=copy", {"process": "standard"})
    saved = page.post(PAGE, {"save": "1", "yaml": yaml_in(look)})
    assert saved["Location"] == "/processes/standard_2/"


def test_a_file_is_read_and_what_is_wrong_is_named_with_its_line(page: Client) -> None:
    bad = SimpleUploadedFile("p.yaml", b"apiVersion: relorch/v1\nkind: Process\nid: shop\nphasis: []\n")
    look = page.post(f"{PAGE}?from=file", {"file": bad})
    said = look.content.decode()
    assert "line 4" in said
    assert "cannot be read as it is" in said
    refused = page.post(PAGE, {"save": "1", "yaml": yaml_in(look)})
    assert refused.status_code == 422
    assert Process.objects.count() == 0
    assert page.post(f"{PAGE}?from=file", {}).status_code == 422


def test_an_id_that_is_taken_is_said_and_nothing_lost(page: Client, process: Process) -> None:
    text = "apiVersion: relorch/v1\nkind: Process\nid: standard\n"
    answer = page.post(PAGE, {"save": "1", "yaml": text})
    assert answer.status_code == 409
    assert yaml_in(answer) == text


def test_nothing_to_read_is_said_at_the_field(page: Client) -> None:
    answer = page.post(f"{PAGE}?from=description", {"text": "  ", "using": "rules"})
    assert answer.status_code == 422
    assert answer.context["form"].errors["text"]
