"""The inbox and the sign-off page by real requests: who may decide what, every refusal, and what follows an approval."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals import signing
from approvals.deciding import case_of
from approvals.models import SignOff
from approvals.querysets import cases_of, waiting
from processes import reading
from processes.drafts import document_of
from processes.models import ProcessVersion
from releases.engine import Actor
from releases.models import ActivityRun, Release
from tests import factories
from tests.releases.driving import run_on, started

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = {"summary": {"type": "text", "required": True, "min_length": 5}, "count": {"type": "integer", "min": 1}, "quiet": {"type": "boolean"}}


def client_of(person: Any, **more: Any) -> Client:
    client = Client(**more)
    client.force_login(person)
    return client


class World:
    """People of two groups, and a release whose sign-off waits for one of each."""

    def __init__(self, *, checked: bool = True, **manual: Any) -> None:
        self.qa, self.security = factories.group("qa"), factories.group("security")
        self.ann, self.bob = factories.person("ann", groups=(self.qa,)), factories.person("bob", groups=(self.security,))
        self.sam = factories.person("sam", groups=(self.qa, self.security))
        self.stranger = factories.person("stella")
        approval = {"requires": [{"count": 1, "of": ["group:qa"]}, {"count": 1, "of": ["group:security"]}], "exclude": ["starter"], "due": "24h"}
        question = {
            "id": "go_live",
            "name": "Go live",
            "type": "manual",
            "owners": ["group:qa"],
            "instructions": "Look at **${{ inputs.version }}**. <script>alert(1)</script> [site](javascript:alert(1))",
            "approval": approval,
        } | manual
        roll_out = {"id": "roll_out", "name": "Roll out", "type": "automated", "connector": "noop", "depends_on": ["go_live"]}
        inputs = {"version": {"type": "string", "required": True}, "key": {"type": "secret"}}
        self.process = factories.process(
            "shop", inputs=inputs, owners=["user:sam@example.com"], phases=[{"id": "ship", "name": "Ship it", "activities": [question, roll_out]}]
        )
        if checked:
            factories.version(self.process)
        else:  # publishing refuses what not every door keeps yet
            found: Any = reading.parse(document_of(self.process)).blueprint
            ProcessVersion.objects.create(process=self.process, number=1, document=reading.document(found), hash=reading.digest(found))
        self.release = self.start()

    def start(self, starter: Any = None) -> Release:
        release = started(self.process, starter or self.sam, version="1.4.0", key="hush-hush")
        run_on(release)
        return release

    def url(self, verb: str = "", release: Release | None = None) -> str:
        return f"/approvals/{(release or self.release).pk}/go_live/{verb}"

    def state(self, key: str = "go_live") -> str:
        return str(ActivityRun.objects.get(release=self.release, key=key).state)

    def post(self, person: Any, decision: str = "approve", **fields: str) -> Any:
        client = client_of(person)
        return client.post(self.url("sign_off/"), {"packet": packet_in(client.get(self.url())), "decision": decision, **fields})


def packet_in(page: Any) -> str:
    found = re.search(r'name="packet" value="([0-9a-f]{64})"', page.content.decode())
    return found[1] if found else ""


def test_two_people_of_two_lines_approve_and_what_follows_is_queued() -> None:
    world = World()
    first = world.post(world.ann)
    assert (first.status_code, first["Location"]) == (302, world.url())
    assert world.state() == "waiting"
    after = client_of(world.ann).get(world.url()).content.decode()
    assert "You approved." in after
    assert "Change your answer" in after
    assert world.post(world.bob, comment="Fine").status_code == 302
    assert world.state() == "succeeded"
    assert world.state("roll_out") == "queued"
    votes = SignOff.objects.order_by("pk")
    assert [(vote.person, vote.decision, vote.door, vote.address) for vote in votes] == [
        (world.ann, "approve", "page", "127.0.0.1"),
        (world.bob, "approve", "page", "127.0.0.1"),
    ]
    run_on(world.release)
    assert world.state("roll_out") == "succeeded"


def test_without_mail_the_page_says_that_nobody_was_mailed(settings: Any) -> None:
    world = World()
    client = client_of(world.ann)
    assert "nobody was mailed" in client.get(world.url()).content.decode()
    said = client.post(world.url("delegate/"), {"to": "bob@example.com"}, follow=True).content.decode()
    assert "no mail is sent here, so tell them" in said
    settings.RELORCH_MAIL = True
    assert "nobody was mailed" not in client.get(world.url()).content.decode()
    assert "Go live of Shop" in client.get("/stand-ins/").content.decode(), "by its name"


def test_the_page_says_what_is_asked_and_chooses_nothing() -> None:
    world = World(tasks=[{"id": "smoke", "name": "Smoke test", "required": True}], fields=FIELDS)
    said = client_of(world.ann).get(world.url()).content.decode()
    for words in ("Approve Go live?", "Look at <strong>1.4.0</strong>", "Smoke test", "Ship it", "secret, not shown", "Roll out can go on"):
        assert (words in said) == (words != "Roll out can go on")
    assert "1 more approval is needed after yours" in said
    assert "<script>alert" not in said
    assert 'href="javascript:' not in said
    assert "hush-hush" not in said
    assert not re.search(r'name="decision"[^>]*checked', said)
    assert 'name="field-summary"' in said


def test_a_rejection_needs_a_comment_and_ends_it() -> None:
    world = World()
    bare = world.post(world.ann, "reject")
    assert bare.status_code == 422
    said = bare.content.decode()
    assert "Say why" in said
    assert 'id="id_comment_error"' in said
    assert 'value="reject" checked' in said
    assert not SignOff.objects.exists()
    assert world.post(world.ann, "reject", comment="The total is wrong").status_code == 302
    assert world.state() == "on_hold"
    late = client_of(world.bob).post(world.url("sign_off/"), {"decision": "approve"})
    assert late.status_code == 409
    assert "rejected by Ann" in late.content.decode()


def test_every_problem_of_the_form_stands_at_its_field() -> None:
    world = World(fields=FIELDS)
    refused = world.post(world.ann, **{"field-summary": "ok", "field-count": "none", "comment": "kept"})
    said = refused.content.decode()
    assert refused.status_code == 422
    assert 'id="id_field-summary_error"' in said
    assert 'id="id_field-count_error"' in said
    assert "2 fields need" in said
    assert ">kept</textarea>" in said
    assert 'value="approve" checked' in said
    assert world.post(world.ann, "", **{"field-summary": "All good"}).status_code == 422
    assert world.post(world.ann, **{"field-summary": "All good", "field-count": "3", "field-quiet": "on"}).status_code == 302
    again = client_of(world.bob).get(world.url()).content.decode()
    assert "All good" in again


def test_a_file_is_brought_with_the_decision_and_shown_to_the_next(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    world = World(fields={"report": {"type": "file", "required": True, "accept": [".pdf"]}, "summary": {"type": "text"}})
    client = client_of(world.ann)
    assert re.search(r'<input type="file"[^>]*accept=".pdf"', client.get(world.url()).content.decode())

    def send(name: str, content: bytes, **more: str) -> Any:
        packet = packet_in(client.get(world.url()))
        return client.post(world.url("sign_off/"), {"packet": packet, "decision": "approve", "field-report": SimpleUploadedFile(name, content), **more})

    for name, content in (("report.png", b"\x89PNG\r\n\x1a\n"), ("report.pdf", b"MZ"), ("a/../.pdf", b"%PDF-1.7")):
        refused = send(name, content)
        assert (refused.status_code, 'id="id_field-report_error"' in refused.content.decode()) == (422, True), name
    assert send("report.pdf", b"%PDF-1.7 x", decision="").status_code == 422
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], "nothing is kept of what was refused"
    assert send("report.pdf", b"%PDF-1.7 x").status_code == 302
    said = client_of(world.bob).get(world.url()).content.decode()
    assert "report.pdf (10 bytes)" in said
    assert world.post(world.bob).status_code == 302, "the file that is there stays"
    assert world.state() == "succeeded"


def test_a_form_is_saved_without_deciding_and_tasks_are_ticked_off() -> None:
    world = World(fields=FIELDS, tasks=[{"id": "smoke", "name": "Smoke test", "required": True}])
    client = client_of(world.ann)
    assert "Save the form without deciding" in client.get(world.url()).content.decode()
    assert client.post(world.url("fill/"), {"field-summary": "Half of it"}, follow=True).status_code == 200
    assert not SignOff.objects.exists()
    assert "Half of it" in client_of(world.bob).get(world.url()).content.decode()
    assert client.post(world.url("fill/"), {"field-summary": "x"}).status_code == 422
    refused = world.post(world.ann, **{"field-summary": "Half of it"})
    assert (refused.status_code, "Smoke test must be done" in refused.content.decode()) == (422, True)
    assert "Smoke test: done." in client.post(world.url("tasks/smoke/"), {"status": "done"}, follow=True).content.decode()
    assert client.post(world.url("tasks/nothing/"), {"status": "done"}).status_code == 404
    assert client_of(world.stranger).post(world.url("tasks/smoke/"), {"status": "todo"}).status_code == 404
    assert world.post(world.ann, **{"field-summary": "Half of it"}).status_code == 302
    assert SignOff.objects.count() == 1


def test_a_later_vote_that_changes_the_form_asks_the_first_person_again() -> None:
    world = World(fields=FIELDS)
    world.post(world.ann, **{"field-summary": "First words"})
    assert world.post(world.bob, **{"field-summary": "Other words"}).status_code == 302
    assert world.state() == "waiting"
    said = client_of(world.ann).get(world.url()).content.decode()
    assert "What you decided on has changed" in said
    assert 'value="approve"' in said


def test_a_changed_packet_is_refused_and_shown_as_it_is_now() -> None:
    world = World()
    refused = client_of(world.ann).post(world.url("sign_off/"), {"packet": "0" * 64, "decision": "approve", "comment": "mine"})
    said = refused.content.decode()
    assert refused.status_code == 409
    assert "This has changed since you opened it" in said
    assert not re.search(r'name="decision"[^>]*checked', said)
    assert ">mine</textarea>" in said
    assert packet_in(refused) != "0" * 64
    assert not SignOff.objects.exists()


def test_twice_changes_the_vote_until_the_verdict_and_then_says_who_decided() -> None:
    world = World()
    world.post(world.ann)
    client = client_of(world.ann)
    again = client.post(world.url("sign_off/"), {"packet": packet_in(client.get(world.url("?change=1"))), "decision": "approve", "comment": "Looked twice"})
    assert again.status_code == 302
    assert SignOff.objects.get().comment == "Looked twice"
    world.post(world.bob)
    late = client.post(world.url("sign_off/"), {"decision": "reject", "comment": "No!"})
    assert late.status_code == 409
    assert "Already approved by Bob" in late.content.decode()
    assert world.state() == "succeeded"


def test_the_starter_is_left_out_although_in_the_group() -> None:
    world = World()
    assert world.post(world.sam).status_code == 403
    said = client_of(world.sam).get(world.url()).content.decode()
    assert "who started the release" in said
    assert 'name="decision"' not in said
    inbox = client_of(world.sam).get("/").content.decode()
    assert "Others decide" in inbox
    assert "Approve…" not in inbox


def test_a_stranger_finds_nothing_and_nobody_decides_without_log_in_or_token_of_the_form() -> None:
    world = World()
    stranger = client_of(world.stranger)
    assert stranger.get(world.url()).status_code == 404
    assert stranger.post(world.url("sign_off/"), {"decision": "approve"}).status_code == 404
    assert stranger.get(f"/approvals/waiting/{world.release.pk}/").status_code == 404
    assert client_of(world.ann).get("/approvals/999999/go_live/").status_code == 404
    assert client_of(world.ann).get(f"/approvals/{world.release.pk}/roll_out/").status_code == 404
    for address in ("/", world.url(), world.url("sign_off/")):
        assert "/accounts/login/" in Client().get(address)["Location"]
    forged = client_of(world.ann, enforce_csrf_checks=True).post(world.url("sign_off/"), {"decision": "approve"})
    assert forged.status_code == 403
    assert client_of(world.ann).get(world.url("sign_off/")).status_code == 405
    assert not SignOff.objects.exists()


def test_looking_changes_nothing() -> None:
    world = World()
    client = client_of(world.ann)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        for address in (world.url(), world.url("?decision=approve"), "/", "/approvals/", f"/approvals/waiting/{world.release.pk}/"):
            assert client.get(address).status_code == 200
            assert client.head(address).status_code == 200
    assert not [query["sql"] for query in seen if re.match(r"(INSERT|UPDATE|DELETE)", query["sql"]) and "session" not in query["sql"]]
    assert world.state() == "waiting"


def test_who_comes_later_in_a_sequence_is_not_asked_yet() -> None:
    lines = [{"count": 1, "of": ["group:qa"]}, {"count": 1, "of": ["group:security"]}]
    world = World(approval={"requires": lines, "order": "sequential", "exclude": ["starter"]})
    inbox = client_of(world.bob).get("/").content.decode()
    assert "Opens later" in inbox
    assert client_of(world.bob).post(world.url("sign_off/"), {"decision": "approve"}).status_code == 409
    world.post(world.ann)
    assert "Waiting for you" in client_of(world.bob).get("/").content.decode()
    assert world.post(world.bob).status_code == 302
    assert world.state() == "succeeded"


def test_lists_say_waiting_for_you_only_to_whom_can_decide_now() -> None:
    """Not to whoever started it and is left out, not before one's turn, not after one's answer."""
    lines = [{"count": 1, "of": ["group:qa"]}, {"count": 1, "of": ["group:security"]}]
    world = World(approval={"requires": lines, "order": "sequential", "exclude": ["starter"]})

    def told(person: Any) -> list[bool]:
        pages = [client_of(person).get(page).content.decode() for page in ("/releases/", f"/releases/{world.release.pk}/")]
        assert all("Waiting for" in page for page in pages)
        return ["Waiting for you" in page for page in pages]

    assert (told(world.sam), told(world.ann), told(world.bob)) == ([False] * 2, [True] * 2, [False] * 2)
    world.post(world.ann)
    assert (told(world.sam), told(world.ann), told(world.bob)) == ([False] * 2, [False] * 2, [True] * 2)


def test_confirming_who_one_is_comes_with_the_decision() -> None:
    """That somebody confirmed a moment ago for something else does not serve."""
    world = World(checked=False, approval={"requires": [{"count": 1, "of": ["group:qa"]}], "reauthenticate": True})
    client = client_of(world.ann)
    client.post(f"/accounts/reauthenticate/?next={world.url()}", {"password": factories.PASSWORD})
    page = client.get(world.url())
    given = {"packet": packet_in(page), "decision": "approve"}
    assert client.post(world.url("sign_off/"), given).status_code == 403
    assert client.post(world.url("sign_off/"), given | {"password": factories.PASSWORD}).status_code == 302
    assert world.state() == "succeeded"


def test_the_next_question_is_offered_after_a_decision() -> None:
    world = World()
    other = world.start()
    world.post(world.ann)
    said = client_of(world.ann).get(world.url()).content.decode()
    assert "Next in your inbox" in said
    assert world.url(release=other) in said


def test_the_panel_puts_the_readers_own_questions_first() -> None:
    world = World()
    address = f"/approvals/waiting/{world.release.pk}/"
    mine = client_of(world.ann).get(address, headers={"HX-Request": "true"}).content.decode()
    assert mine.lstrip().startswith('<div id="waiting-panel">')
    assert "Waiting for you" in mine
    assert "Review and sign" in mine
    assert "Waiting for people" in client_of(world.sam).get(address).content.decode()
    world.post(world.ann)
    world.post(world.bob)
    assert "Nothing waits for people" in client_of(world.ann).get(address).content.decode()


def test_the_inbox_of_twenty_asks_no_more_than_that_of_two() -> None:
    lines = [{"count": 1, "of": ["group:qa"]}, {"count": 1, "of": ["group:security"]}]
    world = World(approval={"requires": lines, "exclude": ["starter", "author", "earlier_approvers"]})
    client = client_of(world.ann)

    def asked() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert client.get("/").status_code == 200
        return len(seen)

    world.start()
    asked()
    few = asked()
    for _ in range(18):
        world.start()
    assert asked() == few
    assert client.get("/").content.decode().count('class="mail"') == 20


def test_many_cases_at_once_say_what_one_says() -> None:
    lines = [{"count": 1, "of": ["group:qa"]}, {"count": 1, "of": ["group:security", "user:ann@example.com"]}]
    world = World(approval={"requires": lines, "exclude": ["starter", "author", "earlier_approvers"]})
    world.start(starter=world.ann)
    signing.sign_off(release=world.release.pk, activity="go_live", person=world.ann, actor=Actor(world.ann.pk, world.ann.email, "page"), decision="approve")
    attempts = list(waiting())
    assert len(attempts) == 2
    assert cases_of(attempts) == {attempt.pk: case_of(attempt) for attempt in attempts}
