"""Break glass: a permission of its own, a reason that must be given, and a mark in red on the pages, in the audit and in the detail that stays for ever."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from processes.models import Process
from releases import restarting
from releases.models import Release
from relorch.accounts.models import User
from relorch.audit.models import Event
from tests import factories
from tests.processes.conftest import Api
from tests.releases.driving import run_on, started
from tests.releases.scenes import ACTOR

pytestmark = pytest.mark.django_db(transaction=True)
WHY = "The shop is down and QA cannot be reached"


@pytest.fixture
def release(shop: Process, people: dict[str, User]) -> Release:
    factories.allow(people["dora"], "override", shop)
    made = started(shop, people["steve"], version="1.2")
    run_on(made)
    return made


def override(api: Api, release: Release, reason: str = WHY) -> Any:
    return api.post(f"releases/{release.pk}/activities/qa/succeed/", {"reason": reason})


def page(person: User, address: str) -> str:
    client = Client()
    client.force_login(person)
    return str(client.get(address).content.decode())


def test_only_the_permission_itself_breaks_the_glass(release: Release, api: dict[str, Api], people: dict[str, User]) -> None:
    """Not the owner of the process, not the starter, not who decides, not who sees it; and nobody without a reason."""
    for who in ("olga", "steve", "quentin", "rita"):
        assert override(api[who], release).status_code == 403, who
    assert override(api["sam"], release).status_code == 404
    for reason in ("", "   "):
        assert override(api["dora"], release, reason).status_code == 422
    assert api["dora"].get(f"releases/{release.pk}/").json()["activities"][1]["state"] == "waiting"
    assert override(api["dora"], release).status_code == 200


def test_the_mark_is_red_and_stays(release: Release, api: dict[str, Api], people: dict[str, User]) -> None:
    override(api["dora"], release)
    run_on(release)
    assert Release.objects.get(pk=release.pk).state == "succeeded"
    event = json.loads(Event.objects.get(verb="activity.overridden").record)
    assert (event["reason"], event["subject"]) == (WHY, "qa")
    qa = api["rita"].get(f"releases/{release.pk}/").json()["activities"][1]
    assert (qa["overridden"], qa["attempts"][0]["override"]) == (True, {"by": "dora@example.com", "reason": WHY})
    drawer = f"/releases/{release.pk}/activities/qa/"
    for said in (page(people["rita"], drawer), page(people["quentin"], f"/approvals/{release.pk}/qa/")):
        callout = said[said.index('<div class="callout" data-state="error"') :][:900]
        assert "Overridden by dora@example.com" in callout
        assert WHY in callout
    assert "Overridden" in page(people["rita"], f"/releases/{release.pk}/?show=all")


def test_the_mark_stays_on_what_is_started_afresh(release: Release, api: dict[str, Api], people: dict[str, User]) -> None:
    override(api["dora"], release)
    assert Release.objects.get(pk=release.pk).state == "running"
    restarting.restart_from(release=release.pk, phase="check", actor=ACTOR, reason="QA is back")
    run_on(release)
    qa = api["rita"].get(f"releases/{release.pk}/").json()["activities"][1]
    assert (qa["state"], qa["attempts"][0]["override"]["reason"], qa["attempts"][1]["override"]) == ("waiting", WHY, None)
    assert WHY in page(people["rita"], f"/releases/{release.pk}/activities/qa/")
