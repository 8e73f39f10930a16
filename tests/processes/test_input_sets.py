"""Input sets: values checked when saved, secrets never given back."""

from __future__ import annotations

from typing import Any

import pytest

from processes import input_sets
from processes.models import InputSet, Process
from relorch.accounts.models import User
from relorch.audit.models import Event
from relorch.lib.errors import Invalid
from tests import factories
from tests.processes.conftest import Api
from tests.processes.test_api import INSTANT, problem

pytestmark = pytest.mark.django_db

INPUTS: dict[str, Any] = {
    "version": {"type": "string", "required": True},
    "region": {"type": "string"},
    "api_key": {"type": "secret"},
    "settings": {"type": "object"},
}


@pytest.fixture
def process(owner: User, teammate: User) -> Process:
    made = factories.process("standard", actor=owner, owners=["user:olga@example.com"], inputs=INPUTS)
    factories.allow(teammate, "view_process", made)
    return made


def test_an_input_set_is_made_changed_and_deleted(as_owner: Api, process: Process, owner: User) -> None:
    response = as_owner.post("input_sets/", {"process": "standard", "name": "Europe", "values": {"region": "eu"}})
    assert response.status_code == 201, response.content
    body = response.json()
    assert (body["process"], body["name"], body["values"], body["status"], body["updated_by"]) == (
        "standard",
        "Europe",
        {"region": "eu"},
        "incomplete",
        owner.email,
    )
    assert [item["place"] for item in body["problems"]] == ["/inputs/version"]
    assert INSTANT.fullmatch(body["updated_at"])
    path = f"input_sets/{body['id']}/"
    changed = as_owner("PATCH", path, {"values": {"version": "1.0.0"}}).json()
    assert (changed["name"], changed["values"], changed["status"]) == ("Europe", {"version": "1.0.0"}, "complete")
    assert as_owner("PATCH", path, {"name": "World"}).json()["values"] == {"version": "1.0.0"}
    assert as_owner.get("input_sets/?process=standard").json()["results"][0]["name"] == "World"
    assert as_owner.get("input_sets/?process=other").json()["results"] == []
    assert as_owner("DELETE", path).status_code == 204
    problem(as_owner.get(path), 404, "not_found")
    verbs = list(Event.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs == ["process.created", "input_set.saved", "input_set.saved", "input_set.saved", "input_set.deleted"]


def test_a_secret_goes_in_and_never_comes_out(as_owner: Api, process: Process) -> None:
    body = as_owner.post("input_sets/", {"process": "standard", "name": "x", "values": {"api_key": "swordfish"}}).json()
    assert body["values"] == {"api_key": {"$secret": True}}
    assert "swordfish" not in str(list(InputSet.objects.values())) + str(list(Event.objects.values()))
    row = InputSet.objects.get()
    assert factories.opened(row) == {"api_key": "swordfish"}
    path = f"input_sets/{body['id']}/"
    as_owner("PATCH", path, {"values": {"api_key": {"$secret": True}, "region": "us"}})
    assert factories.opened(InputSet.objects.get()) == {"api_key": "swordfish", "region": "us"}
    as_owner("PATCH", path, {"name": "y"})
    assert factories.opened(InputSet.objects.get())["api_key"] == "swordfish"
    as_owner("PATCH", path, {"values": {"api_key": "other"}})
    assert factories.opened(InputSet.objects.get()) == {"api_key": "other"}
    as_owner("PATCH", path, {"values": {}})
    assert factories.opened(InputSet.objects.get()) == {}


def test_a_stored_secret_of_another_set_opens_nowhere(as_owner: Api, process: Process, owner: User) -> None:
    row = input_sets.save(process, actor=owner, name="a", values={"api_key": "swordfish"})
    token = row.values["api_key"]
    for value in (token, {"$secret": True}):
        body = problem(as_owner.post("input_sets/", {"process": "standard", "name": "b", "values": {"settings": {"deep": [value]}}}), 422, "invalid")
        assert [(item["code"], item["place"]) for item in body["problems"]] == [("reserved_key", "/values/settings")]
    assert problem(as_owner.post("input_sets/", {"process": "standard", "name": "b", "values": {"api_key": token}}), 422, "invalid")


def test_every_wrong_value_is_said_at_its_place(as_owner: Api, process: Process) -> None:
    values = {"vresion": "1", "region": 7, "version": "1", "api_key": None}
    body = problem(as_owner.post("input_sets/", {"process": "standard", "name": " ", "values": values}), 422, "invalid")
    body = problem(as_owner.post("input_sets/", {"process": "standard", "name": "x", "values": values}), 422, "invalid")
    assert {item["place"] for item in body["problems"]} == {"/values/vresion", "/values/region"}
    assert "version" in next(item["message"] for item in body["problems"] if item["place"] == "/values/vresion")
    assert not InputSet.objects.exists()


def test_names_are_unique_in_a_process_in_any_case(as_owner: Api, process: Process) -> None:
    assert as_owner.post("input_sets/", {"process": "standard", "name": "Europe"}).status_code == 201
    problem(as_owner.post("input_sets/", {"process": "standard", "name": "EUROPE"}), 409, "input_set_exists")


def test_who_may_see_the_process_sees_its_sets_and_who_may_start_it_changes_them(
    as_owner: Api, as_teammate: Api, as_stranger: Api, process: Process, teammate: User
) -> None:
    body = {"process": "standard", "name": "x", "values": {}}
    problem(as_stranger.post("input_sets/", body), 404, "not_found")
    problem(as_teammate.post("input_sets/", body), 403, "not_allowed")
    path = f"input_sets/{as_owner.post('input_sets/', body).json()['id']}/"
    assert as_teammate.get(path).status_code == 200
    problem(as_stranger.get(path), 404, "not_found")
    for client, status, code in [(as_stranger, 404, "not_found"), (as_teammate, 403, "not_allowed")]:
        problem(client("PATCH", path, {"name": "y"}), status, code)
        problem(client("DELETE", path), status, code)
    factories.allow(teammate, "start", process)
    assert as_teammate("PATCH", path, {"name": "y"}).status_code == 200


def test_the_newest_version_decides_what_is_asked(as_owner: Api, process: Process, owner: User) -> None:
    factories.version(process, actor=owner)
    from processes import editing

    editing.write_draft(process, factories.document("standard", owners=process.owners, inputs={"other": {"type": "string"}}), actor=owner)
    assert as_owner.post("input_sets/", {"process": "standard", "name": "x", "values": {"region": "eu"}}).status_code == 201
    problem(as_owner.post("input_sets/", {"process": "standard", "name": "y", "values": {"other": "eu"}}), 422, "invalid")


def test_what_is_not_given_stays_as_it_is_now(process: Process, owner: User) -> None:
    seen = input_sets.save(process, actor=owner, name="Europe", values={"api_key": "swordfish", "region": "eu"})
    stale = InputSet.objects.get(pk=seen.pk)
    input_sets.save(process, actor=owner, values={"api_key": "other", "region": "us"}, input_set=seen)
    input_sets.save(process, actor=owner, name="World", input_set=stale)
    row = InputSet.objects.get()
    assert (row.name, factories.opened(row)) == ("World", {"api_key": "other", "region": "us"})


def test_a_secret_goes_only_where_it_stays_one(process: Process, owner: User) -> None:
    row = input_sets.save(process, actor=owner, name="Europe", values={"api_key": "swordfish", "region": "eu"})
    Process.objects.filter(pk=process.pk).update(inputs=INPUTS | {"api_key": {"type": "string"}})
    process.refresh_from_db()
    row = InputSet.objects.get(pk=row.pk)
    assert factories.opened(row) == {"region": "eu"}
    with pytest.raises(Invalid) as refused:
        input_sets.save(process, actor=owner, name="Europe", values={"api_key": {"$secret": True}}, input_set=row)
    assert [item.code for item in refused.value.problems] == ["reserved_key"]
