"""Pages of input sets: made, changed, copied and deleted by forms; complete or not; what was saved before; and nobody else's."""

from __future__ import annotations

import pytest
from django.test import Client

from processes import input_sets
from processes.models import InputSet, Process
from relorch.accounts.models import User
from tests import factories
from tests.processes.test_sharing import logged_in
from tests.releases.driving import started

pytestmark = pytest.mark.django_db
LIST = "/processes/standard/input-sets/"
INPUTS = {
    "version": {"type": "string", "required": True, "pattern": r"\d+\.\d+"},
    "count": {"type": "integer"},
    "loud": {"type": "boolean"},
    "api_key": {"type": "secret"},
    "flags": {"type": "list"},
}


@pytest.fixture
def process(owner: User, teammate: User) -> Process:
    made = factories.process("standard", actor=owner, owners=["user:olga@example.com"], inputs=INPUTS)
    factories.version(made, actor=owner)
    factories.allow(teammate, "view_process", made)
    return made


@pytest.fixture
def client(owner: User, process: Process) -> Client:
    return logged_in(owner)


def test_one_is_made_changed_copied_and_deleted(client: Client, owner: User) -> None:
    typed = {"name": "Europe", "description": "Usual", "value-count": "3", "value-api_key": "swordfish", "value-flags": "a\r\nb"}
    assert client.post(f"{LIST}new/", typed).status_code == 302
    row = InputSet.objects.get()
    assert factories.opened(row) == {"count": 3, "loud": False, "api_key": "swordfish", "flags": ["a", "b"]}
    page = f"{LIST}{row.pk}/"
    html = client.get(page).content.decode()
    assert "version is required" in html
    assert "swordfish" not in html
    assert "incomplete" in client.get(LIST).content.decode()
    changed = typed | {"value-version": "1.0", "value-api_key": "", "value-loud": "on", "value-flags": ""}
    assert client.post(page, changed).status_code == 409, "who does not say what they saw has seen nothing"
    assert client.post(page, changed | {"seen": input_sets.state_of(row)}).status_code == 302
    late = client.post(page, typed | {"value-count": "7", "seen": input_sets.state_of(row)})
    assert late.status_code == 409
    assert "has saved this input set since you opened it" in late.content.decode()
    assert 'value="7"' in late.content.decode(), "what was typed stays"
    row.refresh_from_db()
    assert f'name="seen" value="{input_sets.state_of(row)}"' in late.content.decode()
    assert factories.opened(row) == {"version": "1.0", "count": 3, "loud": True, "api_key": "swordfish"}, "a secret left empty is kept"
    assert "incomplete" not in client.get("/processes/input-sets/").content.decode()
    html = client.get(page).content.decode()
    assert "taken away" in html
    assert html.count("by olga@example.com") == 2
    for _ in range(2):
        assert client.post(f"{page}copy/").status_code == 302
    assert sorted(InputSet.objects.values_list("name", flat=True)) == ["Europe", "Europe (copy 2)", "Europe (copy)"]
    assert factories.opened(InputSet.objects.get(name="Europe (copy)"))["api_key"] == "swordfish"
    assert client.post(f"{page}delete/").status_code == 302
    assert not InputSet.objects.filter(name="Europe").exists()


def test_every_problem_is_said_at_its_field_and_what_was_typed_stays(client: Client, process: Process, owner: User) -> None:
    answer = client.post(f"{LIST}new/", {"name": " ", "value-version": "one", "value-count": "many"})
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"version", "count"}
    assert set(answer.context["names"].errors) == {"name"}
    assert 'value="one"' in answer.content.decode()
    assert not InputSet.objects.exists()
    input_sets.save(process, actor=owner, name="Europe", values={})
    assert client.post(f"{LIST}new/", {"name": "EUROPE"}).status_code == 409


def test_who_may_look_and_who_may_change(client: Client, process: Process, owner: User, teammate: User, stranger: User) -> None:
    row = input_sets.save(process, actor=owner, name="Europe", values={})
    viewer, nobody, page = logged_in(teammate), logged_in(stranger), f"{LIST}{row.pk}/"
    assert viewer.get(page).status_code == viewer.get(LIST).status_code == 200
    assert "Save input set" not in viewer.get(page).content.decode()
    assert viewer.get(f"{LIST}new/").status_code == 403
    for path in (page, f"{page}copy/", f"{page}delete/", f"{LIST}new/"):
        assert viewer.post(path, {"name": "x"}).status_code == 403
        assert nobody.post(path, {"name": "x"}).status_code == 404
    assert "Europe" not in nobody.get("/processes/input-sets/").content.decode()
    assert client.get(f"{page}delete/").status_code == 405


def test_the_start_form_offers_what_one_gave_last(client: Client, process: Process, owner: User) -> None:
    assert "what you gave last" not in client.get("/releases/start/standard/").content.decode()
    release = started(process, owner, version="7.0")
    html = client.get("/releases/start/standard/").content.decode()
    assert f"?like={release.pk}" in html
    assert 'value="7.0"' in client.get(f"/releases/start/standard/?like={release.pk}").content.decode()
