"""Pages of processes by real requests: the list, the graph, versions and their difference, source, publishing; strangers find nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from processes import editing
from processes.models import Process
from relorch.accounts.models import User
from tests import factories

pytestmark = pytest.mark.django_db

APPROVE = {"id": "approve", "name": "Approve it", "type": "manual", "approval": {"requires": [{"count": 2, "of": ["group:board"]}]}}
PHASES = [
    {"id": "build", "name": "Build it", "activities": [{"id": "compile", "name": "Compile", "type": "automated", "connector": "noop", "timeout": "30m"}]},
    {"id": "ship", "name": "Ship it", "depends_on": ["build"], "activities": [APPROVE]},
]
INPUTS = {"version": {"type": "string", "required": True, "pattern": r"\d+"}, "region": {"type": "choice", "options": ["eu", "us"], "default": "eu"}}


@pytest.fixture
def shop(owner: User, teammate: User) -> Process:
    """Two versions: the second asks one person less and waits longer."""
    factories.group("board", owner, teammate, factories.person("third"))
    keys: dict[str, Any] = {"inputs": INPUTS, "phases": PHASES, "owners": ["user:olga@example.com"], "description": "Sells things."}
    made = factories.process("shop", actor=owner, **keys)
    factories.version(made, actor=owner)
    later = copy.deepcopy(keys)
    later["phases"][0]["activities"][0]["timeout"] = "1h"
    later["phases"][1]["activities"][0]["approval"]["requires"][0]["count"] = 1
    editing.write_draft(made, factories.document("shop", **later), actor=owner)
    factories.allow(teammate, "view_process", made)
    return made


def client_of(person: User, **more: Any) -> Client:
    client = Client(**more)
    client.force_login(person)
    return client


def read(person: User, address: str, status: int = 200) -> str:
    page = client_of(person).get(address)
    assert page.status_code == status
    return str(page.content.decode())


def test_the_page_draws_the_blueprint(owner: User, shop: Process) -> None:
    said = read(owner, "/processes/shop/")
    for words in (
        "Sells things.",
        "Build it",
        "Compile",
        "Approve it",
        "2 people",
        'id="graph"',
        "matches \\d+",
        "one of eu, us",
        "The draft differs from version 1",
    ):
        assert words in said


def test_the_list_finds_and_counts(owner: User, stranger: User, shop: Process) -> None:
    assert "Sells things." in read(owner, "/processes/")
    assert "Sells things." in read(owner, "/processes/?q=SELLS&category=standard")
    assert "No process fits" in read(owner, "/processes/?q=nothing")
    assert "No process fits" in read(owner, "/processes/?category=hotfix")
    assert "No processes yet" in read(stranger, "/processes/")


def test_the_list_has_pages(owner: User) -> None:
    for _ in range(55):
        factories.process(actor=owner)
    client = client_of(owner)
    first = client.get("/processes/")
    assert first.content.decode().count('class="title"') == 50
    older = first.context["page"].older_url
    second = client.get(f"/processes/{older}")
    assert second.content.decode().count('class="title"') == 5
    assert second.context["page"].older_url == ""
    back = client.get(f"/processes/{second.context['page'].newer_url}")
    assert [row.pk for row in back.context["page"].rows] == [row.pk for row in first.context["page"].rows]
    assert client.get("/processes/?older=never_1").status_code == 404


def test_the_list_by_name_and_by_time_both_ways(owner: User) -> None:
    names = [f"{'Process' if n % 2 else 'process'} {n:02}" for n in range(60)]
    for n, name in enumerate(reversed(names)):
        factories.process(f"p_{n}", actor=owner, name=name)
    factories.process("process_nameless", actor=owner, name="")
    wanted = [*sorted(names, key=str.lower), "process_nameless"]
    client = client_of(owner)

    def walked(order: str) -> list[str]:
        found, address = [], f"/processes/?order={order}"
        while address:
            page = client.get(address).context["page"]
            found += [str(row) for row in page.rows]
            address = page.older_url and f"/processes/{page.older_url}"
        assert [str(row) for row in client.get(f"/processes/{page.newer_url}").context["page"].rows] == found[:50]
        return found

    assert walked("name") == wanted
    assert walked("-name") == wanted[::-1]
    assert walked("updated") == [*reversed(names), "process_nameless"]
    html = client.get("/processes/?order=name&q=process").content.decode()
    assert '<th scope="col" aria-sort="ascending"><a class="th-sort" href="?order=-name&amp;q=process">' in html
    assert client.get("/processes/?order=name&older=a").status_code == 404
    assert walked("nonsense") == ["process_nameless", *names]


def test_many_processes_ask_no_more_than_two(owner: User) -> None:
    client = client_of(owner)

    def asked() -> int:
        with CaptureQueriesContext(connection) as seen:
            client.get("/processes/")
        return len(seen)

    for _ in range(2):
        factories.version(factories.process(actor=owner))
    asked()
    few = asked()
    for _ in range(18):
        factories.version(factories.process(actor=owner))
    assert asked() == few


def test_a_draft_is_compared_with_the_newest_version(teammate: User, shop: Process) -> None:
    said = read(teammate, "/processes/shop/versions/")
    for words in ("What changed from", "Build it", "<del>30m</del> <ins>1h</ins>", "<del>2</del> <ins>1</ins>", "weakens a control", "2 changes"):
        assert words in said
    assert "The same version twice" in read(teammate, "/processes/shop/versions/?from=1&to=1")
    assert "nothing before it" in read(teammate, "/processes/shop/versions/?to=1")
    read(teammate, "/processes/shop/versions/?to=7", 404)


def test_the_source_and_its_export(teammate: User, shop: Process) -> None:
    assert "timeout: 30m" in read(teammate, "/processes/shop/source/")
    assert "timeout: 1h" in read(teammate, "/processes/shop/source/?version=draft")
    kept = client_of(teammate).get("/processes/shop/export/?version=1")
    assert kept["Content-Disposition"] == 'attachment; filename="shop-v1.yaml"'
    assert kept.content.decode().startswith("apiVersion: relorch/v1")
    read(teammate, "/processes/shop/export/?version=9", 404)


def test_publishing_with_a_note(owner: User, teammate: User, shop: Process) -> None:
    assert "Publish version 2" in read(owner, "/processes/shop/publish/")
    assert "Publish…" not in read(teammate, "/processes/shop/")
    assert client_of(teammate).post("/processes/shop/publish/").status_code == 403
    assert client_of(owner, enforce_csrf_checks=True).post("/processes/shop/publish/").status_code == 403
    client = client_of(owner)
    seen = Process.objects.get(pk=shop.pk).revision
    done = client.post("/processes/shop/publish/", {"note": "Faster", "revision": str(seen)})
    assert (done.status_code, done["Location"]) == (302, "/processes/shop/")
    assert "Version 2 of Shop is published" in client.get("/processes/shop/").content.decode()
    assert "Faster" in read(owner, "/processes/shop/versions/")
    again = client.post("/processes/shop/publish/", {"revision": str(seen)})
    assert again.status_code == 409
    assert "the same as version 2" in again.content.decode()


def test_what_keeps_it_from_being_published_is_listed(owner: User, shop: Process) -> None:
    unsound = [{"id": "build", "activities": [{"id": "compile", "type": "automated", "connector": "nope", "depends_on": ["gone"]}]}]
    editing.write_draft(shop, factories.document("shop", phases=unsound, owners=["user:olga@example.com"]), actor=owner)
    said = read(owner, "/processes/shop/publish/")
    assert "What keeps it from being published" in said
    assert "Publish version" not in said
    refused = client_of(owner).post("/processes/shop/publish/")
    assert refused.status_code == 422
    assert "nope" in refused.content.decode()


def test_publishing_what_somebody_changed_meanwhile_is_refused(owner: User, shop: Process) -> None:
    refused = client_of(owner).post("/processes/shop/publish/", {"revision": "1"})
    assert refused.status_code in (409, 412)
    assert Process.objects.get(pk=shop.pk).versions.count() == 1


@pytest.mark.parametrize("address", ["", "versions/", "source/", "export/", "publish/", "releases/"])
def test_a_stranger_finds_nothing_and_a_visitor_is_asked_to_sign_in(stranger: User, shop: Process, address: str) -> None:
    read(stranger, f"/processes/shop/{address}", 404)
    assert "/accounts/login/" in Client().get(f"/processes/shop/{address}")["Location"]


def test_no_releases_yet(owner: User, shop: Process) -> None:
    assert "No releases yet" in read(owner, "/processes/shop/releases/")


def test_a_table_says_the_same_as_the_graph(owner: User, shop: Process) -> None:
    page = client_of(owner).get("/processes/shop/")
    phases = shop.versions.get(number=1).document["phases"]
    wanted = [name for phase in phases for name in (phase.get("name", phase["id"]), *(step.get("name", step["id"]) for step in phase["activities"]))]
    rows = page.context["table"]
    assert [row["label"] for row in rows] == wanted
    second = next(row for row in rows if not row.get("kind") and row["after"])
    assert second["after"] == ["Build it"]
    said = page.content.decode()
    assert 'aria-describedby="as-table"' in said
    assert [row["asked"] for row in rows if row.get("asked")] == [[(2, ("group:board",))]]
