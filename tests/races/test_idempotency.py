"""An `Idempotency-Key` makes a POST happen once, whoever asks how often and whatever dies meanwhile (S10)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client

from processes import editing
from processes.models import Process, ProcessVersion
from relorch.accounts.models import User
from relorch.audit.models import Event
from relorch.lib.errors import Conflict
from relorch.requests import claims
from relorch.requests.models import IdempotentRequest
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(db: None) -> User:
    return factories.person("olga", author=True)


@pytest.fixture
def client(owner: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {factories.token(owner)}"}, raise_request_exception=False)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert claims.current.get() is None


def post(client: Client, path: str, body: Any, key: str, **headers: str) -> Any:
    return client.generic("POST", f"/api/v1/{path}", json.dumps(body), content_type="application/json", headers={"Idempotency-Key": key} | headers)


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_make_one(owner: User) -> None:
    document, barrier, token = factories.document("shop"), Barrier(20), factories.token(owner)

    def ask(_: int) -> tuple[int, str]:
        barrier.wait()
        response = post(Client(headers={"Authorization": f"Bearer {token}"}), "processes/", document, "one")
        connection.close()
        return response.status_code, response.content.decode()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    assert {status for status, _ in answers} <= {201, 409}
    assert len({body for status, body in answers if status == 201}) == 1
    assert Process.objects.count() == 1
    assert Event.objects.count() == 1


def test_the_answer_is_given_again_with_its_headers(client: Client) -> None:
    first = post(client, "processes/", factories.document("shop"), "one")
    again = post(client, "processes/", factories.document("shop"), "one")
    assert (again.status_code, again.content, again["ETag"], again["Content-Type"]) == (201, first.content, first["ETag"], first["Content-Type"])
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert "shop" not in IdempotentRequest.objects.get().answer


def test_another_request_under_the_same_key_is_refused(client: Client) -> None:
    post(client, "processes/", factories.document("shop"), "one")
    for path, body in (("processes/", factories.document("other")), ("processes/validate/", factories.document("shop"))):
        response = post(client, path, body, "one")
        assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert Process.objects.count() == 1


def test_keys_are_each_persons_own(client: Client) -> None:
    other = Client(headers={"Authorization": f"Bearer {factories.token(factories.person('tom', author=True))}"})
    assert post(client, "processes/", factories.document("shop"), "one").status_code == 201
    assert post(other, "processes/", factories.document("other"), "one").status_code == 201


def test_a_refusal_frees_the_key(client: Client, owner: User) -> None:
    assert post(client, "processes/shop/publish/", {}, "one", **{"If-Match": "*"}).status_code == 404
    factories.process("shop", actor=owner)
    assert post(client, "processes/shop/publish/", {}, "one", **{"If-Match": "*"}).status_code == 200
    assert post(client, "processes/shop/publish/", {}, "one", **{"If-Match": "*"}).json()["number"] == 1
    assert ProcessVersion.objects.count() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tinside"])
def test_a_key_that_is_none_is_refused(client: Client, key: str) -> None:
    assert post(client, "processes/", factories.document("shop"), key).json()["code"] == "idempotency_key"


def test_while_the_first_works_the_second_is_told_to_come_again(client: Client, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "PATIENCE", 0.05)
    document = factories.document("shop")
    post(client, "processes/", document, "one")
    IdempotentRequest.objects.update(status=None, effective=False)
    response = post(client, "processes/", document, "one")
    assert (response.status_code, response.json()["state"]) == (409, "in_progress")


def test_what_died_before_it_did_anything_is_done_by_the_next(client: Client, owner: User) -> None:
    post(client, "processes/", factories.document("shop"), "one")
    Process.objects.all().delete()
    IdempotentRequest.objects.update(status=None, effective=False, claimed_at=F("claimed_at") - claims.LOST_AFTER - timedelta(seconds=1))
    assert post(client, "processes/", factories.document("shop"), "one").status_code == 201
    assert IdempotentRequest.objects.get().claim == 2


def test_what_died_after_it_was_done_is_never_done_again(client: Client, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "PATIENCE", 0.05)
    document = factories.document("shop")
    monkeypatch.setattr(claims, "settle", lambda *_: 1 / 0)  # the process dies between the commit and the answer
    assert post(client, "processes/", document, "one").status_code == 500
    row = IdempotentRequest.objects.get()
    assert (row.effective, row.status) == (True, None)
    assert post(client, "processes/", document, "one").json()["state"] == "in_progress"
    IdempotentRequest.objects.update(claimed_at=F("claimed_at") - claims.LOST_AFTER - timedelta(seconds=1))
    monkeypatch.undo()
    monkeypatch.setattr(claims, "PATIENCE", 0.05)
    response = post(client, "processes/", document, "one")
    assert (response.status_code, response.json()["code"]) == (409, "answer_lost")
    assert Process.objects.count() == 1


def test_who_was_given_up_for_lost_can_no_longer_change_anything(owner: User) -> None:
    claim = claims.take(person=owner, key="one", fingerprint="f")
    assert isinstance(claim, claims.Claim)
    IdempotentRequest.objects.update(claimed_at=F("claimed_at") - claims.LOST_AFTER - timedelta(seconds=1))
    second = claims.take(person=owner, key="one", fingerprint="f")
    assert second == claims.Claim(claim.pk, 2)
    claims.begin(claim)
    with pytest.raises(Conflict) as caught:
        editing.create_process(factories.document("shop"), actor=owner)
    assert caught.value.code == "idempotency_key_lost"
    assert not Process.objects.exists()
    claims.give_up(claim)
    assert IdempotentRequest.objects.get().claim == 2


def test_keys_are_forgotten_after_two_days(client: Client) -> None:
    post(client, "processes/", factories.document("shop"), "one")
    assert claims.forget() == 0
    IdempotentRequest.objects.update(created_at=F("created_at") - claims.KEPT)
    assert claims.forget() == 1
