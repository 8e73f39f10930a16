"""What you see is what you sign (reliability A-03): what changes between page and POST refuses the POST and voids earlier approvals, together."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from approvals.checklists import change_task
from approvals.filling import fill
from approvals.models import SignOff
from releases import operating, talking
from releases.engine import Actor
from releases.models import Release
from releases.states import Run
from relorch.accounts.models import User
from relorch.lib import files
from tests import factories
from tests.approvals.test_signing import sign
from tests.releases.driving import run_on
from tests.releases.scenes import ACTOR, claimed, end, manual, noop, phase, running, script, states

pytestmark = pytest.mark.django_db


class World:
    """Ann has approved, Bob has the page open, Olga is responsible."""

    def __init__(self) -> None:
        self.ann, self.bob, self.olga = (factories.person(name) for name in ("ann", "bob", "olga"))
        of = [f"user:{who.email}" for who in (self.ann, self.bob)]
        ask = manual(
            "ask",
            owners=["user:olga@example.com"],
            approval={"requires": [{"count": 2, "of": of}], "binds": ["inputs", "activities.scan.outputs"]},
            fields={"note": {"type": "string"}, "report": {"type": "file"}},
            tasks=[{"id": "look"}],
        )
        scan = script("scan", optional=True, on_failure="fail")
        self.release: Release = running(phase("one", scan), phase("two", ask, noop("then", "ask"), depends_on=["one"]))
        end(claimed("slow")["scan"], Run.FAILED, code="exit")
        run_on(self.release)
        operating.retry(release=self.release.pk, activity="scan", actor=ACTOR, reason="again")
        self.scan = claimed("slow")["scan"]
        sign(self.release, self.ann)
        self.client = Client()
        self.client.force_login(self.bob)
        self.address = f"/approvals/{self.release.pk}/ask/"
        self.seen = self.packet()

    def packet(self) -> str:
        found = re.search(r'name="packet" value="([0-9a-f]{64})"', self.client.get(self.address).content.decode())
        assert found
        return found[1]

    def post(self) -> Any:
        return self.client.post(f"{self.address}sign_off/", {"packet": self.seen, "decision": "approve"})

    def by(self, who: User) -> dict[str, Any]:
        return {"release": self.release.pk, "activity": "ask", "person": who, "actor": Actor(who.pk, who.email, "page")}


def a_value_of_the_form(world: World) -> None:
    fill(**world.by(world.olga), fields={"note": "other"})


def the_evidence(world: World) -> None:
    kept = files.keep([b"%PDF-1.7\n"], "report.pdf")
    brought = talking.attach(release=world.release.pk, activity="ask", actor=Actor(world.olga.pk, world.olga.email, "page"), kept=kept)
    fill(**world.by(world.olga), fields={"report": brought.pk})


def the_status_of_a_task(world: World) -> None:
    change_task(**world.by(world.olga), task="look", status="failed")


def the_name_of_a_task(world: World) -> None:
    change_task(**world.by(world.olga), task="look", name="Look twice")


def a_result_before_it(world: World) -> None:
    end(world.scan, Run.SUCCEEDED, outputs={"found": "7"})


CHANGES: list[Callable[[World], None]] = [a_value_of_the_form, the_evidence, the_status_of_a_task, the_name_of_a_task, a_result_before_it]


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_a_03_what_has_changed_since_the_page_was_read_is_not_signed(change: Callable[[World], None], tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    world = World()
    change(world)
    refused = world.post()
    said = refused.content.decode()
    assert refused.status_code == 409
    assert "This has changed since you opened it" in said
    assert not re.search(r'name="decision"[^>]*checked', said), "nothing is chosen for them on what they have not read"
    (vote,) = SignOff.objects.all()
    assert (vote.person, vote.stale) == (world.ann, True)
    assert states(world.release)["ask"] == "waiting"
    world.seen = world.packet()
    assert world.post().status_code == 302
    assert states(world.release)["ask"] == "waiting", "the first approval was of something else"
    assert sign(world.release, world.ann).verdict == "approved"
    assert SignOff.objects.values("packet").distinct().count() == 1


def test_a_03_without_a_change_it_is_signed() -> None:
    world = World()
    assert world.post().status_code == 302
    assert states(world.release)["ask"] == "succeeded"
