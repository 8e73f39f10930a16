"""Reassign and nudge through API and page: who may, and what a stranger is told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from processes.models import Process
from releases.models import Release
from relorch.accounts.models import User
from relorch.audit.models import Event
from tests.processes.conftest import Api
from tests.releases.driving import run_on

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def release(people: dict[str, User], api: dict[str, Api], shop: Process) -> Release:
    response = api["steve"].post("releases/", {"process": "shop", "inputs": {"version": "1.2"}, "start": True})
    assert response.status_code == 201, response.content
    made = Release.objects.get(pk=response.json()["id"])
    run_on(made)
    return made


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_reassign_by_who_may(release: Release, api: dict[str, Api], people: dict[str, User]) -> None:
    where = f"releases/{release.pk}/activities/qa/reassign/"
    body: dict[str, Any] = {"reason": "on leave", "owners": ["user:dora@example.com"]}
    assert api["sam"].post(where, body).status_code == 404
    assert api["rita"].post(where, body).status_code == 403
    assert api["quentin"].post(where, body).status_code == 403, "an approver decides, and does not say who else"
    preview = api["steve"].post(where + "?preview=true", body)
    assert preview.json() == {"will": [{"release": release.pk, "activity": "qa", "from": "waiting", "to": "waiting"}]}
    assert api["olga"].post(where, {**body, "owners": ["user:ghost@example.com"]}).status_code == 422
    assert api["olga"].post(where, body).json()["state"] == "waiting"
    assert signed_in(people["dora"]).get(f"/approvals/{release.pk}/qa/").status_code == 200
    events = api["steve"].get(f"releases/{release.pk}/events/?limit=200").json()["results"]
    (event,) = [event for event in events if event["verb"] == "activity.reassigned"]
    assert (event["reason"], event["actor"], event["data"]["to"]) == ("on leave", "olga@example.com", ["dora@example.com"])
    assert api["olga"].post(f"releases/{release.pk}/activities/compile/reassign/", body).status_code == 409


def test_the_page_reassigns_and_says_what_is_wrong(release: Release, people: dict[str, User]) -> None:
    where = f"/approvals/{release.pk}/qa/reassign/"
    olga = signed_in(people["olga"])
    assert signed_in(people["sam"]).get(where).status_code == 404
    assert signed_in(people["rita"]).get(where).status_code == 403
    assert b"Ask others instead?" in olga.get(where).content
    refused = olga.post(where, {"owners": "user:ghost@example.com", "reason": "x"})
    assert (refused.status_code, b"is no active person" in refused.content) == (422, True)
    wanted = {"owners": "user:dora@example.com, user:quirin@example.com", "reason": "x"}
    first = olga.post(where, wanted)
    said = " ".join(re.sub(r"<[^>]+>", " ", first.content.decode()).split())
    assert first.status_code == 200
    assert "Asked from then on: dora@example.com Not asked any more: quentin@example.com" in said
    assert not Event.objects.filter(verb="activity.reassigned").exists(), "what it would do is shown before it is done"
    wanted["owners"] = "user:dora@example.com, group:qa"
    done = olga.post(where, wanted | {"sure": "1"})
    assert done.status_code == 302
    assert signed_in(people["dora"]).get(done["Location"]).status_code == 200
    assert b"Ask others" in olga.get(done["Location"]).content


def test_a_nudge_by_whoever_sees_it(release: Release, api: dict[str, Api], people: dict[str, User]) -> None:
    where = f"releases/{release.pk}/activities/qa/nudge/"
    assert api["sam"].post(where, {}).status_code == 404
    assert api["rita"].post(where, {"message": "please"}).json() == {"to": ["quentin@example.com", "quirin@example.com"]}
    assert api["steve"].post(where, {}).json()["code"] == "nudged_before"
    page = signed_in(people["rita"]).post(f"/approvals/{release.pk}/qa/nudge/", follow=True)
    assert b"They were nudged at" in page.content
    assert api["steve"].post(f"releases/{release.pk}/activities/compile/nudge/", {}).status_code == 404
