"""Processes in the API: shapes, order of refusals, and who may."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from processes import editing, reading
from processes.drafts import document_of
from processes.models import Process, ProcessVersion
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api

pytestmark = pytest.mark.django_db
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def yaml_of(process: Process) -> str:
    return reading.to_yaml(reading.parse(document_of(process)).blueprint)


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["code"]) == (status, code), body
    return dict(body)


# Creating


def test_a_process_is_made_from_json(as_owner: Api, owner: User) -> None:
    response = as_owner.post("processes/", factories.document("shop"))
    assert response.status_code == 201
    body = response.json()
    assert (body["id"], body["created_by"], body["newest_version"], body["problems"]) == ("shop", owner.email, None, [])
    assert INSTANT.fullmatch(body["created_at"])
    assert response["ETag"]
    assert as_owner.get("processes/shop/draft/")["ETag"] == response["ETag"]


def test_a_process_is_made_from_yaml(as_owner: Api) -> None:
    text = "id: shop\napiVersion: relorch/v1\nkind: Process\nphases:\n- id: a\n  activities:\n  - {id: b, type: automated, connector: noop}\n"
    response = as_owner.post("processes/", text, content_type="application/yaml")
    assert response.status_code == 201
    assert as_owner.get("processes/shop/draft/").json()["phases"][0]["activities"][0]["id"] == "b"


def test_only_who_may_author_here_makes_processes(as_teammate: Api) -> None:
    problem(as_teammate.post("processes/", factories.document()), 403, "not_allowed")
    problem(as_teammate.post("processes/", "{broken"), 403, "not_allowed")


def test_an_id_is_taken_once(as_owner: Api, process: Process) -> None:
    assert problem(as_owner.post("processes/", factories.document("standard")), 409, "process_exists")["state"] == "exists"


@pytest.mark.parametrize(
    ("text", "content_type", "code"),
    [
        ("{", "application/json", "json_syntax"),
        ('{"id": "a", "id": "b"}', "application/json", "duplicate_key"),
        ("a: [1", "application/yaml", "yaml_syntax"),
        ("a: &x [1]\nb: *x\nid: 1", "application/yaml", "unknown_key"),
        ("", "application/yaml", "not_a_mapping"),
        ("[1]", "application/json", "not_a_mapping"),
        (json.dumps(factories.document("x") | {"nonsense": 1}), "application/json", "unknown_key"),
    ],
)
def test_the_unreadable_is_422_with_places_and_nothing_is_stored(as_owner: Api, text: str, content_type: str, code: str) -> None:
    body = problem(as_owner.post("processes/", text, content_type=content_type), 422, "unreadable")
    assert code in [item["code"] for item in body["problems"]], body["problems"]
    assert all({"code", "severity", "message", "place"} <= set(item) for item in body["problems"])
    assert not Process.objects.exists()


def test_the_unsound_is_stored_and_said(as_owner: Api) -> None:
    response = as_owner.post("processes/", factories.document("shop", phases=[]))
    assert response.status_code == 201
    assert response.json()["problems"]
    body = problem(as_owner.post("processes/shop/publish/", {}, If_Match="*"), 422, "unsound")
    assert [item | {"line": 0} for item in body["problems"]] == [item | {"line": 0} for item in response.json()["problems"]]
    assert not ProcessVersion.objects.exists()


def test_one_mebibyte_goes_in_and_a_byte_more_is_413_whatever_else_is_wrong(as_owner: Api, as_teammate: Api) -> None:
    text = json.dumps(factories.document("shop"))
    assert as_owner.post("processes/", text.ljust(1024 * 1024)).status_code == 201
    problem(as_owner.post("processes/", text.ljust(1024 * 1024 + 1)), 413, "too_large")
    problem(as_teammate.put("processes/unknown/draft/", "x" * (1024 * 1024 + 1)), 413, "too_large")


def test_another_kind_of_body_is_415(as_owner: Api) -> None:
    problem(as_owner.post("processes/shop/publish/", "a=b", content_type="text/plain", If_Match="*"), 404, "not_found")
    problem(as_owner.post("input_sets/", "a=b", content_type="text/plain"), 415, "unsupported_media_type")


def test_without_a_token_everything_is_401(db: None, process: Process) -> None:
    nobody = Api(None)
    for method, path in [("GET", "processes/"), ("POST", "processes/"), ("GET", "processes/standard/"), ("GET", "nowhere/"), ("POST", "processes/validate/")]:
        assert nobody(method, path).status_code == 401, path
    assert nobody.get("schema/process.json").status_code == 200


# Reading


def test_a_list_holds_what_its_person_may_see(as_owner: Api, as_teammate: Api, as_stranger: Api, process: Process) -> None:
    for client in (as_owner, as_teammate):
        (found,) = client.get("processes/").json()["results"]
        assert found["id"] == "standard"
    assert as_stranger.get("processes/").json() == {"results": [], "next": None, "previous": None}


def test_lists_are_paged_and_a_page_has_at_most_200(as_owner: Api, owner: User) -> None:
    Process.objects.bulk_create([Process(identifier=f"p{n:03}", name=f"P {n:03}", owners=[f"user:{owner.email}"]) for n in range(203)])
    first = as_owner.get("processes/?limit=1000").json()
    assert len(first["results"]) == 200
    second = as_owner.client.get(first["next"]).json()
    assert [item["id"] for item in second["results"]] == ["p200", "p201", "p202"]
    assert second["next"] is None
    assert as_owner.client.get(second["previous"]).json()["results"] == first["results"]
    assert len(as_owner.get("processes/?limit=7").json()["results"]) == 7
    assert len(as_owner.get("processes/?limit=0").json()["results"]) == 50
    for cursor in ("nonsense", "cD0AAA==", "cD0lMDA=", "cj0xJnA9"):
        assert as_owner.get(f"processes/?cursor={cursor}").status_code in (200, 404)
    problem(as_owner.get("input_sets/?cursor=cD1hYmM="), 404, "not_found")
    problem(as_owner.get("processes/?order=updated&cursor=cD1hYmM="), 404, "not_found")


def test_lists_are_searched_filtered_and_sorted(as_owner: Api, owner: User) -> None:
    for identifier, category in (("alpha", "hotfix"), ("beta", "standard"), ("gamma", "standard")):
        factories.process(identifier, actor=owner, category=category, description=f"about {identifier}")
    editing.archive(Process.objects.get(identifier="gamma"), actor=owner)

    def ids(query: str) -> list[str]:
        return [item["id"] for item in as_owner.get(f"processes/?{query}").json()["results"]]

    assert ids("") == ["alpha", "beta"]
    assert ids("order=-name") == ["beta", "alpha"]
    assert ids("order=-updated") == ["beta", "alpha"]
    assert ids("search=ALPH") == ["alpha"]
    assert ids("search=about+b") == ["beta"]
    problem(as_owner.get("processes/?search=%00"), 422, "invalid")
    assert ids("category=hotfix") == ["alpha"]
    assert ids("archived=true") == ["gamma"]


@pytest.mark.parametrize("path", ["processes/", "processes/standard/versions/", "input_sets/"])
def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(
    as_owner: Api, owner: User, process: Process, path: str, django_assert_num_queries: Any
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from processes import input_sets

    def grow(names: range) -> None:
        for n in names:
            other = factories.process(f"other{n}", actor=owner, inputs={"a": {"type": "string"}})
            factories.version(other, actor=owner)
            input_sets.save(other, actor=owner, name="x", values={"a": "1"})
            editing.write_draft(process, factories.document("standard", name=f"Name {n}", owners=process.owners), actor=owner)
            factories.version(Process.objects.get(pk=process.pk), actor=owner)

    grow(range(2))
    as_owner.get(path)
    with CaptureQueriesContext(connection) as captured:
        assert len(as_owner.get(path).json()["results"]) >= 2
    few = len(captured)
    grow(range(2, 7))
    as_owner.get(path)
    with django_assert_num_queries(few):
        assert len(as_owner.get(path).json()["results"]) >= 7


# Drafts


def test_the_draft_is_the_document_as_json_and_as_yaml(as_teammate: Api, process: Process) -> None:
    as_json = as_teammate.get("processes/standard/draft/")
    assert as_json.json() == document_of(process)
    as_yaml = as_teammate.get("processes/standard/draft/?format=yaml")
    assert as_yaml["Content-Type"].startswith("application/yaml")
    assert as_yaml.content.decode() == yaml_of(process)
    assert as_teammate.get("processes/standard/draft/", Accept="application/yaml").content == as_yaml.content
    assert as_yaml["ETag"] == as_json["ETag"]


def test_a_draft_is_replaced_by_who_has_seen_it(as_owner: Api, process: Process) -> None:
    seen = as_owner.get("processes/standard/draft/")
    changed = seen.json() | {"name": "New name"}
    response = as_owner.put("processes/standard/draft/", changed, If_Match=seen["ETag"])
    assert response.status_code == 200
    assert (response.json()["name"], response.json()["revision"]) == ("New name", 2)
    assert response["ETag"] != seen["ETag"]
    body = problem(as_owner.put("processes/standard/draft/", changed | {"name": "Lost"}, If_Match=seen["ETag"]), 412, "stale")
    assert body["etag"] == response["ETag"]
    assert as_owner.put("processes/standard/draft/", changed, If_Match="*").status_code == 200
    assert as_owner.put("processes/standard/draft/", changed, If_Match=f'W/{response["ETag"]}, "other"').status_code == 200


def test_yaml_out_is_yaml_in(as_owner: Api, process: Process) -> None:
    text = as_owner.get("processes/standard/draft/?format=yaml").content.decode()
    response = as_owner.put("processes/standard/draft/", text, content_type="application/yaml", If_Match="*")
    assert (response.status_code, response.json()["revision"]) == (200, 1)


def test_refusals_come_in_their_order(as_owner: Api, as_teammate: Api, as_stranger: Api, process: Process) -> None:
    path = "processes/standard/draft/"
    problem(as_stranger.put(path, "{broken"), 404, "not_found")
    problem(as_teammate.put(path, "{broken"), 403, "not_allowed")
    problem(as_owner.put(path, "{broken"), 428, "precondition_required")
    problem(as_owner.put(path, "{broken", If_Match='"old"'), 412, "stale")
    problem(as_owner.put(path, "{broken", If_Match="*"), 422, "unreadable")
    problem(as_owner.put(path, "{broken", If_Match="nonsense without quotes"), 412, "stale")


# Publishing and versions


def test_publishing_gives_a_number_and_a_hash(as_owner: Api, process: Process, owner: User) -> None:
    response = as_owner.post("processes/standard/publish/", {"note": "First"}, If_Match=as_owner.get("processes/standard/")["ETag"])
    assert response.status_code == 200, response.content
    body = response.json()
    version = ProcessVersion.objects.get()
    assert (body["number"], body["hash"], body["problems"]) == (1, version.hash, [])
    assert (version.note, version.published_by, [*version.authors.all()]) == ("First", owner, [owner])
    assert as_owner.get("processes/standard/").json()["newest_version"]["number"] == 1


def test_publishing_twice_without_a_change_is_409(as_owner: Api, process: Process) -> None:
    assert as_owner.post("processes/standard/publish/", If_Match="*").status_code == 200
    body = problem(as_owner.post("processes/standard/publish/", {}, If_Match="*"), 409, "nothing_changed")
    assert (body["state"], body["number"]) == ("published", 1)


def test_publishing_needs_the_permission_and_the_precondition(as_owner: Api, as_teammate: Api, as_stranger: Api, process: Process) -> None:
    path = "processes/standard/publish/"
    problem(as_stranger.post(path, {}, If_Match="*"), 404, "not_found")
    problem(as_teammate.post(path, {}, If_Match="*"), 403, "not_allowed")
    problem(as_owner.post(path, {}), 428, "precondition_required")
    problem(as_owner.post(path, {}, If_Match='"1.99"'), 412, "stale")
    problem(as_owner.post(path, "[1]", If_Match="*"), 422, "invalid")


def test_versions_are_listed_and_read(as_owner: Api, as_stranger: Api, process: Process, owner: User) -> None:
    factories.version(process, actor=owner)
    changed = document_of(process) | {"name": "Second"}
    editing.write_draft(process, changed, actor=owner)
    factories.version(process, actor=owner)
    listed = as_owner.get("processes/standard/versions/").json()["results"]
    assert [item["number"] for item in listed] == [2, 1]
    assert listed[0]["authors"] == [owner.email]
    assert INSTANT.fullmatch(listed[0]["published_at"])
    one = as_owner.get("processes/standard/versions/2/")
    assert one.json()["document"] == changed
    assert one["ETag"] == f'"{one.json()["hash"]}"'
    as_yaml = as_owner.get("processes/standard/versions/2/?format=yaml")
    assert reading.read(as_yaml.content).document == changed
    problem(as_owner.get("processes/standard/versions/3/"), 404, "not_found")
    problem(as_stranger.get("processes/standard/versions/2/"), 404, "not_found")
    problem(as_owner.get("processes/standard/versions/99999999999999999999/"), 404, "not_found")


def test_the_difference_of_two_versions_is_told(as_owner: Api, process: Process, owner: User) -> None:
    factories.version(process, actor=owner)
    editing.write_draft(process, document_of(process) | {"name": "Second"}, actor=owner)
    factories.version(process, actor=owner)
    (change,) = as_owner.get("processes/standard/versions/1/diff/2/").json()["changes"]
    assert change == {
        "kind": "changed",
        "place": "/name",
        "before": "Standard",
        "after": "Second",
        "text": "name of the process: Standard -> Second",
        "weakens": False,
    }
    assert as_owner.get("processes/standard/versions/2/diff/2/").json() == {"changes": []}
    problem(as_owner.get("processes/standard/versions/1/diff/9/"), 404, "not_found")
    assert as_owner.get("processes/standard/versions/2/diff/draft/").json() == {"changes": []}
    editing.write_draft(process, document_of(process) | {"name": "Third"}, actor=owner)
    assert [item["text"] for item in as_owner.get("processes/standard/versions/1/diff/draft/").json()["changes"]] == ["name of the process: Standard -> Third"]
    assert [item["after"] for item in as_owner.get("processes/standard/versions/draft/diff/2/").json()["changes"]] == ["Second"]


# The rest


def test_validate_always_answers_200_and_stores_nothing(as_teammate: Api) -> None:
    for text, content_type in [("{", "application/json"), ("a: [", "application/yaml"), (json.dumps(factories.document()), "application/json")]:
        response = as_teammate.post("processes/validate/", text, content_type=content_type)
        assert response.status_code == 200
    assert response.json() == {"problems": []}
    (broken,) = as_teammate.post("processes/validate/", "id: a\nphases: [", content_type="application/yaml").json()["problems"]
    assert broken["line"] in (2, 3)
    assert not Process.objects.exists()


def test_the_schema_is_served_to_editors(db: None) -> None:
    response = Api(None).get("schema/process.json")
    assert response.json() == reading.json_schema()
    of_store = Api(None).get("schema/activity.json")
    assert (of_store.status_code, of_store.json()) == (200, reading.json_schema("Activity"))


def test_deleting_and_archiving(as_owner: Api, as_teammate: Api, as_stranger: Api, process: Process) -> None:
    problem(as_stranger("DELETE", "processes/standard/"), 404, "not_found")
    problem(as_teammate("DELETE", "processes/standard/"), 403, "not_allowed")
    problem(as_teammate.post("processes/standard/archive/"), 403, "not_allowed")
    archived = as_owner.post("processes/standard/archive/", {"reason": "old"})
    assert INSTANT.fullmatch(archived.json()["archived_at"])
    assert problem(as_owner.post("processes/standard/archive/"), 409, "archived")["state"] == "archived"
    assert as_owner.post("processes/standard/unarchive/").json()["archived_at"] is None
    assert as_owner("DELETE", "processes/standard/").status_code == 204
    problem(as_owner.get("processes/standard/"), 404, "not_found")


def test_what_is_published_is_not_deleted(as_owner: Api, process: Process, owner: User) -> None:
    factories.version(process, actor=owner)
    assert problem(as_owner("DELETE", "processes/standard/"), 409, "referenced")["by"] == ["it has 1 published version"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["", "processes/UPPER/", "processes/standard/nowhere/", "nowhere/", "processes/standard"])
def test_unknown_addresses_are_404_in_the_apis_words(as_owner: Api, process: Process, method: str, path: str) -> None:
    problem(as_owner(method, path), 404, "not_found")


def test_a_method_that_does_not_fit_is_405(as_owner: Api, process: Process) -> None:
    problem(as_owner("PATCH", "processes/standard/"), 405, "method_not_allowed")


def test_a_person_in_a_browser_needs_the_forms_token(owner: User) -> None:
    from django.test import Client

    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    assert browser.get("/api/v1/processes/").status_code == 200
    refused = browser.post("/api/v1/processes/", json.dumps(factories.document("shop")), content_type="application/json")
    assert refused.status_code == 403
    assert not Process.objects.exists()


def test_an_old_version_becomes_the_draft_again(as_owner: Api, as_teammate: Api, as_stranger: Api, process: Process) -> None:
    address = "processes/standard/versions/1/restore/"
    assert as_owner.post("processes/standard/publish/", {}, If_Match="*").status_code == 200
    first = as_owner.get("processes/standard/draft/")
    changed = as_owner.put("processes/standard/draft/", first.json() | {"name": "Another name"}, If_Match="*")
    problem(as_stranger.post(address, If_Match="*"), 404, "not_found")
    problem(as_teammate.post(address, If_Match="*"), 403, "not_allowed")
    problem(as_owner.post("processes/standard/versions/7/restore/", If_Match="*"), 404, "not_found")
    problem(as_owner.post(address, If_Match=first["ETag"]), 412, "stale")
    assert as_owner.get("processes/standard/draft/").json()["name"] == "Another name"
    assert as_owner.post(address, If_Match=changed["ETag"]).status_code == 200
    assert as_owner.get("processes/standard/draft/").json()["name"] == first.json()["name"]
    assert ProcessVersion.objects.filter(process=process).count() == 1
