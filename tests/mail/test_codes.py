"""Deciding from a mail's link with a one-time code (S20, T-22), and who leaves meanwhile (A-09)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals import code_views, codes, delegating
from approvals.link_views import COOKIE
from approvals.models import Delegation, LinkToken, MailCode, SignOff
from releases.engine import Actor
from releases.models import Attempt
from relorch.accounts.models import User
from relorch.audit.models import Event
from tests import factories
from tests.approvals.test_signing import asking, people
from tests.mail.test_mail import digests, mail_all, trap
from tests.mail.trap import Trap, link_in, texts
from tests.releases.scenes import states

pytestmark = pytest.mark.django_db
__all__ = ["trap"]


@pytest.fixture(autouse=True)
def _soon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody looks at the time, it need not pass."""
    if "a_02" not in request.node.name:
        monkeypatch.setattr(code_views, "AT_LEAST", 0.0)


class Scene:
    """Bob is asked by mail, in his own name or as Ann's stand-in, and comes without signing in."""

    def __init__(self, trap: Trap, settings: Any, *, as_stand_in: bool = False, **approval: Any) -> None:
        settings.RELORCH_MAIL_CODES = True
        self.trap = trap
        self.ann, self.bob = people("ann", "bob")
        self.qa: Group = factories.group("qa", self.ann if as_stand_in else self.bob)
        if as_stand_in:
            delegating.delegate(actor=Actor(self.ann.pk, self.ann.email, "page"), by=self.ann, person=self.ann, to=self.bob)
        self.release = asking([(1, [self.qa])], **approval)
        mail_all()
        (self.link,) = [link_in(message) for message in trap.to("bob@example.com") if "/a/" in texts(message)[0]]
        self.client = Client()
        self.client.get(self.link)

    def asks(self, address: str = "Bob@example.com") -> None:
        assert self.client.post("/a/code/", {"address": address})["Location"] == "/a/code/enter/"

    def code(self) -> str:
        mail_all()
        found = [match for message in self.trap.to("bob@example.com") if (match := re.search(r"^(\d{4} \d{4})\r?$", texts(message)[0], re.MULTILINE))]
        return found[-1].group(1)

    def types(self, code: str) -> Any:
        return self.client.post("/a/code/enter/", {"code": code})

    def decides(self, decision: str = "approve", **more: Any) -> Any:
        return self.client.post("/a/code/decide/", {"decision": decision, **more})


def test_a_code_decides_once_and_says_so(trap: Trap, settings: Any) -> None:
    scene = Scene(trap, settings)
    assert b"decide with a code" in scene.client.get("/accounts/login/?next=/a/").content
    scene.asks()
    code = scene.code()
    with connection.cursor() as cursor:
        for table in ("approvals_mailcode", "audit_event", "relorch_mail"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s OR t::text LIKE %s", [f"%{code}%", f"%{code.replace(' ', '')}%"])
            assert cursor.fetchone()[0] == 0, table
    assert scene.types(code)["Location"] == "/a/code/decide/"
    page = scene.client.get("/a/code/decide/").content
    assert b"without signing in" in page
    assert scene.client.get("/").status_code == 302, "nothing else is open"
    assert scene.client.get(f"/approvals/{scene.release.pk}/ask/").status_code == 302
    missing = scene.decides("reject")
    assert (missing.status_code, b"Say why" in missing.content) == (422, True)
    assert b"You approved ask" in scene.decides(comment="from my telephone").content
    vote = SignOff.objects.get()
    assert (vote.person, vote.door, states(scene.release)["ask"]) == (scene.bob, "mail", "succeeded")
    assert '"by": "code by mail"' in Event.objects.get(verb="sign_off.given").record.replace('":"', '": "')
    assert scene.decides().status_code == 403
    assert b"not a code that is good" in scene.types(code).content


def test_a_link_decides_once_whichever_code_is_typed_where(trap: Trap, settings: Any) -> None:
    scene = Scene(trap, settings)
    scene.asks()
    first = scene.code()
    scene.asks()
    second = scene.code()
    assert first != second
    elsewhere = Client()
    elsewhere.get(scene.link)
    assert scene.types(first)["Location"] == elsewhere.post("/a/code/enter/", {"code": second})["Location"] == "/a/code/decide/"
    taken = [codes.still_good(code.pk) for code in MailCode.objects.order_by("pk")]
    assert all(taken)
    assert b"You approved" in scene.decides().content
    assert elsewhere.post("/a/code/decide/", {"decision": "reject", "comment": "no"}).status_code == 403
    assert [codes.take(code) for code in taken if code] == [False, False], "not even if both looked before"
    assert SignOff.objects.get().decision == "approve"


def test_a_10_who_is_signed_in_as_another_gets_nowhere_with_a_forwarded_link(trap: Trap, settings: Any) -> None:
    scene = Scene(trap, settings)
    scene.asks()
    code = scene.code()
    scene.client.force_login(factories.person("nosy"))
    assert scene.types(code).status_code == scene.client.post("/a/code/", {"address": "bob@example.com"}).status_code == 404
    assert [event.actor.email for event in Event.objects.filter(verb="link.refused")] == ["nosy@example.com"] * 2
    assert scene.decides().status_code == 403
    assert not SignOff.objects.exists()


@pytest.mark.parametrize("typed", ["é", "１２３４５６７８", "\N{FACE WITH TEARS OF JOY}" * 8])
def test_what_is_no_code_is_just_wrong(trap: Trap, settings: Any, typed: str) -> None:
    scene = Scene(trap, settings)
    scene.asks()
    scene.code()
    assert scene.types(typed).status_code == 403


def test_it_is_off_unless_allowed_and_dead_once_it_is_not(trap: Trap, settings: Any) -> None:
    scene = Scene(trap, settings)
    scene.asks()
    scene.types(scene.code())
    settings.RELORCH_MAIL_CODES = False
    assert {scene.decides().status_code, scene.client.get("/a/code/").status_code, scene.types("1").status_code} == {404}
    assert b"decide with a code" not in scene.client.get("/accounts/login/?next=/a/").content
    assert not SignOff.objects.exists()


def test_a_01_peer_11_a_scanner_that_sends_every_form_changes_nothing(trap: Trap, settings: Any) -> None:
    scene = Scene(trap, settings)
    before = digests()
    for path in ("/a/code/", "/a/code/enter/", "/a/code/decide/"):
        for fields in ({}, {"address": "x@example.com", "code": "00000000", "decision": "approve"}):
            scene.client.get(path)
            scene.client.post(path, fields)
    assert digests() == before
    assert Client(enforce_csrf_checks=True).post("/a/code/", {"address": "bob@example.com"}).status_code == 403


@pytest.mark.parametrize("approval", [{"reauthenticate": True}, {"reauthenticate": "signature"}, {"reauthenticate": "passkey"}])
def test_never_where_the_person_must_confirm(trap: Trap, settings: Any, approval: dict[str, Any]) -> None:
    scene = Scene(trap, settings, **approval)
    scene.asks()
    assert not MailCode.objects.exists()


def test_tries_and_codes_are_counted(trap: Trap, settings: Any) -> None:
    scene = Scene(trap, settings)
    scene.asks("ann@example.com")
    assert not MailCode.objects.exists()
    for _ in range(5):
        scene.asks()
    assert MailCode.objects.count() == codes.MOST_AN_HOUR
    code = scene.code()
    thief = Client()
    assert thief.post("/a/code/enter/", {"code": code}).status_code == 403, "without the link"
    for _ in range(codes.MOST_TRIES):
        assert scene.types("00000000").status_code == 403
    assert scene.types(code).status_code == 403, "five tries, and it is none any more"
    MailCode.objects.update(tries=0, expires_at=F("created_at") - timedelta(seconds=1))
    assert scene.types(code).status_code == 403, "ten minutes"


def test_wrong_codes_are_on_the_record(trap: Trap, settings: Any) -> None:
    scene = Scene(trap, settings)
    scene.types("11112222")
    assert not Event.objects.filter(verb="code.refused").exists(), "no code is out: nothing can be guessed"
    scene.asks()
    code = scene.code()
    wrong = "00000000" if code != "0000 0000" else "11111111"
    for _ in range(2):
        scene.types(wrong)
    said = [json.loads(event.record) for event in Event.objects.filter(verb="code.refused").order_by("sequence")]
    assert [one["data"]["try"] for one in said] == [1, 2]
    assert said[0]["data"]["address"] == "127.0.0.1"
    assert wrong not in str(said)
    scene.types(code)
    assert Event.objects.filter(verb="code.refused").count() == 2


def test_a_02_how_a_code_is_asked_for_tells_nothing(trap: Trap, settings: Any) -> None:
    """Whether the address fits, whether its person may decide, whether there is such a link: the answer, the work and the time are the same."""
    scene = Scene(trap, settings)
    stranger = Client()
    stranger.cookies[COOKIE] = "x" * 43

    def asked(client: Client, address: str) -> tuple[int, float]:
        began = time.monotonic()
        with CaptureQueriesContext(connection) as seen:
            answer = client.post("/a/code/", {"address": address})
        assert (answer.status_code, answer["Location"]) == (302, "/a/code/enter/")
        # undoing is one statement more only here, inside the transaction of a test
        return len([query for query in seen if not query["sql"].startswith("ROLLBACK")]), time.monotonic() - began

    asked(scene.client, "x@example.com")  # what is read once in a process is read
    wrong = asked(scene.client, "x@example.com")
    right = asked(scene.client, "bob@example.com")
    assert MailCode.objects.count() == 1
    scene.qa.user_set.clear()
    may_not = asked(scene.client, "bob@example.com")
    assert MailCode.objects.count() == 1
    scene.qa.user_set.add(scene.bob)
    assert wrong[0] == right[0] == may_not[0]
    times = [wrong[1], right[1], may_not[1], asked(stranger, "bob@example.com")[1]]
    assert all(code_views.AT_LEAST <= one < code_views.AT_LEAST + 0.25 for one in times), times


def test_a_02_typing_a_code_takes_as_long_whatever_the_link_is(trap: Trap, settings: Any) -> None:
    scene = Scene(trap, settings)
    scene.asks()
    stranger = Client()
    stranger.cookies[COOKIE] = "x" * 43
    times, pages = [], []
    for client in (scene.client, stranger, Client()):
        began = time.monotonic()
        answer = client.post("/a/code/enter/", {"code": "00000000"})
        times.append(time.monotonic() - began)
        pages.append((answer.status_code, answer.content.decode().replace(str(answer.context["csrf_token"]), "")))
    assert len(set(pages)) == 1
    assert min(times) >= code_views.AT_LEAST


def test_what_has_changed_since_takes_another_code(trap: Trap, settings: Any) -> None:
    scene = Scene(trap, settings)
    scene.asks()
    scene.types(scene.code())
    attempt = Attempt.objects.get(run__release=scene.release, run__key="ask")
    Attempt.objects.filter(pk=attempt.pk).update(bound={"inputs": {"image": "other"}})
    assert scene.client.get("/a/code/decide/")["Location"] == "/a/code/"
    scene.types(scene.code())
    assert scene.decides().status_code == 409
    assert not SignOff.objects.exists()


def deactivated(scene: Scene) -> None:
    User.objects.filter(pk=scene.bob.pk).update(is_active=False)


def out_of_the_group(scene: Scene) -> None:
    scene.qa.user_set.clear()


def delegation_ended(scene: Scene) -> None:
    for row in Delegation.objects.filter(delegate=scene.bob):
        delegating.end(actor=Actor(scene.bob.pk, scene.bob.email, "page"), by=scene.bob, delegation=row)


@pytest.mark.parametrize("credential", ["link", "code asked", "code sent", "code typed"])
@pytest.mark.parametrize(("leaves", "as_stand_in"), [(deactivated, False), (deactivated, True), (out_of_the_group, False), (delegation_ended, True)])
def test_a_09_who_leaves_decides_nothing_at_the_next_request(
    trap: Trap, settings: Any, credential: str, leaves: Callable[[Scene], None], as_stand_in: bool
) -> None:
    scene = Scene(trap, settings, as_stand_in=as_stand_in)
    if credential == "link":
        scene.client.force_login(scene.bob)
        assert scene.client.get("/a/")["Location"] == f"/approvals/{scene.release.pk}/ask/"
        leaves(scene)
        scene.client.get(scene.link)
        assert scene.client.get("/a/", follow=True).status_code in (200, 404)
        assert scene.client.get(f"/approvals/{scene.release.pk}/ask/").status_code in (302, 404)
        answer = scene.client.post(f"/approvals/{scene.release.pk}/ask/sign_off/", {"decision": "approve"})
        assert answer.status_code in (302, 403, 404)
    elif credential == "code asked":
        leaves(scene)
        scene.asks()
        assert not MailCode.objects.exists()
    elif credential == "code sent":
        scene.asks()
        code = scene.code()
        leaves(scene)
        scene.types(code)
        assert scene.decides().status_code == 403
    else:
        scene.asks()
        scene.types(scene.code())
        assert scene.client.get("/a/code/decide/").status_code == 200
        leaves(scene)
        assert scene.client.get("/a/code/decide/").status_code == 403
        assert scene.decides().status_code == 403
    assert not SignOff.objects.exists()
    assert LinkToken.objects.filter(used_at=None).exists()
