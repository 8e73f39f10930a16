"""Separation of duties (A-05): twelve roles by six channels as `duties.yaml` says, and the database's own refusal."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import DatabaseError, connection, transaction
from django.test import Client

from approvals import delegating, signing
from approvals.models import SignOff
from processes import editing
from processes.drafts import document_of
from releases import planning
from releases.engine import Actor
from releases.models import Attempt, Release
from relorch.accounts.models import User
from relorch.lib.errors import DomainError
from tests import factories
from tests.approvals.test_signing import asking, open_attempt, people, sign
from tests.releases.driving import run_on

pytestmark = pytest.mark.django_db

POLICY: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "duties.yaml").read_text(encoding="utf-8"))
CELLS = [(role, channel, channel in said["allowed"]) for role, said in POLICY["roles"].items() for channel in POLICY["channels"]]


class World:
    """The people of the policy and a process whose second question they are asked."""

    def __init__(self) -> None:
        roles = POLICY["roles"]
        self.people = {role: factories.person(role, is_staff=role in ("admin", "superuser"), is_superuser=role == "superuser") for role in roles}
        self.people["token_of_the_starter"] = self.people["starter"]
        factories.group("qa", *(self.people[role] for role, said in roles.items() if said["member"]))
        publisher, first = factories.person("publisher"), [f"user:{self.people['earlier_approver'].email}"]
        activities = [
            {"id": "first", "type": "manual", "approval": {"requires": [{"count": 1, "of": first}]}},
            {"id": "ask", "type": "manual", "depends_on": ["first"], "approval": POLICY["approval"]},
        ]
        owners = [f"user:{self.people['owner'].email}"]
        self.process = factories.process("duties", actor=self.people["process_editor"], owners=owners, phases=[{"id": "work", "activities": activities}])
        editing.write_draft(self.process, document_of(self.process) | {"variables": {"image": "shop:1"}}, actor=self.people["variable_editor"])
        work = document_of(self.process)
        work["phases"][0]["activities"].append({"id": "run", "type": "automated", "connector": "noop", "depends_on": ["ask"]})
        editing.write_draft(self.process, work, actor=self.people["script_author"])
        factories.version(self.process, actor=publisher)
        starter = self.people["starter"]
        delegating.delegate(actor=Actor(starter.pk, starter.email, "page"), by=starter, person=starter, to=self.people["delegate_of_the_starter"])

    def release(self) -> Release:
        starter = self.people["starter"]
        made = planning.start(process=self.process, given={}, actor=Actor(starter.pk, starter.email, "page"), starter=starter)
        run_on(made)
        sign(made, self.people["earlier_approver"], key="first")
        run_on(made)
        return made


def client_for(user: User, *, by_token: bool) -> Client:
    if by_token:
        return Client(headers={"Authorization": f"Bearer {factories.token(user)}"})
    client = Client()
    client.force_login(user)
    return client


def tries(channel: str, release: Release, user: User, *, by_token: bool) -> None:
    """An approval through this channel; what comes of it is read from the votes."""
    client = client_for(user, by_token=by_token)
    if channel == "page":
        client.post(f"/approvals/{release.pk}/ask/sign_off/", {"decision": "approve", "comment": "x"})
    elif channel == "api":
        client.post(f"/api/v1/releases/{release.pk}/activities/ask/sign_offs/", {"decision": "approve"}, content_type="application/json")
    elif channel == "admin":
        attempt = open_attempt(release)
        client.post("/admin/approvals/signoff/add/", {"attempt": attempt.pk, "person": user.pk, "decision": "approve", "door": "page"})
    else:
        door = "mail" if channel == "mail" else "page"  # mail links and bulk decisions lead to the same verb
        with contextlib.suppress(DomainError):
            signing.sign_off(
                release=release.pk, activity="ask", person=user, actor=Actor(user.pk, user.email, door), decision="approve", by_token=by_token, address=None
            )


def test_a_05_the_policy_has_seventy_two_cells() -> None:
    assert len(CELLS) == 72


def test_a_05_every_cell_is_as_the_policy_says() -> None:
    world = World()
    release = world.release()
    wrong = []
    for role, channel, allowed in CELLS:
        if allowed:
            continue
        tries(channel, release, world.people[role], by_token=POLICY["roles"][role].get("token", False))
        if SignOff.objects.filter(attempt__run__release=release, attempt__run__key="ask").exists():
            wrong.append(f"{role} by {channel} decided")
            release = world.release()
    for role, channel, allowed in CELLS:
        if allowed:
            release = world.release()
            tries(channel, release, world.people[role], by_token=False)
            vote = SignOff.objects.filter(attempt__run__release=release, attempt__run__key="ask", person=world.people[role]).first()
            if vote is None or Attempt.objects.get(pk=vote.attempt_id).state != "succeeded":
                wrong.append(f"{role} by {channel} was refused")
    assert wrong == []


def _insert(attempt: Attempt, packet: int, person: User, behalf: User | None = None) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO approvals_signoff (attempt_id, packet_id, person_id, for_person_id, decision, comment, door, at, stale)"
            " VALUES (%s, %s, %s, %s, 'approve', '', 'page', clock_timestamp(), false)",
            (attempt.pk, packet, person.pk, behalf.pk if behalf else None),
        )


@pytest.mark.parametrize("excluded", [True, False])
def test_a_05_the_database_refuses_the_starter_s_vote_itself(excluded: bool) -> None:
    ann, bob, steve, cem = people("ann", "bob", "steve", "cem")
    release = asking([(3, [ann, bob, steve, cem])], starter=steve, exclude=["starter"] if excluded else [])
    sign(release, ann)
    attempt = open_attempt(release)
    packet = SignOff.objects.get().packet_id
    if not excluded:
        _insert(attempt, packet, steve)
        return
    for person, behalf in ((steve, None), (bob, steve), (steve, bob)):
        with pytest.raises(DatabaseError, match="does not decide here"):
            _insert(attempt, packet, person, behalf)
    with pytest.raises(DatabaseError, match="does not decide here"), transaction.atomic():
        SignOff.objects.update(person=steve)
    with pytest.raises(DatabaseError, match="goes on to"), transaction.atomic():
        Attempt.objects.filter(pk=attempt.pk).update(excludes_starter=False)
    _insert(attempt, packet, cem)
    assert SignOff.objects.count() == 2
