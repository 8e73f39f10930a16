"""Decisions signed by passkey: over exactly what is decided on, once, and provable from the export alone (A-08)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from approvals import evidence, signatures
from approvals.models import Signature, SignOff
from relorch.audit.models import Event
from tests import factories
from tests.approvals.authenticator import Passkey
from tests.approvals.test_confirming import api, signed_in
from tests.approvals.test_signing import asking, people
from tests.releases.scenes import states

pytestmark = pytest.mark.django_db


class Scene:
    """Ann, who has a passkey, and a question that wants it."""

    def __init__(self, **approval: Any) -> None:
        self.ann, self.bob = people("ann", "bob")
        self.passkey = Passkey().enrolled(self.ann)
        self.release = asking([(2, [self.ann, self.bob])], **{"reauthenticate": "passkey", **approval})
        self.client = signed_in(self.ann)
        self.where = f"/approvals/{self.release.pk}/ask/"

    @property
    def packet(self) -> str:
        return str(self.client.get(self.where).context["question"].packet)

    def asked(self, decision: str = "approve", comment: str = "") -> Any:
        return self.client.post(self.where + "challenge/", {"decision": decision, "comment": comment, "packet": self.packet})

    def send(self, passkey: str, decision: str = "approve", comment: str = "", **more: Any) -> Any:
        return self.client.post(self.where + "sign_off/", {"decision": decision, "comment": comment, "packet": self.packet, "passkey": passkey, **more})

    def signed(self, comment: str = "") -> Any:
        return self.send(self.passkey.signs(self.asked(comment=comment).json()["challenge"]), comment=comment)


def test_a_passkey_signs_the_packet_and_the_export_proves_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene()
    assert b"data-passkey-use" in scene.client.get(scene.where).content
    assert scene.asked().json()["userVerification"] == "required"
    assert scene.signed("fine").status_code == 302
    row = Signature.objects.get()
    assert (row.method, signatures.verifies(row), row.sign_off.packet.hash) == ("passkey", True, row.evidence["statement"]["packet"])
    shown = scene.client.get(f"/api/v1/releases/{scene.release.pk}/signatures/").json()["results"]
    assert [evidence.problems(document) for document in shown] == [[]]
    assert signed_in(people("eve")[0]).get(f"/api/v1/releases/{scene.release.pk}/signatures/").status_code == 404
    call_command("signatures", "export", str(scene.release.pk))
    file = tmp_path / "signatures.json"
    file.write_text(capsys.readouterr().out)
    call_command("signatures", "verify", str(file))
    call_command("signatures", "verify")
    assert capsys.readouterr().out.count("0 broken") == 2
    file.write_text(file.read_text().replace('"reason": "fine"', '"reason": "fine!"', 1))
    with pytest.raises(SystemExit):
        call_command("signatures", "verify", str(file))
    assert "BROKEN" in capsys.readouterr().out
    Signature.objects.update(evidence={**row.evidence, "passkey": {**row.evidence["passkey"], "origin": "http://elsewhere"}})
    with pytest.raises(SystemExit):
        call_command("signatures", "verify")
    assert b"does not verify" in scene.client.get(scene.where).content


@pytest.mark.parametrize(
    "send",
    [
        lambda it, c: it.send(it.passkey.signs(c), decision="reject", comment="no"),
        lambda it, c: it.send(it.passkey.signs(c), comment="another reason"),
        lambda it, c: it.send(it.passkey.signs(c, flags=0x01)),
        lambda it, c: it.send(it.passkey.signs(c, origin="http://elsewhere")),
        lambda it, c: it.send(it.passkey.signs(b"x" * 32)),
        lambda it, c: it.send(Passkey().signs(c)),
        lambda it, c: it.send(Passkey().enrolled(it.bob).signs(c)),
        lambda it, c: it.send("{}"),
        lambda it, c: it.send("[" * 9_999),
        lambda it, c: it.send("", password=factories.PASSWORD),
        lambda it, c: api(it.client, it.release, password=factories.PASSWORD),
        lambda it, c: api(Client(headers={"Authorization": f"Bearer {factories.token(it.ann)}"}), it.release, password=factories.PASSWORD),
        lambda it, c: it.client.post("/approvals/together/decide/", {"decision": "approve", "item": f"{it.release.pk}/ask/{it.packet}"}),
    ],
)
def test_what_the_passkey_did_not_sign_is_not_decided(send: Any) -> None:
    scene = Scene(allow_tokens=True)
    answer = send(scene, scene.asked().json()["challenge"])
    assert answer.status_code in (200, 403, 409)
    assert (SignOff.objects.count(), states(scene.release)["ask"]) == (0, "waiting")


def test_an_assertion_serves_once_and_not_for_another_question() -> None:
    scene = Scene(reject_when="impossible")
    other = asking([(1, [scene.ann])], reauthenticate="passkey")
    answer = scene.passkey.signs(scene.asked().json()["challenge"])
    elsewhere = scene.client.post(f"/approvals/{other.pk}/ask/sign_off/", {"decision": "approve", "passkey": answer})
    assert elsewhere.status_code == 409
    answer = scene.passkey.signs(scene.asked().json()["challenge"])
    assert scene.send(answer).status_code == 302
    assert scene.send(answer).status_code == 403
    assert SignOff.objects.count() == 1


def test_nothing_is_given_to_sign_that_cannot_be_decided() -> None:
    scene = Scene()
    assert scene.asked("maybe").status_code == 422
    assert scene.client.post(scene.where + "challenge/", {"decision": "approve", "packet": "0" * 64}).status_code == 409
    assert scene.client.get(scene.where + "challenge/").status_code == 405
    eve = signed_in(people("eve")[0])
    assert eve.post(scene.where + "challenge/", {"decision": "approve"}).status_code == 404
    assert not Event.objects.filter(verb="sign_off.given").exists()


def test_a_passkey_serves_where_any_confirmation_does() -> None:
    scene = Scene(reauthenticate=True)
    assert scene.signed().status_code == 302
    assert Signature.objects.get().method == "passkey"


def flips(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something can be changed."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flips(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from flips(inner, (*path, number))
    else:
        yield path


def flipped(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        at = len(value) // 2
        return value[:at] + ("A" if value[at : at + 1] != "A" else "B") + value[at + 1 :]
    return "there was nothing"


def test_after_any_flip_of_any_field_it_proves_nothing() -> None:
    scene = Scene()
    scene.signed("fine")
    document = json.loads(json.dumps(signatures.document_of(Signature.objects.get())))
    del document["sealed"]  # not the passkey's: only the installation's seal covers it
    assert evidence.problems(document) == []
    places = list(flips(document))
    assert len(places) > 30
    for place in places:
        changed = copy.deepcopy(document)
        inner = changed
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = flipped(inner[place[-1]])
        assert evidence.problems(changed), place
    for part in ("record", "packet", "statement", "passkey"):
        assert evidence.problems({**document, part: None})
        for name in document[part]:
            assert evidence.problems({**document, part: {key: value for key, value in document[part].items() if key != name}}), (part, name)
