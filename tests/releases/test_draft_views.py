"""Drafts in steps, schedules and confirmations on pages: they work without JavaScript, say every problem, lose nothing, and show what they would do."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from processes.blueprint import Variable
from processes.models import Process
from releases.forms import form_value
from releases.models import ActivityRun, Release
from releases.pages import Page
from relorch.accounts.models import User
from relorch.lib import secrets
from tests import factories
from tests.releases.driving import run_on
from tests.releases.scenes import bad, child_of, fresh, manual, noop, phase, running, states, sub
from tests.releases.test_scheduling import now, time_has_come
from tests.releases.test_views import client_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def steve(people: dict[str, User], shop: Process) -> Client:
    people["steve"].time_zone = "Europe/Berlin"
    people["steve"].save()
    return client_of(people["steve"])


def begin(client: Client, **more: str) -> Release:
    """A draft by the button of the start page."""
    answer = client.post("/releases/start/shop/", {"do": "draft", "release_name": "Spring", **more})
    assert answer.status_code == 302, answer.content
    release = Release.objects.latest("pk")
    assert answer["Location"] == f"/releases/{release.pk}/edit/overview/"
    return release


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def test_four_steps_from_nothing_to_a_release_that_runs(steve: Client) -> None:
    release = begin(steve)
    here = f"/releases/{release.pk}/edit/"
    for step in ("overview", "dates", "inputs", "summary"):
        said = text(steve.get(f"{here}{step}/"))
        assert "<script" not in re.sub(r"<script[^>]* src=[^>]*>", "", said)
        assert "4. Summary and run" in said
    about = {"name": "Spring 24", "tags": "mobile, eu", "release_version": "24.1", "links": "https://tickets.example.com/1 Change", "colour": "teal"}
    about["phase_owners"] = "ship: dora@example.com, group:qa"
    assert steve.post(f"{here}overview/", about)["Location"] == f"{here}dates/"
    assert steve.post(f"{here}dates/", {"version": "1"})["Location"] == f"{here}inputs/"
    inputs = {"in_version": "1.2", "in_region": "us", "in_api_key": "hunter2"}
    assert steve.post(f"{here}inputs/", inputs)["Location"] == f"{here}summary/"
    said = text(steve.get(f"{here}summary/"))
    assert "hunter2" not in said
    assert "set, and not shown" in said
    assert "What starting it does at once" in said
    assert fresh(release).state == "draft"
    assert steve.post(f"{here}summary/", {"go": "start"})["Location"] == f"/releases/{release.pk}/"
    after = fresh(release)
    assert (after.state, after.name, after.tags, after.release_version, after.version_pinned) == ("running", "Spring 24", ["mobile", "eu"], "24.1", True)
    assert after.identifier == f"spring-24-{after.pk}"
    assert after.phase_owners == {"ship": ["user:dora@example.com", "group:qa"]}
    assert (after.inputs["version"], after.inputs["region"]) == ("1.2", "us")
    assert steve.get(f"{here}overview/").status_code == 409


def test_nothing_entered_is_lost_when_something_is_wrong(steve: Client) -> None:
    release = begin(steve)
    here = f"/releases/{release.pk}/edit/"
    wrong = {"name": "Kept name", "identifier": "Not So", "release_version": "1-beta", "links": "javascript:alert(1)", "description": "Kept text"}
    answer = steve.post(f"{here}overview/", wrong)
    said = text(answer)
    assert answer.status_code == 422
    for kept in ("Kept name", "Not So", "1-beta", "javascript:alert(1)", "Kept text"):
        assert kept in said
    for problem in ("beginning with a letter or digit", "A version is digits and dots", "An address that begins with https://"):
        assert problem in said
    assert fresh(release).name == "Spring"
    answer = steve.post(f"{here}inputs/", {"in_version": "nonsense", "in_region": "us"})
    assert answer.status_code == 422
    assert 'value="nonsense"' in text(answer)
    assert steve.post(f"{here}inputs/", {"in_region": "us"}).status_code == 302, "what is missing may come later"
    said = text(steve.post(f"{here}summary/", {"go": "start"}))
    assert "It cannot start yet." in said
    assert f"{here}inputs/" in said
    assert fresh(release).state == "draft"


def test_local_times_are_the_readers_and_what_does_not_exist_or_comes_twice_is_said(steve: Client) -> None:
    release = begin(steve, in_version="1.2")
    here = f"/releases/{release.pk}/edit/"
    year = next(year for year in range(now().year + 1, now().year + 3))
    spring, autumn = _last_sunday(year, 3), _last_sunday(year, 10)
    said = text(steve.post(f"{here}dates/", {"scheduled_for": f"{spring}T02:30"}))
    assert "does not exist" in said
    assert "from 02:00 to 03:00" in said
    twice = {"scheduled_for": f"{autumn}T02:30", "auto_start": "on"}
    answer = steve.post(f"{here}dates/", twice)
    assert answer.status_code == 422
    assert "02:30 CEST (UTC+2)" in text(answer)
    assert steve.post(f"{here}dates/", {**twice, "scheduled_for_which": "2"}).status_code == 302
    after = fresh(release)
    assert after.scheduled_for is not None
    assert after.scheduled_for.isoformat() == f"{autumn}T01:30:00+00:00"
    assert f"{autumn}T02:30" in text(steve.get(f"{here}dates/"))
    assert steve.post(f"{here}summary/", {"go": "schedule"}).status_code == 302
    after = fresh(release)
    assert (after.state, after.auto_start, after.expected_end - after.scheduled_for) == ("scheduled", True, timedelta(weeks=1))  # type: ignore[operator]
    assert "It starts by itself at its time." in text(steve.get(f"/releases/{release.pk}/"))


@pytest.mark.parametrize("far", ["0001-01-01T00:00", "9999-12-31T23:59", "9999-12-31T23:59+00:00", "0001-01-01T00:00+14:00", "2099-01-01T00:00"])
def test_times_that_nobody_means_are_said_and_not_kept(steve: Client, far: str) -> None:
    release = begin(steve, in_version="1.2")
    here = f"/releases/{release.pk}/edit/"
    for name in ("scheduled_for", "expected_end"):
        answer = steve.post(f"{here}dates/", {name: far})
        assert answer.status_code == 422
        assert "more than ten years away" in text(answer)
    assert (fresh(release).scheduled_for, fresh(release).expected_end) == (None, None)
    assert steve.post("/releases/start/shop/", {"do": "schedule", "in_version": "1.2", "scheduled_for": far}).status_code == 422


def test_a_draft_without_a_time_is_not_scheduled_and_says_so(steve: Client) -> None:
    release = begin(steve, in_version="1.2")
    answer = steve.post(f"/releases/{release.pk}/edit/summary/", {"go": "schedule"})
    assert answer.status_code == 422
    assert "Say when it is to start." in text(answer)
    assert steve.post(f"/releases/{release.pk}/edit/summary/", {"go": "away"}).status_code == 404
    assert fresh(release).state == "draft"


def test_a_draft_with_a_value_of_another_type_can_be_looked_at_and_mended() -> None:
    spec = Variable.model_validate({"type": "multi_choice", "options": ["eu", "us"]})
    assert (form_value(spec, 5), form_value(spec, "eu"), form_value(spec, ["eu", "us"])) == (["5"], ["eu"], ["eu", "us"])


def test_a_verb_on_the_page_needs_what_it_needs_in_the_api(steve: Client, people: dict[str, User], shop: Process) -> None:
    """Steve may start what Olga drafted, and so change, delete and reschedule it; operating it is hers."""
    release = begin(client_of(people["olga"]), in_version="1.2")
    for verb in ("hold", "resume", "abort", "restart_from"):
        assert steve.post(f"/releases/{release.pk}/{verb}/", {"reason": "x"}).status_code == 403, verb
    assert steve.post(f"/releases/{release.pk}/cancel/", {"reason": "x"}).status_code == 409
    assert steve.post(f"/releases/{release.pk}/delete/").status_code == 302
    assert not Release.objects.filter(pk=release.pk).exists()


def test_owners_of_the_release_are_shown_instead_of_the_process_s(steve: Client, people: dict[str, User]) -> None:
    release = begin(steve, in_version="1.2")
    Release.objects.filter(pk=release.pk).update(owners=["user:rita@example.com"], phase_owners={"ship": ["user:quirin@example.com"]})
    page = Page(fresh(release), people["steve"])
    assert page.owners == [people["rita"]]
    assert page.who("user:quirin@example.com") == people["quirin"]


def _last_sunday(year: int, month: int) -> str:
    from datetime import date

    day = date(year, month, 31)
    return (day - timedelta(days=(day.weekday() + 1) % 7)).isoformat()


def test_one_page_schedules_and_a_scheduled_release_is_started_moved_and_cancelled(steve: Client) -> None:
    when = (now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    refused = steve.post("/releases/start/shop/", {"do": "schedule", "in_version": "1.2"})
    assert (refused.status_code, "Say when it is to start." in text(refused)) == (422, True)
    made = steve.post("/releases/start/shop/", {"do": "schedule", "in_version": "1.2", "scheduled_for": when})
    here = made["Location"]
    release = Release.objects.latest("pk")
    assert release.state == "scheduled"
    page = text(steve.get(here))
    assert "At its time it waits for a person to start it." in page
    for verb in ("start", "reschedule", "cancel"):
        assert f"{here}{verb}/" in page
        assert steve.get(f"{here}{verb}/").status_code == 200
    assert fresh(release).state == "scheduled", "GET changes nothing"
    later = (now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    assert steve.post(f"{here}reschedule/", {"scheduled_for": later}).status_code == 422
    assert steve.post(f"{here}reschedule/", {"scheduled_for": "2020-01-01T10:00", "reason": "x"}).status_code == 422
    assert steve.post(f"{here}reschedule/", {"scheduled_for": later, "reason": "the others are late"})["Location"] == here
    assert fresh(release).scheduled_for > release.scheduled_for  # type: ignore[operator]
    time_has_come(release)
    from releases import sweep

    sweep.sweep()
    assert "it waits for a person to start it" in text(steve.get(here))
    assert steve.post(f"{here}cancel/", {"reason": "not this year"})["Location"] == here
    assert "Cancelled before it started: not this year" in text(steve.get(here))


def test_start_again_like_this_keeps_its_secret_and_never_shows_it(steve: Client, people: dict[str, User]) -> None:
    steve.post("/releases/start/shop/", {"do": "start", "in_version": "1.2", "in_region": "us", "in_api_key": "hunter2", "release_name": "Spring"})
    first = Release.objects.latest("pk")
    link = f"/releases/start/shop/?like={first.pk}"
    assert link in text(steve.get(f"/releases/{first.pk}/"))
    said = text(steve.get(link))
    assert 'value="1.2"' in said
    assert "hunter2" not in said
    steve.post("/releases/start/shop/", {"do": "start", "like": str(first.pk), "in_version": "1.3", "in_region": "us", "in_api_key": ""})
    second = Release.objects.latest("pk")
    assert second.inputs["version"] == "1.3"
    assert secrets.opened(second.inputs, f"release:{second.pk}")["api_key"] == "hunter2"
    assert client_of(people["sam"]).get(link).status_code == 404
    factories.allow(people["rita"], "start", second.process)
    rita = client_of(people["rita"])
    assert "its secrets are kept" not in text(rita.get(link)), "she may see and start, but not operate that one"
    rita.post("/releases/start/shop/", {"do": "start", "like": str(first.pk), "in_version": "1.3", "in_region": "us", "in_api_key": ""})
    assert "api_key" not in Release.objects.latest("pk").inputs


def test_a_stranger_finds_no_step_and_a_reader_may_not_change_one(steve: Client, people: dict[str, User]) -> None:
    release = begin(steve)
    for step in ("overview", "dates", "inputs", "summary"):
        assert client_of(people["sam"]).get(f"/releases/{release.pk}/edit/{step}/").status_code == 404
        assert client_of(people["rita"]).post(f"/releases/{release.pk}/edit/{step}/", {"name": "x"}).status_code == 403
    assert steve.get(f"/releases/{release.pk}/edit/nothing/").status_code == 404


# --- what each verb will do ---------------------------------------------------------------------------------------------------------------


def operated(release: Release) -> Client:
    return client_of(release.starter)


def test_starting_again_asks_from_where_and_shows_the_exact_set() -> None:
    release = running(phase("build", noop("compile")), phase("ship", noop("deploy"), depends_on=["build"]), phase("beside", noop("other")))
    client, here = operated(release), f"/releases/{release.pk}/restart_from/"
    assert here in text(client.get(f"/releases/{release.pk}/"))
    assert '<option value="ship">' in text(client.get(here))
    said = text(client.get(f"{here}?phase=build"))
    assert "2 activities become pending again:" in said
    assert "compile" in said
    assert "other" not in said.split("What it would do")[1]
    assert client.post(here, {"phase": "build"}).status_code == 422
    assert client.post(here, {"phase": "build", "reason": "a bad build"})["Location"] == f"/releases/{release.pk}/"
    assert states(release) == {"compile": "pending", "deploy": "pending", "other": "succeeded"}


def test_starting_again_where_it_cannot_names_where_it_can() -> None:
    release = running(phase("build", bad("compile", on_failure="fail")), phase("ship", noop("deploy"), depends_on=["build"]))
    said = text(operated(release).get(f"/releases/{release.pk}/restart_from/?phase=ship"))
    assert "?phase=build" in said
    assert 'method="post"' not in said.split("<main")[1].split("</main")[0].split("is not satisfied")[1]


@pytest.mark.parametrize("verb", ["hold", "abort"])
def test_hold_and_abort_show_what_they_do(verb: str) -> None:
    release = running(manual("ask"), noop("then", "ask"))
    said = text(operated(release).get(f"/releases/{release.pk}/{verb}/"))
    assert "What it would do" in said
    assert fresh(release).state == "running"


def test_what_it_would_do_is_said_in_the_order_of_the_process_and_in_the_words_of_what_waits() -> None:
    release = running(
        phase("b", noop("late", **{"with": {"outcome": "failed"}}), {"id": "nap", "type": "automated", "connector": "timer", "with": {"for": "1h"}}),
        phase("a", manual("ask", of=("group:nobody",)), noop("then", "ask")),
    )
    said = text(operated(release).get(f"/releases/{release.pk}/abort/"))
    moves = [" ".join(re.sub(r"<[^>]+>", " ", move).split()) for move in re.findall(r'<li><span class="soft">.*?</li>', said, re.DOTALL)]
    assert moves == [
        "The release Running → Aborted",
        "late Needs a decision → Aborted",
        "nap Waiting for its time → Aborted",
        "ask Waiting for people → Aborted",
        "then Not started → Aborted",
    ]


def test_retry_says_what_becomes_pending_again() -> None:
    release = running(bad("build", on_failure="fail"), noop("test", "build"), noop("ship", "test"))
    said = text(operated(release).get(f"/releases/{release.pk}/activities/build/retry/"))
    for name in ("test", "ship"):
        assert re.search(rf"{name}</span>\s*<span>Skipped → <b>Not started", said)
    assert "2 activities become pending again:" in said


def test_skip_says_who_loses_an_input() -> None:
    reads = {"with": {"outputs": {"x": "${{ activities.ask.outputs.answer }}"}}}
    release = running(manual("ask", fields={"answer": {"type": "string"}}), noop("reader", "ask", **reads), noop("other", "ask"))
    said = text(operated(release).get(f"/releases/{release.pk}/activities/ask/skip/"))
    assert "Reads its outputs: <b>reader</b>. They lose that input." in said


def test_ignore_takes_typed_outputs_and_says_what_is_wrong_with_one() -> None:
    reads = {"with": {"outputs": {"x": "${{ activities.build.outputs.size }}"}}}
    release = running(bad("build", outputs={"size": "${{ result.outputs.size }}", "tag": "${{ result.outputs.tag }}"}), noop("then", "build", **reads))
    client, here = operated(release), f"/releases/{release.pk}/activities/build/ignore/"
    said = text(client.get(here))
    assert 'name="output_size"' in said
    assert 'name="kind_tag"' in said
    given = {"reason": "known", "output_size": "many", "kind_size": "number", "output_tag": "1.0", "kind_tag": "text"}
    refused = client.post(here, given)
    assert refused.status_code == 422
    assert "A number is needed." in text(refused)
    assert 'value="many"' in text(refused)
    for strange in ("NaN", "1e999", "[" * 20_000):
        assert "A number is needed." in text(client.post(here, {**given, "output_size": strange}))
    assert client.post(here, {**given, "output_size": "7"}).status_code == 302
    from tests.releases.scenes import run

    assert run(release, "build").outputs == {"size": 7, "tag": "1.0"}


def test_retry_by_another_process_on_the_page() -> None:
    from tests.releases.driving import published
    from tests.releases.scenes import blueprint

    owner = factories.person("olga")
    inner = published(blueprint(bad("inside", on_failure="fail")))
    other = published(blueprint(noop("inside")))
    release = running(sub("roll_out", inner.identifier), starter=owner)
    factories.allow(owner, "start", other)
    client, here = client_of(owner), f"/releases/{release.pk}/activities/roll_out/retry/"
    assert f'<option value="{other.identifier}">' in text(client.get(here))
    for strange in ('{"a": NaN}', '{"a": Infinity}', '{"a": ' + "[" * 20_000, "[]"):
        refused = client.post(here, {"reason": "by hand", "inputs": strange})
        assert (refused.status_code, "A JSON object is needed" in text(refused)) == (422, True), strange[:20]
    assert client.post(here, {"reason": "by hand", "process": other.identifier}).status_code == 302
    run_on(release)
    assert child_of(release, "roll_out").process_id == other.pk
    assert fresh(release).state == "succeeded"


def test_the_steps_cost_the_same_however_much_is_in_the_list(steve: Client) -> None:
    release = begin(steve, in_version="1.2")
    with CaptureQueriesContext(
        connection,
    ) as few:
        steve.get(f"/releases/{release.pk}/edit/overview/")
    for _ in range(5):
        begin(steve)
    with CaptureQueriesContext(connection) as many:
        steve.get(f"/releases/{release.pk}/edit/overview/")
    assert len(many) == len(few)


def test_failures_are_told_with_their_code_on_the_page() -> None:
    release = running(phase("build", bad("compile", on_failure="fail")), phase("ship", noop("deploy"), depends_on=["build"]))
    said = text(operated(release).get(f"/releases/{release.pk}/"))
    assert "build, compile: Failed." in said
    code = ActivityRun.objects.get(release=release, key="compile").code
    assert code
    assert f'<span class="mono tiny soft">{code}</span>' in said
