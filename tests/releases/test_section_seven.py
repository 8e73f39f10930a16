"""The calls of section 7 of the semantics, each with its method: what it answers when it does what it is for, and its main refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from processes.models import Process
from releases.models import Release
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api
from tests.processes.test_api import problem
from tests.releases.conftest import INPUTS, phases
from tests.releases.driving import run_on

pytestmark = pytest.mark.django_db(transaction=True)

CALLS = """
POST GET processes/
GET processes/{id}/
GET PUT processes/{id}/draft/
POST processes/validate/
POST processes/{id}/publish/
GET processes/{id}/versions/
GET processes/{id}/versions/{n}/
GET processes/{id}/versions/{a}/diff/{b}/
GET processes/{id}/plan/
GET schema/process.json
POST processes/from_text/
POST processes/{id}/evaluate/
POST GET releases/
GET PATCH DELETE releases/{id}/
POST releases/{id}/start/
POST releases/{id}/hold/
POST releases/{id}/resume/
POST releases/{id}/abort/
POST releases/{id}/cancel/
POST releases/{id}/reschedule/
POST releases/{id}/restart_from/
POST releases/{id}/activities/{activity}/stop/
POST releases/{id}/activities/{activity}/retry/
POST releases/{id}/activities/{activity}/ignore/
POST releases/{id}/activities/{activity}/fail/
POST releases/{id}/activities/{activity}/skip/
POST releases/{id}/activities/{activity}/succeed/
POST releases/{id}/activities/{activity}/reassign/
GET releases/{id}/activities/{activity}/log/
GET releases/{id}/events/
GET releases/{id}/plan/
GET releases/{id}/activities/{activity}/tasks/{task}/
GET POST releases/{id}/comments/
GET POST releases/{id}/attachments/
GET POST releases/{id}/activities/{activity}/sign_offs/
GET sign_offs/pending/
GET POST input_sets/
GET POST activity_templates/
GET POST connections/
GET POST release_groups/
GET POST freeze_windows/
GET POST webhooks/
GET POST tokens/
"""
NOT_YET = {"connections/", "release_groups/", "freeze_windows/", "webhooks/"}
"""Promised and not made: each answers 404 until then, and whoever makes one takes it from here."""
UNKNOWN = 999_999


def shape(path: str) -> str:
    """A path with its variables made equal."""
    return "/".join("{}" if part.startswith("{") else part for part in path.removeprefix("/api/v1/").split("/"))


def test_every_call_is_described_with_its_method() -> None:
    described = SchemaGenerator().get_schema(request=None, public=True)["paths"]  # type: ignore[no-untyped-call]
    there = {shape(path): {method.upper() for method in methods} for path, methods in described.items()}
    missing = []
    for line in CALLS.split("\n"):
        if line:
            *methods, path = line.split()
            missing += [f"{method} {path}" for method in methods if method not in there.get(shape(path), set())]
    assert {one.split()[1] for one in missing} == NOT_YET, missing


def test_what_is_promised_for_later_is_not_found(api: dict[str, Api]) -> None:
    for path in NOT_YET:
        for method in ("GET", "POST"):
            problem(api["olga"](method, path, {} if method == "POST" else None), 404, "not_found")


def test_a_stranger_to_the_house_gets_401_everywhere() -> None:
    nobody = Api(None)
    for line in CALLS.split("\n"):
        if line:
            *methods, path = line.split()
            real = path.format(id="1" if path.startswith("releases/") else "shop", n=1, a=1, b=1, activity="qa", task="one")
            for method in methods if path != "schema/process.json" else ():  # editors ask for that one without a token
                assert nobody(method, real, None if method == "GET" else {}).status_code == 401, f"{method} {path}"


def answers(response: Any, status: int) -> Any:
    assert response.status_code == status, (response.request["PATH_INFO"], response.content)
    return response.json() if "json" in response["Content-Type"] else response.content.decode()


def test_processes(people: dict[str, User], api: dict[str, Api]) -> None:
    olga, sam = Api(factories.person("otto", author=True)), api["sam"]
    document = factories.document("shop", owners=["user:otto@example.com"], inputs=INPUTS, phases=phases())
    made = olga.post("processes/", document)
    assert answers(made, 201)["id"] == "shop"
    problem(olga.post("processes/", document), 409, "process_exists")
    problem(sam.post("processes/", document), 403, "not_allowed")
    assert olga.post("processes/", "{broken").status_code == 422
    assert olga.post("processes/", "x" * (2**20 + 1)).status_code == 413
    assert {"results", "next", "previous"} <= set(answers(olga.get("processes/"), 200))
    assert answers(sam.get("processes/"), 200)["results"] == []
    draft = olga.get("processes/shop/draft/")
    assert answers(draft, 200)["id"] == "shop"
    assert answers(olga.get("processes/shop/draft/?format=yaml"), 200).startswith("apiVersion")
    assert answers(olga.put("processes/shop/draft/", document, If_Match=draft["ETag"]), 200)
    problem(olga.put("processes/shop/draft/", document), 428, "precondition_required")
    problem(olga.put("processes/shop/draft/", document, If_Match='"old"'), 412, "stale")
    assert answers(olga.post("processes/validate/", document), 200)["problems"] == []
    assert answers(olga.post("processes/validate/", "{broken"), 200)["problems"] != []
    problem(olga.post("processes/shop/publish/", {}), 428, "precondition_required")
    problem(olga.post("processes/shop/publish/", {}, If_Match='"old"'), 412, "stale")
    published = answers(olga.post("processes/shop/publish/", {"note": "first"}, If_Match="*"), 200)
    assert {"number", "hash"} <= set(published)
    changed = {**document, "name": "Another"}
    answers(olga.put("processes/shop/draft/", changed, If_Match="*"), 200)
    answers(olga.post("processes/shop/publish/", {}, If_Match="*"), 200)
    assert len(answers(olga.get("processes/shop/versions/"), 200)["results"]) == 2
    assert answers(olga.get("processes/shop/versions/1/"), 200)["number"] == 1
    problem(olga.get("processes/shop/versions/9/"), 404, "not_found")
    change = answers(olga.get("processes/shop/versions/1/diff/2/"), 200)["changes"][0]
    assert {"kind", "place", "before", "after", "text", "weakens"} <= set(change)
    assert {"waves", "activities", "critical_path", "inputs"} <= set(answers(olga.get("processes/shop/plan/"), 200))
    assert "$schema" in answers(olga.get("schema/process.json"), 200)
    assert {"yaml", "process", "problems", "questions"} <= set(answers(olga.post("processes/from_text/", {"text": "Build, then test."}), 200))
    assert answers(olga.post("processes/shop/evaluate/", {"expression": "1 + 1"}), 200)["value"] == 2
    assert olga.post("processes/shop/evaluate/", {"expression": "1 +"}).status_code in (200, 422)
    unsound = factories.document("round", phases=[{"id": "a", "depends_on": ["a"], "activities": [{"id": "b", "type": "automated", "connector": "noop"}]}])
    assert answers(olga.post("processes/", unsound), 201)["problems"] != []
    assert olga.post("processes/round/publish/", {}, If_Match="*").status_code == 422
    for path in ("", "draft/", "versions/", "versions/1/", "versions/1/diff/2/", "plan/"):
        problem(sam.get(f"processes/shop/{path}"), 404, "not_found")
        problem(olga.get(f"processes/unknown/{path}"), 404, "not_found")
    problem(sam.post("processes/shop/publish/", {}, If_Match="*"), 404, "not_found")
    problem(sam.post("processes/shop/evaluate/", {"expression": "1"}), 404, "not_found")


def test_releases(api: dict[str, Api], shop: Process) -> None:
    steve, rita, sam = api["steve"], api["rita"], api["sam"]
    body = {"process": "shop", "inputs": {"version": "1.2"}}
    made = steve.post("releases/", body, Idempotency_Key="once")
    first = answers(made, 201)["id"]
    assert answers(steve.post("releases/", body, Idempotency_Key="once"), 201)["id"] == first
    assert answers(steve.post("releases/", {"like": first}), 201)["id"] != first
    assert answers(steve.post("releases/", {**body, "inputs": {"version": "no"}, "start": True}), 422)["code"]
    problem(rita.post("releases/", {**body, "start": True}), 403, "not_allowed")
    assert sam.post("releases/", body).status_code == 404
    assert len(answers(steve.get("releases/?state=draft&process=shop"), 200)["results"]) == 2
    detail = answers(steve.get(f"releases/{first}/"), 200)
    assert {"state", "phases", "activities", "waiting_for"} <= set(detail)
    assert {"id", "phase", "type", "state", "started_at", "finished_at", "attempts", "outputs"} <= set(detail["activities"][0])
    patched = steve("PATCH", f"releases/{first}/", {"name": "Spring"}, If_Match="*")
    assert answers(patched, 200)["name"] == "Spring"
    problem(steve("PATCH", f"releases/{first}/", {"name": "x"}), 428, "precondition_required")
    problem(steve("PATCH", f"releases/{first}/", {"name": "x"}, If_Match='"old"'), 412, "stale")
    assert steve("DELETE", f"releases/{first}/", If_Match="*").status_code == 204
    problem(steve.get(f"releases/{first}/"), 404, "not_found")
    for path in ("events/", "plan/", "comments/", "attachments/", "activities/qa/log/", "activities/qa/sign_offs/", "activities/qa/tasks/one/"):
        problem(steve.get(f"releases/{UNKNOWN}/{path}"), 404, "not_found")


def test_verbs_of_a_release(api: dict[str, Api], shop: Process) -> None:
    steve, rita, sam = api["steve"], api["rita"], api["sam"]
    place = f"releases/{answers(steve.post('releases/', {'process': 'shop', 'inputs': {'version': '1.2'}}), 201)['id']}"
    why = {"reason": "because"}
    problem(steve.post(f"{place}/hold/", why), 409, "wrong_state")
    assert answers(steve.post(f"{place}/start/?preview=true", why), 200)["will"]
    answers(steve.post(f"{place}/start/", why), 200)
    run_on(Release.objects.get(pk=int(place.split("/")[1])))
    for verb, more in (("hold", {}), ("resume", {}), ("restart_from", {"phase": "build"}), ("abort", {})):
        path = f"{place}/{verb}/"
        problem(sam.post(path, {**why, **more}), 404, "not_found")
        problem(rita.post(path, {**why, **more}), 403, "not_allowed")
        assert answers(steve.post(f"{path}?preview=true", {**why, **more}), 200)["will"]
        answers(steve.post(path, {**why, **more}), 200)
        assert steve.get(path).status_code == 405
    assert problem(steve.post(f"{place}/abort/", why), 409, "wrong_state")["state"] == "aborted"
    assert problem(steve.post(f"{place}/cancel/", why), 409, "wrong_state")["state"] == "aborted"
    at = {"scheduled_for": (datetime.now(UTC) + timedelta(days=30)).isoformat()}
    later = f"releases/{answers(steve.post('releases/', {'process': 'shop', 'inputs': {'version': '1.2'}, **at}), 201)['id']}"
    assert steve.post(f"{later}/reschedule/", {**why, "scheduled_for": "soon"}).status_code == 422
    answers(steve.post(f"{later}/reschedule/", {**why, "scheduled_for": (datetime.now(UTC) + timedelta(days=40)).isoformat()}), 200)
    answers(steve.post(f"{later}/cancel/", why), 200)
    events = answers(steve.get(f"{place}/events/"), 200)["results"]
    assert {"sequence", "verb", "actor", "at", "door", "subject", "reason", "data"} <= set(events[0])
    assert [one["sequence"] for one in events] == sorted(one["sequence"] for one in events)
    assert {"waves", "activities", "critical_path", "inputs"} <= set(answers(steve.get(f"{place}/plan/"), 200))


@pytest.fixture
def open_shop(people: dict[str, User], shop: Process) -> Process:
    """As the shop, but two of QA decide, and may by a token."""
    rule = {"requires": [{"count": 2, "of": ["group:qa"]}], "allow_tokens": True}
    made = factories.process("open", actor=people["olga"], owners=["user:olga@example.com"], inputs=INPUTS, phases=phases(**rule))
    factories.version(made, actor=people["olga"])
    factories.allow(people["steve"], "start", made)
    factories.allow(people["olga"], "override", made)
    factories.allow(people["rita"], "view_process", made)
    return made


def begun(steve: Api) -> str:
    """A release that waits for QA."""
    number = answers(steve.post("releases/", {"process": "open", "inputs": {"version": "1.2"}, "start": True}), 201)["id"]
    run_on(Release.objects.get(pk=number))
    return f"releases/{number}"


WAITING = {"stop": 409, "skip": 200, "succeed": 200, "reassign": 200, "retry": 409, "ignore": 409, "fail": 409}
ON_HOLD = {"stop": 409, "skip": 409, "succeed": 200, "reassign": 409, "retry": 200, "ignore": 200, "fail": 200}


def test_verbs_of_an_activity(api: dict[str, Api], open_shop: Process) -> None:
    olga, rita, sam = api["olga"], api["rita"], api["sam"]
    place = begun(api["steve"])
    for fits in (WAITING, ON_HOLD):
        for verb, status in fits.items():
            path, body = f"{place}/activities/qa/{verb}/", {"reason": "because", **({"owners": ["group:qa"]} if verb == "reassign" else {})}
            said = answers(olga.post(f"{path}?preview=true", body), status)
            assert said.get("state" if status == 409 else "will") is not None, verb
            problem(sam.post(path, body), 404, "not_found")
            problem(rita.post(path, body), 403, "not_allowed")
            problem(olga.post(f"{place}/activities/unknown/{verb}/", body), 404, "not_found")
            assert olga.get(path).status_code == 405
            if status == 200:
                assert olga.post(path, {**body, "reason": ""}).status_code == 422, verb
        answers(api["quentin"].post(f"{place}/activities/qa/sign_offs/", {"decision": "reject", "comment": "no"}), 201 if fits is WAITING else 409)
    answers(olga.post(f"{place}/activities/qa/retry/", {"reason": "because"}), 200)


def test_deciding(api: dict[str, Api], shop: Process, open_shop: Process) -> None:
    steve, quentin, quirin = api["steve"], api["quentin"], api["quirin"]
    place = begun(steve)
    where = f"{place}/activities/qa/sign_offs/"
    rule = answers(quentin.get(where), 200)
    assert rule["verdict"] == "open"
    assert {"count", "of", "filled_by", "can_fill"} <= set(rule["lines"][0])
    assert {"hash", "binds", "text"} <= set(rule["packet"])
    assert [one["activity"] for one in answers(quentin.get("sign_offs/pending/"), 200)["results"]] == ["qa"]
    problem(api["sam"].post(where, {"decision": "approve"}), 404, "not_found")
    problem(api["rita"].post(where, {"decision": "approve"}), 403, "not_entitled")
    assert quentin.post(where, {"decision": "perhaps"}).status_code == 422
    assert quentin.post(where, {"decision": "approve", "packet": "0" * 64}).status_code == 409
    assert answers(quentin.post(where, {"decision": "approve"}), 201)["verdict"] == "open"
    assert answers(quentin.post(where, {"decision": "approve", "comment": "yes"}), 200)["verdict"] == "open"
    assert answers(quentin.get("sign_offs/pending/"), 200)["results"] == []
    assert answers(quirin.post(where, {"decision": "approve"}), 201)["verdict"] == "approved"
    problem(quirin.post(where, {"decision": "reject"}), 409, "settled")
    votes = answers(quentin.get(where), 200)["votes"]
    assert {"by", "decision", "comment", "at", "door", "stale"} <= set(votes[0])
    number = answers(steve.post("releases/", {"process": "shop", "inputs": {"version": "1.2"}, "start": True}), 201)["id"]
    run_on(Release.objects.get(pk=number))
    problem(quentin.post(f"releases/{number}/activities/qa/sign_offs/", {"decision": "approve"}), 403, "token_may_not_decide")


def test_what_is_said_and_logged(api: dict[str, Api], open_shop: Process) -> None:
    steve, sam = api["steve"], api["sam"]
    place = begun(steve)
    assert isinstance(answers(steve.get(f"{place}/activities/compile/log/?after=0"), 200), str)
    problem(steve.get(f"{place}/activities/qa/tasks/unknown/"), 404, "not_found")
    assert answers(steve.post(f"{place}/comments/", {"text": "so"}), 201)["id"]
    assert len(answers(steve.get(f"{place}/comments/"), 200)["results"]) == 1
    assert steve.post(f"{place}/comments/", {"text": ""}).status_code == 422
    assert answers(steve.get(f"{place}/attachments/"), 200)["results"] == []
    for path in ("activities/compile/log/", "comments/", "attachments/", "events/", "plan/"):
        problem(sam.get(f"{place}/{path}"), 404, "not_found")


def test_lists_of_their_own(api: dict[str, Api], shop: Process) -> None:
    steve = api["steve"]
    assert {"results", "next", "previous"} <= set(answers(steve.get("input_sets/"), 200))
    made = answers(steve.post("tokens/", {"name": "ci"}), 201)
    assert made["id"]
    assert [one["name"] for one in answers(steve.get("tokens/"), 200)["results"]].count("ci") == 1
    assert steve.post("input_sets/", {}).status_code in (403, 422)
