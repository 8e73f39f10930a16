"""A release of thousands of activities: page, live updates, questions and API in a constant number of queries, and no page of thousands of rows."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench.large import all_wait, half_over, work_off
from processes import editing, publishing
from releases import waiting
from releases.activity_list import MOST
from releases.models import Release
from relorch.accounts.models import User
from tests import factories
from tests.releases.driving import started

pytestmark = pytest.mark.django_db
FEW, MANY = 200, 1_000


@pytest.fixture
def owner(db: None) -> User:
    olga = factories.person("olga", author=True)
    olga.groups.add(factories.group("bench"))
    return olga


def release_of(owner: User, document: dict[str, object], name: str) -> Release:
    process = editing.create_process(document | {"id": name}, actor=owner)
    publishing.publish(process, actor=owner)
    release = started(process, owner)
    work_off(release)
    return Release.objects.get(pk=release.pk)


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def asked(client: Client, address: str) -> tuple[str, int]:
    """The answer, and the number of statements that it took; asked twice, because what is remembered counts."""
    client.get(address)
    with CaptureQueriesContext(connection) as said:
        answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode(), len(said)


@pytest.mark.parametrize("shape", [half_over, all_wait])
def test_all_of_it_is_read_with_a_constant_number_of_queries_and_shown_in_parts(owner: User, shape: object) -> None:
    few, many = (release_of(owner, shape(count), f"{shape.__name__}_{count}") for count in (FEW, MANY))  # type: ignore[operator, attr-defined]
    client = client_of(owner)
    key = "p25_0" if shape is half_over else "a7"
    for address in ("/releases/{}/", "/releases/{}/?open=*", "/releases/{}/?show=all&part=2", "/releases/{}/live/held/", "/releases/{}/abort/"):
        text, queries = asked(client, address.format(many.pk))
        assert queries <= asked(client, address.format(few.pk))[1], address
        assert len(text) < 600_000, address
        assert text.count('<tr id="row-') <= MOST
    for address in (f"/releases/{{}}/activities/{key}/", "/approvals/waiting/{}/", "/api/v1/releases/{}/", "/api/v1/releases/{}/plan/"):
        assert asked(client, address.format(many.pk))[1] <= asked(client, address.format(few.pk))[1], address
    shown = client.get(f"/api/v1/releases/{many.pk}/").json()
    assert len(shown["activities"]) == MANY
    assert len(shown["waiting_for"]) == (1 if shape is half_over else MANY)


def test_the_page_says_how_many_more_there_are_and_leads_to_them(owner: User) -> None:
    release = release_of(owner, all_wait(FEW), "many_questions")
    client = client_of(owner)
    page = client.get(f"/releases/{release.pk}/").content.decode()
    assert page.count("act--you") == 100
    more = re.search(r'href="(\?show=all&amp;phase=only#activities)"[^>]*>.*?100 more', page)
    assert more, "the graph leads to the list"
    assert "1 to 50 of 200" in page
    second = client.get(f"/releases/{release.pk}/?show=all&phase=only&part=2").content.decode()
    assert "51 to 100 of 200" in second
    assert re.findall(r'<tr id="row-(\w+)"', second) == [f"a{n}" for n in range(50, 100)]
    panel = client.get(f"/approvals/waiting/{release.pk}/").content.decode()
    assert panel.count("Review and sign") == 10
    assert '<span class="num">190</span> more' in panel


def test_activities_are_found_by_name_and_phase(owner: User) -> None:
    release = release_of(owner, half_over(FEW), "in_phases")
    client = client_of(owner)

    def rows(query: str) -> list[str]:
        return re.findall(r'<tr id="row-(\w+)"', client.get(f"/releases/{release.pk}/?{query}").content.decode())

    assert rows("show=all&find=P3_1") == ["p3_1"]
    assert rows("show=all&phase=phase_7") == ["p7_0", "p7_1", "p7_2", "p7_3"]
    assert rows("show=all&phase=phase_7&find=_2") == ["p7_2"]
    assert rows("show=all&phase=nobody") == []
    assert "No activity fits" in client.get(f"/releases/{release.pk}/?show=all&find=%3Cb%3E").content.decode()


def test_what_is_listed_stays_while_the_page_keeps_itself_up_to_date(owner: User) -> None:
    release = release_of(owner, half_over(FEW), "kept")
    client = client_of(owner)
    address = f"/releases/{release.pk}/?show=all&part=3"
    page = client.get(address).content.decode()
    link = re.search(r'id="title-p25_0" href="([^"]*)"', page)
    assert link
    assert link[1].endswith("/activities/p25_0/?show=all&amp;part=3")
    drawer = link[1].replace("&amp;", "&")
    live = client.get(f"/releases/{release.pk}/live/held/", headers={"HX-Current-URL": f"http://testserver{drawer}", "HX-Request": "true"}).content.decode()
    assert "101 to 150 of 200" in live
    assert 'id="find-activity"' not in live, "what somebody types is not swapped away"


def test_of_hundreds_of_phases_those_are_drawn_in_which_something_happens(owner: User) -> None:
    phases = [
        {"id": f"p{n}", "activities": [{"id": f"a{n}", "type": "automated", "connector": "noop"}], "depends_on": [f"p{n - 1}"] if n else []} for n in range(300)
    ]
    phases[200]["activities"] = [{"id": "ask", "type": "manual"}]
    release = release_of(owner, half_over(FEW) | {"phases": phases}, "many_phases")
    client = client_of(owner)
    page = client.get(f"/releases/{release.pk}/").content.decode()
    drawn = re.findall(r'id="phase-(p\d+)"', page)
    assert len(drawn) == 120
    assert "p200" in drawn
    assert "p0" not in drawn
    assert "120 of 300 phases are drawn" in page
    assert "p0" in re.findall(r'id="phase-(p\d+)"', client.get(f"/releases/{release.pk}/activities/a0/").content.decode()), "what is looked at is there"
    assert 'placeholder="Id of the phase"' in page
    assert len(client.get(f"/releases/{release.pk}/?open=*").content) < 600_000


def test_of_very_many_questions_the_page_weighs_no_rules(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    release = release_of(owner, all_wait(60), "weighed")
    weighed: list[int] = []
    ask = waiting._deciders[0]
    monkeypatch.setattr(waiting, "_deciders", [lambda ids: weighed.extend(ids) or ask(ids)])
    client = client_of(owner)
    client.get(f"/releases/{release.pk}/")
    assert len(weighed) >= 60
    weighed.clear()
    monkeypatch.setattr(waiting, "MOST_EXACT", 50)
    assert client.get(f"/releases/{release.pk}/").content.decode().count("act--you") == 60
    assert len(weighed) == 8, "those that the card of waits names"
