"""What happens while nobody answers: reminders, escalation, nudges, and who else is asked. Each once, by the database's clock, and never a decision."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.db import connection

from approvals import packets, reassigning, reminding
from approvals.models import SignOff
from releases import operating
from releases.engine import Actor, locked
from releases.models import Release, RunPerson
from relorch.accounts.models import User
from relorch.audit.models import Event
from relorch.lib.errors import Conflict, Invalid, NotAllowed
from tests import factories
from tests.approvals.test_signing import asking, open_attempt, people, sign
from tests.releases.scenes import ACTOR, events, fresh, states

pytestmark = pytest.mark.django_db


def pass_time(release: Release, seconds: float) -> None:
    """As if the question had been asked that much earlier."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE releases_attempt SET asked_at = asked_at - %(s)s * interval '1 second', notice_at = notice_at - %(s)s * interval '1 second',"
            " due_at = due_at - %(s)s * interval '1 second' WHERE root_id = %(root)s AND state = 'waiting'",
            {"s": seconds, "root": release.root_id},
        )
        cursor.execute("UPDATE releases_release SET held_at = held_at - %s * interval '1 second' WHERE root_id = %s", (seconds, release.root_id))


def said(release: Release, verb: str) -> list[dict[str, Any]]:
    """What the events of this verb hold."""
    rows = Event.objects.filter(stream=f"release:{release.root_id}", verb=verb).order_by("sequence")
    return [json.loads(row.record)["data"] for row in rows]


def reminded(release: Release) -> list[tuple[str, int]]:
    rows = Event.objects.filter(stream=f"release:{release.root_id}", verb__in=["sign_off.reminded", "sign_off.escalated"]).order_by("sequence")
    return [(row.verb.partition(".")[2], json.loads(row.record)["data"]["number"]) for row in rows]


def slow(*who: User, **keys: Any) -> Release:
    approval = {"due": "24h", "reminders": ["12h", "20h"], "escalate": {"after": "20h", "to": ["group:bosses"]}}
    return asking([(2, list(who))], **{**approval, **keys})


def test_reminders_and_escalation_come_at_their_times_each_once() -> None:
    ann, bob, cem, eve = people("ann", "bob", "cem", "eve")
    factories.group("bosses", eve)
    release = slow(ann, bob, cem)
    sign(release, ann)
    assert reminding.sweep() == 0
    pass_time(release, 12 * 3600 + 1)
    assert (reminding.sweep(), reminding.sweep()) == (1, 0)
    assert reminded(release) == [("reminded", 1)]
    assert said(release, "sign_off.reminded")[0]["to"] == ["bob@example.com", "cem@example.com"], "who has voted is left alone"
    pass_time(release, 8 * 3600)
    reminding.sweep()
    reminding.sweep()
    assert reminded(release) == [("reminded", 1), ("escalated", 1), ("reminded", 2)]
    assert said(release, "sign_off.escalated")[0]["to"] == ["eve@example.com"]
    assert states(release)["ask"] == "waiting", "silence decides nothing"


def test_who_was_escalated_to_may_look_and_not_decide() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    factories.group("bosses", eve)
    release = slow(ann, bob)
    assert not Release.objects.visible_to(eve).filter(pk=release.pk).exists()
    pass_time(release, 21 * 3600)
    reminding.sweep()
    assert Release.objects.visible_to(eve).filter(pk=release.pk).exists()
    with pytest.raises(NotAllowed):
        sign(release, eve)
    assert SignOff.objects.count() == 0


def test_all_that_came_due_while_the_clock_stood_is_sent_once() -> None:
    release = slow(*people("ann", "bob"))
    pass_time(release, 23 * 3600)
    for _ in range(2):
        reminding.sweep()
    assert reminded(release) == [("reminded", 1), ("escalated", 1), ("reminded", 2)]


def test_time_held_does_not_count() -> None:
    release = slow(*people("ann", "bob"))
    operating.hold(release=release.pk, actor=ACTOR, reason="freeze")
    pass_time(release, 13 * 3600)
    assert reminding.sweep() == 0, "nobody is reminded of what is held"
    operating.resume(release=release.pk, actor=ACTOR)
    assert reminding.sweep() == 0, "and not at once after"
    pass_time(release, 13 * 3600)
    reminding.sweep()
    assert reminded(release) == [("reminded", 1)]


def test_nobody_is_reminded_of_what_was_answered() -> None:
    ann, bob = people("ann", "bob")
    release = slow(ann, bob)
    attempt = open_attempt(release)
    sign(release, ann)
    sign(release, bob)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE releases_attempt SET notice_at = clock_timestamp() - interval '1 hour' WHERE id = %s", (attempt.pk,))
    assert reminding.sweep() == 0
    reminding.come_due(attempt.pk)
    assert reminded(release) == []


def test_a_day_is_24_hours_when_the_clocks_change() -> None:
    """Durations are seconds: over the night of 28 March 2026 in Berlin, a reminder after 24 h comes 24 h later, at another hour of the wall clock."""
    release = asking([(1, people("ann"))], reminders=["1h", "24h"])
    attempt = open_attempt(release)
    planned = reminding.notices(reminding.approval_of(attempt))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Europe/Berlin'")
        cursor.execute("UPDATE releases_attempt SET asked_at = '2026-03-28 12:00+01', notice_at = '2026-03-28 13:00+01' WHERE id = %s", (attempt.pk,))
        with locked(release.pk) as work:
            assert reminding._take(work, attempt, planned)
        cursor.execute("SELECT extract(epoch FROM notice_at - asked_at), notice_at::text FROM releases_attempt WHERE id = %s", (attempt.pk,))
        assert cursor.fetchone() == (24 * 3600, "2026-03-29 13:00:00+02")


def test_killed_in_the_middle_it_is_sent_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    release = slow(*people("ann", "bob"))
    pass_time(release, 13 * 3600)

    def die(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("relorch.audit.chain.append", die)
        reminding.sweep()
    assert reminded(release) == []
    reminding.sweep()
    assert reminded(release) == [("reminded", 1)]


@pytest.mark.django_db(transaction=True)
def test_two_clocks_remind_once() -> None:
    release = slow(*people("ann", "bob"))
    pass_time(release, 13 * 3600)
    attempt = open_attempt(release).pk
    barrier = threading.Barrier(4)

    def race() -> None:
        try:
            barrier.wait()
            reminding.come_due(attempt)
        finally:
            connection.close()

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reminded(release) == [("reminded", 1)]


def test_a_nudge_goes_to_those_who_can_still_answer_once_an_hour() -> None:
    ann, bob, olga = people("ann", "bob", "olga")
    release = asking([(2, [ann, bob])])
    sign(release, ann)
    actor = Actor(olga.pk, olga.email, "page")
    assert reminding.nudge(release=release.pk, activity="ask", actor=actor, message="please") == ["bob@example.com"]
    with pytest.raises(Conflict) as refusal:
        reminding.nudge(release=release.pk, activity="ask", actor=actor)
    assert refusal.value.code == "nudged_before"
    sign(release, bob)
    with pytest.raises(Conflict) as refusal:
        reminding.nudge(release=release.pk, activity="ask", actor=actor)
    assert refusal.value.code == "settled"
    assert events(release, "sign_off.nudged") == ["ask"]


# --- reassign -----------------------------------------------------------------------------------------------------------------------------


def others(release: Release, *owners: str, **keys: Any) -> Any:
    return reassigning.reassign(release=release.pk, activity="ask", actor=ACTOR, reason=keys.pop("reason", "away"), owners=owners, **keys)


def test_reassigned_places_are_for_the_new_people_and_filled_ones_stay() -> None:
    ann, bob, cem, dan = people("ann", "bob", "cem", "dan")
    release = asking([(2, [ann, bob])])
    sign(release, ann)
    others(release, "user:cem@example.com", "user:DAN@example.com")
    (event,) = said(release, "activity.reassigned")
    assert event["to"] == ["cem@example.com", "dan@example.com"]
    assert [data["to"] for data in said(release, "sign_off.not_needed")] == [["bob@example.com"]]
    with pytest.raises(NotAllowed):
        sign(release, bob)
    assert sign(release, dan).verdict == "approved", "Ann's place stayed filled"
    assert {vote.person_id for vote in SignOff.objects.filter(stale=False)} == {ann.pk, dan.pk}
    assert cem.pk not in {vote.person_id for vote in SignOff.objects.all()}


def test_one_line_can_be_picked() -> None:
    ann, bob, cem = people("ann", "bob", "cem")
    release = asking([(1, [ann]), (1, [bob])])
    others(release, "user:cem@example.com", line=1)
    with pytest.raises(NotAllowed):
        sign(release, bob)
    sign(release, ann)
    assert sign(release, cem).verdict == "approved"
    assert fresh(release).version.document["phases"][0]["activities"][0]["approval"]["requires"][1]["of"] == ["user:bob@example.com"]


def test_a_vote_kept_before_counts_once_its_person_is_asked() -> None:
    """Both are of the first line, which has one place: the second vote is kept, and fills the second line when its person is asked there."""
    ann, bob, cem = people("ann", "bob", "cem")
    release = asking([(1, [ann, bob]), (1, [cem])])
    sign(release, ann)
    assert sign(release, bob).verdict == "open"
    others(release, "user:bob@example.com")
    assert states(release) == {"ask": "succeeded", "then": "queued"}


def test_the_packet_seen_still_holds_after_a_reassignment() -> None:
    ann, bob, cem = people("ann", "bob", "cem")
    release = asking([(2, [ann, bob])])
    seen = packets.current_hash(open_attempt(release))
    others(release, "user:cem@example.com", "user:ann@example.com", line=0)
    assert packets.current_hash(open_attempt(release)) == seen
    sign(release, ann, packet=seen)
    assert sign(release, cem, packet=seen).verdict == "approved"
    del bob


@pytest.mark.parametrize(
    ("owners", "keys", "place"),
    [
        (["user:nobody@example.com"], {}, "/owners/0"),
        (["ann@example.com"], {}, "/owners/0"),
        ([], {}, "/owners"),
        (["user:ann@example.com"], {}, "/owners"),
        (["group:empty"], {}, "/owners"),
        (["user:ann@example.com", "user:bob@example.com"], {"line": 3}, "/line"),
        (["user:ann@example.com", "user:bob@example.com"], {"reason": " "}, "/reason"),
    ],
)
def test_what_could_not_be_met_is_refused_and_changes_nothing(owners: list[str], keys: dict[str, Any], place: str) -> None:
    ann, bob = people("ann", "bob")
    factories.group("empty")
    release = asking([(2, [ann, bob])])
    before = open_attempt(release).request
    with pytest.raises(Invalid) as refusal:
        others(release, *owners, **keys)
    assert [problem.place for problem in refusal.value.problems] == [place]
    assert open_attempt(release).request == before
    assert RunPerson.objects.filter(run__release=release, role="decider").count() == 2
    assert events(release, "activity.reassigned") == []


def test_a_preview_of_reassign_changes_nothing() -> None:
    ann, bob, _ = people("ann", "bob", "cem")
    release = asking([(2, [ann, bob])])
    assert others(release, "user:cem@example.com", "user:ann@example.com", preview=True) == []
    assert events(release, "activity.reassigned") == []
    assert sign(release, bob).verdict == "open"


def test_what_does_not_wait_is_not_reassigned() -> None:
    (ann,) = people("ann")
    release = asking([(1, [ann])])
    sign(release, ann)
    with pytest.raises(Conflict):
        others(release, "user:ann@example.com", reason="")
