"""Drafts from plain text: by rules, and by a model behind a real server that speaks the protocol; nothing is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from processes.models import Process
from relorch.accounts.models import User
from relorch.audit.models import Event
from tests import factories
from tests.connectors.servers import Request, Sink, sink
from tests.processes.conftest import Api
from tests.processes.test_api import problem

pytestmark = pytest.mark.django_db
TEXT = "# Shop release\n\n## Build (Owner: user:olga@example.com)\n\n- Build it\n- Test it\n\n## Go live\n\n- Approval by QA\n"
GOOD = {
    "apiVersion": "relorch/v1",
    "kind": "Process",
    "id": "shop_release",
    "name": "Shop release",
    "owners": ["user:olga@example.com"],
    "phases": [{"id": "build", "activities": [{"id": "build_it", "type": "automated", "connector": "noop"}]}],
}


def test_a_text_becomes_a_draft_and_nothing_is_stored(as_owner: Api, owner: User) -> None:
    factories.group("qa", owner)
    before = Event.objects.count()
    body = as_owner.post("processes/from_text/", {"text": TEXT}).json()
    assert set(body) == {"yaml", "process", "problems", "questions", "summary"}
    assert [phase["id"] for phase in body["process"]["phases"]] == ["build", "go_live"]
    assert body["process"]["phases"][0]["owners"] == ["user:olga@example.com"]
    assert body["process"]["phases"][1]["activities"][0]["approval"] == {"requires": [{"of": ["group:qa"]}]}
    assert body["yaml"].startswith("apiVersion: relorch/v1\n")
    assert [question["place"] for question in body["questions"]][-1] == "/phases/1/owners"
    assert {found["code"] for found in body["problems"]} == {"approval_needs_everybody"}, "warnings only: each group has one member"
    assert (Process.objects.count(), Event.objects.count()) == (0, before)
    assert as_owner.post("processes/", body["yaml"], content_type="application/yaml").status_code == 201, "what was answered can be saved"


def test_an_id_that_is_taken_is_not_proposed(as_owner: Api, owner: User) -> None:
    factories.process("shop_release", actor=owner)
    assert as_owner.post("processes/from_text/", {"text": TEXT}).json()["process"]["id"] == "shop_release_2"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "/text"),
        ({"text": " \n"}, "/text"),
        ({"text": "x" * 200_001}, "/text"),
        ({"text": "- a", "using": "magic"}, "/using"),
        ({"text": "- a", "using": "model"}, "/using"),
    ],
)
def test_what_cannot_be_read(as_owner: Api, body: dict[str, Any], place: str) -> None:
    answer = as_owner.post("processes/from_text/", body)
    assert answer.status_code == 422
    assert [found["place"] for found in answer.json()["problems"]] == [place]


def test_only_who_may_make_processes(as_teammate: Api) -> None:
    problem(as_teammate.post("processes/from_text/", {"text": TEXT}), 403, "not_allowed")


# By a model


def completion(content: str) -> tuple[int, dict[str, str], bytes]:
    answer = {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}]}
    return 200, {"content-type": "application/json"}, json.dumps(answer).encode()


@pytest.fixture
def model(settings: Any) -> Iterator[Callable[..., Sink]]:
    """Starts an endpoint that gives these answers in turn, the last one for ever."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def start(*answers: tuple[int, dict[str, str], bytes]) -> Sink:
            left = list(answers)

            def answer(request: Request) -> tuple[int, dict[str, str], bytes]:
                return left.pop(0) if len(left) > 1 else left[0]

            served = stack.enter_context(sink(answer))
            settings.RELORCH_MODEL_URL = served.url("/v1")
            settings.RELORCH_MODEL_NAME = "small"
            settings.RELORCH_MODEL_KEY = "key-of-the-model"
            return served

        yield start


def said(process: Any, **more: Any) -> tuple[int, dict[str, str], bytes]:
    return completion(json.dumps({"process": process, "questions": [{"place": "/phases/0/owners", "text": "Who?"}], "summary": "Builds."} | more))


def test_a_model_answers_in_the_same_shape(as_owner: Api, owner: User, model: Callable[..., Sink]) -> None:
    factories.person("anna")
    served = model(said(GOOD))
    body = as_owner.post("processes/from_text/", {"text": TEXT, "using": "model"}).json()
    assert body["process"]["id"] == "shop_release"
    assert (body["summary"], body["questions"]) == ("Builds.", [{"place": "/phases/0/owners", "text": "Who?"}])
    request = served.requests[0]
    assert (request.path, request.headers["authorization"]) == ("/v1/chat/completions", "Bearer key-of-the-model")
    asked = json.loads(request.body)
    schema = asked["response_format"]["json_schema"]["schema"]
    assert asked["model"] == "small"
    assert schema["properties"]["process"]["properties"]["phases"]
    assert "Phase" in schema["$defs"]
    assert asked["messages"][1]["content"] == TEXT
    assert "olga@example.com" in asked["messages"][0]["content"], "the text names her"
    assert "anna@example.com" not in asked["messages"][0]["content"], "nobody else's address leaves the house"
    assert Process.objects.count() == 0


def test_what_is_wrong_is_told_to_the_model_and_prompt_and_answers_are_kept(as_owner: Api, owner: User, model: Callable[..., Sink]) -> None:
    circle = GOOD | {"phases": [{"id": "a", "depends_on": ["a"], "activities": GOOD["phases"][0]["activities"]}]}
    served = model(completion("no JSON at all"), said(circle), said(GOOD))
    body = as_owner.post("processes/from_text/", {"text": TEXT, "using": "model"}).json()
    assert body["process"]["phases"] == GOOD["phases"]
    assert len(served.requests) == 3
    told = json.loads(served.requests[2].body)["messages"]
    assert told[2]["role"] == "assistant"
    assert "/phases/0/depends_on" in told[3]["content"]
    events = list(Event.objects.filter(stream=f"account:{owner.pk}", verb="process.drafted_by_model").order_by("sequence"))
    assert len(events) == 3
    record = json.loads(events[0].record)["data"]
    assert record["answer"] == "no JSON at all"
    assert record["prompt"][1]["content"] == TEXT
    assert "key-of-the-model" not in str([event.record for event in events])


def test_the_best_of_what_a_stubborn_model_says_is_shown_with_its_problems(as_owner: Api, model: Callable[..., Sink]) -> None:
    served = model(said(GOOD | {"phases": [{"id": "a", "depends_on": ["b"], "activities": [], "nonsense": 1}]}))
    body = as_owner.post("processes/from_text/", {"text": TEXT, "using": "model"}).json()
    assert len(served.requests) == 3
    assert {"unknown_key", "unknown_phase"} & {found["code"] for found in body["problems"]}


@pytest.mark.parametrize(
    "answer",
    [
        *((200, {}, b"[" * 200_000), (200, {}, b'{"choices": [{"message": {"content": ' + b"[" * 200_000)),
        *((500, {}, b"broken"), (200, {}, b"<html>"), (200, {}, b'{"choices": []}'), (302, {"location": "http://169.254.169.254/"}, b"")),
    ],
)
def test_an_endpoint_that_does_not_answer_is_503(as_owner: Api, model: Callable[..., Sink], answer: Any) -> None:
    model(answer)
    problem(as_owner.post("processes/from_text/", {"text": TEXT, "using": "model"}), 503, "model_unavailable")


def test_strange_things_beside_a_process_that_can_be_read_harm_nothing(as_owner: Api, owner: User, model: Callable[..., Sink]) -> None:
    model(said(GOOD, questions=True, summary="a\ud800b\x00c"))
    body = as_owner.post("processes/from_text/", {"text": TEXT, "using": "model"}).json()
    assert (body["process"]["id"], body["questions"], body["summary"]) == ("shop_release", [], "a?bc")
    model(completion("\ud800\x00" + json.dumps({"process": GOOD})))
    assert as_owner.post("processes/from_text/", {"text": TEXT, "using": "model"}).status_code == 200
    doors = {json.loads(event.record)["door"] for event in Event.objects.filter(verb="process.drafted_by_model")}
    assert doors == {"api"}, "the record says by which door it was asked"


def test_nonsense_three_times_is_503(as_owner: Api, model: Callable[..., Sink]) -> None:
    model(completion("[]"))
    problem(as_owner.post("processes/from_text/", {"text": TEXT, "using": "model"}), 503, "model_unusable")
