"""From an event to a mail that arrives, and from its link to a decision: a real SMTP server, real requests (S20, R-10, A-01, A-02, A-10)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import time, timedelta
from smtplib import SMTPRecipientsRefused
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from approvals import delegating, links
from approvals.models import LinkToken, SignOff
from approvals.reassigning import reassign
from processes import editing, publishing
from releases import operating
from releases.engine import Actor
from releases.models import Attempt
from relorch import posting, relay
from relorch.audit.chain import Happening, note
from relorch.audit.models import Event
from relorch.lib import clock
from relorch.models import Mail, PassedOver, Relayed
from tests import factories
from tests.approvals.test_packets import asked, shipping
from tests.approvals.test_signing import sign
from tests.approvals.test_views import World, client_of, packet_in
from tests.mail.trap import Trap, link_in, texts, trapping
from tests.releases.driving import run_on, started

pytestmark = pytest.mark.django_db
BASE = "https://release.example.org"


@pytest.fixture
def trap(settings: Any) -> Iterator[Trap]:
    with trapping() as found:
        settings.RELORCH_MAIL = True
        settings.RELORCH_BASE_URL = BASE
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.DEFAULT_FROM_EMAIL = "127.0.0.1", found.port, "relorch@example.org"
        Relayed.objects.create(upto=Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0)
        yield found


def mail_all() -> None:
    relay.relay()
    posting.post()


def digests() -> dict[str, str]:
    """A digest of every table: what a scanner must not change."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        found = {}
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t")
            found[table] = cursor.fetchone()[0]
    return found


def test_who_can_decide_is_asked_once_in_plain_text_and_html(trap: Trap) -> None:
    world = World()
    for _ in range(3):
        mail_all()
    assert {str(message["To"]) for message in trap.found} == {"ann@example.com", "bob@example.com"}, "not the starter, who is excluded"
    (message,) = trap.to("ann@example.com")
    plain, html = texts(message)
    assert str(message["Subject"]).startswith("Decide by ")
    assert "Go live, " in str(message["Subject"])
    assert message["Auto-Submitted"] == "auto-generated"
    assert "sam@example.com" in str(message["Reply-To"])
    for said in ("Approve Go live?", "This is the first release of its process", "never from this mail", f"{BASE}/a/", "Due"):
        assert said in plain, said
        assert said in html, said
    assert "<script" not in html.lower().replace("<style", "")
    assert "<img" not in html
    assert "hush-hush" not in plain + html
    assert world.state() == "waiting"


def test_one_changed_digest_is_just_that_line_in_the_mail(trap: Trap) -> None:
    """As in page and packet (tests/approvals/test_packets.py); and the risk of it, and what ran before."""
    quinn = factories.person("quinn", groups=(factories.group("qa"),))
    factories.person("olga")
    old, new = (f"shop@sha256:{letter * 12}" for letter in "ab")
    process = editing.create_process(shipping(old), actor=None)
    publishing.publish(process, actor=None)
    first = asked(process, key="k")
    sign(first, quinn)
    run_on(first)
    asked(process, key="k", image=new)
    mail_all()
    said = [line.strip() for line in texts(trap.to("quinn@example.com")[-1])[0].splitlines()]
    block = said[said.index("What changed: medium risk") + 1 : said.index("Checks")]
    lines = [f"{place}: {old} → {new}" for place in ("activities.build.outputs.image", "inputs.image")]
    assert (block[0], sorted(filter(None, block[1:]))) == (f"2 things changed since {first.name}.", lines)
    assert said[said.index("Checks") + 1] == "1 check has succeeded"


def test_peer_20_what_is_settled_is_said_to_those_who_were_asked(trap: Trap) -> None:
    world = World(approval={"requires": [{"count": 1, "of": ["group:qa", "group:security"]}], "exclude": ["starter"]})
    mail_all()
    world.post(world.ann)
    mail_all()
    (told,) = trap.to("bob@example.com")[1:]
    assert str(told["Subject"]).startswith("No longer needed: Go live")
    assert "approved by Ann" in texts(told)[0]
    assert len(trap.to("ann@example.com")) == 1, "she knows"


def test_a_question_that_is_settled_before_its_mail_left_is_never_sent(trap: Trap) -> None:
    world = World(approval={"requires": [{"count": 1, "of": ["group:qa", "group:security"]}], "exclude": ["starter"]})
    relay.relay()
    world.post(world.ann)
    posting.post()
    assert trap.found == []
    assert {mail.state for mail in Mail.objects.filter(kind="request")} == {"needless"}


def test_a_server_that_is_busy_is_asked_again_with_the_same_number(trap: Trap) -> None:
    World()
    trap.busy = 2
    mail_all()
    assert trap.found == []
    waiting = Mail.objects.filter(state="waiting")
    assert all(mail.tries == 1 and "451" in mail.error for mail in waiting)
    assert all(timedelta(seconds=50) < mail.next_at - mail.created_at < timedelta(seconds=90) for mail in waiting)
    waiting.update(next_at=mail_time())
    posting.post()
    assert sorted(str(message["Message-ID"]) for message in trap.found) == sorted(f"<mail-{mail.pk}@release.example.org>" for mail in Mail.objects.all())


def mail_time() -> Any:
    return clock.now() - timedelta(seconds=1)


def test_who_cannot_be_reached_is_given_up_with_the_reason(trap: Trap) -> None:
    trap.refuse = "ann@example.com"
    World()
    mail_all()
    dead = Mail.objects.get(state="dead")
    assert dead.person.email == "ann@example.com"
    assert "550" in dead.error
    assert Mail.objects.get(state="sent").person.email == "bob@example.com"


def test_a_worker_that_dies_between_sending_and_noting_it_sends_the_same_mail_again(trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    World()
    relay.relay()
    with monkeypatch.context() as patched:
        patched.setattr(posting, "_line", lambda text: (_ for _ in ()).throw(SystemExit) if trap.found else text)
        with pytest.raises(SystemExit):
            posting.post()
    assert len(trap.found) == 1
    Mail.objects.filter(state="waiting").update(next_at=mail_time())
    posting.post()
    numbers = [str(message["Message-ID"]) for message in trap.found]
    assert len(numbers) == 3
    assert len(set(numbers)) == 2, "0 lost, and what is there twice says so"


def test_an_event_that_appears_late_under_a_smaller_number_is_told_all_the_same(trap: Trap) -> None:
    World()
    mail_all()
    assert len(trap.found) == 2
    late = Event.objects.get(verb="activity.asked")
    assert Relayed.objects.get().upto < late.pk, "the last minutes are read again"
    Mail.objects.all().delete()
    mail_all()
    assert len(trap.found) == 4


def test_a_failure_is_told_to_the_owners_and_a_line_break_in_a_name_is_no_header(trap: Trap) -> None:
    world = World()
    operating.succeed(release=world.release.pk, activity="go_live", actor=Actor(None, "sam@example.com", "page"), reason="broken glass")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE releases_release SET name = %s WHERE id = %s", ["Shop\r\nBcc: all@example.com", world.release.pk])
    mail_all()
    for message in trap.found:
        assert message["Bcc"] is None
        assert "Shop Bcc: all@example.com" in str(message["Subject"])


# What a person wants


def test_quiet_hours_digest_and_off(trap: Trap) -> None:
    world = World(approval={"requires": [{"count": 1, "of": ["group:qa"]}, {"count": 1, "of": ["group:security"]}], "exclude": ["starter"], "due": "10d"})
    now = clock.now()
    world.ann.quiet_from, world.ann.quiet_until = (now - timedelta(hours=1)).time(), (now + timedelta(hours=1)).time()
    world.ann.save()
    world.bob.mail_modes = {"request": "digest"}
    world.bob.digest_at = time((now.hour + 2) % 24)
    world.bob.save()
    mail_all()
    assert trap.found == []
    waits = {mail.person.email: mail for mail in Mail.objects.all()}
    assert timedelta(minutes=50) < waits["ann@example.com"].next_at - now < timedelta(minutes=70)
    assert waits["bob@example.com"].digest
    Mail.objects.update(next_at=mail_time())
    posting.post()
    assert str(trap.to("bob@example.com")[0]["Subject"]).startswith("Decide"), "a digest of one thing is that thing"


def test_what_is_due_in_the_night_comes_in_the_night(trap: Trap) -> None:
    world = World()  # due in 24 hours
    now = clock.now()
    world.ann.quiet_from, world.ann.quiet_until = (now - timedelta(hours=1)).time(), (now - timedelta(hours=2)).time()
    world.ann.save()
    mail_all()
    assert not trap.to("ann@example.com"), "it is due after the quiet hours"
    assert not Mail.objects.get(person=world.ann).urgent


def test_off_is_off(trap: Trap) -> None:
    world = World()
    world.ann.mail_modes = {"request": "off"}
    world.ann.save()
    mail_all()
    assert not trap.to("ann@example.com")


def test_own_page(client: Client) -> None:
    world = World()
    client.force_login(world.ann)
    fields = {"name": "Ann", "time_zone": "Europe/Berlin", "digest_at": "07:30", "mail_request": "digest", "quiet_from": "22:00"}
    refused = client.post("/account/", fields)
    assert refused.status_code == 422
    assert refused.context["form"].errors["quiet_until"]
    assert client.post("/account/", fields | {"quiet_until": "07:00", "mail_alarm": "off"}).status_code == 422, "alarms are never off"
    assert client.post("/account/", fields | {"quiet_until": "07:00"}).status_code == 302
    world.ann.refresh_from_db()
    assert (world.ann.mail_modes, world.ann.quiet_from, world.ann.time_zone) == ({"request": "digest"}, time(22), "Europe/Berlin")
    assert Event.objects.filter(stream=f"account:{world.ann.pk}", verb="account.changed").count() == 1


def test_peer_04_the_clock_starts_with_the_question_and_not_with_its_mail(trap: Trap) -> None:
    world = World()  # due in 24 hours
    relay.relay()
    asked = Attempt.objects.get(run__key="go_live")
    assert asked.due_at - asked.asked_at == timedelta(hours=24)
    Attempt.objects.filter(pk=asked.pk).update(asked_at=asked.asked_at - timedelta(minutes=10), due_at=asked.due_at - timedelta(minutes=10))
    posting.post()  # ten minutes late
    after = Attempt.objects.get(pk=asked.pk)
    assert (after.asked_at, after.due_at) == (asked.asked_at - timedelta(minutes=10), asked.due_at - timedelta(minutes=10))
    due = f"{after.due_at.astimezone(world.ann.zone):%H:%M %Z}"
    assert due in str(trap.to("ann@example.com")[0]["Subject"])
    assert after.run.release.version.document["phases"][0]["activities"][0].get("timeout") is None, "a time-out is another thing, of machines"


def test_peer_03_an_answer_at_once_from_the_mail_finds_the_question_waiting(trap: Trap) -> None:
    world = World(approval={"requires": [{"count": 1, "of": ["group:qa"]}], "exclude": ["starter"]})
    mail_all()
    attempt = Attempt.objects.get(run__key="go_live")
    assert Event.objects.get(verb="activity.asked").at == attempt.asked_at, "the question and the state are one transaction"
    path = link_in(trap.to("ann@example.com")[0])
    ann = client_of(world.ann)
    ann.get(path)
    ann.get("/a/")
    ann.post(world.url("sign_off/"), {"packet": packet_in(ann.get(world.url())), "decision": "approve"})
    assert (world.state(), world.state("roll_out")) == ("succeeded", "queued")
    run_on(world.release)
    world.release.refresh_from_db()
    assert world.release.state == "succeeded"


# Links


def test_peer_11_a_link_points_and_does_not_act_and_the_decision_says_mail(trap: Trap) -> None:
    world = World()
    mail_all()
    path = link_in(trap.to("ann@example.com")[0])
    before = digests()
    stranger = Client()
    for method in ("get", "head", "options", "post", "put"):
        for _ in range(3):
            getattr(stranger, method)(path)
            getattr(stranger, method)("/a/")
    assert digests() == before, "nobody's looking changes or burns anything"
    arrived = Client()
    first = arrived.get(path)
    assert (first.status_code, first["Location"]) == (302, "/a/")
    assert arrived.get("/a/")["Location"] == "/accounts/login/?next=/a/"
    arrived.force_login(world.ann)
    shown = arrived.get("/a/")
    assert shown["Location"] == world.url()
    page = arrived.get(world.url())
    arrived.post(world.url("sign_off/"), {"packet": packet_in(page), "decision": "approve"})
    vote = SignOff.objects.get(person=world.ann)
    assert vote.door == "mail"
    assert LinkToken.objects.get(person=world.ann).used_at
    assert not LinkToken.objects.get(person=world.bob).used_at


@pytest.mark.parametrize("of_the_link", [{"expires_at": "past"}, {"used_at": "past"}])
def test_a_link_that_is_over_or_used_leads_there_but_decides_as_a_page(trap: Trap, of_the_link: dict[str, Any]) -> None:
    world = World()
    mail_all()
    path = link_in(trap.to("ann@example.com")[0])
    LinkToken.objects.update(**dict.fromkeys(of_the_link, mail_time()))
    ann = client_of(world.ann)
    ann.get(path)
    assert ann.get("/a/")["Location"] == world.url()
    ann.post(world.url("sign_off/"), {"packet": packet_in(ann.get(world.url())), "decision": "approve"})
    assert SignOff.objects.get(person=world.ann).door == "page"


def test_a_02_whatever_the_link_is_who_is_not_signed_in_sees_the_same(trap: Trap) -> None:
    World()
    mail_all()
    path = link_in(trap.to("ann@example.com")[0])
    token = path.split("/")[2]
    tampered = [token[:-1], token[::-1], token + "A", token.swapcase(), "x", "0" * 43, token[1:], "-" * 43, token[:20], "a" * 200, token.upper(), token.lower()]
    answers = set()
    for one in [token, *tampered]:
        client = Client()
        first = client.get(f"/a/{one}/")
        second = client.get("/a/")
        last = client.get(second["Location"])
        body = last.content.decode().replace(str(last.context["csrf_token"]), "")
        answers.add((first.status_code, first["Location"], second.status_code, second["Location"], last.status_code, body.count("Shop"), len(body)))
    assert len(answers) == 1


def test_a_02_the_time_of_an_answer_says_nothing_of_the_link(trap: Trap) -> None:
    """1,000 tries at full size; by the medians, which a machine that is busy for a moment does not move."""
    World()
    mail_all()
    token = link_in(trap.to("ann@example.com")[0]).split("/")[2]
    client, times = Client(), {token: [], token[::-1]: []}  # type: ignore[var-annotated]
    for _ in range(250):
        for one, taken in times.items():
            began = perf_counter()
            client.get(f"/a/{one}/")
            client.get("/a/")
            taken.append(perf_counter() - began)
    real, tampered = (median(taken) for taken in times.values())
    assert abs(real - tampered) < 0.001


def test_a_10_another_person_gets_404_and_the_record_keeps_it(trap: Trap) -> None:
    world = World()
    mail_all()
    path = link_in(trap.to("ann@example.com")[0])
    thief = client_of(world.stranger)
    thief.get(path)
    answer = thief.get("/a/")
    assert answer.status_code == 404
    assert "Go live" not in answer.content.decode()
    event = Event.objects.get(verb="link.refused")
    assert "stella@example.com" in event.record
    assert path.split("/")[2] not in event.record


def test_peer_20_expired_changed_and_settled_are_said_to_its_addressee(trap: Trap) -> None:
    world = World(approval={"requires": [{"count": 1, "of": ["group:qa", "group:security"]}], "exclude": ["starter"]})
    mail_all()
    ann = client_of(world.ann)
    path = link_in(trap.to("ann@example.com")[0])
    LinkToken.objects.update(packet="0" * 64)
    ann.get(path)
    assert "changed since the mail was sent" in ann.get("/a/", follow=True).content.decode()
    LinkToken.objects.update(expires_at=mail_time())
    ann.get(path)
    assert "has expired" in ann.get("/a/", follow=True).content.decode()
    world.post(world.bob)
    ann.get(path)
    said = ann.get("/a/", follow=True).content.decode()
    assert "Bob" in said
    assert "approved" in said.lower()


def test_a_02_a_token_is_nowhere_but_in_the_mail(trap: Trap, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    caplog.set_level(logging.DEBUG)
    mail_all()
    path = link_in(trap.to("ann@example.com")[0])
    token = path.split("/")[2]
    ann = client_of(world.ann)
    ann.get(path)
    page = ann.get("/a/", follow=True)
    assert token not in page.content.decode()
    assert page["Referrer-Policy"] in ("same-origin", "no-referrer", "strict-origin")
    assert not [record for record in caplog.records if token in record.getMessage() and record.name != "mail.log"], "mail.log is the trap's own"
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{token}%"])
            assert cursor.fetchone()[0] == 0, table
    assert LinkToken.objects.filter(hash=links.hash_of(token)).count() == 1


def test_a_stand_in_is_asked_too_and_told_of_the_end(trap: Trap) -> None:
    world = World()
    deputy = factories.person("dora")
    ann = Actor(world.ann.pk, world.ann.email, "page")
    made = delegating.delegate(actor=ann, by=world.ann, person=world.ann, to=deputy)
    mail_all()
    assert any("/a/" in texts(message)[0] for message in trap.to("dora@example.com")), "the question of whom she stands in for"
    delegating.end(actor=ann, by=world.ann, delegation=made)
    mail_all()
    assert "has ended a delegation" in str(trap.to("dora@example.com")[-1]["Subject"])
    path = link_in(next(message for message in trap.to("dora@example.com") if "/a/" in texts(message)[0]))
    dora = client_of(deputy)
    dora.get(path)
    assert dora.get("/a/", follow=True).status_code == 404, "her link is dead with the delegation (A-09)"


def test_whoever_lets_another_decide_is_told_what_was_decided_for_them(trap: Trap) -> None:
    """S19."""
    world = World()
    dora = factories.person("dora")
    delegating.delegate(actor=Actor(world.ann.pk, world.ann.email, "page"), by=world.ann, person=world.ann, to=dora)
    mail_all()
    asked = len(trap.to("ann@example.com"))
    assert world.post(dora, comment="Looks <b>good</b>").status_code == 302
    for _ in range(2):
        mail_all()
    (told,) = trap.to("ann@example.com")[asked:]
    plain, html = texts(told)
    assert str(told["Subject"]).startswith("Dora approved for you: Go live, ")
    assert "dora@example.com" in str(told["Reply-To"])
    for said in ("Dora approved Go live for you", f"{BASE}/approvals/{world.release.pk}/go_live/", f"{BASE}/stand-ins/"):
        assert said in plain, said
        assert said in html, said
    assert "Looks <b>good</b>" in plain
    assert "Looks &lt;b&gt;good&lt;/b&gt;" in html
    assert world.state() == "waiting", "Bob has not decided"
    assert world.post(dora, "reject", comment="It is not").status_code == 302
    mail_all()
    subjects = [str(message["Subject"]) for message in trap.to("ann@example.com")[asked:]]
    assert [said.partition(":")[0] for said in subjects] == ["Dora approved for you", "Dora rejected for you", "Go live needs a decision"]
    assert [message for message in trap.to("dora@example.com") if "for you" in str(message["Subject"])] == [], "nobody is told of their own"


# What is told, and what is not


def test_what_tells_nobody_delays_no_later_mail(trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MOST", 5)
    with transaction.atomic():
        for number in range(12):
            note(Happening("test", "sign_off.given", f"nothing{number}", None, "ann@example.com", "page"))
    World()
    written = [relay.relay() for _ in range(4)]
    assert written == [0, 0, 2, 0], "two batches of nothing, then the question: each is read once"
    assert PassedOver.objects.filter(until=None).count() >= 12


def test_what_is_passed_over_is_forgotten_with_the_last_minutes(trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction.atomic():
        note(Happening("test", "sign_off.given", "nothing", None, "ann@example.com", "page"))
    relay.relay()
    assert PassedOver.objects.count() == 1
    monkeypatch.setattr(relay, "LOOK_BACK", timedelta(0))
    relay.relay()
    assert (PassedOver.objects.count(), Relayed.objects.get().upto) == (0, Event.objects.latest("pk").pk)


def in_sequence() -> World:
    lines = [{"count": 1, "of": ["group:qa"]}, {"count": 1, "of": ["group:security"]}]
    return World(approval={"requires": lines, "order": "sequential", "exclude": ["starter"]})


def kinds(trap: Trap, email: str) -> list[str]:
    return [str(message["Subject"]).split(":")[0] for message in trap.to(email)]


def test_the_second_line_is_asked_once_the_first_is_filled(trap: Trap) -> None:
    world = in_sequence()
    mail_all()
    assert (kinds(trap, "ann@example.com"), kinds(trap, "bob@example.com")) == (["Decide"], [])
    world.post(world.ann)
    for _ in range(2):
        mail_all()
    assert (kinds(trap, "ann@example.com"), kinds(trap, "bob@example.com")) == (["Decide"], ["Decide"])


def test_who_has_answered_or_may_not_decide_any_more_is_not_asked_by_a_mail_that_still_waits(trap: Trap) -> None:
    world = World()
    relay.relay()
    world.post(world.ann)  # the question stays open for Bob
    world.bob.groups.clear()
    posting.post()
    assert trap.found == []
    assert sorted(Mail.objects.filter(kind="request").values_list("state", flat=True)) == ["needless", "needless"]


@pytest.mark.parametrize("between", [relay.relay, lambda: 0])
def test_who_is_asked_instead_is_asked_once_and_who_was_is_told(trap: Trap, between: Any) -> None:
    world = World()
    eve = factories.person("eve")
    between()
    if between is relay.relay:
        posting.post()
    reassign(
        release=world.release.pk,
        activity="go_live",
        actor=Actor(None, "sam@example.com", "page"),
        reason="Ann is away",
        owners=["user:eve@example.com"],
        line=0,
    )
    for _ in range(3):
        mail_all()
    assert [str(message["Subject"]).startswith("Decide") for message in trap.to(eve.email)] == [True]
    told = trap.to("ann@example.com")
    if between is relay.relay:
        assert str(told[-1]["Subject"]).startswith("No longer needed: Go live")
        assert "asked of other people now" in texts(told[-1])[0]
    assert len(told) == (2 if between is relay.relay else 1)


def failing(on_failure: str, **more: Any) -> Any:
    owners = ["user:olga@example.com"]
    factories.person("olga")
    activity = {"id": "build", "type": "automated", "connector": "noop", "with": {"outcome": "failed"}, "on_failure": on_failure, "owners": owners} | more
    process = factories.process("shop", owners=owners, phases=[{"id": "make", "activities": [activity]}])
    factories.version(process)
    release = started(process, factories.person("sam"))
    run_on(release)
    return release


@pytest.mark.parametrize(("on_failure", "said"), [("hold", ["build needs a decision"]), ("fail", ["build has failed"]), ("ignore", [])])
def test_a_failure_is_told_once_and_as_what_it_is(trap: Trap, on_failure: str, said: list[str]) -> None:
    failing(on_failure)
    for _ in range(2):
        mail_all()
    assert kinds(trap, "olga@example.com") == said


def test_an_attempt_that_is_followed_by_another_is_no_failure_to_tell_of(trap: Trap) -> None:
    failing("fail", retry={"attempts": 2, "delay": "1h"})
    assert Event.objects.filter(verb="activity.failed").exists()
    mail_all()
    assert trap.found == []


def test_a_round_that_finds_nothing_new_says_so_and_does_not_read_what_machines_did(trap: Trap, django_assert_max_num_queries: Any) -> None:
    world = World()
    assert relay.relay() == 2
    assert relay.relay() == 0, "what has its mails is not told again"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE releases_activityrun SET type = 'automated' WHERE release_id = %s", [world.release.pk])
    rows = [("activity.succeeded", "go_live", world.release.pk)] * 50
    with transaction.atomic():
        for verb, subject, release in rows:
            note(Happening("test", verb, subject, None, "relorch", "engine", release_id=release))
    with django_assert_max_num_queries(15):
        assert relay.relay() == 0


def test_what_is_wrong_with_one_event_keeps_no_other_from_being_told(trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    second = world.start()
    tell = relay._tell

    def broken(event: Event, at: Any) -> int:
        if event.release_id == world.release.pk:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
        return tell(event, at)

    with monkeypatch.context() as patched:
        patched.setattr(relay, "_tell", broken)
        relay.relay()
    assert set(Mail.objects.values_list("release_id", flat=True)) == {second.pk}
    assert relay.relay() == 0, "not at once"
    PassedOver.objects.update(until=mail_time())
    relay.relay()
    assert set(Mail.objects.values_list("release_id", flat=True)) == {second.pk, world.release.pk}, "it is tried again"


def test_a_mail_that_cannot_be_written_or_sent_keeps_no_other_from_going_out(trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    relay.relay()
    write, send = posting.letter_of, posting._message

    def broken_letter(mail: Mail, at: Any) -> Any:
        if mail.person_id == world.ann.pk:
            raise ValueError("no words")
        return write(mail, at)

    def broken_message(mail: Mail, letter: Any) -> Any:
        if mail.person_id == world.ann.pk:
            raise UnicodeError("no letters")
        return send(mail, letter)

    with monkeypatch.context() as patched:
        patched.setattr(posting, "letter_of", broken_letter)
        posting.post()
    assert [str(message["To"]) for message in trap.found] == ["bob@example.com"]
    waits = Mail.objects.get(person=world.ann)
    assert (waits.state, waits.tries, waits.error) == ("waiting", 1, "ValueError: no words")
    Mail.objects.filter(pk=waits.pk).update(next_at=mail_time())
    with monkeypatch.context() as patched:
        patched.setattr(posting, "_message", broken_message)
        posting.post()
    waits.refresh_from_db()
    assert (waits.state, waits.tries, waits.error) == ("waiting", 2, "no letters")


@pytest.mark.parametrize(("codes", "for_good"), [((550,), True), ((450,), False), ((550, 451), False)])
def test_only_what_the_server_refuses_for_good_is_given_up_at_once(codes: tuple[int, ...], for_good: bool) -> None:
    refused = SMTPRecipientsRefused({f"person{n}@example.com": (code, b"said") for n, code in enumerate(codes)})
    assert posting._for_good(refused) is for_good
    assert not posting._for_good(ConnectionRefusedError())
