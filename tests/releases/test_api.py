"""Releases in the API: made, listed, shown and moved, with every refusal in its order."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from processes.models import Process
from releases.models import ActivityRun, Attachment, Comment, LogChunk, Release
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api
from tests.processes.test_api import problem
from tests.releases.driving import run_on

pytestmark = pytest.mark.django_db(transaction=True)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
People = dict[str, User]
Apis = dict[str, Api]


def begun(api: Api, **body: Any) -> Release:
    """Started by the API and run as far as it goes: up to the question."""
    response = api.post("releases/", {"process": "shop", "inputs": {"version": "1.2"}, "start": True} | body)
    assert response.status_code == 201, response.content
    release = Release.objects.get(pk=response.json()["id"])
    run_on(release)
    return release


def state_of(release: Release, key: str) -> str:
    return str(ActivityRun.objects.get(release=release, key=key).state)


# Making


def test_a_draft_is_made_changed_and_deleted(api: Apis, shop: Process) -> None:
    made = api["steve"].post("releases/", {"process": "shop", "inputs": {"version": "1.2", "api_key": "hunter2"}})
    assert made.status_code == 201
    body = made.json()
    assert (body["state"], body["inputs"], body["process"], body["version"]) == ("draft", {"version": "1.2", "api_key": {"$secret": True}}, "shop", 1)
    assert [(a["id"], a["state"], a["attempts"]) for a in body["activities"]] == [(key, "pending", []) for key in ("compile", "qa", "deploy")]
    place = f"releases/{body['id']}/"
    problem(api["steve"]("PATCH", place, {"name": "x"}), 428, "precondition_required")
    problem(api["steve"]("PATCH", place, {"name": "x"}, If_Match='"old"'), 412, "stale")
    changed = api["steve"]("PATCH", place, {"name": "Spring", "inputs": {"version": "2.0", "api_key": {"$secret": True}}}, If_Match=made["ETag"])
    assert (changed.status_code, changed.json()["name"]) == (200, "Spring")
    assert changed["ETag"] != made["ETag"]
    problem(api["sam"]("DELETE", place, If_Match="*"), 404, "not_found")
    problem(api["rita"]("DELETE", place), 403, "not_allowed")
    problem(api["steve"]("DELETE", place), 428, "precondition_required")
    assert api["steve"]("DELETE", place, If_Match=changed["ETag"]).status_code == 204
    assert not Release.objects.exists()


def test_a_draft_starts_with_its_secret(api: Apis, shop: Process) -> None:
    made = api["steve"].post("releases/", {"process": "shop", "inputs": {"version": "1.2", "api_key": "hunter2"}}).json()
    place = f"releases/{made['id']}/"
    will = api["steve"].post(f"{place}start/?preview=true", {}).json()["will"]
    assert will[0] == {"release": made["id"], "activity": None, "from": "draft", "to": "running"}
    assert {"release": made["id"], "activity": "compile", "from": "pending", "to": "queued"} in will
    assert Release.objects.get().state == "draft"
    assert not ActivityRun.objects.exists()
    problem(api["rita"].post(f"{place}start/"), 403, "not_allowed")
    started = api["steve"].post(f"{place}start/", {"reason": "go"})
    assert (started.status_code, started.json()["state"]) == (200, "running")
    assert problem(api["steve"].post(f"{place}start/"), 409, "wrong_state")["state"] == "running"
    assert problem(api["steve"]("DELETE", place, If_Match="*"), 409, "wrong_state")["state"] == "running"
    assert problem(api["steve"]("PATCH", place, {"name": "x"}, If_Match="*"), 409, "wrong_state")["state"] == "running"
    assert "hunter2" not in api["olga"].get(place).content.decode()


def test_a_start_with_bad_inputs_says_everything_and_leaves_nothing(api: Apis, shop: Process) -> None:
    body = {"process": "shop", "start": True, "inputs": {"version": "one", "region": "mars", "regoin": "eu"}}
    found = problem(api["steve"].post("releases/", body), 422, "invalid_inputs")
    assert {item["place"] for item in found["problems"]} == {"/inputs/version", "/inputs/region", "/inputs/regoin"}
    assert not Release.objects.exists()


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, {"/process"}),
        ({"process": 7}, {"/process"}),
        ({"process": "shop", "inptus": {}}, {"/inptus"}),
        ({"process": "shop", "version": 9}, {"/version"}),
        ({"process": "shop", "input_set": "none"}, {"/input_set"}),
        ({"process": "shop", "inputs": {"api_key": {"$secret": "x"}}}, {"/inputs/api_key"}),
        ({"process": "shop", "inputs": {"api_key": 12}}, {"/inputs/api_key"}),
    ],
)
def test_what_cannot_be_made_is_said_with_its_place(api: Apis, shop: Process, body: dict[str, Any], places: set[str]) -> None:
    response = api["steve"].post("releases/", body)
    assert response.status_code == 422, response.content
    assert {item["place"] for item in response.json()["problems"]} == places
    assert not Release.objects.exists()


def test_who_may_not_start_is_refused_before_the_body_is_looked_at(api: Apis, shop: Process) -> None:
    problem(api["sam"].post("releases/", {"process": "shop"}), 404, "not_found")
    problem(api["rita"].post("releases/", {"process": "shop", "nonsense": 1}), 403, "not_allowed")
    problem(api["steve"].post("releases/", {"process": "nowhere"}), 404, "not_found")
    problem(api["steve"].post("releases/", {"like": 123456}), 404, "not_found")


def test_the_same_key_starts_once(api: Apis, shop: Process) -> None:
    body = {"process": "shop", "inputs": {"version": "1.2"}, "start": True}
    first, second = (api["steve"].post("releases/", body, Idempotency_Key="k1") for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    assert second["Idempotent-Replayed"] == "true"
    assert Release.objects.count() == 1


def test_like_another_and_from_an_input_set(api: Apis, shop: Process) -> None:
    made = api["olga"].post("input_sets/", {"process": "shop", "name": "usual", "values": {"region": "us", "api_key": "hunter2"}})
    assert made.status_code == 201, made.content
    first = begun(api["steve"], input_set="usual", name="First")
    assert Release.objects.get(pk=first.pk).inputs["region"] == "us"
    again = api["steve"].post("releases/", {"like": first.pk, "inputs": {"version": "3.0", "region": None}}).json()
    assert (again["name"], again["inputs"]) == ("First", {"version": "3.0", "api_key": {"$secret": True}})
    assert api["steve"].post(f"releases/{again['id']}/start/").status_code == 200


# Reading


def test_the_detail_holds_everything(api: Apis, shop: Process) -> None:
    release = begun(api["steve"], inputs={"version": "1.2", "api_key": "hunter2"})
    body = api["rita"].get(f"releases/{release.pk}/").json()
    assert (body["state"], body["starter"], body["waiting_for_people"], body["needs_attention"]) == ("running", "steve@example.com", 1, False)
    assert [(phase["id"], phase["state"]) for phase in body["phases"]] == [("build", "satisfied"), ("check", "waiting"), ("ship", "pending")]
    compiled, qa, deploy = body["activities"]
    assert (compiled["phase"], compiled["type"], compiled["state"], compiled["outputs"]) == ("build", "automated", "succeeded", {"image": "shop:1"})
    (attempt,) = compiled["attempts"]
    assert (attempt["number"], attempt["state"]) == (1, "succeeded")
    assert all(
        INSTANT.fullmatch(at) for at in (compiled["started_at"], compiled["finished_at"], attempt["started_at"], attempt["finished_at"], qa["started_at"])
    )
    assert (deploy["state"], deploy["attempts"], deploy["started_at"]) == ("pending", [], None)
    (wait,) = body["waiting_for"]
    assert {key: wait[key] for key in ("activity", "release", "kind", "who", "verb")} == {
        "activity": "qa",
        "release": release.pk,
        "kind": "person",
        "who": ["quentin@example.com", "quirin@example.com"],
        "verb": "sign_off",
    }
    assert INSTANT.fullmatch(wait["since"])
    assert "hunter2" not in str(body)
    for name in ("quentin", "steve", "olga"):
        assert api[name].get(f"releases/{release.pk}/").status_code == 200
    problem(api["sam"].get(f"releases/{release.pk}/"), 404, "not_found")


def test_a_list_is_filtered(api: Apis, shop: Process) -> None:
    one, two = begun(api["steve"], name="Spring"), begun(api["olga"], name="Autumn")
    api["olga"].post(f"releases/{two.pk}/abort/", {"reason": "no"})

    def ids(query: str) -> list[int]:
        return [row["id"] for row in api["rita"].get(f"releases/?{query}").json()["results"]]

    assert ids("") == [two.pk, one.pk]
    assert ids("state=running") == ids("q=sprin") == ids("starter=steve@example.com") == ids(f"q={one.pk}") == [one.pk]
    assert ids("state=running,aborted") == ids("process=shop") == ids("level=1") == [two.pk, one.pk]
    assert ids("process=other") == ids("starter=me") == []
    problem(api["rita"].get("releases/?state=runing"), 422, "invalid")
    assert api["sam"].get("releases/").json()["results"] == []
    assert ids("limit=1") == [two.pk]


def _queries(api: Api, path: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert api.get(path).status_code == 200
    return len(seen)


def test_the_list_and_the_detail_cost_the_same_however_much_there_is(api: Apis, shop: Process, people: People) -> None:
    releases = [begun(api["steve"]) for _ in range(2)]
    for path in ("releases/", f"releases/{releases[0].pk}/"):
        assert api["rita"].get(path).status_code == api["quentin"].get(path).status_code == 200  # the use of a token is noted once a minute
    few, detail = _queries(api["rita"], "releases/"), _queries(api["rita"], f"releases/{releases[0].pk}/")
    pending = _queries(api["quentin"], "sign_offs/pending/")
    for _ in range(18):
        begun(api["steve"])
    assert len(api["rita"].get("releases/").json()["results"]) == 20
    assert _queries(api["rita"], "releases/") == few <= 8
    assert _queries(api["quentin"], "sign_offs/pending/") == pending <= 12
    activities = [{"id": f"ask{n}", "type": "manual", "owners": ["group:qa"]} for n in range(10)]
    wide = factories.process("wide", actor=people["olga"], owners=["user:olga@example.com"], phases=[{"id": "all", "activities": activities}])
    factories.version(wide)
    factories.allow(people["rita"], "view_process", wide)
    release = begun(api["olga"], process="wide", inputs={})
    assert len(api["rita"].get(f"releases/{release.pk}/").json()["waiting_for"]) == 10
    assert _queries(api["rita"], f"releases/{release.pk}/") <= detail


def test_events_and_log(api: Apis, shop: Process) -> None:
    release = begun(api["steve"])
    body = api["rita"].get(f"releases/{release.pk}/events/").json()
    verbs = [event["verb"] for event in body["results"]]
    assert verbs[0] == "release.started"
    assert "activity.asked" in verbs
    assert [event["sequence"] for event in body["results"]] == sorted(event["sequence"] for event in body["results"])
    first = body["results"][0]
    assert set(first) == {"sequence", "verb", "actor", "at", "door", "subject", "reason", "data"}
    assert (first["actor"], first["door"]) == ("steve@example.com", "api")
    assert INSTANT.fullmatch(first["at"])
    attempt = ActivityRun.objects.get(release=release, key="compile").attempts.get()
    LogChunk.objects.filter(attempt=attempt).delete()
    LogChunk.objects.create(attempt=attempt, first_line=1, lines=2, text="one\ntwo\n")
    LogChunk.objects.create(attempt=attempt, first_line=3, lines=1, text="three\n")
    log = f"releases/{release.pk}/activities/compile/log/"
    whole = api["rita"].get(log)
    assert (whole.content, whole["Content-Type"], whole["Last-Line"]) == (b"one\ntwo\nthree\n", "text/plain; charset=utf-8", "3")
    assert api["rita"].get(f"{log}?after=1").content == b"two\nthree\n"
    assert api["rita"].get(f"{log}?after=3").content == b""
    problem(api["rita"].get(f"{log}?after=x"), 422, "invalid")
    problem(api["rita"].get(f"{log}?attempt=7"), 404, "not_found")
    assert api["rita"].get(f"releases/{release.pk}/activities/deploy/log/").content == b""
    for path in ("events/", "activities/compile/log/"):
        problem(api["sam"].get(f"releases/{release.pk}/{path}"), 404, "not_found")
    problem(api["rita"].get(f"releases/{release.pk}/activities/nothing/log/"), 404, "not_found")


# Verbs on a release


def test_hold_resume_and_abort(api: Apis, shop: Process) -> None:
    release = begun(api["steve"])
    place = f"releases/{release.pk}/"
    for verb in ("hold", "resume", "abort"):
        problem(api["sam"].post(f"{place}{verb}/", {"reason": "x"}), 404, "not_found")
        problem(api["rita"].post(f"{place}{verb}/", {"reason": "x"}), 403, "not_allowed")
    assert problem(api["steve"].post(f"{place}resume/", {}), 409, "wrong_state")["state"] == "running"
    problem(api["steve"].post(f"{place}hold/", {}), 422, "reason_needed")
    will = api["steve"].post(f"{place}hold/?preview=true", {"reason": "look"}).json()
    assert will == {"will": [{"release": release.pk, "activity": None, "from": "running", "to": "held"}]}
    held = api["steve"].post(f"{place}hold/", {"reason": "look"})
    assert (held.status_code, held.json()["state"], held.json()["reason"]) == (200, "held", "look")
    assert problem(api["steve"].post(f"{place}hold/", {}), 409, "wrong_state")["state"] == "held"
    hold, _ = api["rita"].get(place).json()["waiting_for"]
    assert (hold["kind"], hold["who"], hold["verb"]) == ("hold", ["steve@example.com"], "resume")
    assert api["olga"].post(f"{place}resume/", {}).json()["state"] == "running"
    problem(api["steve"].post(f"{place}abort/"), 422, "reason_needed")
    will = api["steve"].post(f"{place}abort/?preview=true", {"reason": "no"}).json()["will"]
    assert {"release": release.pk, "activity": "qa", "from": "waiting", "to": "aborted"} in will
    assert api["steve"].post(f"{place}abort/", {"reason": "no"}).json()["state"] == "aborted"
    assert problem(api["steve"].post(f"{place}abort/", {}), 409, "wrong_state")["state"] == "aborted"
    assert api["rita"].get(place).json()["waiting_for"] == []


# Verbs on an activity


@pytest.fixture
def stuck(api: Apis, people: People) -> Release:
    """One activity on hold, owned by Dora; one that depends on it."""
    fails = {"id": "risky", "type": "automated", "connector": "noop", "owners": ["group:dev"], "with": {"outputs": {"n": "${{ inputs.n / 0 }}"}}}
    after = {"id": "after", "type": "automated", "connector": "noop", "depends_on": ["risky"], "with": {"outputs": {"n": "${{ activities.risky.outputs.n }}"}}}
    made = factories.process(
        "stuck",
        actor=people["olga"],
        owners=["user:olga@example.com"],
        inputs={"n": {"type": "integer", "default": 1}},
        phases=[{"id": "work", "activities": [fails, after]}],
    )
    factories.version(made)
    factories.allow(people["rita"], "view_process", made)
    factories.allow(people["dora"], "view_process", made)
    release = begun(api["olga"], process="stuck", inputs={})
    assert state_of(release, "risky") == "on_hold"
    return release


def test_what_is_on_hold_waits_for_its_owners(api: Apis, stuck: Release) -> None:
    body = api["rita"].get(f"releases/{stuck.pk}/").json()
    (wait,) = body["waiting_for"]
    assert (wait["kind"], wait["who"], wait["verb"]) == ("person", ["dora@example.com"], "retry")
    assert body["needs_attention"]
    assert body["counts"] == {"on_hold": 1, "pending": 1}


@pytest.mark.parametrize(("verb", "body", "after"), [("retry", {}, "queued"), ("ignore", {"outputs": {"n": 1}}, "ignored"), ("fail", {}, "failed")])
def test_an_owner_of_the_activity_moves_what_is_on_hold(api: Apis, stuck: Release, verb: str, body: dict[str, Any], after: str) -> None:
    path = f"releases/{stuck.pk}/activities/risky/{verb}/"
    problem(api["sam"].post(path, {"reason": "x"}), 404, "not_found")
    problem(api["rita"].post(path, {}), 403, "not_allowed")
    problem(api["dora"].post(path, body), 422, "reason_needed")
    problem(api["dora"].post(path, {"reason": "x", "raeson": "y"}), 422, "invalid")
    problem(api["dora"].post(f"releases/{stuck.pk}/activities/nothing/{verb}/", {"reason": "x"}), 404, "not_found")
    will = api["dora"].post(f"{path}?preview=true", {"reason": "x"} | body).json()["will"]
    assert will[0] == {"release": stuck.pk, "activity": "risky", "from": "on_hold", "to": after}
    assert state_of(stuck, "risky") == "on_hold"
    done = api["dora"].post(path, {"reason": "x"} | body)
    assert (done.status_code, done.json()["state"]) == (200, after)
    if verb != "fail":
        assert problem(api["dora"].post(path, {}), 409, "wrong_state")["state"] == after
    problem(api["dora"].post(f"releases/{stuck.pk}/activities/after/{verb}/", {"reason": "x"}), 403, "not_allowed")


def test_ignoring_wants_the_outputs_that_are_read(api: Apis, stuck: Release) -> None:
    found = problem(api["olga"].post(f"releases/{stuck.pk}/activities/risky/ignore/", {"reason": "x"}), 422, "outputs_needed")
    assert [item["place"] for item in found["problems"]] == ["/outputs/n"]


def test_breaking_the_glass_needs_its_own_permission(api: Apis, people: People, stuck: Release) -> None:
    path = f"releases/{stuck.pk}/activities/risky/succeed/"
    for name in ("olga", "dora", "rita"):
        problem(api[name].post(path, {"reason": "x"}), 403, "not_allowed")
    problem(api["sam"].post(path, {"reason": "x"}), 404, "not_found")
    factories.allow(people["steve"], "override", stuck.process)
    problem(api["steve"].post(path, {"outputs": {"n": 1}}), 422, "reason_needed")
    assert api["steve"].post(path, {"reason": "the site is down", "outputs": {"n": 1}}).json()["state"] == "succeeded"
    (activity,) = (a for a in api["rita"].get(f"releases/{stuck.pk}/").json()["activities"] if a["id"] == "risky")
    assert activity["overridden"]
    assert problem(api["steve"].post(path, {}), 409, "wrong_state")["state"] == "succeeded"


def test_skip_and_stop(api: Apis, shop: Process) -> None:
    release = begun(api["steve"])
    path = f"releases/{release.pk}/activities"
    problem(api["sam"].post(f"{path}/deploy/skip/", {"reason": "x"}), 404, "not_found")
    problem(api["rita"].post(f"{path}/deploy/skip/", {"reason": "x"}), 403, "not_allowed")
    problem(api["steve"].post(f"{path}/deploy/skip/", {}), 422, "reason_needed")
    assert problem(api["steve"].post(f"{path}/compile/skip/", {}), 409, "wrong_state")["state"] == "succeeded"
    assert api["steve"].post(f"{path}/deploy/skip/", {"reason": "not today"}).json()["state"] == "skipped"
    problem(api["rita"].post(f"{path}/qa/stop/", {"reason": "x"}), 403, "not_allowed")
    problem(api["sam"].post(f"{path}/qa/stop/", {"reason": "x"}), 404, "not_found")
    assert problem(api["steve"].post(f"{path}/qa/stop/", {}), 409, "wrong_state")["state"] == "waiting"


def test_a_running_activity_is_stopped(api: Apis, shop: Process) -> None:
    from releases.attempts import exchange

    started = api["steve"].post("releases/", {"process": "shop", "inputs": {"version": "1.2"}, "start": True}).json()
    exchange("test:1", "engine", 5)
    path = f"releases/{started['id']}/activities/compile/stop/"
    problem(api["steve"].post(path, {}), 422, "reason_needed")
    assert api["dora"].get(f"releases/{started['id']}/").status_code == 200  # she owns an activity of it
    will = api["steve"].post(f"{path}?preview=true", {"reason": "x"}).json()["will"]
    assert will == [{"release": started["id"], "activity": "compile", "from": "running", "to": "on_hold"}]
    assert api["steve"].post(path, {"reason": "x"}).json()["state"] == "on_hold"


def test_verbs_of_a_draft_s_activities_say_that_it_has_not_begun(api: Apis, shop: Process) -> None:
    made = api["steve"].post("releases/", {"process": "shop"}).json()
    assert problem(api["steve"].post(f"releases/{made['id']}/activities/qa/skip/", {"reason": "x"}), 409, "wrong_state")["state"] == "draft"
    problem(api["steve"].post(f"releases/{made['id']}/activities/nothing/skip/", {"reason": "x"}), 404, "not_found")


# Evaluating


def test_expressions_are_tried_out(api: Apis, shop: Process) -> None:
    release = begun(api["steve"], inputs={"version": "1.2", "api_key": "hunter2"})
    place = "processes/shop/evaluate/"
    assert api["rita"].post(place, {"expression": "inputs.region == 'eu'"}).json() == {"value": True}
    assert api["rita"].post(place, {"expression": "${{ activities.compile.outputs.image }}!", "release": release.pk}).json() == {"value": "shop:1!"}
    wrong = api["rita"].post(place, {"expression": "1 + inputs.nothing", "release": release.pk})
    assert wrong.status_code == 200
    assert (wrong.json()["code"], wrong.json()["column"]) == ("expression_error", 12)
    secret = api["rita"].post(place, {"expression": "inputs.api_key", "release": release.pk})
    assert "hunter2" not in secret.content.decode()
    problem(api["sam"].post(place, {"expression": "1"}), 404, "not_found")
    problem(api["rita"].post(place, {"expression": "1", "release": 999999}), 404, "not_found")
    problem(api["rita"].post(place, {}), 422, "invalid")


# The description


def test_the_description_has_these_operations_and_no_warnings(api: Apis, recwarn: Any, capsys: Any) -> None:
    body = api["rita"].get("schema/").json()
    paths = body["paths"]
    for verb in ("start", "hold", "resume", "abort"):
        assert "post" in paths[f"/api/v1/releases/{{id}}/{verb}/"]
    for verb in ("stop", "retry", "ignore", "fail", "skip", "succeed"):
        assert "post" in paths[f"/api/v1/releases/{{id}}/activities/{{activity}}/{verb}/"]
    assert {"get", "post"} <= set(paths["/api/v1/releases/"])
    assert {"get", "patch", "delete"} <= set(paths["/api/v1/releases/{id}/"])
    assert {"get", "post"} <= set(paths["/api/v1/releases/{id}/activities/{activity}/sign_offs/"])
    for path in ("sign_offs/pending/", "releases/{id}/events/", "releases/{id}/activities/{activity}/log/", "tokens/", "processes/{id}/evaluate/"):
        assert f"/api/v1/{path}" in paths
    assert "Warning" not in capsys.readouterr().err


def test_tokens(api: Apis, people: People) -> None:
    made = api["rita"].post("tokens/", {"name": "ci", "days": 7})
    assert made.status_code == 201
    secret = made.json()["token"]
    shown = api["rita"].get("tokens/").json()["results"]
    assert made.json()["id"] in [row["id"] for row in shown]
    assert secret not in str(shown)
    problem(api["rita"].post("tokens/", {"days": 1000}), 422, "invalid")
    problem(api["sam"]("DELETE", f"tokens/{made.json()['id']}/"), 404, "not_found")
    assert api["rita"]("DELETE", f"tokens/{made.json()['id']}/").status_code == 204
    assert made.json()["id"] in [row["id"] for row in api["rita"].get("tokens/").json()["results"] if row["revoked_at"]]


def test_failure_text_and_code_are_on_activity_phase_and_release(api: Apis, people: People) -> None:
    made = factories.process(
        "broken",
        actor=people["olga"],
        owners=["user:olga@example.com"],
        phases=[
            {
                "id": "build",
                "activities": [
                    {"id": "compile", "type": "automated", "connector": "noop", "with": {"outcome": "failed", "message": "no space left"}},
                    {"id": "lint", "type": "automated", "connector": "noop"},
                ],
            },
            {
                "id": "ship",
                "depends_on": ["build"],
                "activities": [
                    {"id": "deploy", "type": "automated", "connector": "noop", "with": {"outputs": {"x": "${{ activities.compile.outputs.image }}"}}}
                ],
            },
        ],
    )
    factories.version(made, actor=people["olga"])
    release = Release.objects.get(pk=api["olga"].post("releases/", {"process": "broken", "start": True}).json()["id"])
    run_on(release)
    shown = api["olga"].get(f"releases/{release.pk}/").json()
    activity = shown["activities"][0]
    assert activity["code"]
    said = {"activity": "compile", "state": "failed", "code": activity["code"], "message": activity["message"], "number": 1}
    assert shown["failure"] == said
    assert [phase["failure"] for phase in shown["phases"]] == [said, None]
    told = api["olga"].post(f"releases/{release.pk}/activities/compile/fail/?preview=true", {"reason": "x"}).json()
    assert told["loses"] == ["deploy"]
    ignored = {"reason": "x", "outputs": {"image": "shop:1"}}
    assert "loses" not in api["olga"].post(f"releases/{release.pk}/activities/compile/ignore/?preview=true", ignored).json(), "what is given is not lost"


def test_a_process_that_one_may_not_start_recovers_nothing(api: Apis, people: People, shop: Process) -> None:
    made = factories.process(
        "broken",
        actor=people["olga"],
        owners=["user:olga@example.com"],
        phases=[{"id": "build", "activities": [{"id": "compile", "type": "automated", "connector": "noop", "with": {"outcome": "failed"}}]}],
    )
    factories.version(made, actor=people["olga"])
    factories.allow(people["rita"], "start", made)
    release = Release.objects.get(pk=api["rita"].post("releases/", {"process": "broken", "start": True}).json()["id"])
    run_on(release)
    place = f"releases/{release.pk}/activities/compile/retry/"
    problem(api["rita"].post(place, {"reason": "x", "process": "shop"}), 403, "not_allowed")
    hidden = factories.process(
        "hidden",
        actor=people["olga"],
        owners=["user:olga@example.com"],
        phases=[{"id": "work", "activities": [{"id": "it", "type": "automated", "connector": "noop"}]}],
    )
    factories.version(hidden, actor=people["olga"])
    for name in ("hidden", "nowhere"):
        problem(api["rita"].post(place, {"reason": "x", "process": name}), 422, "unknown_process")


def test_a_draft_is_deleted_with_what_was_said_of_it_and_brought_to_it(api: Apis, shop: Process) -> None:
    draft = api["steve"].post("releases/", {"process": "shop", "inputs": {"version": "1.2"}}).json()["id"]
    assert api["steve"].post(f"releases/{draft}/comments/", {"text": "Wait."}).status_code == 201
    brought = {"name": "a.txt", "size": 1, "hash": "0" * 64, "media": "text/plain", "door": "page", "by": Release.objects.get().starter, "at": Now()}
    Attachment.objects.create(release_id=draft, **brought)
    assert api["steve"]("DELETE", f"releases/{draft}/", If_Match="*").status_code == 204
    assert (Release.objects.count(), Comment.objects.count(), Attachment.objects.count()) == (0, 0, 0)
