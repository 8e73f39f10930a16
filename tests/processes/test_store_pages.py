"""The pages of the activity store."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from processes import storing
from processes.models import ActivityTemplate
from processes.writing import yaml_text
from relorch.accounts.models import User
from tests import factories
from tests.processes.test_store import ECHO, echo, stored, using

pytestmark = pytest.mark.django_db
STORE = "/processes/activity-store/"


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def page(owner: User) -> Client:
    return client_of(owner)


def test_browse_search_and_nothing_found(page: Client) -> None:
    assert "The store is empty" in page.get(STORE).content.decode()
    storing.install_shipped()
    said = page.get(STORE).content.decode()
    assert "Go or no-go" in said
    assert "comes with relorch" in said
    assert "Go or no-go" not in page.get(STORE, {"category": "build"}).content.decode()
    assert "No activity fits" in page.get(STORE, {"q": "no such thing"}).content.decode()


def test_one_says_what_it_asks_and_who_uses_it(page: Client, owner: User, stranger: User) -> None:
    stored(actor=owner)
    process = using(owner, "echo@1")
    said = page.get(f"{STORE}echo/").content.decode()
    assert f"{process} v1" in said
    assert "uses: echo@1" in said
    assert f"{process} v1" not in client_of(stranger).get(f"{STORE}echo/").content.decode(), "a process that she may not see is not named"


def test_make_change_and_mend(page: Client) -> None:
    made = page.post("/processes/new-activity/", {"source": yaml_text(ECHO), "shared": "on"})
    assert made["Location"] == f"{STORE}echo/"
    template = ActivityTemplate.objects.get()
    broken = page.post(f"{STORE}echo/edit/", {"source": yaml_text(echo(name="Two")) + "nonsense: 1\n", "revision": template.revision})
    assert broken.status_code == 422
    assert "nonsense" in broken.content.decode()
    assert broken.context["form"]["source"].value().endswith("nonsense: 1\n"), "nothing is lost"
    changed = page.post(f"{STORE}echo/edit/", {"source": yaml_text(echo(name="Two")), "revision": template.revision, "shared": "on"})
    assert changed.status_code == 302
    assert [version.number for version in template.versions.all()] == [2, 1]
    stale = page.post(f"{STORE}echo/edit/", {"source": yaml_text(echo(name="Three")), "revision": template.revision})
    assert stale.status_code == 412
    assert "Three" in stale.content.decode()


def test_another_author_changes_it_and_leaves_it_shared(page: Client, owner: User) -> None:
    stored(actor=owner)
    cleo = client_of(factories.person("cleo", author=True))
    assert "disabled" in str(cleo.get(f"{STORE}echo/edit/").context["form"]["shared"])
    assert cleo.post(f"{STORE}echo/edit/", {"source": yaml_text(echo(name="Hers"))}).status_code == 302
    assert ActivityTemplate.objects.values_list("shared", "name").get() == (True, "Hers")
    assert page.post(f"{STORE}echo/edit/", {"source": yaml_text(echo(name="Mine"))}).status_code == 302
    assert ActivityTemplate.objects.values_list("shared", "name").get() == (False, "Mine")


def test_archive_and_delete(page: Client, owner: User) -> None:
    stored(actor=owner)
    assert page.get(f"{STORE}echo/archive/").status_code == 405
    page.post(f"{STORE}echo/archive/")
    assert "echo" not in {row.identifier for row in page.get(STORE).context["page"].rows}
    assert page.post(f"{STORE}echo/delete/").status_code == 409
    assert ActivityTemplate.objects.count() == 1


@pytest.mark.parametrize("place", ["echo/", "echo/edit/", "echo/archive/", "echo/delete/"])
def test_a_stranger_finds_no_private_one_and_changes_no_shared_one(owner: User, stranger: User, place: str) -> None:
    template = stored(actor=owner, shared=False)
    asked: Any = client_of(stranger)
    ask = asked.post if place in ("echo/archive/", "echo/delete/") else asked.get
    assert ask(f"{STORE}{place}").status_code == 404
    storing.share(template, True, actor=owner)
    assert ask(f"{STORE}{place}").status_code == (200 if place == "echo/" else 403)
    assert asked.get("/processes/new-activity/").status_code == 403


def test_the_list_costs_the_same_for_many(page: Client) -> None:
    page.get(STORE)
    counted = []
    for number in range(1, 31):
        stored(echo(id=f"echo_{number}"))
        if number in (2, 30):
            with CaptureQueriesContext(connection) as found:
                assert len(page.get(STORE).context["page"].rows) == number
            counted.append(len(found))
    assert counted[0] == counted[1]


def test_the_editor_says_what_is_wrong_and_what_can_be_written_while_one_types(page: Client, owner: User, teammate: User, stranger: User) -> None:
    new, one = "/processes/new-activity/check/", f"{STORE}echo/edit/check/"
    wrong = yaml_text(ECHO).replace("inputs.", "inputs.no_", 1) + "nonsense: 1\n"
    answer = page.post(new, {"text": wrong})
    said = {problem.code: (problem.line is not None, mark) for problem, _, mark in answer.context["problems"]}
    assert said["unknown_key"] == (True, "")
    assert said["unknown_input"][1].startswith("inputs.no_")
    assert "nonsense" in answer.content.decode()
    assert not ActivityTemplate.objects.exists(), "nothing is stored"
    words = json.loads(answer.context["words"])
    assert all(name.startswith(("inputs.", "result.")) for name in words["names"]), "it reads nothing but its own inputs"
    assert "noop" in words["connector"]
    stored(actor=owner, shared=False)
    assert page.post(one, {"text": wrong}).status_code == 200
    assert client_of(teammate).post(new, {"text": wrong}).status_code == 403
    assert client_of(stranger).post(one, {"text": wrong}).status_code == 404
    assert page.get(new).status_code == 405
    assert page.post(new, {"text": "#" * 500_001}).status_code == 422
    html = page.get(f"{STORE}echo/edit/").content.decode()
    assert f'data-check="{one}"' in html
    assert 'data-schema="/api/v1/schema/activity.json"' in html
