"""Where an approval wants it, a person confirms who they are with that very request; and the signature that is kept of it (A-08)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.test import Client

from approvals import signatures
from approvals.models import Signature, SignOff
from relorch.accounts import confirming
from relorch.accounts.models import User
from relorch.lib.errors import NotAllowed
from tests import factories
from tests.approvals.test_signing import asking, people, sign
from tests.releases.scenes import states

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def api(client: Client, release: Any, **body: Any) -> Any:
    where = f"/api/v1/releases/{release.pk}/activities/ask/sign_offs/"
    return client.post(where, {"decision": "approve", **body}, content_type="application/json")


def test_without_confirming_no_door_takes_the_decision() -> None:
    (ann,) = people("ann")
    release = asking([(1, [ann])], reauthenticate=True, allow_tokens=True)
    client = signed_in(ann)
    by_token = Client(headers={"Authorization": f"Bearer {factories.token(ann)}"})
    assert api(client, release).json()["code"] == "reauthenticate"
    assert api(by_token, release, password=factories.PASSWORD).json()["code"] == "reauthenticate", "a token cannot"
    assert client.post(f"/approvals/{release.pk}/ask/sign_off/", {"decision": "approve"}).status_code == 403
    with pytest.raises(NotAllowed) as refusal:
        sign(release, ann)
    assert refusal.value.code == "reauthenticate"
    assert (states(release)["ask"], SignOff.objects.count()) == ("waiting", 0)


def test_the_password_is_asked_each_time_and_never_kept() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(2, [ann, bob])], reauthenticate=True)
    client = signed_in(ann)
    wrong = api(client, release, password="wrong")
    assert (wrong.status_code, wrong.json()["code"]) == (403, "not_confirmed")
    given = api(client, release, password=factories.PASSWORD)
    assert given.status_code == 201, given.content
    assert api(client, release).json()["code"] == "reauthenticate", "also to change it"
    shown = client.get(f"/api/v1/releases/{release.pk}/activities/ask/sign_offs/").json()
    signature = shown["votes"][0]["signature"]
    assert (signature["name"], signature["meaning"], signature["method"], signature["verifies"]) == ("Ann", "approve", "password", True)
    assert factories.PASSWORD not in str(shown)


def test_a_wrong_password_is_said_at_its_field_on_the_page() -> None:
    (ann,) = people("ann")
    release = asking([(1, [ann])], reauthenticate=True)
    client = signed_in(ann)
    where = f"/approvals/{release.pk}/ask/"
    assert b"Your password" in client.get(where).content
    wrong = client.post(where + "sign_off/", {"decision": "approve", "comment": "kept", "password": "wrong"})
    assert (wrong.status_code, b"That is not right" in wrong.content, b"kept" in wrong.content) == (403, True, True)
    assert b'value="wrong"' not in wrong.content
    assert client.post(where + "sign_off/", {"decision": "approve", "password": factories.PASSWORD}).status_code == 302
    assert b"Signed by Ann, approve" in client.get(where).content


def test_a_code_serves_and_only_once() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(2, [ann, bob])], reauthenticate=True)
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(ann, secret)
    code = totp.format_hotp_value(totp.hotp_value(secret, next(iter(totp.yield_hotp_counters_from_time()))))
    client = signed_in(ann)
    assert api(client, release, code=code).status_code == 201
    assert api(client, release, code=code).json()["code"] == "not_confirmed"
    assert api(signed_in(bob), release, code=code).json()["code"] == "not_confirmed", "it is Ann's"
    assert Signature.objects.get().method == "totp"


def test_wrong_tries_count_with_those_of_the_log_in() -> None:
    (ann,) = people("ann")
    release = asking([(1, [ann])], reauthenticate=True)
    client = signed_in(ann)
    codes = [api(client, release, password="wrong").json()["code"] for _ in range(6)]
    assert codes == ["not_confirmed"] * 5 + ["too_many_tries"]
    login = Client().post("/accounts/login/", {"login": ann.email, "password": factories.PASSWORD})
    assert (login.status_code, b"Too many failed login attempts" in login.content) == (200, True)
    assert api(client, release, password=factories.PASSWORD).json()["code"] == "too_many_tries"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Bob"},
        {"email": "x@example.com"},
        {"meaning": "reject"},
        {"reason": "other"},
        {"packet": "0" * 64},
        {"method": "totp"},
        {"door": "api"},
        {"behalf": "x@example.com"},
        {"address": "10.0.0.1"},
        {"at": timedelta(seconds=1)},
    ],
)
def test_a_08_a_signature_fails_after_any_change_of_it(changes: dict[str, Any]) -> None:
    (ann,) = people("ann")
    release = asking([(1, [ann])], reauthenticate=True)
    api(signed_in(ann), release, password=factories.PASSWORD, comment="fine")
    row = Signature.objects.get()
    assert signatures.verifies(row)
    ((name, value),) = changes.items()
    Signature.objects.update(**{name: row.at + value if isinstance(value, timedelta) else value})
    assert not signatures.verifies(Signature.objects.get())
    assert b"does not verify" in signed_in(ann).get(f"/approvals/{release.pk}/ask/").content


@pytest.mark.parametrize("changes", [{"decision": "reject"}, {"comment": "other"}, {"door": "api"}, {"at": timedelta(seconds=1)}])
def test_a_08_a_signature_fails_after_any_change_of_its_record(changes: dict[str, Any]) -> None:
    (ann,) = people("ann")
    release = asking([(1, [ann])], reauthenticate=True)
    api(signed_in(ann), release, password=factories.PASSWORD, comment="fine")
    ((name, value),) = changes.items()
    vote = SignOff.objects.get()
    SignOff.objects.update(**{name: vote.at + value if isinstance(value, timedelta) else value})
    assert not signatures.verifies(Signature.objects.get())


def test_a_changed_vote_is_signed_anew_and_the_earlier_signature_holds() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(2, [ann, bob])], reauthenticate=True, reject_when="impossible")
    client = signed_in(ann)
    api(client, release, password=factories.PASSWORD)
    api(client, release, password=factories.PASSWORD, comment="again")
    assert [signatures.verifies(row) for row in Signature.objects.all()] == [True, True]


def test_a_08_a_series_of_signatures_begins_with_both_components_and_ends_when_it_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = people("ann", "bob")
    first, second, third = (asking([(1, [ann])], reauthenticate="signature") for _ in range(3))
    asking([(1, [bob])], reauthenticate="signature")
    client = signed_in(ann)
    assert api(client, first, password=factories.PASSWORD).json()["code"] == "both_components"
    assert api(client, first, password=factories.PASSWORD, identity=bob.email).json()["code"] == "not_confirmed"
    assert api(client, first, password="wrong", identity=ann.email).json()["code"] == "not_confirmed"
    where = f"/approvals/{first.pk}/ask/"
    assert b"Your e-mail address" in client.get(where).content
    page = client.post(where + "sign_off/", {"decision": "approve", "password": factories.PASSWORD, "identity": "Ann@Example.com "})
    assert page.status_code == 302
    assert b"Your e-mail address" not in client.get(f"/approvals/{second.pk}/ask/").content
    assert api(client, second).json()["code"] == "reauthenticate", "the password again each time"
    assert api(client, second, password=factories.PASSWORD).status_code == 201
    assert api(signed_in(ann), third, password=factories.PASSWORD).json()["code"] == "both_components", "another session"
    later = confirming.time.time() + 15 * 60
    monkeypatch.setattr(confirming.time, "time", lambda: later)
    assert api(client, third, password=factories.PASSWORD).json()["code"] == "both_components"
    assert api(client, third, password=factories.PASSWORD, identity=ann.email).status_code == 201
    assert list(Signature.objects.values_list("method", flat=True)) == ["identity+password", "password", "identity+password"]


def test_whoever_has_an_app_signs_first_with_its_code_and_never_with_the_code_alone() -> None:
    (ann,) = people("ann")
    release = asking([(1, [ann])], reauthenticate="signature", allow_tokens=True)
    secret = totp.generate_totp_secret()
    kept = totp.TOTP.activate(ann, secret).instance.data["secret"]
    assert secret not in kept
    code = totp.format_hotp_value(totp.hotp_value(secret, next(iter(totp.yield_hotp_counters_from_time()))))
    client = signed_in(ann)
    assert api(client, release, password=factories.PASSWORD, identity=ann.email).json()["code"] == "both_components"
    assert api(client, release, code=code).json()["code"] == "both_components"
    by_token = Client(headers={"Authorization": f"Bearer {factories.token(ann)}"})
    assert api(by_token, release, password=factories.PASSWORD, code=code).json()["code"] == "reauthenticate"
    packet = client.get(f"/approvals/{release.pk}/ask/").context["question"].packet
    client.post("/approvals/together/decide/", {"decision": "approve", "item": f"{release.pk}/ask/{packet}", "password": factories.PASSWORD})
    assert not SignOff.objects.exists()
    assert api(client, release, password=factories.PASSWORD, code=code).status_code == 201
    assert Signature.objects.get().method == "code+password"
