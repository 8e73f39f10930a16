"""Every list, on pages, in the API and in the admin: as many statements for seven rows as for two (no N+1)."""

from __future__ import annotations

import itertools

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from processes import editing, input_sets, reading, storing
from processes.models import Process
from releases import talking
from releases.engine import Actor
from releases.models import Release
from tests import factories
from tests.releases.driving import run_on, started

pytestmark = pytest.mark.django_db
PAGES = [
    *("/", "/?whose=groups", "/?whose=asked", "/?whose=decided", "/releases/", "/releases/?view=all", "/releases/?view=finished", "/releases/start/"),
    *("/processes/", "/processes/input-sets/", "/processes/activity-store/", "/processes/p0/versions/", "/processes/p0/releases/", "/processes/p0/input-sets/"),
    *("/processes/p0/people/", "/releases/{release}/"),
]
API = [
    *("processes/", "processes/p0/versions/", "activity_templates/", "input_sets/", "releases/", "releases/{release}/events/"),
    *("releases/{release}/comments/", "sign_offs/pending/", "tokens/"),
]
ADMIN = ["processes/process/", "processes/processversion/", "releases/release/", "relorch/mail/"]


class World:
    """Grows: processes with versions, input sets, people and releases that ask; one release with ever more comments; shared activities."""

    def __init__(self) -> None:
        self.group = Group.objects.create(name="qa")
        self.ann = factories.person("ann", groups=(self.group,), is_staff=True, is_superuser=True)
        self.numbers = itertools.count()
        self.release: Release | None = None

    def grow(self, times: int) -> None:
        for n in itertools.islice(self.numbers, times):
            others = factories.group(f"g{n}", factories.person(f"p{n}"))
            ask = {"id": "ask", "type": "manual", "owners": ["group:qa"], "approval": {"exclude": []}}
            inputs = {"a": {"type": "string"}}
            phases = [{"id": "work", "activities": [ask]}]
            made = factories.process(f"p{n}", actor=self.ann, owners=["user:ann@example.com"], inputs=inputs, phases=phases)
            factories.version(made, actor=self.ann)
            first = Process.objects.get(identifier="p0")
            for on in {made.pk: made, first.pk: first}.values():
                factories.allow(others, "start", on)
                input_sets.save(on, actor=self.ann, name=f"x{n}", values={"a": "1"})
            if n:
                editing.write_draft(first, factories.document("p0", name=f"Name {n}", owners=first.owners, inputs=inputs, phases=phases), actor=self.ann)
                factories.version(Process.objects.get(pk=first.pk), actor=self.ann)
            for on in (made, first):
                release = started(Process.objects.get(pk=on.pk), self.ann if n % 2 else factories.person(is_superuser=True))
                run_on(release)
                self.release = self.release or release
            assert self.release is not None
            actor = Actor(self.ann.pk, self.ann.email, "page")
            talking.comment(release=self.release.pk, actor=actor, text=f"Comment {n}")
            factories.token(self.ann)
            document = {"apiVersion": "relorch/v1", "kind": "Activity", "id": f"a{n}", "name": f"A {n}", "activity": {"type": "automated", "connector": "noop"}}
            storing.create(reading.parse(document), actor=self.ann)


def test_lists_ask_as_often_for_many_as_for_few() -> None:
    world = World()
    client = Client()
    client.force_login(world.ann)
    addresses = [*PAGES, *(f"/api/v1/{path}" for path in API), *(f"/admin/{path}" for path in ADMIN)]

    def statements(address: str) -> int:
        where = address.format(release=world.release and world.release.pk)
        for _ in range(2):  # what is asked once for each process of ours is asked in the first round
            with CaptureQueriesContext(connection) as captured:
                assert client.get(where).status_code == 200, where
        return len(captured)

    world.grow(2)
    few = {address: statements(address) for address in addresses}
    world.grow(5)
    assert {address: statements(address) for address in addresses} == few
