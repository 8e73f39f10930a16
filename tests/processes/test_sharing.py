"""Who may what in a process: given by its owners, to people and groups, with an event each; and what each permission opens and what not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from guardian.shortcuts import remove_perm

from processes import editing, sharing
from processes.access import OWNING, Permission, held_by, owns
from processes.drafts import document_of
from processes.models import Process
from relorch.accounts.models import User
from relorch.audit.models import Event
from tests import factories
from tests.processes.conftest import Api
from tests.processes.test_api import problem
from tests.releases.driving import run_on, started

pytestmark = pytest.mark.django_db
PAGE = "/processes/standard/people/"
PATH = "processes/standard/people/"
OLGA, TOM, SAM = "user:olga@example.com", "user:tom@example.com", "user:sam@example.com"


def events() -> list[tuple[str, Any]]:
    """Verb and what it says, of what gives and takes."""
    rows = Event.objects.filter(verb__in=["process.permissions_changed", "process.owners_changed"]).order_by("pk")
    return [(row.verb, json.loads(row.record)["data"]) for row in rows]


def logged_in(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


# Giving and taking


def test_an_owner_gives_changes_and_takes(as_owner: Api, process: Process, stranger: User) -> None:
    team = factories.group("team", stranger)
    for who in (SAM, "group:team"):
        assert as_owner.post(PATH, {"who": who, "permissions": ["start", "view"]}).status_code == 200
        assert held_by(stranger, process) == {Permission.START, Permission.VIEW}
        assert as_owner.post(PATH, {"who": who, "permissions": ["author"]}).status_code == 200
        assert held_by(stranger, process) == {Permission.AUTHOR}
        assert as_owner.post(PATH, {"who": who, "permissions": []}).status_code == 200
        assert not held_by(stranger, process)
    assert [said for _, said in events()][:3] == [
        {"who": SAM, "before": [], "after": ["view", "start"]},
        {"who": SAM, "before": ["view", "start"], "after": ["author"]},
        {"who": SAM, "before": ["author"], "after": []},
    ]
    assert len(events()) == 6
    as_owner.post(PATH, {"who": "group:team", "permissions": []})
    assert len(events()) == 6, "what changes nothing is no event"
    assert team.name == "team"


def test_an_owner_names_owners_in_the_file(as_owner: Api, process: Process, stranger: User) -> None:
    revision = process.revision
    assert as_owner.post(PATH, {"who": "user:SAM@example.com", "owner": True}).status_code == 200
    process.refresh_from_db()
    assert (process.owners, process.revision) == ([OLGA, SAM], revision + 1)
    assert held_by(stranger, process) == OWNING
    assert document_of(process)["owners"] == [OLGA, SAM]
    assert as_owner.post(PATH, {"who": SAM, "owner": False}).status_code == 200
    assert not held_by(stranger, Process.objects.get())
    moves = [{"before": [OLGA], "after": [OLGA, SAM]}, {"before": [OLGA, SAM], "after": [OLGA]}]
    assert events() == [("process.owners_changed", move) for move in moves]


def test_all_problems_are_said_at_once_and_nothing_is_given(as_owner: Api, process: Process) -> None:
    factories.group("team")
    factories.person("gone", is_active=False)
    for body, expected in [
        ({"who": "group:teams", "permissions": ["strat", "view"]}, {("unknown_group", "/who"), ("unknown_permission", "/permissions/0")}),
        ({"who": "user:nobody@example.com", "permissions": ["view"]}, {("unknown_user", "/who")}),
        ({"who": "tom", "permissions": ["view"]}, {("invalid_owner", "/who")}),
        ({"who": "user:gone@example.com", "permissions": ["view"]}, {("not_active", "/who")}),
        ({"who": TOM, "permissions": ["override"]}, {("only_administrators", "/permissions")}),
        ({"who": TOM, "permission": ["start"]}, {("invalid", "/permission")}),
        ({"permissions": ["start"]}, {("required", "/who")}),
    ]:
        found = problem(as_owner.post(PATH, body), 422, "invalid")["problems"]
        assert {(item["code"], item["place"]) for item in found} == expected, body
    said = {item["message"] for item in problem(as_owner.post(PATH, {"who": "group:teams", "permissions": ["strat"]}), 422, "invalid")["problems"]}
    assert any('"team"' in text for text in said)
    assert any('"start"' in text for text in said)
    assert events() == []


def test_only_owners_give_and_nobody_gives_themselves_more(process: Process, teammate: User, stranger: User) -> None:
    for permission in Permission:
        factories.allow(teammate, permission, process) if permission is not Permission.START else None
    assert not owns(teammate, process)
    api, page = Api(teammate), logged_in(teammate)
    problem(api.post(PATH, {"who": TOM, "permissions": ["start"]}), 403, "not_allowed")
    assert page.post(PAGE, {"who": TOM, "permission": ["start"]}).status_code == 403
    problem(Api(stranger).post(PATH, {"who": SAM, "permissions": ["view"]}), 404, "not_found")
    assert logged_in(stranger).post(PAGE, {"who": SAM, "permission": "view"}).status_code == 404
    assert Permission.START not in held_by(teammate, process)
    assert events() == []


def test_override_is_given_by_an_administrator_and_stays_when_an_owner_changes_the_rest(as_owner: Api, process: Process, stranger: User) -> None:
    root = factories.person("root", is_superuser=True)
    assert Api(root).post(PATH, {"who": SAM, "permissions": ["override"]}).status_code == 200
    problem(as_owner.post(PATH, {"who": SAM, "permissions": ["view"]}), 422, "invalid")
    assert as_owner.post(PATH, {"who": SAM, "permissions": ["view", "override"]}).status_code == 200
    assert held_by(stranger, process) == {Permission.VIEW, Permission.OVERRIDE}


# The last owner


def test_the_last_owner_stays(as_owner: Api, process: Process, owner: User) -> None:
    empty, team = factories.group("empty"), factories.group("team", factories.person("ann"))
    for taken in Permission:  # as whoever made the process, Olga has some of these by name
        remove_perm(taken, owner, process)
    problem(as_owner.post(PATH, {"who": OLGA, "owner": False}), 422, "last_owner")
    assert as_owner.post(PATH, {"who": f"group:{empty}", "owner": True}).status_code == 200
    problem(as_owner.post(PATH, {"who": OLGA, "owner": False}), 422, "last_owner")
    for owners in ([], ["group:empty"], ["user:nobody@example.com"]):
        document = document_of(Process.objects.get()) | {"owners": owners}
        refused = problem(as_owner.put("processes/standard/draft/", document, If_Match="*"), 422, "last_owner")
        assert [item["place"] for item in refused["problems"]] == ["/owners"]
    assert as_owner.post(PATH, {"who": f"group:{team}", "owner": True}).status_code == 200
    assert as_owner.post(PATH, {"who": OLGA, "owner": False}).status_code == 200
    problem(as_owner.get(PATH), 404, "not_found")


def test_whoever_has_all_that_owning_implies_is_as_good_as_an_owner(process: Process, as_owner: Api, teammate: User) -> None:
    made = factories.process("unnamed", actor=teammate)
    assert made.owners == []
    assert owns(teammate, made)
    api = Api(teammate)
    problem(api.post("processes/unnamed/people/", {"who": TOM, "permissions": ["view"]}), 422, "last_owner")
    assert api.post("processes/unnamed/people/", {"who": OLGA, "owner": True}).status_code == 200
    assert api.post("processes/unnamed/people/", {"who": TOM, "permissions": ["view"]}).status_code == 200


def test_an_author_does_not_make_themselves_an_owner(process: Process, as_owner: Api, owner: User, teammate: User) -> None:
    factories.version(process, actor=owner)
    factories.allow(teammate, "author", process)
    api = Api(teammate)
    mine = document_of(process) | {"owners": [OLGA, TOM]}
    refused = problem(api.put("processes/standard/draft/", mine, If_Match="*"), 422, "only_owners")
    assert [(item["code"], item["place"]) for item in refused["problems"]] == [("only_owners", "/owners")]
    assert api.put("processes/standard/draft/", document_of(process) | {"name": "Other"}, If_Match="*").status_code == 200
    ann = factories.person("ann")
    assert as_owner.put("processes/standard/draft/", mine | {"owners": [OLGA, f"user:{ann.email}"]}, If_Match="*").status_code == 200
    assert problem(api.post("processes/standard/versions/1/restore/", If_Match="*"), 422, "only_owners")
    assert as_owner.post("processes/standard/versions/1/restore/", If_Match="*").status_code == 200


def test_who_made_a_process_for_owners_who_are_not_here_mends_that(as_owner: Api, owner: User) -> None:
    made = factories.process("typo", actor=owner, owners=["group:relaese-managers"])
    assert not owns(owner, made)
    assert as_owner.put("processes/typo/draft/", document_of(made) | {"owners": [OLGA]}, If_Match="*").status_code == 200
    assert as_owner.post("processes/typo/people/", {"who": OLGA, "permissions": []}).status_code == 200


def test_the_admin_says_it_at_the_field(process: Process, owner: User, teammate: User) -> None:
    from tests.processes.test_admin import change, page

    User.objects.filter(pk__in=[owner.pk, teammate.pk]).update(is_staff=True)
    factories.allow(teammate, "author", process)
    client = logged_in(teammate)
    _, fields = page(client, change(process))
    html = client.post(change(process), fields | {"owners": f"{OLGA}\n{TOM}"}).content.decode()
    assert "Only an owner says who owns" in html
    assert client.post(change(process), fields | {"name": "Other"}).status_code == 302
    client = logged_in(owner)
    _, fields = page(client, change(process))
    assert client.post(change(process), fields | {"owners": f"{OLGA}\n{TOM}"}).status_code == 302
    assert Process.objects.get().owners == [OLGA, TOM]


def test_the_page_that_saves_a_pasted_file_says_it_and_keeps_the_text(process: Process, teammate: User) -> None:
    from processes.writing import yaml_text

    teammate.user_permissions.add(*factories.person("other", author=True).user_permissions.all())
    factories.allow(teammate, "author", process)
    text = yaml_text(document_of(process) | {"owners": [TOM]})
    answer = logged_in(teammate).post("/processes/new-process/", {"yaml": text, "into": "standard", "seen": f"{process.pk}.{process.revision}", "save": "1"})
    assert answer.status_code == 422
    assert "Only an owner says who owns" in answer.content.decode()
    assert TOM in answer.content.decode()


# Who, and why


def test_who_may_what_and_why(as_teammate: Api, process: Process, owner: User, teammate: User, stranger: User) -> None:
    gone = factories.person("gone", is_active=False)
    root = factories.person("root", is_superuser=True)
    team = factories.group("team", teammate, stranger, gone)
    factories.allow(team, "start", process)
    factories.allow(team, "view_process", process)
    factories.allow(gone, "author", process)
    editing.write_draft(process, document_of(process) | {"owners": [OLGA, "group:team", "group:nowhere"]}, actor=root)
    body = as_teammate.get(PATH).json()
    assert [(item["who"], item["owner"], item["permissions"], item["active"], item["members"]) for item in body["given"]] == [
        ("group:nowhere", True, [], False, 0),
        ("group:team", True, ["view", "start"], True, 2),
        (OLGA, True, ["view", "author"], True, None),
        ("user:gone@example.com", False, ["author"], False, None),
        (TOM, False, ["view"], True, None),
    ]
    people = {item["email"]: item["permissions"] for item in body["people"]}
    assert people.keys() == {"olga@example.com", "tom@example.com", "sam@example.com"}
    assert people["tom@example.com"]["view"] == ["direct", "owner group:team", "group:team"]
    assert people["tom@example.com"]["start"] == ["owner group:team", "group:team"]
    assert people["olga@example.com"]["publish"] == ["owner"]
    assert body["administrators"] == ["root@example.com"]
    for person in (owner, teammate, stranger):
        assert {sharing.SAID[word] for word in people[person.email]} == held_by(person, Process.objects.get()), "what is shown is what is asked"
    problem(as_teammate.get("processes/nowhere/people/"), 404, "not_found")


def test_the_page_shows_everybody_who_sees_the_process_and_changes_only_for_owners(process: Process, owner: User, teammate: User) -> None:
    html = logged_in(teammate).get(PAGE).content.decode()
    assert "tom@example.com" in html
    assert 'name="permission"' not in html
    client = logged_in(owner)
    assert 'name="permission"' in client.get(PAGE).content.decode()
    answer = client.post(PAGE, {"who": "sam@example.com", "permission": ["view", "start"]})
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "There is nobody with the address" in html
    assert 'value="user:sam@example.com"' in html
    sam = factories.person("sam")
    assert client.post(PAGE, {"who": "sam@example.com", "permission": ["view"]}, follow=True).status_code == 200
    assert client.post(PAGE, {"who": "user: Sam@example.com ", "permission": ["start"]}, follow=True).status_code == 200
    assert held_by(sam, process) == {Permission.VIEW, Permission.START}, "giving more takes nothing away"
    late = client.post(PAGE, {"who": SAM, "permission": ["view", "start", "publish"], "owner_shown": "1", "shown": "view start operate"})
    assert (late.status_code, "since you looked" in late.content.decode()) == (409, True), "operate was taken away meanwhile, and does not come back"
    assert held_by(sam, process) == {Permission.VIEW, Permission.START}
    assert 'name="shown" value="view start"' in late.content.decode()
    client.post(PAGE, {"who": SAM, "permission": ["start"], "owner_shown": "1", "shown": "view start"})
    assert held_by(sam, process) == {Permission.START}, "a row that was shown is as it is sent"
    client.post(PAGE, {"who": TOM, "permission": [], "owner": "1", "owner_shown": "1"})
    assert held_by(teammate, Process.objects.get()) == OWNING
    client.post(PAGE, {"who": OLGA, "owner_shown": "1"})
    assert not held_by(owner, Process.objects.get())


def test_the_page_asks_the_same_however_many_there_are(process: Process, owner: User) -> None:
    client = logged_in(owner)

    def grow(names: range) -> None:
        for n in names:
            factories.allow(factories.group(f"g{n}", *(factories.person(f"p{n}x{m}") for m in range(3))), "view_process", process)
            factories.allow(factories.person(f"q{n}"), "start", process)

    counts = []
    for names in (range(2), range(2, 8)):
        grow(names)
        client.get(PAGE)
        with CaptureQueriesContext(connection) as captured:
            assert "q1@example.com" in client.get(PAGE).content.decode()
        counts.append(len(captured))
    assert counts[0] == counts[1]


# What each permission opens: role x action


SEES = {"view", "author", "publish", "start", "operate", "override", "owner"}
SEES_RELEASES = SEES - {"author", "publish"}
ACTIONS: dict[str, tuple[str, str, Any, set[str]]] = {
    "see": ("GET", "processes/standard/", None, SEES),
    "see who may what": ("GET", PATH, None, SEES),
    "see a release": ("GET", "releases/{release}/", None, SEES_RELEASES),
    "edit": ("PUT", "processes/standard/draft/", "draft", {"author", "owner"}),
    "restore": ("POST", "processes/standard/versions/1/restore/", {}, {"author", "owner"}),
    "delete": ("DELETE", "processes/standard/", None, {"author", "owner"}),
    "publish": ("POST", "processes/standard/publish/", {}, {"publish", "owner"}),
    "archive": ("POST", "processes/standard/archive/", {"reason": "x"}, {"publish", "owner"}),
    "start": ("POST", "releases/", {"process": "standard", "start": True}, {"start", "owner"}),
    "keep an input set": ("POST", "input_sets/", {"process": "standard", "name": "x"}, {"author", "start", "owner"}),
    "operate": ("POST", "releases/{release}/hold/", {"reason": "x"}, {"operate", "owner"}),
    "override": ("POST", "releases/{release}/activities/step/succeed/", {"reason": "x"}, {"override"}),
    "give": ("POST", PATH, {"who": TOM, "permissions": ["view"]}, {"owner"}),
}


@pytest.mark.parametrize("role", [*sorted(SEES - {"owner"}), "owner", "nobody"])
def test_what_each_permission_opens_and_what_not(role: str, process: Process, owner: User, stranger: User) -> None:
    """An author who may not start cannot, an operator who may not edit cannot, and so on, each against each."""
    factories.version(process, actor=owner)
    release = started(process, owner)
    run_on(release)
    if role == "owner":
        editing.write_draft(process, document_of(process) | {"owners": [OLGA, SAM]}, actor=owner)
    elif role != "nobody":
        factories.allow(stranger, sharing.SAID[role], process)
    api = Api(stranger)
    draft = document_of(Process.objects.get())
    for action, (method, path, body, allowed) in ACTIONS.items():
        point = transaction.savepoint()
        sent = draft | {"name": "Another"} if body == "draft" else body
        answer = api(method, path.format(release=release.pk), sent, If_Match="*")
        visible = SEES_RELEASES if "{release}" in path else SEES
        if role in allowed:
            assert answer.status_code not in (403, 404), (role, action, answer.content)
        else:
            assert answer.status_code == (403 if role in visible else 404), (role, action, answer.content)
        transaction.savepoint_rollback(point)
