"""Input sets whose values are worked out when a start takes them over, and the one that is taken when none is named."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from processes import input_sets
from processes.models import InputSet, Process
from releases.models import Release
from relorch.accounts.models import User
from relorch.audit.models import Event
from relorch.lib.errors import Invalid
from tests import factories
from tests.processes.conftest import Api
from tests.processes.test_api import problem
from tests.processes.test_sharing import logged_in
from tests.releases.driving import run_on, started

pytestmark = pytest.mark.django_db(transaction=True)
INPUTS = {
    "version": {"type": "string", "required": True},
    "base": {"type": "string"},
    "count": {"type": "integer"},
    "api_key": {"type": "secret"},
}
BUILT = {"outputs": {"image": "shop:${{ inputs.version }}", "size": 7}}
PHASES = [
    {
        "id": "build",
        "activities": [
            {
                "id": "compile",
                "type": "automated",
                "connector": "noop",
                "with": BUILT,
                "outputs": {"image": "${{ result.outputs.image }}", "size": "${{ result.outputs.size }}"},
            }
        ],
    }
]
BASE = "${{ last.activities.compile.outputs.image }}"
START = "/releases/start/shop/"


@pytest.fixture
def olga() -> User:
    return factories.person("olga")


@pytest.fixture
def shop(olga: User) -> Process:
    made = factories.process(
        "shop", actor=olga, owners=["user:olga@example.com"], inputs=INPUTS, phases=PHASES, outputs={"size": "${{ activities.compile.outputs.size }}"}
    )
    factories.version(made, actor=olga)
    return made


def saved(process: Process, actor: User, **values: Any) -> InputSet:
    return input_sets.save(process, actor=actor, name="Usual", values=values)


def gone_out(process: Process, starter: User, **inputs: Any) -> Release:
    release = started(process, starter, **inputs)
    run_on(release)
    release.refresh_from_db()
    assert release.state == "succeeded"
    return release


def test_an_output_of_the_last_release_is_taken_over_in_its_type(shop: Process, olga: User) -> None:
    api = Api(olga)
    saved(shop, olga, version="2", base=BASE, count="${{ last.outputs.size + 1 }}")
    refused = api.post("releases/", {"process": "shop", "input_set": "Usual", "start": True})
    body = problem(refused, 422, "invalid_inputs")
    assert [(item["code"], item["place"]) for item in body["problems"]] == [("expression_error", "/inputs/base"), ("expression_error", "/inputs/count")]
    assert all("No release of the process has succeeded yet." in item["message"] for item in body["problems"])
    given = api.post("releases/", {"process": "shop", "input_set": "Usual", "inputs": {"base": "none", "count": None}, "start": True})
    assert given.json()["inputs"] == {"version": "2", "base": "none"}, "what the request gives is not worked out"
    gone_out(shop, olga, version="1")
    answer = api.post("releases/", {"process": "shop", "input_set": "Usual", "start": True})
    assert answer.json()["inputs"] == {"version": "2", "base": "shop:1", "count": 8}


def test_the_one_who_starts_is_known_and_children_are_no_earlier_releases(shop: Process, olga: User) -> None:
    steve = factories.person("steve")
    factories.allow(steve, "start", shop)
    saved(shop, olga, version="by ${{ release.starter }}", base="${{ has(last.id) ? last.name : 'none' }}")
    call = {"id": "call", "type": "subprocess", "process": "shop", "inputs": {"version": "7"}}
    around = factories.process("around", actor=olga, owners=["user:olga@example.com"], phases=[{"id": "all", "activities": [call]}])
    factories.version(around, actor=olga)
    gone_out(around, olga)
    assert Release.objects.filter(process=shop, state="succeeded").exists()
    body = Api(steve).post("releases/", {"process": "shop", "input_set": "Usual"}).json()
    assert body["inputs"] == {"version": "by steve@example.com", "base": "none"}


def test_secrets_are_not_handed_on(shop: Process, olga: User) -> None:
    with pytest.raises(Invalid) as refused:
        saved(shop, olga, version="${{ last.inputs.api_key }}")
    assert [(item.code, item.place) for item in refused.value.problems] == [("secret", "/values/version")]
    saved(shop, olga, version="${{ string(size(last.inputs)) }}", api_key="${{ not an expression")
    gone_out(shop, olga, version="1", api_key="hunter2")
    body = Api(olga).post("releases/", {"process": "shop", "input_set": "Usual"}).json()
    assert body["inputs"] == {"version": "1", "api_key": {"$secret": True}}, "a secret is not among the inputs, and its own text is what it is"


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        ("${{ last.", "expression_error", "not closed"),
        ("${{ last.outputs. }}", "expression_error", "column"),
        ("${{ inputs.base }}", "unknown_name", "let a variable of the process do that"),
        ("${{ last.output.size }}", "unknown_name", 'Did you mean "outputs"?'),
        ("${{ last.outputs.sise }}", "unknown_name", 'Did you mean "size"?'),
        ("${{ last.activities.compiled.outputs.image }}", "unknown_name", 'Did you mean "compile"?'),
        ("${{ release.id }}", "unknown_name", 'release has no "id" here'),
    ],
)
def test_an_expression_is_checked_when_it_is_saved(shop: Process, olga: User, value: str, code: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        saved(shop, olga, version=value)
    (found,) = refused.value.problems
    assert (found.code, found.place) == (code, "/values/version")
    assert said in found.message


def test_whether_it_is_complete_does_not_ask_what_is_not_known_yet(shop: Process, olga: User) -> None:
    row = saved(shop, olga, version=BASE, count="${{ last.outputs.size }}")
    assert input_sets.problems_of(row, input_sets.asked_by([shop])[shop.pk]) == []


def test_the_forms_pick_an_output_and_the_start_shows_its_value(shop: Process, olga: User) -> None:
    client = logged_in(olga)
    page = client.get("/processes/shop/input-sets/new/").content.decode()
    assert f'<option value="{BASE}">compile: image</option>' in page
    typed = {"name": "Usual", "value-version": "2", "source-base": BASE, "source-count": "expression", "source-count.text": "last.outputs.sise"}
    answer = client.post("/processes/shop/input-sets/new/", typed)
    assert answer.status_code == 422
    assert list(answer.context["sources"].errors) == ["count.text"]
    assert "last.outputs.sise" in answer.content.decode(), "what was typed stays"
    assert client.post("/processes/shop/input-sets/new/", typed | {"source-count.text": "last.outputs.size"}).status_code == 302
    row = InputSet.objects.get()
    assert row.values == {"version": "2", "base": BASE, "count": "${{ last.outputs.size }}"}
    page = client.get(f"/processes/shop/input-sets/{row.pk}/").content.decode()
    assert f'<option value="{BASE}" selected>compile: image</option>' in page
    empty = client.get(f"{START}?input_set={row.pk}").content.decode()
    assert "The input set Usual leaves something open." in empty
    gone_out(shop, olga, version="1")
    filled = client.get(f"{START}?input_set={row.pk}").content.decode()
    assert 'value="shop:1"' in filled
    assert "leaves something open" not in filled
    assert client.post(START, {"input_set": row.pk, "in_version": "2", "in_base": "shop:1", "in_count": "7"}).status_code == 302
    assert Release.objects.latest("pk").inputs == {"version": "2", "base": "shop:1", "count": 7}


def test_a_process_has_one_default_input_set(shop: Process, olga: User, client: Client) -> None:
    api = Api(olga)
    one = api.post("input_sets/", {"process": "shop", "name": "One", "values": {"version": "1", "base": "x"}, "default": True}).json()
    two = api.post("input_sets/", {"process": "shop", "name": "Two", "values": {"version": "2"}}).json()
    assert (one["default"], two["default"]) == (True, False)
    made = api.post("releases/", {"process": "shop", "inputs": {"base": "y"}}).json()
    assert made["inputs"] == {"version": "1", "base": "y"}, "under what the request gives"
    assert api.post("releases/", {"process": "shop", "input_set": None}).json()["inputs"] == {}
    assert api.post("releases/", {"process": "shop", "input_set": "Two"}).json()["inputs"] == {"version": "2"}
    like = api.post("releases/", {"process": "shop", "input_set": None, "inputs": {"count": 1}}).json()["id"]
    assert api.post("releases/", {"like": like}).json()["inputs"] == {"count": 1}, "a release that is like another one takes no input set"
    browser = logged_in(olga)
    assert 'name="in_base" value="x"' in browser.get(START).content.decode()
    assert 'value="x"' not in browser.get(f"{START}?input_set=").content.decode(), "none was chosen"
    assert 'value="x"' not in browser.get(f"{START}?like={like}").content.decode()
    assert browser.post(f"/processes/shop/input-sets/{two['id']}/default/", {"default": "on"}).status_code == 302
    assert list(InputSet.objects.filter(is_default=True).values_list("name", flat=True)) == ["Two"]
    assert api("PATCH", f"input_sets/{two['id']}/", {"default": False}).json()["default"] is False
    assert not InputSet.objects.filter(is_default=True).exists()
    said = [event.verb for event in Event.objects.filter(stream=f"process:{shop.pk}", verb="input_set.default")]
    assert len(said) == 3


def test_who_may_not_change_input_sets_chooses_no_default(shop: Process, olga: User) -> None:
    row = saved(shop, olga, version="1")
    rita, sam = factories.person("rita"), factories.person("sam")
    factories.allow(rita, "view_process", shop)
    page = f"/processes/shop/input-sets/{row.pk}/default/"
    assert logged_in(rita).post(page, {"default": "on"}).status_code == 403
    assert logged_in(sam).post(page, {"default": "on"}).status_code == 404
    problem(Api(rita)("PATCH", f"input_sets/{row.pk}/", {"default": True}), 403, "not_allowed")
    assert not InputSet.objects.filter(is_default=True).exists()
