"""The plan on the start page and the forecast on the release's: without JavaScript, as a fragment, and without a trace."""

from __future__ import annotations

import pytest
from django.test import Client

from releases import doorbell, estimates
from releases.models import Release
from relorch.accounts.models import User
from tests import factories
from tests.releases.driving import run_on, started
from tests.releases.scenes import manual, noop, phase, running, script
from tests.releases.test_plans import digests, shop
from tests.releases.test_views import client_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    estimates.forget()


@pytest.fixture
def client() -> Client:
    olga = factories.person("olga")
    shop(olga)
    return client_of(olga)


def test_the_plan_follows_what_is_filled_in(client: Client) -> None:
    page = client.get("/releases/start/shop/").content.decode()
    assert "Dry run" in page
    assert "It could not start like this." in page
    assert "5 automated, 1 manual" in page, "a subprocess counts with the machines"
    assert 'hx-post="/releases/start/shop/plan/"' in page
    before = digests()
    filled = {"in_version": "1.0", "in_region": "us", "release_name": "Spring"}
    part = client.post("/releases/start/shop/plan/", filled).content.decode()
    assert part.lstrip().startswith("<aside")
    assert "It could not start like this." not in part
    assert "4 automated, 1 manual" in part
    assert "its condition was not met" in part
    assert "15 min" in part
    whole = client.post("/releases/start/shop/", {**filled, "do": "preview", "key": "one"})
    assert whole.status_code == 200
    assert 'value="Spring"' in whole.content.decode()
    assert "4 automated, 1 manual" in whole.content.decode()
    assert digests() == before
    assert not Release.objects.exists()
    assert client_of(factories.person("sam")).post("/releases/start/shop/plan/", filled).status_code == 404


def test_a_release_says_when_it_ends_and_what_decides_that(client: Client) -> None:
    olga = User.objects.get(email="olga@example.com")
    phases = [phase("work", script("long", expected="30m"), script("short", expected="1m"), manual("ok", "long", "short", of=("user:olga@example.com",)))]
    process = factories.process("slow", actor=olga, owners=["user:olga@example.com"], phases=phases)
    factories.version(process, actor=olga)
    release = started(process, olga)
    run_on(release)
    page = client.get(f"/releases/{release.pk}/").content.decode()
    assert "Likely end" in page
    assert "0 % of the work" in page
    assert page.count("act--critical") == 2
    assert "What it waits for" in page
    waiting = running(noop("a"), script("it", lock="eu"), starter=olga)
    other = running(script("it", lock="eu"), starter=olga)
    page = client.get(f"/releases/{other.pk}/").content.decode()
    assert f'href="/releases/{waiting.pk}/">{waiting.name}</a>, it' in page
    drawer = client.get(f"/releases/{other.pk}/activities/it/").content.decode()
    assert 'held by <a class="link"' in drawer
    assert "Waiting for a lock" in client.get("/releases/?view=active").content.decode()


def test_nobody_learns_of_releases_that_he_may_not_see(client: Client) -> None:
    olga, sam = User.objects.get(email="olga@example.com"), factories.person("sam")
    secret = running(script("it", lock="eu"), starter=sam)
    mine = running(script("it", lock="eu"), starter=olga)
    page = client.get(f"/releases/{mine.pk}/").content.decode()
    assert "held by another release" in page
    assert secret.name not in page
