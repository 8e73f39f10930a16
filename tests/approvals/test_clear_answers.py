"""Whoever decides when or where they may not gets a clear answer of its own, by page and API, and nothing changes but the record (A-06, A-07)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from approvals import deciding, packets, signing
from approvals.models import SignOff
from processes import quorum
from processes.blueprint import Approval
from releases import operating, sweep
from releases.engine import Actor
from releases.models import Attempt, Release
from relorch.accounts.models import User
from relorch.audit import chain
from relorch.audit.models import Event
from relorch.lib.errors import DomainError
from tests import factories
from tests.approvals.test_api import Browser
from tests.releases.driving import run_on
from tests.releases.scenes import ACTOR, fresh, later, manual, noop, running, states

pytestmark = pytest.mark.django_db


class World:
    """Ann and Bob of QA decide, both are needed; Sam sees nothing; somebody else's release stands beside it."""

    def __init__(self, **approval: Any) -> None:
        self.qa = factories.group("qa")
        self.ann, self.bob = (factories.person(name, groups=(self.qa,)) for name in ("ann", "bob"))
        self.sam = factories.person("sam")
        self.approval = {"requires": [{"count": 2, "of": ["group:qa"]}], "due": "1h", **approval}
        self.release = self.start()
        self.packet = self.packet_of(self.release)

    def start(self) -> Release:
        return running(manual("ask", approval=self.approval), noop("then", "ask"))

    def packet_of(self, release: Release) -> str:
        rows = Attempt.objects.select_related("run__release__process", "run__release__version")
        return packets.current_hash(rows.filter(run__release=release, run__key="ask").latest("number"))

    def vote(self, who: User, decision: str = "approve", release: Release | None = None, **more: Any) -> signing.Signed:
        actor = Actor(who.pk, who.email, "page")
        of = (release or self.release).pk
        return signing.sign_off(release=of, activity="ask", person=who, actor=actor, decision=decision, comment="said", **more)

    def approved(self, release: Release | None = None) -> None:
        self.vote(self.ann, release=release)
        self.vote(self.bob, release=release)
        run_on(release or self.release)


def twice(world: World) -> tuple[Any, ...]:
    world.approved()
    return world.ann, 409, "settled", "Already approved by Bob"


def too_late(world: World) -> tuple[Any, ...]:
    later(world.release, 3_601)
    sweep.sweep()
    return world.ann, 409, "settled", "No longer needed: this activity is on_hold"


def after_a_rejection(world: World) -> tuple[Any, ...]:
    world.vote(world.bob, "reject")
    return world.ann, 409, "settled", "Already rejected by Bob"


def on_a_packet_of_an_earlier_attempt(world: World) -> tuple[Any, ...]:
    world.vote(world.bob, "reject")
    operating.retry(release=world.release.pk, activity="ask", actor=ACTOR, reason="again")
    run_on(world.release)
    return world.ann, 409, "packet_changed", "has changed since"


def on_a_packet_of_another_release(world: World) -> tuple[Any, ...]:
    world.packet = world.packet_of(world.start())
    return world.ann, 409, "packet_changed", "has changed since"


def in_a_finished_release(world: World) -> tuple[Any, ...]:
    operating.abort(release=world.release.pk, actor=ACTOR, reason="enough")
    return world.ann, 409, "settled", "No longer needed: this activity is aborted"


def on_a_skipped_activity(world: World) -> tuple[Any, ...]:
    operating.skip(release=world.release.pk, activity="ask", actor=ACTOR, reason="not this time")
    return world.ann, 409, "settled", "No longer needed: this activity is skipped"


def on_an_overridden_activity(world: World) -> tuple[Any, ...]:
    world.vote(world.bob)
    operating.succeed(release=world.release.pk, activity="ask", actor=ACTOR, reason="fire")
    return world.ann, 409, "settled", "No longer needed: this activity is succeeded"


def after_being_removed(world: World) -> tuple[Any, ...]:
    """Out of the group, which was the only way to see the release at all: not told that there is one."""
    world.qa.user_set.remove(world.ann)
    return world.ann, 404, "not_found", ""


def after_being_removed_and_seeing_it_still(world: World) -> tuple[Any, ...]:
    world.qa.user_set.remove(world.ann)
    factories.allow(world.ann, "view_process", world.release.process)
    return world.ann, 403, "not_entitled", "not among those who decide"


def as_somebody_who_sees_nothing(world: World) -> tuple[Any, ...]:
    return world.sam, 404, "not_found", ""


CASES: list[Callable[[World], tuple[Any, ...]]] = [
    twice,
    too_late,
    after_a_rejection,
    on_a_packet_of_an_earlier_attempt,
    on_a_packet_of_another_release,
    in_a_finished_release,
    on_a_skipped_activity,
    on_an_overridden_activity,
    after_being_removed,
    after_being_removed_and_seeing_it_still,
    as_somebody_who_sees_nothing,
]


def everything(world: World) -> Any:
    """What must be the same afterwards."""
    votes = list(SignOff.objects.order_by("pk").values_list("pk", "decision", "stale", "at"))
    tries = list(Attempt.objects.order_by("pk").values_list("pk", "state", "filled", "decision", "seal"))
    return votes, tries, states(world.release), fresh(world.release).state


@pytest.mark.parametrize("case", CASES, ids=[case.__name__ for case in CASES])
@pytest.mark.parametrize("door", ["page", "api"])
def test_a_06_each_wrong_decision_has_its_answer_and_changes_nothing(case: Callable[[World], tuple[Any, ...]], door: str) -> None:
    world = World()
    seen = world.packet
    who, status, code, words = case(world)
    packet, before = world.packet or seen, everything(world)
    if door == "api":
        answer = Browser(who).post(f"releases/{world.release.pk}/activities/ask/sign_offs/", {"decision": "approve", "packet": packet})
        assert answer.json()["code"] == code
        if status == 409:
            assert answer.json()["state"]
    else:
        client = Client()
        client.force_login(who)
        answer = client.post(f"/approvals/{world.release.pk}/ask/sign_off/", {"decision": "approve", "packet": packet})
    assert answer.status_code == status, answer.content
    assert words in answer.content.decode()
    assert everything(world) == before
    kept = [json.loads(row.record) for row in Event.objects.filter(verb="sign_off.refused", release_id=world.release.pk)]
    assert [(row["data"]["code"], row["actor"]["email"] if isinstance(row["actor"], dict) else row["actor"]) for row in kept] == (
        [] if status == 404 else [(code, who.email)]
    )


def test_nobody_decides_for_another_by_saying_so() -> None:
    world = World()
    answer = Browser(world.ann).post(f"releases/{world.release.pk}/activities/ask/sign_offs/", {"decision": "approve", "for": "nobody@example.com"})
    assert answer.status_code in (403, 422), "an unknown key, or no delegation: never a vote of somebody else"
    assert not SignOff.objects.exists()


# --- fail closed --------------------------------------------------------------------------------------------------------------------------


def broken(*_: Any, **__: Any) -> Any:
    raise OperationalError("the directory is down")


def policy_raises(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(deciding, "verdict", broken)


def policy_says_something_unknown(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(deciding, "verdict", lambda rule, votes: quorum.Verdict("perhaps", ()))  # type: ignore[arg-type]


def entitlement_raises(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(deciding, "best_entitlement", broken)


def entitlement_says_something_unknown(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(deciding, "best_entitlement", lambda *_: ("probably", None))


def directory_is_down(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(deciding, "_DECIDERS", broken)


def exclusions_cannot_be_read(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(deciding, "excluded", broken)


def group_is_emptied(patch: pytest.MonkeyPatch, world: World) -> None:
    world.qa.user_set.clear()


def account_is_closed(patch: pytest.MonkeyPatch, world: World) -> None:
    User.objects.filter(pk=world.bob.pk).update(is_active=False)
    world.bob.refresh_from_db()


def lines_are_gone(patch: pytest.MonkeyPatch, world: World) -> None:
    _rewrite(world, [])


def a_line_needs_nobody(patch: pytest.MonkeyPatch, world: World) -> None:
    _rewrite(world, [{"count": 0, "of": ["group:qa"]}])


def a_line_says_nonsense(patch: pytest.MonkeyPatch, world: World) -> None:
    _rewrite(world, [{"count": "two", "of": ["group:qa"]}])


def packet_cannot_be_kept(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(packets, "stored", broken)


def seal_cannot_be_made(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(signing, "seal_of", broken)


def audit_cannot_be_written(patch: pytest.MonkeyPatch, world: World) -> None:
    patch.setattr(chain, "append", broken)


def _rewrite(world: World, lines: list[Any]) -> None:
    attempt = Attempt.objects.get(run__release=world.release, run__key="ask")
    Attempt.objects.filter(pk=attempt.pk).update(request={**attempt.request, "lines": lines})


FAULTS = [
    policy_raises,
    policy_says_something_unknown,
    entitlement_raises,
    entitlement_says_something_unknown,
    directory_is_down,
    exclusions_cannot_be_read,
    group_is_emptied,
    account_is_closed,
    lines_are_gone,
    a_line_needs_nobody,
    a_line_says_nonsense,
    packet_cannot_be_kept,
    seal_cannot_be_made,
    audit_cannot_be_written,
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_a_07_whatever_fails_the_gate_stays_closed(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last vote that is needed meets the fault: no gate is opened, and once the fault is gone the question is as it was."""
    world = World()
    world.vote(world.ann)
    with monkeypatch.context() as patch:
        fault(patch, world)
        try:
            verdict = world.vote(world.bob).verdict
        except (DomainError, OperationalError, ValueError, TypeError):
            verdict = "refused"
    assert verdict != "approved"
    assert states(world.release) == {"ask": "waiting", "then": "pending"}
    assert not Attempt.objects.filter(run__release=world.release).exclude(seal="").exists()
    run_on(world.release)
    assert states(world.release)["then"] == "pending"


def test_a_07_the_same_without_a_fault_opens_it() -> None:
    """So that the table above says something."""
    world = World()
    world.vote(world.ann)
    assert world.vote(world.bob).verdict == "approved"


@pytest.mark.parametrize("decision", ["", "APPROVE", "approved", "yes", "true", "approve ", "reject\0", "1"])
def test_a_07_an_unknown_decision_is_none(decision: str) -> None:
    world = World()
    world.vote(world.ann)
    with pytest.raises(DomainError) as refusal:
        world.vote(world.bob, decision)
    assert refusal.value.code == "invalid_decision"
    assert states(world.release)["ask"] == "waiting"


def test_a_07_a_clock_that_steps_opens_nothing() -> None:
    """The date is over, however that came: silence ends by `on_expiry`, never approved."""
    world = World(on_expiry="reject")
    world.vote(world.ann)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE releases_attempt SET due_at = due_at - interval '100 years' WHERE state = 'waiting'")
    sweep.sweep()
    run_on(world.release)
    assert states(world.release) == {"ask": "expired", "then": "skipped"}


def test_peer_21_nothing_that_ships_approves_by_silence() -> None:
    """And no process file can say so."""
    with pytest.raises(ValueError, match="on_expiry"):
        Approval.model_validate({"on_expiry": "approve"})
    for path in sorted(Path(__file__).parents[2].glob("examples/**/*.yaml")):
        assert "on_expiry: approve" not in path.read_text(), path
