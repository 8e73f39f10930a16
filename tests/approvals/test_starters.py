"""A start by somebody without whom a decision could never be taken is refused (S18)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from approvals.models import Delegation
from processes.models import Process
from releases.meetable import problems_of_starter
from releases.models import Release
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api
from tests.processes.test_api import problem
from tests.releases.conftest import phases
from tests.releases.driving import published
from tests.releases.scenes import blueprint, manual

pytestmark = pytest.mark.django_db
CODE = "approval_blocks_starters"


@pytest.fixture
def people() -> dict[str, User]:
    made = {name: factories.person(name) for name in ("olga", "steve", "quentin", "quirin")}
    factories.group("qa", made["quentin"], made["quirin"])
    factories.group("dev", made["steve"])
    return made


@pytest.fixture
def two_of_qa(people: dict[str, User]) -> Process:
    """Both of QA decide, and not who starts."""
    asked = phases(requires=[{"count": 2, "of": ["group:qa"]}], exclude=["starter"])
    version = {"type": "string", "default": "1.2"}
    made = factories.process("two", actor=people["olga"], owners=["group:dev"], inputs={"version": version}, phases=asked)
    factories.version(made, actor=people["olga"])
    for name in ("steve", "quentin"):
        factories.allow(people[name], "start", made)
    return made


def refused(response: Any) -> list[dict[str, Any]]:
    body = problem(response, 422, "cannot_start")
    return [one for one in body["problems"] if one["code"] == CODE]


def test_one_of_the_two_who_decide_cannot_start_it(people: dict[str, User], two_of_qa: Process) -> None:
    wanted = {"process": "two", "start": True}
    found = refused(Api(people["quentin"]).post("releases/", wanted))
    assert [one["place"] for one in found] == ["/phases/1/activities/0/approval"]
    assert '"qa"' in found[0]["message"]
    assert not Release.objects.exists()
    assert Api(people["steve"]).post("releases/", wanted).status_code == 201


def test_nor_whoever_prepared_it_for_somebody_else(people: dict[str, User], two_of_qa: Process) -> None:
    draft = Api(people["quentin"]).post("releases/", {"process": "two"}).json()["id"]
    assert refused(Api(people["steve"]).post(f"releases/{draft}/start/", {}))
    assert Release.objects.get().state == "draft"


def test_nor_the_process_around_it(people: dict[str, User], two_of_qa: Process) -> None:
    inner = [{"id": "work", "activities": [{"id": "all", "type": "subprocess", "process": "two"}]}]
    outer = factories.process("outer", actor=people["olga"], owners=["group:dev"], phases=inner)
    factories.version(outer)
    factories.allow(people["quentin"], "start", outer)
    (found,) = refused(Api(people["quentin"]).post("releases/", {"process": "outer", "start": True}))
    assert '"qa" of "two"' in found["message"]


def test_whoever_stands_in_for_the_starter_does_not_decide_either(people: dict[str, User], two_of_qa: Process) -> None:
    Delegation.objects.create(person=people["steve"], delegate=people["quirin"], created_by=people["steve"], starts_at=Now())
    assert refused(Api(people["steve"]).post("releases/", {"process": "two", "start": True}))


def test_the_start_page_says_so(people: dict[str, User], two_of_qa: Process) -> None:
    client = Client()
    client.force_login(people["quentin"])
    page = client.post(reverse("releases:start_process", args=["two"]), {"do": "start"})
    assert page.status_code == 422
    assert "could never be decided" in page.content.decode()


def test_however_many_decide_it_is_asked_with_as_many_queries(people: dict[str, User], two_of_qa: Process) -> None:
    draft = Api(people["steve"]).post("releases/", {"process": "two"}).json()["id"]
    release = Release.objects.select_related("version", "process", "starter").get(pk=draft)
    three = [manual(f"ask_{n}", of=("group:qa",), approval={"exclude": ["starter", "author"]}) for n in range(3)]
    versions = [published(blueprint(*steps)).versions.get().pk for steps in (three[:1], three)]
    for pk in versions:
        problems_of_starter(release, [pk])  # compiled
    counts = []
    for pk in versions:
        with CaptureQueriesContext(connection) as asked:
            problems_of_starter(release, [pk])
        counts.append(len(asked))
    assert counts[0] == counts[1]
