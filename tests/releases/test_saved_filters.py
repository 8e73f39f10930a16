"""A filter of the list is kept, shared with groups, opens the list of whoever wants that; its owner alone changes it, and it shows nobody more."""

from __future__ import annotations

from typing import Any

import pytest

from releases.models import SavedFilter
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api

pytestmark = pytest.mark.django_db
MINE = "view=all&q=Spring&process=&before=3"


@pytest.fixture
def people() -> dict[str, User]:
    made = {name: factories.person(name) for name in ("olga", "steve", "sam")}
    factories.group("qa", made["olga"], made["steve"])
    factories.group("dev", made["sam"])
    return made


def test_the_page_saves_shares_opens_changes_and_deletes(people: dict[str, User], client: Any) -> None:
    client.force_login(people["olga"])
    assert "Save this filter" not in client.get("/releases/?view=all").content.decode()
    assert "Save this filter" in client.get(f"/releases/?{MINE}").content.decode()
    answer = client.post("/releases/filters/", {"query": MINE, "name": " Spring <b> ", "groups": ["qa"], "is_default": "1"})
    saved = SavedFilter.objects.get()
    assert (saved.name, saved.query) == ("Spring <b>", {"view": "all", "q": "Spring"})
    address = f"/releases/?view=all&q=Spring&saved={saved.pk}"
    assert (answer.status_code, answer["Location"]) == (302, address)
    page = client.get(address).content.decode()
    assert "Spring &lt;b&gt;" in page
    assert "Delete filter" in page
    assert 'aria-current="page"' in page
    assert client.get("/releases/")["Location"] == address
    assert client.get("/releases/?view=active").status_code == 200
    assert client.get("/releases/", headers={"HX-Request": "true"}).status_code == 200
    client.post(f"/releases/filters/{saved.pk}/", {"query": f"view=finished&tag=x&saved={saved.pk}", "name": "Other"})
    saved.refresh_from_db()
    assert (saved.name, saved.query, saved.groups.count()) == ("Other", {"view": "finished", "tag": "x"}, 0)
    assert client.get("/releases/").status_code == 200
    client.post(f"/releases/filters/{saved.pk}/", {"delete": "1"})
    assert not SavedFilter.objects.exists()


def test_what_is_wrong_is_said_on_the_list_and_what_was_typed_stays(people: dict[str, User], client: Any) -> None:
    client.force_login(people["olga"])
    answer = client.post("/releases/filters/", {"query": "q=Spring&from=yesterday", "name": "", "groups": ["qa", "dev"]})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert all(
        text in page for text in ("Give it a name.", "from is a day or a time.", "You are in no group &quot;dev&quot;", 'value="qa" checked', 'value="Spring"')
    )
    assert client.post("/releases/filters/", {"query": "page=3", "name": "x"}).status_code == 422
    assert client.post("/releases/filters/", {"query": "q=a", "name": "twice"}).status_code == 302
    answer = client.post("/releases/filters/", {"query": "q=b", "name": "twice"})
    assert answer.status_code == 409
    assert "choose another name" in answer.content.decode()
    assert SavedFilter.objects.count() == 1
    assert client.get("/releases/filters/").status_code == 405


def test_shared_ones_are_used_by_the_group_and_changed_by_the_owner_alone(people: dict[str, User], client: Any) -> None:
    olga, steve, sam = (Api(people[name]) for name in ("olga", "steve", "sam"))
    made = olga("POST", "release_filters/", {"name": "Failed", "query": {"view": "finished", "state": "failed"}, "groups": ["qa"]})
    assert made.status_code == 201, made.content
    number = made.json()["id"]
    one = f"release_filters/{number}/"
    assert [row["name"] for row in steve.get("release_filters/").json()["results"]] == ["Failed"]
    assert sam.get("release_filters/").json()["results"] == []
    assert (sam.get(one).status_code, sam("DELETE", one).status_code) == (404, 404)
    body = {"name": "Mine now", "query": {"q": "x"}}
    assert (steve("PUT", one, body).status_code, steve("DELETE", one).status_code) == (403, 403)
    client.force_login(people["sam"])
    assert client.post(f"/releases/filters/{number}/", {"delete": "1"}).status_code == 404
    client.force_login(people["steve"])
    assert client.post(f"/releases/filters/{number}/", {"delete": "1"}).status_code == 403
    client.post(f"/releases/filters/{number}/", {"default": "1", "is_default": "1"})
    assert (steve.get(one).json()["is_default"], olga.get(one).json()["is_default"]) == (True, False)
    assert f"saved={number}" in client.get("/releases/")["Location"]
    people["steve"].groups.clear()
    assert client.get("/releases/").status_code == 200, "it is shared with him no more"
    assert olga("PUT", one, {**body, "is_default": True}).json()["query"] == {"q": "x"}
    wrong = olga("PUT", one, {"name": "x", "query": {"stat": "failed", "view": "al"}})
    assert (wrong.status_code, [row["place"] for row in wrong.json()["problems"]]) == (422, ["/query/stat", "/query/view"])
    assert olga("DELETE", one).status_code == 204


def test_a_character_that_no_text_can_have_is_refused(people: dict[str, User], client: Any) -> None:
    client.force_login(people["olga"])
    for name in ("Spring", ""):
        assert client.post("/releases/filters/", {"query": "view=all&q=a%00b", "name": name}).status_code == 422
    assert not SavedFilter.objects.exists()
