"""Sign-offs in the API: who may, in which order it is refused, and what is shown."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from processes.models import Process
from releases.models import ActivityRun, Release
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api
from tests.processes.test_api import problem
from tests.releases.conftest import phases
from tests.releases.driving import run_on

pytestmark = pytest.mark.django_db(transaction=True)
People = dict[str, User]
Apis = dict[str, Api]


class Browser(Api):
    """A client of the API that is signed in, as a page's script is."""

    def __init__(self, owner: User) -> None:
        self.client = Client()
        self.client.force_login(owner)


@pytest.fixture
def browser(people: People) -> dict[str, Browser]:
    return {name: Browser(user) for name, user in people.items()}


def asked(people: People, api: Apis, name: str = "asked", *, excluded: bool = False, **approval: Any) -> Release:
    """A release that waits for a decision under this approval."""
    made = factories.process(
        name, actor=people["olga"], owners=["user:olga@example.com"], inputs={"version": {"type": "string", "default": "1.2"}}, phases=phases(**approval)
    )
    factories.version(made, actor=people["olga"])
    factories.allow(people["rita"], "view_process", made)
    starter = "quentin" if excluded else "olga"
    factories.allow(people[starter], "start", made)
    response = api[starter].post("releases/", {"process": name, "start": True})
    assert response.status_code == 201, response.content
    release = Release.objects.get(pk=response.json()["id"])
    run_on(release)
    return release


def place(release: Release, activity: str = "qa") -> str:
    return f"releases/{release.pk}/activities/{activity}/sign_offs/"


def test_a_vote_by_a_signed_in_person_ends_the_question(api: Apis, browser: dict[str, Browser], people: People) -> None:
    release = asked(people, api)
    shown = api["rita"].get(place(release)).json()
    assert shown["verdict"] == "open"
    assert shown["lines"] == [
        {"count": 1, "of": ["group:qa"], "filled_by": [], "can_fill": ["quentin@example.com", "quirin@example.com"], "asked": True},
    ]
    assert shown["votes"] == []
    assert shown["packet"]["text"] == "Try 1.2."
    assert shown["packet"]["binds"]["inputs"] == {"version": "1.2"}
    given = browser["quentin"].post(place(release), {"decision": "approve", "comment": "good", "packet": shown["packet"]["hash"]})
    assert given.status_code == 201, given.content
    body = given.json()
    assert (body["by"], body["decision"], body["comment"], body["door"], body["verdict"]) == ("quentin@example.com", "approve", "good", "page", "approved")
    assert body["id"]
    after = api["rita"].get(place(release)).json()
    assert (after["verdict"], after["lines"][0]["filled_by"], after["packet"]["hash"]) == ("approved", ["quentin@example.com"], shown["packet"]["hash"])
    (vote,) = after["votes"]
    assert set(vote) == {"by", "decision", "comment", "at", "door", "stale"}
    assert ActivityRun.objects.get(release=release, key="qa").state == "succeeded"
    late = problem(browser["quirin"].post(place(release), {"decision": "reject"}), 409, "settled")
    assert late["state"] == "succeeded"
    assert "approved by Quentin" in late["detail"]


def test_a_changed_vote_is_200(api: Apis, browser: dict[str, Browser], people: People) -> None:
    release = asked(people, api, requires=[{"count": 2, "of": ["group:qa"]}], reject_when="impossible")
    assert browser["quentin"].post(place(release), {"decision": "approve"}).status_code == 201
    again = browser["quentin"].post(place(release), {"decision": "approve", "comment": "still"})
    assert (again.status_code, again.json()["comment"], again.json()["verdict"]) == (200, "still", "open")
    assert len(api["rita"].get(place(release)).json()["votes"]) == 1


def test_a_rejection_wants_a_comment(api: Apis, browser: dict[str, Browser], people: People) -> None:
    release = asked(people, api)
    found = problem(browser["quentin"].post(place(release), {"decision": "reject"}), 422, "invalid_decision")
    assert [item["place"] for item in found["problems"]] == ["/comment"]
    found = problem(browser["quentin"].post(place(release), {"decision": "perhaps"}), 422, "invalid_decision")
    assert [item["place"] for item in found["problems"]] == ["/decision"]
    assert browser["quentin"].post(place(release), {"decision": "reject", "comment": "broken"}).json()["verdict"] == "rejected"
    assert ActivityRun.objects.get(release=release, key="qa").state == "on_hold"
    assert api["rita"].get(place(release)).json()["verdict"] == "rejected"


def test_a_token_may_not_decide_unless_the_approval_says_so(api: Apis, people: People) -> None:
    release = asked(people, api)
    problem(api["quentin"].post(place(release), {"decision": "approve"}), 403, "token_may_not_decide")
    problem(api["quentin"].post(place(release), {}), 403, "token_may_not_decide")
    allowed = asked(people, api, "allowed", allow_tokens=True)
    given = api["quentin"].post(place(allowed), {"decision": "approve"})
    assert (given.status_code, given.json()["door"]) == (201, "api")


def test_who_may_not_is_refused_before_anything_else(api: Apis, browser: dict[str, Browser], people: People) -> None:
    release = asked(people, api)
    problem(browser["sam"].post(place(release), {"decision": "approve"}), 404, "not_found")
    problem(browser["rita"].post(place(release), {"decision": "perhaps"}), 403, "not_entitled")
    problem(browser["olga"].post(place(release), {"decision": "approve"}), 403, "not_entitled")
    assert browser["quentin"].post(place(release), {"decision": "approve"}).status_code == 201
    problem(browser["rita"].post(place(release), {"decision": "approve"}), 403, "not_entitled")
    for activity in ("compile", "nothing"):
        problem(browser["rita"].post(place(release, activity), {"decision": "approve"}), 404, "not_found")
        problem(browser["rita"].get(place(release, activity)), 404, "not_found")
    problem(browser["sam"].get(place(release)), 404, "not_found")


def test_an_excluded_starter_is_told_so_and_not_asked(api: Apis, browser: dict[str, Browser], people: People) -> None:
    release = asked(people, api, excluded=True, exclude=["starter"])
    problem(browser["quentin"].post(place(release), {"decision": "approve"}), 403, "excluded")
    assert api["rita"].get(place(release)).json()["lines"][0]["can_fill"] == ["quirin@example.com"]
    assert api["quentin"].get("sign_offs/pending/").json()["results"] == []
    (pending,) = api["quirin"].get("sign_offs/pending/").json()["results"]
    assert (pending["release"], pending["activity"], pending["process"]) == (release.pk, "qa", "asked")


def test_another_packet_than_the_one_seen_is_refused(api: Apis, browser: dict[str, Browser], people: People) -> None:
    release = asked(people, api)
    assert problem(browser["quentin"].post(place(release), {"decision": "approve", "packet": "0" * 64}), 409, "packet_changed")["state"] == "waiting"


def test_before_anybody_is_asked_there_is_no_packet(api: Apis, browser: dict[str, Browser], shop: Process) -> None:
    made = api["steve"].post("releases/", {"process": "shop"}).json()
    draft = Release.objects.get(pk=made["id"])
    shown = api["steve"].get(place(draft)).json()
    assert (shown["verdict"], shown["packet"], shown["lines"][0]["of"]) == ("open", None, ["group:qa"])


def test_what_waits_for_me(api: Apis, browser: dict[str, Browser], people: People) -> None:
    release = asked(people, api, requires=[{"count": 2, "of": ["group:qa"]}])
    assert [row["release"] for row in browser["quentin"].get("sign_offs/pending/").json()["results"]] == [release.pk]
    assert browser["rita"].get("sign_offs/pending/").json()["results"] == []
    browser["quentin"].post(place(release), {"decision": "approve"})
    assert browser["quentin"].get("sign_offs/pending/").json()["results"] == []
    assert len(browser["quirin"].get("sign_offs/pending/").json()["results"]) == 1
    (wait,) = api["rita"].get(f"releases/{release.pk}/").json()["waiting_for"]
    assert wait["who"] == ["quirin@example.com"]


def test_deciding_takes_few_queries(api: Apis, browser: dict[str, Browser], people: People) -> None:
    release = asked(people, api)
    with CaptureQueriesContext(connection) as seen:
        assert browser["quentin"].post(place(release), {"decision": "approve"}).status_code == 201
    assert len(seen) <= 40, [query["sql"][:120] for query in seen]
