"""Releases are found by anything that is known of them; what has been over for long is archived by the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from processes.models import Process
from releases import finding
from releases.models import InputValue, Release
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api
from tests.releases.conftest import INPUTS, phases
from tests.releases.driving import run_on, started
from tests.releases.scenes import phase, sub


@pytest.fixture
def people(db: None) -> dict[str, User]:
    made = {name: factories.person(name) for name in ("olga", "steve", "sam")}
    factories.group("qa", made["sam"])
    factories.group("dev", made["olga"])
    return made


@pytest.fixture
def shop(people: dict[str, User]) -> Process:
    made = factories.process("shop", actor=people["olga"], owners=["user:olga@example.com"], inputs=INPUTS, phases=phases())
    factories.version(made, actor=people["olga"])
    factories.allow(people["steve"], "start", made)
    return made


@pytest.fixture
def two(people: dict[str, User], shop: Process) -> list[int]:
    """Spring by Steve, Autumn by Olga; drafts."""
    spring = {"name": "Spring", "inputs": {"version": "1.5", "region": "eu", "api_key": "hunter2"}, "tags": ["mobile"], "release_version": "2026.4"}
    autumn = {"name": "Autumn", "inputs": {"version": "2.0", "region": "us"}, "owners": ["user:steve@example.com"]}
    answers = [Api(people[who]).post("releases/", {"process": "shop"} | body) for who, body in (("steve", spring), ("olga", autumn))]
    assert [answer.status_code for answer in answers] == [201, 201], [answer.content for answer in answers]
    return [answer.json()["id"] for answer in answers]


def over(pk: int, days: int) -> None:
    """As if it had been started and aborted so long ago, by the moves that the database allows."""
    ago = timezone.now() - timedelta(days=days)
    Release.objects.filter(pk=pk).update(state="running", started_at=ago)
    Release.objects.filter(pk=pk).update(state="aborted", finished_at=ago)


def test_everything_finds(people: dict[str, User], two: list[int], client: Any) -> None:
    spring, autumn = two
    client.force_login(people["steve"])
    steve = Api(people["steve"])
    tomorrow, yesterday = ((timezone.now() + timedelta(days=n)).date().isoformat() for n in (1, -1))
    both = [autumn, spring]
    none: list[int] = []
    table: dict[str, list[int]] = {
        "q=SPRI": [spring], f"q=r-{autumn}": [autumn], "q=mobile": [spring], "q=2026.4": [spring], "q=shop": both,
        "value=1.5": [spring], "value=1.": [spring], "value=EU": [spring], "value=region=us": [autumn], "value=version=us": none,
        "value=hunter2": none, "value=api_key=hunter2": none, "value=$secret": none, "value=%22)": none,
        "person=steve@example.com": both, "person=me": both, "person=olga@example.com": [autumn], "starter=me": [spring],
        "version=1": both, "version=2": none, "release_version=2026.4": [spring], "tag=mobile": [spring], "state=draft,running": both,
        f"from={yesterday}&until={tomorrow}": both, f"from={tomorrow}": none, f"until={yesterday}": none, "value=1.5&tag=other": none,
    }  # fmt: skip
    for query, wanted in table.items():
        assert [row["id"] for row in steve.get(f"releases/?{query}").json()["results"]] == wanted, query
        page = client.get(f"/releases/?view=all&{query}").content.decode()
        assert [pk for pk in both if f'id="release-{pk}"' in page] == wanted, query
    assert Api(people["sam"]).get("releases/?value=1.5").json()["results"] == []


def test_values_are_found_as_they_are_now_and_no_secrets(people: dict[str, User], two: list[int]) -> None:
    def fits(text: str) -> bool:
        return Release.objects.filter(finding.given_value(text), pk=two[0]).exists()

    given = {"Rate": 2.50, "list": ["A b", 7], "flag": True, "key": {"$secret": "hunter2"}, "other": {"deep": "hidden"}, "none": None, "sign": "100%_x"}
    Release.objects.filter(pk=two[0]).update(inputs=given)
    assert all(map(fits, ["2.5", "2.50", "rate=2.500", "RATE=2.5", "a B", "7", "list=a", "true", "flag=TRUE", "100%_X", "sign=100%"])), given
    assert not any(
        map(fits, ["1.5", "list=b", "hunter2", "hidden", "key=", "key=hunter2", "100%a", "none=null", "%", "_", "2.51", ".-5", "1.2.3", "-", "."])
    ), given
    Release.objects.filter(pk=two[0]).update(name="Another")
    assert fits("a b")
    answer = Api(people["steve"])("DELETE", f"releases/{two[0]}/", If_Match="*")
    assert answer.status_code == 204, answer.content
    assert not InputValue.objects.filter(release=two[0]).exists()
    assert InputValue.objects.filter(release=two[1]).exists()


@pytest.mark.parametrize(
    "query", ["version=x", "from=yesterday", "until=2026-02-31", "archived=perhaps", "state=runing", f"value={'9' * 301}", f"q={'x' * 301}"]
)
def test_what_cannot_be_understood_is_said_at_its_place(people: dict[str, User], query: str) -> None:
    answer = Api(people["steve"]).get(f"releases/?{query}")
    assert answer.status_code == 422
    assert [one["place"] for one in answer.json()["problems"]] == [f"/{query.split('=')[0]}"]


def test_who_takes_part_by_a_group_is_found(people: dict[str, User], two: list[int]) -> None:
    Release.objects.filter(pk=two[0]).update(owners=["group:dev"])
    assert [row["id"] for row in Api(people["olga"]).get("releases/?person=sam@example.com").json()["results"]] == []
    Release.objects.filter(pk=two[0]).update(owners=["group:qa"])
    assert [row["id"] for row in Api(people["olga"]).get("releases/?person=sam@example.com").json()["results"]] == [two[0]]


def test_archived_by_the_clock(people: dict[str, User], two: list[int], client: Any, settings: Any) -> None:
    spring, autumn = two
    client.force_login(people["steve"])

    def listed(view: str) -> list[int]:
        page = client.get(f"/releases/?view={view}").content.decode()
        return [pk for pk in (autumn, spring) if f'id="release-{pk}"' in page]

    def asked(query: str) -> list[int]:
        return [row["id"] for row in Api(people["steve"]).get(f"releases/?{query}").json()["results"]]

    over(spring, 366)
    over(autumn, 364)
    assert (listed("all"), listed("finished"), listed("archived")) == ([autumn], [autumn], [spring])
    assert (asked(""), asked("archived=true"), asked("archived=any")) == ([autumn], [spring], [autumn, spring])
    assert client.get(f"/releases/{spring}/").status_code == 200
    settings.RELORCH_ARCHIVE_AFTER = 400
    assert listed("archived") == []
    settings.RELORCH_ARCHIVE_AFTER = 1
    assert listed("archived") == [autumn, spring]


def test_what_is_not_over_is_never_archived(people: dict[str, User], two: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE releases_release SET created_at = now() - interval '3 years' WHERE id = ANY(%s)", (two,))
    assert Release.objects.filter(pk__in=two).count() == 2
    assert Api(people["steve"]).get("releases/?archived=true").json()["results"] == []


def test_kind_is_that_of_the_version_and_source_says_how_it_came_to_be(people: dict[str, User], client: Any) -> None:
    made = factories.process("urgent", actor=people["olga"], owners=["user:olga@example.com"], category="hotfix")
    factories.version(made, actor=people["olga"])
    above = factories.process("above", actor=people["olga"], owners=["user:olga@example.com"], phases=[phase("only", sub("call", "urgent"))])
    factories.version(above, actor=people["olga"])
    alone, parent = started(made, people["olga"]), started(above, people["olga"])
    run_on(parent)
    Process.objects.filter(pk=made.pk).update(category="feature")  # the draft's, of which no version has been published
    (child,) = Release.objects.filter(parent_run__release=parent)
    olga = Api(people["olga"])

    def found(query: str) -> set[int]:
        return {row["id"] for row in olga.get(f"releases/?{query}").json()["results"]}

    assert found("kind=hotfix") == {alone.pk, child.pk}
    assert found("kind=hotfix&source=ad_hoc") == {alone.pk}
    assert found("source=subprocess") == {child.pk}
    assert found("kind=standard") == {parent.pk}
    wrong = olga.get("releases/?kind=hotfixx&source=calendar").json()
    assert [problem["place"] for problem in wrong["problems"]] == ["/kind", "/source"]
    shown = olga.get(f"releases/{child.pk}/").json()
    assert (shown["kind"], shown["source"]) == ("hotfix", "subprocess")
    client.force_login(people["olga"])
    assert "Hotfix, ad hoc" in client.get(f"/releases/{alone.pk}/").content.decode()
    listed = client.get("/releases/?view=all&kind=hotfix").content.decode()
    assert f'id="release-{alone.pk}"' in listed
    assert f'id="release-{parent.pk}"' not in listed
    assert "· Hotfix" in listed
