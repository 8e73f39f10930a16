"""What every answer has: headers, errors in the asker's language, sessions that end, tokens at the API's door."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from processes.problems import Problem
from relorch import urls as real
from relorch.accounts import tokens
from relorch.accounts.models import User
from relorch.lib.errors import Conflict, DomainError, Invalid, NotAllowed, Unavailable

REFUSALS: dict[str, Exception] = {
    "invalid": Invalid("bad_process", "It is not right.", [Problem("cycle", "a needs a", "/phases/0")]),
    "not_allowed": NotAllowed("may_not", "You may not."),
    "conflict": Conflict("wrong_state", "Not now.", state="running"),
    "unavailable": Unavailable("broker_gone", "No answer."),
    "missing": Http404("secret detail"),
    "broken": RuntimeError("secret detail"),
    "gone": LookupError("secret detail"),
}


def page(request: HttpRequest, kind: str) -> HttpResponse:
    raise REFUSALS[kind]


class Shape(serializers.Serializer):
    name = serializers.CharField(max_length=3)
    inner = serializers.ListField(child=serializers.IntegerField())


@api_view(["GET", "POST"])
def api(request: Request, kind: str) -> Response:
    if kind == "who":
        return Response({"who": request.user.email, "door": type(request.auth).__name__})
    if kind == "shape":
        Shape(data=request.data).is_valid(raise_exception=True)
    raise REFUSALS[kind]


handler400, handler403, handler404, handler500 = real.handler400, real.handler403, real.handler404, real.handler500
urlpatterns = [path("try/<kind>", page), path("api/try/<kind>", api), path("", include("relorch.urls"))]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def ada() -> User:
    return User.objects.create_user(email="ada@example.org", password="correct horse", is_superuser=True, is_staff=True)


@pytest.fixture
def secret(ada: User) -> str:
    return tokens.issue(actor=ada, person=ada)[1]


@pytest.fixture
def stranger() -> Client:
    return Client(raise_request_exception=False)


STATUS = {"invalid": 422, "not_allowed": 403, "conflict": 409, "unavailable": 503, "missing": 404, "gone": 404, "broken": 500}


@pytest.mark.parametrize(("kind", "status"), STATUS.items())
def test_errors_are_problem_details_for_programs(stranger: Client, secret: str, kind: str, status: int) -> None:
    answer = stranger.get(f"/api/try/{kind}", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    body = json.loads(answer.content)
    assert {"type", "title", "status", "code", "detail"} <= body.keys()
    assert body["status"] == status
    assert "secret detail" not in answer.text
    expected: dict[str, dict[str, Any]] = {
        "invalid": {"code": "bad_process", "problems": [{"code": "cycle", "message": "a needs a", "place": "/phases/0", "severity": "error"}]},
        "conflict": {"code": "wrong_state", "state": "running"},
    }
    assert expected.get(kind, {}).items() <= body.items()


@pytest.mark.parametrize(("kind", "status"), STATUS.items())
def test_errors_are_pages_for_people(stranger: Client, kind: str, status: int) -> None:
    answer = stranger.get(f"/try/{kind}")
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    assert "secret detail" not in answer.text
    if isinstance(refusal := REFUSALS[kind], DomainError):
        assert refusal.message in answer.text
    assert "<html" in answer.text
    assert "<html" not in stranger.get(f"/try/{kind}", headers={"HX-Request": "true"}).text


def test_wrong_fields_are_problems_with_places(stranger: Client, secret: str) -> None:
    answer = stranger.post(
        "/api/try/shape", {"name": "long", "inner": [1, "x"]}, content_type="application/json", headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.status_code == 422
    assert {(found["place"], found["code"]) for found in answer.json()["problems"]} == {("/name", "max_length"), ("/inner/1", "invalid")}


def test_no_token_no_answer(stranger: Client) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer é"}, {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"}):
        answer = stranger.get("/api/try/who", headers=headers)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert answer["Content-Type"] == "application/problem+json"


def test_the_token_is_known_to_the_view(stranger: Client, secret: str) -> None:
    assert stranger.get("/api/try/who", headers={"Authorization": f"bearer {secret}"}).json() == {"who": "ada@example.org", "door": "ApiToken"}


def test_too_many_requests(stranger: Client, secret: str, settings) -> None:
    settings.RELORCH_API_RATE = 3
    answers = [stranger.get("/api/try/who", headers={"Authorization": f"Bearer {secret}"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1]["Retry-After"]) > 0


@pytest.mark.parametrize("address", ["/healthz", "/accounts/login/", "/try/missing", "/try/broken", "/nowhere", "/api/v1/nowhere", "/static/css/app.css"])
def test_headers_of_every_answer(stranger: Client, address: str) -> None:
    answer = stranger.get(address)
    policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert policy["default-src"] == "'self'"
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert address.startswith("/static/") or "no-store" in answer["Cache-Control"]


def test_the_admin_alone_has_its_own_policy(client: Client, ada: User) -> None:
    client.force_login(ada)
    answer = client.get("/admin/")
    assert answer.status_code == 200
    assert "unsafe-eval" in answer["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert "no-store" in answer["Cache-Control"] or "no-cache" in answer["Cache-Control"]


def test_log_in_by_e_mail(client: Client, ada: User) -> None:
    answer = client.post("/accounts/login/", {"login": "ADA@example.org", "password": "wrong"})
    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session
    answer = client.post("/accounts/login/", {"login": "ADA@example.org", "password": "correct horse"})
    assert answer.status_code == 302
    assert client.session["_auth_user_id"] == str(ada.pk)


def test_nobody_makes_an_account_for_themselves(client: Client) -> None:
    client.post("/accounts/signup/", {"email": "eve@example.org", "password1": "correct horse battery"})
    assert not User.objects.filter(email="eve@example.org").exists()


def test_guessing_ends_after_five(client: Client, ada: User) -> None:
    for _ in range(5):
        client.post("/accounts/login/", {"login": "ada@example.org", "password": "wrong"})
    answer = client.post("/accounts/login/", {"login": "ada@example.org", "password": "correct horse"})
    assert answer.status_code in {200, 429}
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize(("started", "seen", "stays"), [(11 * 3600, 60, True), (13 * 3600, 60, False), (3600, 31 * 60, False), (3600, 29 * 60, True)])
def test_a_session_ends(client: Client, ada: User, monkeypatch: pytest.MonkeyPatch, started: int, seen: int, stays: bool) -> None:
    client.force_login(ada)
    client.get("/accounts/password/change/")
    session = client.session
    session["started"] -= started
    session["seen"] -= seen
    session.save()
    assert (client.get("/accounts/password/change/").status_code == 200) is stays


def test_a_time_zone_that_no_longer_exists(client: Client, ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(time_zone="Europe/Atlantis")
    client.force_login(ada)
    assert client.get("/accounts/password/change/").status_code == 200


def test_forms_of_other_pages_are_refused(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    answer = client.post("/accounts/logout/")
    assert answer.status_code == 403
    assert "expired" in answer.text


@pytest.mark.parametrize("ask", [lambda client: client.get("/processes/?q=a%00b"), lambda client: client.get("/processes/?a%00=b"),
                                 lambda client: client.post("/accounts/login/", {"login": "a\0b", "password": "x"}),
                                 lambda client: client.get("/admin/processes/process/?q=%00")])  # fmt: skip
def test_nul_is_refused_once_for_all(client: Client, ada: User, ask: Any) -> None:
    client.force_login(ada)
    answer = ask(client)
    assert answer.status_code == 400
    assert "NUL" in answer.content.decode()
