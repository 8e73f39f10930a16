"""Signals in (S26, goal N-05): the address, the signature, once however often it is sent, early or late."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from standardwebhooks import Webhook

from releases import doorbell, operating, signals, sweep
from releases.models import Attempt, Release, Signal
from releases.signals import token_of
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api
from tests.releases.driving import run_on
from tests.releases.scenes import ACTOR, attempts, events, fresh, later, noop, run, running, script, states

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW, OTHER = ("whsec_" + letter * 32 for letter in "abc")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)


@pytest.fixture
def olga() -> User:
    return factories.person("olga")


def signal(*depends_on: str, **keys: Any) -> dict[str, Any]:
    return {"id": "it", "type": "automated", "connector": "signal", "depends_on": list(depends_on), **keys}


def post(release: Release, body: bytes = b"{}", *, token: str = "", key: str = "it", **headers: str) -> Any:
    path = f"/api/v1/signals/{token or token_of(release.pk, key)}/"
    return Client(raise_request_exception=False).generic("POST", path, body, content_type="application/json", headers=headers)


def signed(secret: str, body: bytes, number: str = "msg_1", at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return {"webhook-id": number, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": Webhook(secret).sign(number, at, body.decode())}


def test_its_payload_becomes_the_outputs(olga: User) -> None:
    release = running(signal(outputs={"build": "${{ result.outputs.build }}"}), noop("then", "it"), starter=olga)
    assert states(release) == {"it": "waiting", "then": "pending"}
    body = Api(olga).get(f"releases/{release.pk}/").json()
    assert body["activities"][0]["signal"] == f"/api/v1/signals/{token_of(release.pk, 'it')}/"
    assert body["waiting_for"][0]["kind"] == "signal"
    assert post(release, b'{"build": "1.2", "more": 1}').json() == {"accepted": True}
    assert (run(release, "it").state, run(release, "it").outputs) == ("succeeded", {"build": "1.2"})
    run_on(release)
    assert fresh(release).state == "succeeded"
    assert events(release, "signal.received") == ["it"]
    assert post(release).status_code == 409


def test_it_may_come_before_the_activity_waits_and_is_kept(olga: User) -> None:
    release = running(script("first"), signal("first"), starter=olga)
    assert post(release, b'{"build": "1"}').status_code == 200
    assert post(release, b'{"build": "2"}').status_code == 409, "one is kept"
    assert states(release)["it"] == "pending"
    operating.skip(release=release.pk, activity="first", actor=ACTOR, reason="not needed")
    run_on(release)
    assert (fresh(release).state, run(release, "it").outputs) == ("succeeded", {"build": "1"})


def test_its_arrival_may_meet_the_beginning_of_the_wait(olga: User) -> None:
    release = running(signal(), starter=olga)
    Signal.objects.create(release=release, key="it", payload={"n": 1}, received_at=datetime.now(UTC))  # nobody looked
    later(release, 20)
    sweep.sweep()
    assert run(release, "it").outputs == {"n": 1}


@pytest.mark.parametrize(("on_failure", "state"), [("hold", "on_hold"), ("fail", "expired"), ("ignore", "ignored")])
def test_one_that_does_not_come_is_expired(olga: User, on_failure: str, state: str) -> None:
    release = running(signal(**{"with": {"due": "1s"}}, on_failure=on_failure, retry={"attempts": 3}), starter=olga)
    later(release, 20)
    connection.cursor().execute("UPDATE releases_attempt SET reference = jsonb_build_object('due', '2020-01-01T00:00:00Z') WHERE root_id = %s", [release.pk])
    sweep.sweep()
    it = run(release, "it")
    assert (it.state, it.code, attempts(release, "it")) == (state, "expired", ["expired"])
    assert it.outcome == ("expired" if state == "on_hold" else "")


def test_who_does_not_operate_sees_no_address(olga: User) -> None:
    release = running(signal(), starter=olga)
    rita = factories.person("rita")
    factories.allow(rita, "view_process", release.process)
    assert "signal" not in Api(rita).get(f"releases/{release.pk}/").json()["activities"][0]


TAMPERED: dict[str, Callable[[Release, bytes], tuple[bytes, dict[str, str], str]]] = {
    "no signature": lambda _, body: (body, {}, ""),
    "another secret": lambda _, body: (body, signed(OTHER, body), ""),
    "a changed byte": lambda _, body: (body.replace(b"1", b"2"), signed(NEW, body), ""),
    "other spaces": lambda _, body: (json.dumps(json.loads(body), indent=1).encode(), signed(NEW, body), ""),
    "too old": lambda _, body: (body, signed(NEW, body, at=datetime.now(UTC) - timedelta(seconds=310)), ""),
    "from the future": lambda _, body: (body, signed(NEW, body, at=datetime.now(UTC) + timedelta(seconds=310)), ""),
    "another id": lambda _, body: (body, {**signed(NEW, body), "webhook-id": "msg_2"}, ""),
    "no timestamp": lambda _, body: (body, {k: v for k, v in signed(NEW, body).items() if k != "webhook-timestamp"}, ""),
    "another token": lambda release, body: (body, signed(NEW, body), token_of(release.pk, "it")[:-1] + "x"),
    "a token of another activity": lambda release, body: (body, signed(NEW, body), token_of(release.pk, "then").replace("then", "it")),
    "of no release": lambda _, body: (body, signed(NEW, body), token_of(999_999, "it")),
    "nonsense": lambda _, body: (body, signed(NEW, body), "1.it"),
}


@pytest.fixture
def guarded(olga: User) -> Release:
    """Signed by one of two secrets, as in the days of a change."""
    names = {"old": {"type": "secret", "required": True}, "new": {"type": "secret", "required": True}}
    wants = {"secrets": ["${{ inputs.old }}", "${{ inputs.new }}"]}
    return running(signal(**{"with": wants}), noop("then", "it"), starter=olga, inputs=names, given={"old": OLD, "new": NEW})


def test_whatever_is_wrong_is_answered_alike(guarded: Release) -> None:
    answers = set()
    for make in TAMPERED.values():
        body, headers, token = make(guarded, b'{"n": 1}')
        answer = post(guarded, body, token=token, **headers)
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    assert answers.pop()[0] == 401
    assert not Signal.objects.exists()
    assert states(guarded)["it"] == "waiting"


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_two_secrets_hold_during_a_change(guarded: Release, secret: str) -> None:
    body = b'{"n": 1}'
    assert post(guarded, body, **signed(secret, body)).status_code == 200
    assert run(guarded, "it").outputs == {"n": 1}
    assert OLD not in str(Api(guarded.starter).get(f"releases/{guarded.pk}/").json())


def test_replays_at_the_same_instant_have_one_effect(guarded: Release) -> None:
    body = b'{"n": 1}'
    headers = signed(NEW, body)

    def send(_: int) -> int:
        try:
            return int(post(guarded, body, **headers).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(40))) == {200}
    assert Signal.objects.count() == 1
    assert events(guarded, "signal.received") == ["it"]
    assert attempts(guarded, "it") == ["succeeded"]


def test_a_large_body_is_refused_before_it_is_read(guarded: Release) -> None:
    body = b'{"n": "' + b"x" * signals.LARGEST + b'"}'
    assert post(guarded, body, **signed(NEW, body)).status_code == 413
    assert post(guarded, b"\xff\xfe", token="1.it.x").status_code == 401
    assert not Signal.objects.exists()


def test_what_is_no_json_is_refused(olga: User) -> None:
    release = running(signal(), starter=olga)
    assert post(release, b"{nonsense").status_code == 422
    assert post(release, b"7").status_code == 200
    assert run(release, "it").outputs == {"body": 7}


def hours_ago(release: Release, hours: int) -> None:
    """As if it had waited that long, and is looked at now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE releases_attempt SET queued_at = queued_at - %(h)s, started_at = started_at - %(h)s, poll_at = clock_timestamp() WHERE root_id = %(root)s",
            {"h": timedelta(hours=hours), "root": release.pk},
        )


@pytest.mark.parametrize(("keys", "state"), [({}, "waiting"), ({"timeout": "10h"}, "waiting"), ({"timeout": "1h"}, "on_hold")])
def test_without_a_due_it_waits_as_long_as_its_author_says(olga: User, keys: dict[str, Any], state: str) -> None:
    release = running(signal(**keys), starter=olga)
    hours_ago(release, 7)
    sweep.sweep()
    assert (run(release, "it").state, run(release, "it").code) == (state, "timeout" if state == "on_hold" else "")


def test_its_due_moves_by_the_time_held(olga: User) -> None:
    release = running(signal(**{"with": {"due": "1h"}}), starter=olga)
    due = datetime.fromisoformat(Attempt.objects.get(release=release).reference["due"])
    operating.hold(release=release.pk, actor=ACTOR, reason="wait")
    Release.objects.filter(pk=release.pk).update(held_at=fresh(release).held_at - timedelta(hours=2))
    hours_ago(release, 2)
    sweep.sweep()
    assert states(release)["it"] == "waiting", "nothing comes due while it is held"
    operating.resume(release=release.pk, actor=ACTOR)
    moved = datetime.fromisoformat(Attempt.objects.get(release=release).reference["due"])
    assert timedelta(hours=2) <= moved - due < timedelta(hours=2, minutes=5)
    sweep.sweep()
    assert states(release)["it"] == "waiting"


def test_a_signed_signal_that_is_empty_or_no_json_is_told_so_and_an_empty_secret_opens_nothing(olga: User) -> None:
    names = {"old": {"type": "secret", "required": True}, "new": {"type": "secret", "required": True}}
    wants = {"secrets": ["${{ inputs.old }}", "${{ inputs.new }}"]}
    release = running(signal(**{"with": wants}), starter=olga, inputs=names, given={"old": "whsec_", "new": NEW})
    assert post(release, b"{nonsense", **signed(NEW, b"{nonsense")).status_code == 422
    assert post(release, b"{}", **signed(OTHER, b"{}")).status_code == 401
    assert post(release, b"", **signed(NEW, b"")).status_code == 200
    assert run(release, "it").outputs == {}
