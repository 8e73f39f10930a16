"""A secret in the form of a sign-off (S25): used by what follows, shown to nobody, the same packet whichever key keeps it."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from approvals import packets
from approvals.models import SignOff
from releases import operating
from releases.engine import Actor
from releases.flows import compiled
from releases.form_secrets import opened
from releases.models import ActivityRun, Attempt, Release
from relorch.lib import secrets
from tests import factories
from tests.approvals.test_views import client_of, packet_in
from tests.processes.conftest import Api
from tests.releases.driving import run_on, started
from tests.releases.scenes import states

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "swordfish-4711-canary"


class World:
    """Two people of QA decide together, with a form of two fields; what follows uses the secret."""

    def __init__(self, **field: Any) -> None:
        qa = factories.group("qa")
        self.ann, self.bob, self.sam = factories.person("ann", groups=(qa,)), factories.person("bob", groups=(qa,)), factories.person("sam")
        fields = {"token": {"type": "secret", "required": True, "min_length": 8, **field}, "note": {"type": "string"}}
        ask = {"id": "ask", "type": "manual", "owners": ["group:qa"], "fields": fields, "approval": {"requires": [{"count": 2, "of": ["group:qa"]}]}}
        use = {
            "id": "use",
            "type": "automated",
            "connector": "noop",
            "depends_on": ["ask"],
            "if": f"activities.ask.outputs.token == '{SECRET}'",
            "with": {"outputs": {"said": "it is ${{ activities.ask.outputs.token }}"}},
        }
        after = {"id": "after", "type": "manual", "depends_on": ["use"], "owners": ["group:qa"], "instructions": "It was ${{ activities.ask.outputs.token }}."}
        process = factories.process("shop", owners=["user:sam@example.com"], phases=[{"id": "go", "activities": [ask, use, after]}])
        factories.version(process)
        self.release = started(process, self.sam)
        run_on(self.release)
        self.here = f"/approvals/{self.release.pk}/ask/"

    def attempt(self) -> Attempt:
        return Attempt.objects.select_related("run__release__process", "run__release__version", "run__release__starter").get(
            run__release=self.release, run__key="ask"
        )

    def post(self, person: Any, verb: str = "sign_off/", **fields: str) -> Any:
        client = client_of(person)
        return client.post(self.here + verb, {"packet": packet_in(client.get(self.here)), "decision": "approve", **fields})


def places_of(text: str) -> list[str]:
    """Every table that holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'processes_%%'", [])
        found = []
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{text}%"])
            found += [table] if cursor.fetchone()[0] else []
    return found


def test_it_is_used_and_nowhere_to_be_read() -> None:
    world = World()
    assert world.post(world.ann).status_code == 422, "it is required"
    short = world.post(world.ann, **{"field-token": "swordy"})
    assert short.status_code == 422
    assert b"swordy" not in short.content
    assert world.post(world.ann, **{"field-token": SECRET}).status_code == 302
    page = client_of(world.bob).get(world.here).content.decode()
    assert "Kept; fill in only to use another one" in page
    api = Api(world.bob)
    seen = api.get(f"releases/{world.release.pk}/activities/ask/sign_offs/")
    assert seen.json()["packet"]["fields_filled"] == {"token": {"$secret": True}}
    assert world.post(world.bob, **{"field-token": ""}).status_code == 302, "left empty it stays, and Ann's vote holds"
    run_on(world.release)
    assert states(world.release) == {"ask": "succeeded", "use": "succeeded", "after": "waiting"}, "what follows has read it"
    pages = [world.here, f"/approvals/{world.release.pk}/after/", f"/releases/{world.release.pk}/", f"/releases/{world.release.pk}/activities/ask/"]
    pages += [f"/releases/{world.release.pk}/activities/use/", "/"]
    shown = [page, seen.content.decode(), *(client_of(world.bob).get(path).content.decode() for path in pages)]
    shown += [api.get(path).content.decode() for path in (f"releases/{world.release.pk}/", f"releases/{world.release.pk}/events/")]
    token = world.attempt().outputs["token"]["$secret"]
    assert not [text for text in shown if SECRET in text or token in text]
    assert places_of(SECRET) == []
    assert places_of(token) == ["releases_activityrun", "releases_attempt"], "its ciphertext is where it is kept, and in no event or packet"


def test_who_types_the_same_again_changes_nothing_and_another_one_asks_again() -> None:
    world = World()
    world.post(world.ann, **{"field-token": SECRET})
    before = packets.current_hash(world.attempt())
    assert world.post(world.bob, "fill/", **{"field-token": SECRET}).status_code == 302
    assert (SignOff.objects.get().stale, packets.current_hash(world.attempt())) == (False, before)
    assert world.post(world.bob, "fill/", **{"field-token": "another-secret"}).status_code == 302
    assert (SignOff.objects.get().stale, packets.current_hash(world.attempt()) == before) == (True, False)
    page = client_of(world.ann).get(world.here).content.decode()
    assert "replaced by another secret" in page
    assert "another-secret" not in page


def test_by_the_api_null_takes_it_away_and_the_hidden_one_stays() -> None:
    world = World()
    fill = f"releases/{world.release.pk}/activities/ask/fill/"
    api = Api(world.ann)
    assert api.post(fill, {"fields": {"token": SECRET}}).json()["fields_filled"] == {"token": {"$secret": True}}
    kept = world.attempt().filled
    assert api.post(fill, {"fields": {"token": {"$secret": True}, "note": "x"}}).status_code == 200
    assert world.attempt().filled == {**kept, "note": "x"}
    forged = api.post(fill, {"fields": {"token": kept["token"]}})
    assert forged.json()["problems"][0]["place"] == "/fields/token", "nobody hands in a ciphertext"
    assert api.post(fill, {"fields": {"token": None}}).json()["fields_filled"] == {"note": "x"}


def test_rotation_renews_it_and_no_vote_goes_stale() -> None:
    world = World()
    world.post(world.ann, **{"field-token": SECRET})
    before, was = packets.current_hash(world.attempt()), world.attempt().filled
    out = StringIO()
    call_command("rotate_secrets", stdout=out)
    assert "1 forms" in out.getvalue()
    now = world.attempt()
    assert now.filled != was
    assert packets.current_hash(now) == before
    assert world.post(world.bob).status_code == 302
    call_command("rotate_secrets", stdout=StringIO())
    run_on(world.release)
    assert states(world.release)["use"] == "succeeded"


def test_what_is_given_in_its_place_is_kept_as_it_is() -> None:
    world = World()
    root = factories.person("root", is_superuser=True)
    operating.succeed(
        release=world.release.pk, activity="ask", actor=Actor(root.pk, root.email, "page"), reason="nobody is there", outputs={"token": SECRET, "note": "n"}
    )
    outputs = ActivityRun.objects.get(release=world.release, key="ask").outputs
    assert secrets.is_secret(outputs["token"])
    assert outputs["note"] == "n"
    release = Release.objects.get(pk=world.release.pk)
    assert opened(compiled(release.version_id).steps["ask"].activity, outputs, release.root_id)["token"] == SECRET
    assert places_of(SECRET) == []
