"""The admin: whole drafts through the verbs, half-finished ones too, and nothing beside them."""

from __future__ import annotations

import re
import time
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from processes import editing
from processes.drafts import document_of
from processes.models import DraftEdit, Process, ProcessVersion
from relorch.accounts.models import User
from relorch.audit.models import Event
from tests import factories
from tests.processes.test_editing import whole

pytestmark = pytest.mark.django_db
LIST = "/admin/processes/process/"


@pytest.fixture
def owner(db: None) -> User:
    return factories.person("olga", author=True, is_staff=True)


@pytest.fixture
def client(owner: User) -> Client:
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    return client


def fields_of(html: str) -> dict[str, Any]:
    """What a browser would send back of the page as it is; a name that stands several times has a list."""
    found: dict[str, Any] = {}
    form = html[html.index("<form") :]
    rows: dict[str, list[str]] = {}
    for name, index in re.findall(r'<input type="hidden" name="([^"]*\.@row)" value="(\d+)">', form):
        rows.setdefault(name, []).append(index)
    for attributes in re.findall(r"<input\b([^>]*)>", form):
        name, kind, value = (re.search(rf'{key}="([^"]*)"', attributes) for key in ("name", "type", "value"))
        box = kind is not None and kind[1] == "checkbox"
        unchecked = box and not re.search(r"\schecked(=|\s|/|$)", attributes)
        if name and not unchecked and not (kind and kind[1] in ("submit", "button")):
            found[name[1]] = unescape(value[1]) if value else "on" if box else ""
    for name, text in re.findall(r'<textarea\b[^>]*?name="([^"]*)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL):
        found[name] = unescape(text).replace("\r\n", "\n").replace("\n", "\r\n")  # as browsers do
    for name, inside in re.findall(r'<select\b[^>]*?name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)"[^>]*\bselected', inside)
        found[name] = unescape(chosen[1]) if chosen else ""
    found |= rows
    return {
        name: value for name, value in found.items() if "__row__" not in name and "__prefix__" not in name and name not in ("_save", "_continue", "_addanother")
    }


def page(client: Client, path: str) -> tuple[str, dict[str, Any]]:
    response = client.get(path)
    assert response.status_code == 200, response
    html = response.content.decode()
    return html, fields_of(html)


def change(process: Process) -> str:
    return f"{LIST}{process.pk}/change/"


def on_its_own(process: Process, identifier: str) -> str:
    return f"/admin/processes/draftactivity/{process.draft_activities.get(identifier=identifier).pk}/change/"


def test_a_page_that_is_saved_as_it_is_changes_nothing(client: Client, owner: User) -> None:
    process = editing.create_process(whole() | {"owners": ["user:olga@example.com"]}, actor=owner)
    before = document_of(process)
    _, fields = page(client, change(process))
    response = client.post(change(process), fields)
    assert response.status_code == 302, fields_of(response.content.decode())
    after = Process.objects.get(pk=process.pk)
    assert repr(document_of(after)) == repr(before)
    assert after.revision == 1
    assert Event.objects.count() == 1


def test_a_process_is_made_from_nothing_and_grown(client: Client, owner: User) -> None:
    _, fields = page(client, f"{LIST}add/")
    response = client.post(f"{LIST}add/", fields | {"identifier": "shop", "name": "Shop"})
    assert response.status_code == 302
    process = Process.objects.get()
    assert (process.identifier, process.created_by, process.revision) == ("shop", owner, 1)
    _, fields = page(client, change(process))
    phases, activities = "draft_phases", "draft_activities"
    fields |= {
        f"{phases}-TOTAL_FORMS": "2", f"{phases}-0-identifier": "build", f"{phases}-0-position": "1", f"{phases}-0-run_when": "satisfied",
        f"{phases}-1-identifier": "prepare", f"{phases}-1-position": "0", f"{phases}-1-run_when": "satisfied",
        f"{activities}-TOTAL_FORMS": "2", f"{activities}-0-phase": "build", f"{activities}-0-identifier": "compile", f"{activities}-0-type": "automated",
        f"{activities}-1-phase": "prepare", f"{activities}-1-identifier": "ask", f"{activities}-1-type": "manual",
        "inputs.@row": ["0"], "inputs.0.@": "version", "inputs.0.type": "string", "inputs.0.required": "1",
    }  # fmt: skip
    response = client.post(change(process), fields)
    assert response.status_code == 302, re.findall(r"errorlist.*?</ul>", response.content.decode(), re.DOTALL)
    _, one = page(client, on_its_own(process, "compile"))
    one |= {"activity.connector": "noop", "activity.with.noop.outputs.@row": ["3"], "activity.with.noop.outputs.3.@": "a", "activity.with.noop.outputs.3": "1",
            "activity.with.noop.outputs.3.@kind": "number", "activity.timeout": "30m", "activity.retry.attempts": "3"}  # fmt: skip
    assert client.post(on_its_own(process, "compile"), one).status_code == 302
    _, one = page(client, on_its_own(process, "ask"))
    one |= {"activity.run_when": "always", "activity.owners": "user:olga@example.com\ngroup:qa", "activity.approval.requires.@row": ["0"],
            "activity.approval.requires.0.count": "2"}  # fmt: skip
    assert client.post(on_its_own(process, "ask"), one).status_code == 302
    saved = Process.objects.get()
    assert document_of(saved) == {
        "apiVersion": "relorch/v1",
        "kind": "Process",
        "id": "shop",
        "name": "Shop",
        "inputs": {"version": {"required": True}},
        "phases": [
            {
                "id": "prepare",
                "activities": [
                    {
                        "id": "ask",
                        "type": "manual",
                        "owners": ["user:olga@example.com", "group:qa"],
                        "run_when": "always",
                        "approval": {"requires": [{"count": 2}]},
                    }
                ],
            },
            {
                "id": "build",
                "activities": [
                    {"id": "compile", "type": "automated", "connector": "noop", "with": {"outputs": {"a": 1}}, "timeout": "30m", "retry": {"attempts": 3}}
                ],
            },
        ],
    }
    assert saved.revision == 4
    assert DraftEdit.objects.get().person == owner
    assert [event.verb for event in Event.objects.order_by("pk")] == ["process.created", *["process.draft_saved"] * 3]
    assert '"door":"admin"' in Event.objects.latest("pk").record


def test_half_finished_drafts_are_saved_and_their_problems_shown(client: Client, owner: User) -> None:
    process = factories.process("shop", actor=owner, phases=[{"id": "a", "depends_on": ["nowhere"]}])
    html, fields = page(client, change(process))
    assert "nowhere" in html
    assert "a › depends on" in html, "where it is"
    assert client.post(change(process), fields | {"name": "Half"}, follow=True).status_code == 200
    assert Process.objects.get().name == "Half"


def test_what_cannot_be_read_is_said_and_not_stored(client: Client, owner: User) -> None:
    process = factories.process("shop", actor=owner)
    _, fields = page(client, change(process))
    for name, value, said in (
        ("draft_activities-0-phase", "nowhere", "There is no phase"),
        ("draft_activities-0-identifier", "Wrong Id", "Small letters"),
        ("draft_phases-0-name", "x" * 201, "at most 200"),
        ("inputs.@yaml", "v: {type: strin}", "string"),
        ("inputs.@yaml", "v: [", "cannot be read"),
        ("rules.@yaml", "a: b", "list"),
    ):
        html = client.post(change(process), fields | {name: value}).content.decode()
        assert said in html, (name, value)
        assert (value if "{" not in value else "strin") in unescape(html), (name, value)
    assert Process.objects.get().revision == 1


def test_what_an_activity_cannot_say_is_named_on_its_page_and_not_stored(client: Client, owner: User) -> None:
    process = factories.process("shop", actor=owner)
    path = on_its_own(process, "step")
    _, fields = page(client, path)
    for name, value, said in (
        ("activity.timeout", "soon", "timeout: "),
        ("activity.@yaml", "nonsense: 1", "nonsense"),
        ("activity.retry.attempts", "many", "retry → attempts"),
        ("activity.@yaml", "[", "cannot be read"),
        ("activity.name", "x" * 201, "A name has at most 200 characters"),
    ):
        html = client.post(path, fields | {name: value}).content.decode()
        assert said in html, (name, value)
        assert value in unescape(html), (name, value)
    assert Process.objects.get().revision == 1


def test_an_activity_s_page_saved_as_it_is_changes_nothing(client: Client, owner: User) -> None:
    process = editing.create_process(whole() | {"owners": ["user:olga@example.com"]}, actor=owner)
    before = document_of(process)
    for row in process.draft_activities.all():
        _, fields = page(client, on_its_own(process, row.identifier))
        assert client.post(on_its_own(process, row.identifier), fields).status_code == 302
    assert repr(document_of(Process.objects.get())) == repr(before)
    assert Process.objects.get().revision == 1


def test_an_activity_s_page_of_somebody_else_is_not_there(client: Client) -> None:
    process = factories.process("theirs", actor=factories.person("tom", author=True))
    assert client.get(on_its_own(process, "step")).status_code in (302, 404)
    assert client.post(on_its_own(process, "step"), {}).status_code in (302, 404)


def test_an_activity_is_deleted_by_the_verb(client: Client, owner: User) -> None:
    process = factories.process("shop", actor=owner)
    path = on_its_own(process, "step").replace("/change/", "/delete/")
    assert client.post(path, {"post": "yes"}).status_code == 302
    assert document_of(Process.objects.get())["phases"] == [{"id": "work"}] or "activities" not in document_of(Process.objects.get())["phases"][0]
    assert Process.objects.get().revision == 2


def test_who_saved_meanwhile_is_not_overwritten(client: Client, owner: User) -> None:
    process = factories.process("shop", actor=owner)
    _, fields = page(client, change(process))
    editing.write_draft(process, document_of(process) | {"name": "Theirs"}, actor=factories.person("tom"))
    response = client.post(change(process), fields | {"name": "Mine"})
    assert response.status_code == 200
    assert "Tom has saved this draft" in response.content.decode()
    assert Process.objects.get().name == "Theirs"


def test_rows_are_deleted_and_moved_to_a_new_phase(client: Client, owner: User) -> None:
    process = factories.process("shop", actor=owner)
    _, fields = page(client, change(process))
    fields |= {"draft_phases-TOTAL_FORMS": "2", "draft_phases-1-identifier": "fresh", "draft_phases-1-run_when": "satisfied", "draft_phases-1-position": "5"}
    fields |= {"draft_activities-0-phase": "fresh", "draft_phases-0-DELETE": "on"}
    assert client.post(change(process), fields).status_code == 302
    assert [(phase["id"], [item["id"] for item in phase["activities"]]) for phase in document_of(process)["phases"]] == [("fresh", ["step"])]


def test_publishing_needs_a_second_look(client: Client, owner: User) -> None:
    process = factories.process("shop", actor=owner)
    path = f"{LIST}{process.pk}/publish/"
    html, fields = page(client, path)
    assert "becomes its next version" in html
    assert not ProcessVersion.objects.exists()
    assert client.post(path, fields | {"note": "First"}).status_code == 302
    assert ProcessVersion.objects.get().note == "First"
    editing.write_draft(process, document_of(process) | {"name": "x"}, actor=owner)
    assert "read it again" in client.post(path, fields, follow=True).content.decode()
    assert ProcessVersion.objects.count() == 1


def test_what_is_unsound_says_why_it_is_not_published(client: Client, owner: User) -> None:
    process = factories.process("shop", actor=owner, phases=[])
    html, _ = page(client, f"{LIST}{process.pk}/publish/")
    assert "errors keep it from being published" in html


def test_the_list_says_what_there_is_with_constant_queries(client: Client, owner: User) -> None:
    def grow(names: range) -> None:
        for n in names:
            factories.version(factories.process(f"process{n}", actor=owner, description="d" * 200), actor=owner)

    grow(range(2))
    client.get(LIST)
    with CaptureQueriesContext(connection) as captured:
        html, _ = page(client, LIST)
    few = len(captured)
    grow(range(2, 7))
    client.get(LIST)
    with CaptureQueriesContext(connection) as captured:
        html, _ = page(client, LIST)
    assert "process6" in html
    assert len(captured) == few
    assert "process1<" not in page(client, f"{LIST}?q=process5")[0]


def test_only_what_may_be_seen_is_there_and_only_who_may_edit_gets_a_form(client: Client, owner: User) -> None:
    hidden = factories.process("unknown_to_olga", actor=factories.person("other"))
    seen = factories.process("seen", actor=factories.person("another"))
    factories.allow(owner, "view_process", seen)
    html, _ = page(client, LIST)
    assert "seen" in html
    assert "unknown_to_olga" not in html
    assert client.get(change(hidden), follow=True).redirect_chain
    html, fields = page(client, change(seen))
    assert "apiVersion" in html
    assert "draft_phases-0-identifier" not in fields
    assert client.post(change(seen), {"name": "x"}).status_code == 403
    assert client.get(f"{LIST}{seen.pk}/publish/").status_code in (403, 404)
    assert client.post(f"{LIST}{hidden.pk}/publish/").status_code in (403, 404)
    assert client.post(f"{LIST}{seen.pk}/delete/", {"post": "yes"}).status_code == 403


def test_only_authors_add(client: Client) -> None:
    reader = factories.person("reader", is_staff=True)
    client.force_login(reader, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.get(LIST).status_code == 200


def test_archiving_and_deleting_go_through_the_verbs(client: Client, owner: User) -> None:
    first, second = factories.process("one", actor=owner), factories.process("two", actor=owner)
    client.post(LIST, {"action": "archive_processes", "_selected_action": [first.pk]})
    assert Process.objects.get(pk=first.pk).archived_at
    assert "one<" not in page(client, LIST)[0]
    client.post(f"{LIST}?state=archived", {"action": "unarchive_processes", "_selected_action": [first.pk]})
    assert not Process.objects.get(pk=first.pk).archived_at
    assert client.post(f"{LIST}{second.pk}/delete/", {"post": "yes"}).status_code == 302
    factories.version(first, actor=owner)
    refused = client.post(f"{LIST}{first.pk}/delete/", {"post": "yes"}, follow=True).content.decode()
    assert "cannot be deleted: it has 1 published version. It can be archived." in refused
    assert Process.objects.filter(pk=first.pk).exists()
    assert [event.verb for event in Event.objects.order_by("pk")][2:] == ["process.archived", "process.unarchived", "process.deleted", "process.published"]


def test_versions_are_to_look_at(client: Client, owner: User) -> None:
    version = factories.version(factories.process("shop", actor=owner), actor=owner)
    path = f"/admin/processes/processversion/{version.pk}/change/"
    assert "apiVersion" in page(client, path)[0]
    assert client.post(path, {"note": "x"}).status_code == 403
    assert client.get("/admin/processes/processversion/add/").status_code == 403
    assert client.get("/admin/processes/processversion/").status_code == 200
    stranger: Any = factories.person("s", is_staff=True)
    client.force_login(stranger, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(path).status_code == 302


def test_what_is_being_typed_is_checked_and_not_stored(client: Client, owner: User) -> None:
    two = [{"id": name, "activities": [{"id": f"{name}_it", "type": "automated", "connector": "noop"}]} for name in ("a", "b")]
    process = factories.process("shop", actor=owner, phases=two)
    _, fields = page(client, change(process))
    found = client.post(f"{LIST}{process.pk}/check/", fields).json()["problems"]
    assert [(one["severity"], one["mend"]) for one in found] == [("warning", "Put them in order")]
    circle = fields | {"draft_phases-0-depends_on": "b", "draft_phases-1-depends_on": "a"}
    [circular] = client.post(f"{LIST}{process.pk}/check/", circle).json()["problems"]
    assert "circle" in circular["message"]
    assert circular["row"].startswith("draft_phases-")
    assert circular["field"].endswith("-depends_on")
    [unnamed] = client.post(f"{LIST}{process.pk}/check/", fields | {"draft_activities-1-identifier": ""}).json()["problems"]
    assert (unnamed["field"], unnamed["row"]) == ("draft_activities-1-identifier", "draft_activities-1")
    own = on_its_own(process, "a_it")
    _, one = page(client, own)
    [wrong] = client.post(own.replace("/change/", "/check/"), one | {"activity.timeout": "soon"}).json()["problems"]
    assert (wrong["field"], wrong["inside"]) == ("activity", ["timeout"]) or "timeout" in wrong["message"]
    assert Process.objects.get().revision == 1
    reader = factories.person("reader", is_staff=True)
    factories.allow(reader, "view_process", process)
    client.force_login(reader, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(f"{LIST}{process.pk}/check/", fields).status_code == 403


def test_a_warning_is_mended_by_a_click(client: Client, owner: User) -> None:
    two = [{"id": name, "activities": [{"id": f"{name}_it", "type": "automated", "connector": "noop"}]} for name in ("a", "b")]
    process = factories.process("shop", actor=owner, phases=two)
    html, fields = page(client, change(process))
    value = re.search(r'name="_mend" value="([^"]*)"', html)
    assert value
    answer = client.post(change(process), fields | {"name": "Named too", "_mend": unescape(value[1])})
    assert answer["Location"].endswith(change(process))
    saved = document_of(Process.objects.get())
    assert saved["phases"][1]["depends_on"] == ["a"]
    assert (saved["name"], Process.objects.get().revision) == ("Named too", 2)
    _, fields = page(client, change(process))
    refused = client.post(change(process), fields | {"_mend": "phases_start_together:"}, follow=True).content.decode()
    assert "cannot be mended by a click" in refused
    assert Process.objects.get().revision == 2


def test_a_process_is_duplicated_and_archived_after_a_look(client: Client, owner: User) -> None:
    process = factories.process("shop", actor=owner)
    path = f"{LIST}{process.pk}/duplicate/"
    html, _ = page(client, path)
    assert "shop_2" in html
    assert "exists already" in unescape(client.post(path, {"id": "shop", "name": "Again"}).content.decode())
    assert client.post(path, {"id": "shop_again", "name": "Again"}).status_code == 302
    made = Process.objects.get(identifier="shop_again")
    assert document_of(made)["phases"] == document_of(process)["phases"]
    away = f"{LIST}{process.pk}/archive/"
    assert client.get(away).status_code == 200
    assert not Process.objects.get(pk=process.pk).archived_at
    client.post(away, {"reason": "Nobody uses it"})
    assert Process.objects.get(pk=process.pk).archived_at
    history = page(client, f"{LIST}{process.pk}/history/")[0]
    assert "Nobody uses it" in history
    assert "Created" in history


def test_an_activity_that_was_just_added_is_opened(client: Client, owner: User) -> None:
    process = factories.process("shop", actor=owner)
    _, fields = page(client, change(process))
    added = {"draft_activities-TOTAL_FORMS": "2", "draft_activities-1-identifier": "more", "draft_activities-1-phase": "work", "_open": "draft_activities-1"}
    answer = client.post(change(process), fields | added)
    assert answer["Location"].endswith(on_its_own(process, "more"))


def test_a_process_of_300_activities_opens_and_saves_with_few_queries(client: Client, owner: User) -> None:
    def large(identifier: str, many: int) -> Process:
        activities = [{"id": f"a{n}", "type": "automated", "connector": "noop", **({"depends_on": [f"a{n - 1}"]} if n else {})} for n in range(many)]
        return factories.process(identifier, actor=owner, phases=[{"id": "work", "activities": activities}])

    small, big = large("small", 3), large("big", 300)
    counts = []
    for process in (small, big):
        client.get(change(process))
        with CaptureQueriesContext(connection) as captured:
            began = time.process_time()
            _, fields = page(client, change(process))
            took = time.process_time() - began
        counts.append(len(captured))
    assert counts[0] == counts[1]
    assert took < 2, "half a second on a machine of its own, most of it here for reading the page back"
    assert client.post(change(big), fields | {"name": "Bigger"}).status_code == 302
    assert len(document_of(big)["phases"][0]["activities"]) == 300


def test_the_list_of_versions_has_constant_queries(client: Client, owner: User) -> None:
    counts = []
    for n in range(2):
        for m in range(1 + 4 * n):
            factories.version(factories.process(f"process{n}_{m}", actor=owner), actor=owner)
        client.get("/admin/processes/processversion/")
        with CaptureQueriesContext(connection) as captured:
            page(client, "/admin/processes/processversion/")
        counts.append(len(captured))
    assert counts[0] == counts[1]
