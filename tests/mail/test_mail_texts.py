"""Words of an administrator: refused at their place when they are saved, left aside and told when they fail later (peer defect 19)."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import engines

from relorch import mail_texts, migrating
from relorch.audit.models import Event
from relorch.examining import examine
from relorch.models import MailText
from tests import factories
from tests.approvals.test_views import World, client_of
from tests.mail.test_mail import mail_all, trap
from tests.mail.trap import Trap, texts

pytestmark = pytest.mark.django_db
__all__ = ["trap"]
ADD = "/admin/relorch/mailtext/add/"


def saved(client: Any, **fields: str) -> Any:
    return client.post(ADD, {"kind": "request", "subject": "", "title": "", "lead": "", **fields})


@pytest.fixture
def root() -> Any:
    return client_of(factories.person("root", is_staff=True, is_superuser=True))


@pytest.mark.parametrize(
    ("part", "text", "said"),
    [
        ("subject", "{{ release", "empty"),
        ("lead", "Hello\n{% if due %}now", "Line 2"),
        ("lead", "a\nb {{ relase }}", "Line 2: there is no relase"),
        ("lead", "{% if due %}{{ user.password }}{% endif %}", "there is no user"),
        ("lead", "{% include 'mail/letter.txt' %}", "include"),
        ("lead", "{% load ui %}", "load"),
        ("lead", "{% debug %}", "debug"),
        ("lead", "{{ release|nosuch }}", "nosuch"),
        ("lead", "{% for a in lead %}{% for b in lead %}x{% endfor %}{% endfor %}", "tags comment, if, spaceless, with"),
        ("lead", "{% lorem 99999999 w %}", "lorem"),
        ("lead", '{{ lead|ljust:"2000000000" }}', "ljust"),
        ("lead", "{% with a=lead|add:lead %}{% with b=a|add:a %}{{ b }}{% endwith %}{% endwith %}", "add"),
        ("lead", "{% if " + "not " * 900 + "due %}x{% endif %}", "nested too deeply"),
        ("subject", "two\nlines", "One line"),
        ("subject", "{% if not release %}x{% endif %}", "comes out empty"),
        ("lead", "x" * 4_001, "4,000"),
    ],
)
def test_peer_19_an_invalid_text_is_refused_with_its_place(part: str, text: str, said: str) -> None:
    found = mail_texts.problems({part: text})
    if said == "empty":
        assert found == [], "without its end it is plain text"
        return
    assert {problem.place for problem in found} == {f"/{part}"}
    assert said in " ".join(problem.message for problem in found)


def test_the_admin_says_it_at_the_field_keeps_what_was_typed_and_is_for_administrators_alone(root: Any) -> None:
    page = saved(root, subject="{{ relase }}", lead="{% if %}")
    assert page.status_code == 200
    assert "there is no relase" in page.content.decode()
    assert "{{ relase }}" in page.content.decode()
    assert not MailText.objects.exists()
    staff = client_of(factories.person("staff", is_staff=True))
    assert staff.get(ADD).status_code == 403
    assert saved(root, subject="Please: {{ subject }}").status_code == 302
    assert Event.objects.get(verb="mail_text.changed").stream == mail_texts.STREAM
    assert saved(root, kind="code", lead="no code here").status_code == 200, "its words are fixed"
    row = MailText.objects.get()
    root.post(f"/admin/relorch/mailtext/{row.pk}/delete/", {"post": "yes"})
    assert Event.objects.filter(verb="mail_text.removed").count() == 1


def test_it_is_used_and_names_of_people_are_text(root: Any, trap: Trap) -> None:
    saved(root, subject="Please: {{ subject }}", title="{{ person }}, look", lead="<b>{{ activity|upper }}</b> of {{ process }}\nwaits.")
    World()
    mail_all()
    (message,) = trap.to("ann@example.com")
    plain, html = texts(message)
    assert str(message["Subject"]).startswith("Please: Decide by ")
    assert "Ann, look" in plain
    assert "<b>GO LIVE</b> of" in plain
    assert "&lt;b&gt;GO LIVE&lt;/b&gt;" in html
    assert "/a/" in plain, "the link is ours"


@pytest.mark.parametrize("text", ["{% if release == '…' %}x{% endif %}", "{% widthratio due 0 release as w %}{{ due|slice:release|add:due.x.y }}{% cycle %}"])
def test_peer_19_one_that_fails_later_falls_back_to_ours_and_is_told(trap: Trap, root: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "pending", lambda: False)  # looking closes the connection, and with it this test's transaction
    MailText.objects.create(kind="request", subject=text, lead="our release")
    World()
    mail_all()
    (message,) = trap.to("ann@example.com")
    assert str(message["Subject"]).startswith("Decide by ")
    assert "our release" not in texts(message)[0], "all of it is ours"
    row = MailText.objects.get()
    assert row.error
    assert Event.objects.filter(verb="mail_text.failed").count() == 1, "once, not with each mail"
    said = [finding.what for finding in examine(database_runs=True)]
    assert any("text of mails" in one for one in said), said
    assert row.error[:20] in root.get("/admin/relorch/mailtext/").content.decode().replace("&#x27;", "'")


def test_nothing_that_is_allowed_makes_a_long_text_of_short_ones() -> None:
    text = "{{ lead }}" * (mail_texts.PARTS["lead"] // len("{{ lead }}"))
    assert mail_texts.problems({"lead": text}) == []
    with pytest.raises(ValueError, match="10,000 are the most"):
        mail_texts._rendered(mail_texts._compiled(text), dict.fromkeys(mail_texts.FACTS, "x" * 250))


def test_django_s_own_templates_lose_nothing() -> None:
    mail_texts.problems({"lead": "x"})
    assert engines["django"].from_string("{% load static %}{% url 'approvals:inbox' %}").render({}) == "/"
