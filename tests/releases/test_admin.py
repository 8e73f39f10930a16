"""Releases in the admin: read, and nothing else; a stranger finds none."""

from __future__ import annotations

import pytest
from django.test import Client

from processes.models import Process
from releases.models import Release
from relorch.accounts.models import User
from tests.processes.conftest import Api
from tests.releases.test_scheduling import FIELDS
from tests.releases.test_views import client_of

pytestmark = pytest.mark.django_db(transaction=True)


def staff(person: User) -> Client:
    person.is_staff = True
    person.save()
    return client_of(person)


def test_the_admin_shows_releases_and_changes_none(api: dict[str, Api], people: dict[str, User], shop: Process) -> None:
    made = api["steve"].post("releases/", {"process": "shop", "inputs": {"version": "1.2", "api_key": "hunter2"}, **FIELDS})
    pk = made.json()["id"]
    steve, sam = staff(people["steve"]), staff(people["sam"])
    said = steve.get("/admin/releases/release/").content.decode()
    assert "spring-24" in said
    shown = steve.get(f"/admin/releases/release/{pk}/change/").content.decode()
    for text in ("spring-24", "mobile, eu", "https://tickets.example.com/REL-1", "24.1", f"/releases/{pk}/"):
        assert text in shown
    assert "hunter2" not in shown
    assert steve.post(f"/admin/releases/release/{pk}/change/", {"name": "x"}).status_code == 403
    assert steve.get("/admin/releases/release/add/").status_code == 403
    assert steve.post(f"/admin/releases/release/{pk}/delete/", {"post": "yes"}).status_code == 403
    assert Release.objects.get(pk=pk).identifier == "spring-24"
    assert "spring-24" not in sam.get("/admin/releases/release/").content.decode()
    assert sam.get(f"/admin/releases/release/{pk}/change/").status_code == 302
