"""Starting twice at the same instant: one release (S10)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from releases import doorbell, planning
from releases.engine import Actor
from releases.models import Release
from relorch.lib.errors import Conflict
from tests import factories
from tests.releases import invariants
from tests.releases.driving import published, run_on
from tests.releases.scenes import blueprint, events, fresh, noop

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 12


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)


def at_once(act: Any) -> list[Any]:
    barrier = Barrier(MANY)

    def one(_: int) -> Any:
        barrier.wait()
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(one, range(MANY)))


def test_one_idempotency_key_starts_one_release() -> None:
    owner = factories.person("olga", author=True)
    process = factories.process("shop", actor=owner, owners=["user:olga@example.com"])
    factories.version(process, actor=owner)
    headers = {"Authorization": f"Bearer {factories.token(owner)}", "Idempotency-Key": "one"}
    body = json.dumps({"process": "shop", "inputs": {}, "start": True})

    def start() -> tuple[int, Any]:
        answer = Client(raise_request_exception=False).generic("POST", "/api/v1/releases/", body, content_type="application/json", headers=headers)
        return answer.status_code, answer.json().get("id")

    answers = at_once(start)
    assert {status for status, _ in answers} <= {201, 409}
    assert Release.objects.count() == 1
    assert len(events(Release.objects.get(), "release.started")) == 1
    assert {found for status, found in answers if status == 201} == {Release.objects.get().pk}
    assert start() == (201, Release.objects.get().pk)
    assert invariants.broken() == {}


def test_a_draft_is_started_once() -> None:
    starter = factories.person()
    actor = Actor(starter.pk, starter.email, "page")
    draft = planning.save_draft(process=published(blueprint(noop("a"), noop("b", "a"))), given={}, actor=actor, starter=starter)

    def start() -> str:
        try:
            return planning.start_draft(release=Release.objects.select_related("process", "version", "starter").get(pk=draft.pk), actor=actor).state
        except Conflict as refusal:
            return refusal.code

    assert sorted(at_once(start)) == ["running", *["wrong_state"] * (MANY - 1)]
    assert events(draft).count("release.started") == 1
    run_on(draft)
    assert fresh(draft).state == "succeeded"
    assert invariants.broken() == {}
