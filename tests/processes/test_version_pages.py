"""What is done with a published version: restored as draft without writing over anybody, deprecated with a reason that keeps it from being started."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from processes import deprecating, editing
from processes.draft_text import text_of
from processes.drafts import document_of
from processes.models import Process, ProcessVersion
from releases import planning
from relorch.accounts.models import User
from relorch.audit.models import Event
from relorch.lib.errors import Conflict, Invalid
from tests import factories
from tests.processes.conftest import Api

pytestmark = pytest.mark.django_db

RESTORE, DEPRECATE, UNDEPRECATE = (f"/processes/shop/versions/1/{verb}/" for verb in ("restore", "deprecate", "undeprecate"))


def keys(timeout: str) -> dict[str, Any]:
    step = {"id": "compile", "name": "Compile", "type": "automated", "connector": "noop", "timeout": timeout}
    return {"owners": ["user:olga@example.com"], "phases": [{"id": "build", "name": "Build", "activities": [step]}]}


@pytest.fixture
def shop(owner: User, teammate: User) -> Process:
    """Two versions, and a draft that is neither."""
    made = factories.process("shop", actor=owner, **keys("30m"))
    for timeout in ("30m", "1h"):
        editing.write_draft(made, factories.document("shop", **keys(timeout)), actor=owner)
        factories.version(made, actor=owner)
    editing.write_draft(made, factories.document("shop", **keys("2h")), actor=owner)
    factories.allow(teammate, "view_process", made)
    return Process.objects.get(pk=made.pk)


def client_of(person: User, **more: Any) -> Client:
    client = Client(**more)
    client.force_login(person)
    return client


def timeout_of(process: Process) -> str:
    return str(document_of(process)["phases"][0]["activities"][0]["timeout"])


def test_restoring_says_what_is_lost_and_then_does_it(owner: User, shop: Process) -> None:
    client = client_of(owner)
    assert RESTORE in client.get("/processes/shop/versions/?to=1").content.decode()
    page = client.get(RESTORE)
    said = page.content.decode()
    assert timeout_of(shop) == "2h"
    for words in ("Make version 1 of Shop the draft again?", "changes that are in no version", "<del>2h</del> <ins>30m</ins>", "Restore version 1 as draft"):
        assert words in said
    done = client.post(RESTORE, {"revision": str(shop.revision)})
    assert (done.status_code, done["Location"]) == (302, "/processes/shop/versions/?to=draft")
    assert timeout_of(shop) == "30m"
    assert "changes that are in no version" in client.get(RESTORE).content.decode()  # version 1 is not the newest
    client.post("/processes/shop/versions/2/restore/", {"revision": str(shop.revision + 1)})
    assert "changes that are in no version" not in client.get(RESTORE).content.decode()


def test_restoring_does_not_write_over_a_newer_draft(owner: User, shop: Process) -> None:
    editing.write_draft(shop, factories.document("shop", **keys("3h")), actor=owner)
    page = client_of(owner).post(RESTORE, {"revision": str(shop.revision)})
    assert page.status_code == 412
    assert "has saved this draft since you read it" in page.content.decode()
    assert "<del>3h</del>" in page.content.decode()
    assert client_of(owner).post(RESTORE, {}).status_code == 412
    assert timeout_of(shop) == "3h"


def test_restoring_keeps_the_comments_that_still_fit(owner: User, shop: Process) -> None:
    text = text_of(shop).text.replace("timeout: 2h", "timeout: 2h  # long enough")
    editing.write_draft(shop, factories.document("shop", **keys("2h")), actor=owner, text=text)
    client_of(owner).post(RESTORE, {"revision": str(Process.objects.get(pk=shop.pk).revision)})
    assert "timeout: 30m  # long enough" in text_of(shop).text


def test_a_deprecated_version_is_not_started_and_says_why(owner: User, shop: Process) -> None:
    client = client_of(owner)
    address = "/processes/shop/versions/2/deprecate/"
    assert "Deprecate version 2 of Shop?" in client.get(address).content.decode()
    refused = client.post(address, {"reason": " "})
    assert refused.status_code == 422
    assert "Say why" in refused.content.decode()
    assert client.post(address, {"reason": "It loses orders."}).status_code == 302
    assert client.post(address, {"reason": "Again."}).status_code == 409
    said = client.get("/processes/shop/versions/?to=2").content.decode()
    assert "Version 2 is deprecated." in said
    assert "It loses orders." in said
    newest, first = shop.versions.get(number=2), shop.versions.get(number=1)
    with pytest.raises(Invalid) as caught:
        planning.pins_of(newest)
    assert [(problem.code, problem.message) for problem in caught.value.problems] == [
        ("version_deprecated", 'Version 2 of "shop" is deprecated: It loses orders. Publish a newer one, or name another version.')
    ]
    assert planning.pins_of(first) == {"shop": first.pk}
    assert "deprecated and cannot be started" in client.get("/releases/start/shop/").content.decode()
    event = Event.objects.filter(verb="process.version_deprecated").get()
    assert (json.loads(event.record)["reason"], json.loads(event.record)["data"]["number"]) == ("It loses orders.", 2)
    assert client.post("/processes/shop/versions/2/undeprecate/").status_code == 302
    assert planning.pins_of(newest) == {"shop": newest.pk}


def test_a_subprocess_whose_version_is_deprecated_keeps_its_parent_from_starting(owner: User, shop: Process) -> None:
    call = {"id": "call", "type": "subprocess", "process": "shop"}
    parent = factories.process("parent", actor=owner, phases=[{"id": "one", "activities": [call]}])
    version = factories.version(parent, actor=owner)
    deprecating.deprecate(shop.versions.get(number=2), actor=owner, reason="No")
    with pytest.raises(Invalid, match="cannot start"):
        planning.pins_of(version)


def test_the_same_by_the_api(as_owner: Api, as_teammate: Api, as_stranger: Api, shop: Process) -> None:
    path = "processes/shop/versions/2/deprecate/"
    assert as_stranger.post(path, {"reason": "x"}).status_code == 404
    assert as_teammate.post(path, {"reason": "x"}).status_code == 403
    assert as_owner.post(path, {}).status_code == 422
    answer = as_owner.post(path, {"reason": "It loses orders."}).json()
    assert (answer["deprecation"]["reason"], answer["deprecation"]["by"]) == ("It loses orders.", "olga@example.com")
    assert [row["deprecation"] is None for row in as_owner.get("processes/shop/versions/").json()["results"]] == [False, True]
    refused = as_owner.post("releases/", {"process": "shop", "start": True})
    assert refused.status_code == 422
    assert refused.json()["problems"][0]["code"] == "version_deprecated"
    assert as_owner.post("releases/", {"process": "shop", "version": 1, "start": True}).status_code == 201
    assert as_owner.post("processes/shop/versions/2/undeprecate/", {}).json()["deprecation"] is None
    assert as_owner.post("releases/", {"process": "shop", "start": True}).status_code == 201


def test_only_who_may(owner: User, teammate: User, stranger: User, shop: Process) -> None:
    for address in (RESTORE, DEPRECATE, UNDEPRECATE):
        for method in ("get", "post"):
            assert getattr(client_of(stranger), method)(address).status_code == 404
            assert getattr(client_of(teammate), method)(address).status_code == 403
        assert client_of(owner, enforce_csrf_checks=True).post(address).status_code == 403
        assert client_of(owner).get(address.replace("/1/", "/7/")).status_code == 404
    assert "restore" not in client_of(teammate).get("/processes/shop/versions/?to=1").content.decode()
    assert timeout_of(shop) == "2h"


def test_what_is_not_deprecated_is_not_allowed_again(owner: User, shop: Process) -> None:
    version: ProcessVersion = shop.versions.get(number=1)
    with pytest.raises(Conflict, match="not deprecated"):
        deprecating.undeprecate(version, actor=owner)
    assert deprecating.deprecation_of(version) is None
