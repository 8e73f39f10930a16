"""Pages of releases: who sees what, what the verbs do, what changes alone; the number of queries stays the same."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from processes import input_sets, publishing
from processes.models import InputSet, Process
from releases import operating
from releases.engine import Actor
from releases.models import ActivityRun, LogChunk, Release
from relorch.accounts.models import User
from tests import factories
from tests.releases.driving import run_on, started

pytestmark = pytest.mark.django_db
FRAGMENT = {"HX-Request": "true", "HX-Request-Type": "partial"}


def steps(number: int, **first: Any) -> list[dict[str, Any]]:
    return [{"id": f"step_{n}", "name": f"Step {n}", "type": "automated", "connector": "noop"} | (first if n == 0 else {}) for n in range(number)]


def process_of(owner: User, *activities: dict[str, Any], **keys: Any) -> Process:
    made = factories.process(actor=owner, owners=[f"user:{owner.email}"], phases=[{"id": "work", "name": "Work", "activities": list(activities)}], **keys)
    publishing.publish(made, actor=owner)
    return made


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def owner(db: None) -> User:
    return factories.person("olga", author=True)


@pytest.fixture
def reader(owner: User) -> User:
    return factories.person("rita")


@pytest.fixture
def stuck(owner: User, reader: User) -> Release:
    """A release whose first activity needs a decision; the reader may see it."""
    process = process_of(
        owner,
        {
            "id": "build",
            "name": "Build it",
            "type": "automated",
            "connector": "noop",
            "outputs": {"image": "${{ result.outputs.image }}"},
        },
        {"id": "ship", "name": "Ship it", "type": "automated", "connector": "noop", "depends_on": ["build"]},
    )
    factories.allow(reader, "view_process", process)
    release = started(process, owner)
    run_on(release)
    assert ActivityRun.objects.get(release=release, key="build").state == "on_hold"
    return release


def test_whoever_is_not_logged_in_is_led_to_the_log_in(stuck: Release) -> None:
    for address in ("/releases/", f"/releases/{stuck.pk}/", "/releases/start/", f"/releases/{stuck.pk}/activities/build/retry/"):
        assert Client().get(address)["Location"].startswith("/accounts/login/")


def test_a_stranger_finds_nothing(stuck: Release) -> None:
    stranger = client_of(factories.person("sam"))
    here = f"/releases/{stuck.pk}/"
    for address in (
        here,
        f"{here}live/running/",
        f"{here}abort/",
        f"{here}activities/build/",
        f"{here}activities/build/log/",
        f"{here}activities/build/retry/",
    ):
        assert stranger.get(address).status_code == 404, address
    assert stranger.post(f"{here}abort/", {"reason": "x"}).status_code == 404
    assert stuck.name not in stranger.get("/releases/?view=all").content.decode()
    assert stranger.get(f"/releases/start/{stuck.process.identifier}/").status_code == 404


def test_a_reader_sees_everything_and_no_button(stuck: Release, reader: User) -> None:
    client = client_of(reader)
    said = client.get(f"/releases/{stuck.pk}/").content.decode()
    assert "Needs a decision" in said
    assert "Build it needs a decision." in said
    assert "Abort" not in said
    drawer = client.get(f"/releases/{stuck.pk}/activities/build/", headers=FRAGMENT).content.decode()
    assert "Retry…" not in drawer
    refused = client.post(f"/releases/{stuck.pk}/activities/build/retry/", {"reason": "again"})
    assert refused.status_code == 403
    assert client.post(f"/releases/{stuck.pk}/abort/", {"reason": "again"}).status_code == 403
    assert ActivityRun.objects.get(release=stuck, key="build").state == "on_hold"


def test_the_drawer_alone_or_with_its_release(stuck: Release, owner: User) -> None:
    client = client_of(owner)
    address = f"/releases/{stuck.pk}/activities/build/"
    whole, part = client.get(address).content.decode(), client.get(address, headers=FRAGMENT).content.decode()
    assert "<html" in whole
    assert 'id="graph"' in whole
    assert "<html" not in part
    for said in (whole, part):
        assert said.count('id="drawer"') == 1
        assert "Retry…" in said
        assert "Ignore…" in said
        assert "Stop…" not in said
    for tab in ("values", "attempts", "timeline"):
        assert client.get(f"{address}?tab={tab}", headers=FRAGMENT).status_code == 200
    assert client.get(f"/releases/{stuck.pk}/activities/nothing/").status_code == 404


def test_a_confirmation_says_what_would_happen_and_changes_nothing(stuck: Release, owner: User) -> None:
    client = client_of(owner)
    said = client.get(f"/releases/{stuck.pk}/activities/build/fail/", headers=FRAGMENT).content.decode()
    assert "<html" not in said
    assert re.search(r"Build it</span>\s*<span>Needs a decision → <b>Failed", said)
    assert re.search(r"The release</span>\s*<span>Running → <b>Failed", said)
    assert ActivityRun.objects.get(release=stuck, key="build").state == "on_hold"


def test_a_verb_needs_its_reason_and_then_leads_back(stuck: Release, owner: User) -> None:
    client = client_of(owner)
    address = f"/releases/{stuck.pk}/activities/build/fail/"
    refused = client.post(address, {"reason": "  "})
    assert refused.status_code == 422
    assert "Say why" in refused.content.decode()
    done = client.post(address, {"reason": "no use"})
    assert done.status_code == 302
    assert done["Location"] == f"/releases/{stuck.pk}/activities/build/"
    assert Release.objects.get(pk=stuck.pk).state == "failed"
    again = client.post(address, {"reason": "no use"})
    assert again.status_code == 409
    assert "failed" in again.content.decode()
    assert client.post(f"/releases/{stuck.pk}/activities/build/explode/", {"reason": "x"}).status_code == 404


def test_ignoring_asks_for_the_outputs_that_are_read_later(owner: User) -> None:
    process = process_of(
        owner,
        {"id": "build", "type": "automated", "connector": "noop", "outputs": {"image": "${{ result.outputs.image }}"}},
        {
            "id": "ship",
            "type": "automated",
            "connector": "noop",
            "depends_on": ["build"],
            "with": {"outputs": {"got": "${{ activities.build.outputs.image }}"}},
        },
    )
    release = started(process, owner)
    run_on(release)
    client = client_of(owner)
    address = f"/releases/{release.pk}/activities/build/ignore/"
    asked = client.get(address).content.decode()
    assert 'name="output_image"' in asked
    missing = client.post(address, {"reason": "fine"})
    assert missing.status_code == 422
    assert 'name="output_image"' in missing.content.decode()
    assert client.post(address, {"reason": "fine", "output_image": "shop:1"}).status_code == 302
    assert ActivityRun.objects.get(release=release, key="build").outputs == {"image": "shop:1"}


def test_hold_resume_abort(stuck: Release, owner: User) -> None:
    client = client_of(owner)
    here = f"/releases/{stuck.pk}/"
    assert client.post(f"{here}hold/").status_code == 422
    assert client.post(f"{here}hold/", {"reason": "lunch"})["Location"] == here
    page = client.get(here).content.decode()
    assert "On hold" in page
    assert "lunch" in page
    assert f"{here}resume/" in page
    assert client.post(f"{here}resume/").status_code == 302
    assert client.post(f"{here}abort/", {"reason": "enough"}).status_code == 302
    assert Release.objects.get(pk=stuck.pk).state == "aborted"
    assert client.post(f"{here}resume/").status_code == 409


def test_a_form_from_elsewhere_is_refused(stuck: Release, owner: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    assert strict.post(f"/releases/{stuck.pk}/abort/", {"reason": "x"}).status_code == 403
    assert Release.objects.get(pk=stuck.pk).state == "running"


def test_the_poller_answers_only_what_changed(stuck: Release, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(owner)
    now = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)  # the page says "n minutes": what changes here must not be the clock
    address = f"/releases/{stuck.pk}/live/running/"
    first = client.get(address, headers=FRAGMENT)
    assert 'hx-target="#graph"' in first.content.decode()
    assert 'hx-target="#release-actions"' not in first.content.decode()
    same = client.get(address, headers={**FRAGMENT, "HX-PTag": first["HX-PTag"]})
    assert same.status_code == 304
    drawer_open = {"HX-Current-URL": f"http://testserver/releases/{stuck.pk}/activities/ship/"}
    assert client.get(address, headers={**FRAGMENT, "HX-PTag": first["HX-PTag"], **drawer_open}).status_code == 200
    operating.hold(release=stuck.pk, actor=Actor(owner.pk, owner.email, "page"), reason="lunch")
    moved = client.get(address, headers={**FRAGMENT, "HX-PTag": first["HX-PTag"], "HX-Current-URL": f"http://testserver/releases/{stuck.pk}/?open=work"})
    said = moved.content.decode()
    assert moved.status_code == 200
    assert 'hx-target="#release-actions"' in said
    assert f"/releases/{stuck.pk}/live/held/" in said
    assert "/activities/build/?open=work" in said


def test_the_drawer_is_drawn_again_only_when_its_run_moves(stuck: Release, owner: User) -> None:
    client = client_of(owner)
    assert client.get(f"/releases/{stuck.pk}/activities/build/live/on_hold-1/", headers=FRAGMENT).status_code == 204
    assert 'hx-target="#drawer"' in client.get(f"/releases/{stuck.pk}/activities/build/live/running-1/", headers=FRAGMENT).content.decode()


def test_a_log_is_text_and_goes_on_after_a_line(stuck: Release, owner: User) -> None:
    attempt = ActivityRun.objects.get(release=stuck, key="build").attempts.get()
    LogChunk.objects.create(attempt=attempt, first_line=1, lines=2, text="<script>alert(1)</script>\nerror: no\n")
    LogChunk.objects.create(attempt=attempt, first_line=3, lines=1, text="the end")
    client = client_of(owner)
    address = f"/releases/{stuck.pk}/activities/build/"
    drawer = client.get(address, headers=FRAGMENT).content.decode()
    assert "<script>alert" not in drawer
    assert "&lt;script&gt;alert(1)" in drawer
    assert 'class="ln ln--err" id="L2"' in drawer
    more = client.get(f"{address}log/?after=2", headers=FRAGMENT).content.decode()
    assert "the end" in more
    assert "alert" not in more
    raw = client.get(f"{address}log/")
    assert raw["Content-Type"].startswith("text/plain")
    assert b"".join(raw.streaming_content) == b"<script>alert(1)</script>\nerror: no\nthe end"  # type: ignore[attr-defined]


INPUTS = {
    "version": {"type": "string", "name": "Version", "required": True, "pattern": r"\d+\.\d+"},
    "share": {"type": "integer", "name": "Share", "min": 1, "max": 100},
    "regions": {"type": "multi_choice", "options": ["eu", "us"], "default": ["eu"]},
    "careful": {"type": "boolean", "default": True},
    "api_key": {"type": "secret", "name": "Key"},
}


def test_the_start_form_says_every_problem_at_its_field(owner: User) -> None:
    process = process_of(owner, *steps(1), inputs=INPUTS)
    client = client_of(owner)
    address = f"/releases/start/{process.identifier}/"
    assert process.name in client.get("/releases/start/").content.decode()
    form = client.get(address).content.decode()
    assert 'name="in_careful"' in form
    assert "checked" in form
    refused = client.post(address, {"in_version": "new", "in_share": "700", "in_api_key": "hush-hush"})
    said = refused.content.decode()
    assert refused.status_code == 422
    assert "2 fields need your attention" in said
    assert 'href="#id_in_version"' in said
    assert 'id="id_in_share_error"' in said
    assert "hush-hush" not in said
    assert not Release.objects.exists()


def test_a_start_leads_to_the_release_and_happens_once(owner: User) -> None:
    process = process_of(owner, *steps(1), inputs=INPUTS)
    client = client_of(owner)
    sent = {"key": "abc", "release_name": "Winter", "in_version": "1.4", "in_share": "10", "in_regions": ["eu", "us"], "in_api_key": "hush-hush"}
    first, second = (client.post(f"/releases/start/{process.identifier}/", sent) for _ in range(2))
    release = Release.objects.get()
    assert first["Location"] == second["Location"] == f"/releases/{release.pk}/"
    assert release.name == "Winter"
    assert release.inputs["share"] == 10
    assert release.inputs["regions"] == ["eu", "us"]
    assert release.inputs["careful"] is False
    assert "hush" not in str(release.inputs)


def test_an_input_set_fills_the_form_and_keeps_its_secret(owner: User) -> None:
    process = process_of(owner, *steps(1), inputs=INPUTS)
    kept: InputSet = input_sets.save(process, actor=owner, name="Usual", values={"version": "1.4", "api_key": "hush-hush"})
    client = client_of(owner)
    form = client.get(f"/releases/start/{process.identifier}/?input_set={kept.pk}").content.decode()
    assert 'value="1.4"' in form
    assert "hush" not in form
    client.post(f"/releases/start/{process.identifier}/", {"in_version": "1.5", "in_api_key": "", "input_set": kept.pk})
    release = Release.objects.get()
    assert release.inputs["version"] == "1.5"
    assert "api_key" in release.inputs


def test_views_search_and_filters(stuck: Release, owner: User) -> None:
    fine = started(process_of(owner, *steps(1)), owner)
    run_on(fine)
    client = client_of(owner)

    def listed(query: str) -> list[str]:
        return re.findall(r'id="release-(\d+)"', client.get(f"/releases/?{query}").content.decode())

    assert listed("view=active") == [str(stuck.pk)]
    assert listed("view=attention") == [str(stuck.pk)]
    assert listed("view=finished") == [str(fine.pk)]
    assert listed("view=all") == [str(fine.pk), str(stuck.pk)]
    assert listed(f"view=all&q=R-{stuck.pk}") == [str(stuck.pk)]
    assert listed("view=all&q=zzz") == []
    assert listed(f"view=all&process={fine.process.identifier}") == [str(fine.pk)]
    assert listed("view=all&state=succeeded") == [str(fine.pk)]
    assert listed(f"view=all&starter={owner.pk}&state=running") == [str(stuck.pk)]
    assert listed("view=all&starter=x&before=y&after=z&state=%27") == []
    part = client.get("/releases/?view=all", headers=FRAGMENT).content.decode()
    assert "<html" not in part


def test_what_is_due_needs_attention_and_tabs_count_to_a_bound(stuck: Release, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    at = {"scheduled_for": timezone.now(), "expected_end": timezone.now() + timedelta(days=1)}
    later = started(process_of(owner, *steps(1)), owner)
    Release.objects.bulk_create(
        Release(name=name, process=later.process, version=later.version, root_id=later.pk, state="scheduled", starter=owner, due_since=due, **at)
        for name, due in (("Due", timezone.now()), ("Not yet", None))
    )
    said = client_of(owner).get("/releases/?view=attention").content.decode()
    assert len(re.findall(r'id="release-\d+"', said)) == 2
    assert "Due" in said
    assert "Not yet" not in said
    monkeypatch.setattr("releases.listing.MOST_COUNTED", 1)
    assert '<span class="count count--hot">1+</span>' in client_of(owner).get("/releases/").content.decode()


def test_the_list_goes_on_by_keyset(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releases.listing.PAGE", 2)
    process = process_of(owner, *steps(1))
    made = [str(started(process, owner).pk) for _ in range(5)]
    client = client_of(owner)
    address, seen = "?view=all", []
    while address:
        said = client.get(f"/releases/{address}").content.decode()
        seen += re.findall(r'id="release-(\d+)"', said)
        older = re.search(r'href="([^"]+)" rel="next"', said)
        last, address = address, older[1].replace("&amp;", "&") if older else ""
    assert seen == made[::-1]
    newer = re.search(r'href="([^"]+)" rel="prev"', client.get(f"/releases/{last}").content.decode())
    assert newer
    back = client.get(f"/releases/{newer[1].replace('&amp;', '&')}").content.decode()
    assert re.findall(r'id="release-(\d+)"', back) == [made[2], made[1]]


def queries(client: Client, address: str, **headers: str) -> int:
    client.get(address, headers=headers)  # what is remembered is remembered
    with CaptureQueriesContext(
        connection,
    ) as found:
        assert client.get(address, headers=headers).status_code == 200
    return len(found)


def test_no_page_asks_more_because_there_is_more(owner: User) -> None:
    few, many = (started(process_of(owner, *steps(number)), owner) for number in (2, 20))
    client = client_of(owner)
    for where in ("", "live/held/", "activities/step_1/", "activities/step_1/?tab=timeline"):
        assert queries(client, f"/releases/{few.pk}/{where}") == queries(client, f"/releases/{many.pk}/{where}"), where
    before = queries(client, "/releases/?view=all")
    for _ in range(18):
        started(few.process, owner)
    assert queries(client, "/releases/?view=all") == before


def test_a_subprocess_knows_where_it_belongs(owner: User) -> None:
    inner = process_of(owner, {"id": "ask", "name": "Ask", "type": "manual", "owners": [f"user:{owner.email}"]})
    outer = process_of(owner, {"id": "call", "name": "Call", "type": "subprocess", "process": inner.identifier})
    release = started(outer, owner)
    run_on(release)
    child = Release.objects.get(parent_run__release=release)
    client = client_of(owner)
    above = client.get(f"/releases/{release.pk}/").content.decode()
    assert f'href="/releases/{child.pk}/"' in above
    below = client.get(f"/releases/{child.pk}/").content.decode()
    assert f'href="/releases/{release.pk}/"' in below
    assert "Waiting for you" in below
    assert f'id="release-{child.pk}"' not in client.get("/releases/?view=all").content.decode()
