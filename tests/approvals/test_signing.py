"""Deciding (semantics, section 5): lines, votes, exclusions, rejection, expiry, forms, packets, and the seal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.utils import timezone

from approvals import packets, signing
from approvals.models import SignOff
from processes.models import ProcessVersion
from releases import operating, sweep
from releases.engine import Actor
from releases.models import ActivityRun, Attempt, Release
from releases.sealing import broken_now
from relorch import migrating
from relorch.accounts.models import User
from relorch.audit.models import Event
from relorch.examining import examine
from relorch.lib.errors import Conflict, DomainError, Invalid, NotAllowed
from tests import factories
from tests.releases.driving import published, run_on
from tests.releases.scenes import ACTOR, attempts, blueprint, child_of, events, fresh, later, manual, noop, phase, run, running, states, sub

pytestmark = pytest.mark.django_db


def sign(release: Release, who: User, decision: str = "approve", *, key: str = "ask", **keys: Any) -> signing.Signed:
    """A vote from the page."""
    comment = keys.pop("comment", "no" if decision == "reject" else "")
    return signing.sign_off(release=release.pk, activity=key, person=who, actor=Actor(who.pk, who.email, "page"), decision=decision, comment=comment, **keys)


def people(*names: str) -> list[User]:
    return [factories.person(name) for name in names]


def asking(lines: list[tuple[int, list[Any]]], *, starter: Any = None, fields: dict[str, Any] | None = None, **approval: Any) -> Release:
    """A release that waits for these lines of `requires`, then does one more thing."""

    def named(who: Any) -> str:
        return f"user:{who.email}" if isinstance(who, User) else f"group:{who.name}"

    requires = [{"count": count, "of": [named(who) for who in of]} for count, of in lines]
    return running(manual("ask", approval={"requires": requires, **approval}, fields=fields or {}), noop("then", "ask"), starter=starter)


def open_attempt(release: Release, key: str = "ask") -> Attempt:
    return Attempt.objects.select_related("run__release__version", "run__release__process").filter(run__release=release, run__key=key).latest("number")


# --- lines and votes ----------------------------------------------------------------------------------------------------------------------


def test_the_vote_that_fills_the_last_place_ends_the_activity_and_starts_what_follows() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(1, [ann]), (1, [bob])])
    assert sign(release, ann).verdict == "open"
    assert states(release) == {"ask": "waiting", "then": "pending"}
    assert sign(release, bob).verdict == "approved"
    assert states(release) == {"ask": "succeeded", "then": "queued"}, "in the same transaction"
    run_on(release)
    assert fresh(release).state == "succeeded"
    assert events(release, "sign_off.given") == ["ask", "ask"]


def test_two_of_qa_and_one_of_security_need_three_people() -> None:
    ann, bob, cem = people("ann", "bob", "cem")
    qa, security = factories.group("qa", ann, bob, cem), factories.group("security", ann)
    release = asking([(2, [qa]), (1, [security])])
    assert sign(release, ann).verdict == "open"
    assert sign(release, bob).verdict == "open"
    assert sign(release, cem).verdict == "approved"


def test_peer_09_a_person_in_two_groups_is_one_vote() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(1, [factories.group("a", ann)]), (1, [factories.group("b", ann, bob)])])
    assert sign(release, ann).verdict == "open"
    again = sign(release, ann)
    assert (again.verdict, again.is_first) == ("open", False)
    assert SignOff.objects.count() == 1
    assert sign(release, bob).verdict == "approved"


def test_peer_08_every_name_of_a_line_may_decide() -> None:
    crowd = people("ann", "bob", "cem")
    for who in crowd:
        assert sign(asking([(1, crowd)]), who).verdict == "approved"


def test_without_lines_one_of_the_owners() -> None:
    ann, bob = people("ann", "bob")
    release = running(manual("ask", owners=["user:ann@example.com"]), owners=["user:bob@example.com"])
    with pytest.raises(NotAllowed):
        sign(release, bob)
    assert sign(release, ann).verdict == "approved"


def test_peer_10_entitled_is_asked_again_at_the_verdict() -> None:
    """A member who has left the group since voting fills no place any more."""
    ann, bob, cem = people("ann", "bob", "cem")
    qa = factories.group("qa", ann, bob, cem)
    release = asking([(2, [qa])])
    sign(release, ann)
    qa.user_set.remove(ann)
    assert sign(release, bob).verdict == "open"
    with pytest.raises(NotAllowed):
        sign(release, ann)
    assert sign(release, cem).verdict == "approved"


def test_who_is_not_entitled_is_refused_whatever_the_state() -> None:
    ann, stella = people("ann", "stella")
    release = asking([(1, [ann])])
    for _ in range(2):
        with pytest.raises(NotAllowed) as refusal:
            sign(release, stella)
        assert refusal.value.code == "not_entitled"
        if states(release)["ask"] == "waiting":
            sign(release, ann)
    ann.is_active = False
    ann.save()
    with pytest.raises(NotAllowed):
        sign(asking([(1, [ann, stella])]), ann)


def test_a_token_votes_only_where_the_approval_says_so() -> None:
    (ann,) = people("ann")
    with pytest.raises(NotAllowed) as refusal:
        sign(asking([(1, [ann])]), ann, by_token=True)
    assert refusal.value.code == "token_may_not_decide"
    assert sign(asking([(1, [ann])], allow_tokens=True), ann, by_token=True).verdict == "approved"


def test_nobody_is_asked_before_and_nothing_can_be_decided_after() -> None:
    (ann,) = people("ann")
    release = running(manual("first", of=("user:ann@example.com",)), manual("ask", "first", of=("user:ann@example.com",)))
    with pytest.raises(Conflict) as refusal:
        sign(release, ann)
    assert refusal.value.data["state"] == "pending"
    sign(release, ann, key="first")
    with pytest.raises(Conflict) as refusal:
        sign(release, ann, key="first")
    assert refusal.value.code == "settled"
    assert "approved by" in refusal.value.message
    with pytest.raises(LookupError):
        sign(release, ann, key="nobody")


# --- exclusions ---------------------------------------------------------------------------------------------------------------------------


def test_excluded_starter_author_and_earlier_approvers() -> None:
    sam, olga, ann, bob = people("sam", "olga", "ann", "bob")
    everybody = [f"user:{who.email}" for who in (sam, olga, ann, bob)]
    child = blueprint(
        phase("first", manual("early", of=tuple(everybody))),
        phase("second", manual("ask", of=tuple(everybody), approval={"exclude": ["starter", "author", "earlier_approvers"]}), depends_on=["first"]),
    )
    version = ProcessVersion.objects.get(process=published(child))
    version.authors.add(olga)
    release = running(manual("above", of=tuple(everybody)), sub("down", child.id, "above"), starter=sam)
    sign(release, bob, key="above")
    run_on(release)
    below = child_of(release, "down")
    assert sign(below, sam, key="early").verdict == "approved"
    run_on(release)
    for who in (sam, olga, bob):
        with pytest.raises(NotAllowed) as refusal:
            sign(below, who)
        assert refusal.value.code == "excluded"
    assert sign(below, ann).verdict == "approved"


# --- rejection, expiry --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_reject", "state", "outcome", "then", "result"), [("hold", "on_hold", "rejected", "pending", "running"), ("fail", "rejected", "", "skipped", "failed")]
)
def test_one_rejection_rejects_at_once(on_reject: str, state: str, outcome: str, then: str, result: str) -> None:
    ann, bob = people("ann", "bob")
    release = asking([(2, [ann, bob])], on_reject=on_reject)
    assert sign(release, ann, "reject", comment="not like this").verdict == "rejected"
    run_on(release)
    assert states(release) == {"ask": state, "then": then}
    assert (run(release, "ask").outcome, run(release, "ask").message, fresh(release).state) == (outcome, "not like this", result)
    assert attempts(release, "ask") == ["rejected"]


def test_a_retry_asks_afresh() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(2, [ann, bob])])
    sign(release, ann)
    sign(release, bob, "reject")
    operating.retry(release=release.pk, activity="ask", actor=ACTOR, reason="again")
    run_on(release)
    assert states(release)["ask"] == "waiting"
    assert sign(release, bob).verdict == "open", "the vote on the old attempt does not count"
    assert sign(release, ann).verdict == "approved"
    assert attempts(release, "ask") == ["rejected", "succeeded"]


def test_reject_when_impossible() -> None:
    ann, bob, cem = people("ann", "bob", "cem")
    release = asking([(2, [ann, bob, cem])], reject_when="impossible")
    assert sign(release, ann, "reject").verdict == "open"
    assert sign(release, bob, "reject").verdict == "rejected"


def test_a_vote_may_be_changed_until_the_verdict() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(2, [ann, bob])], reject_when="impossible")
    release2 = asking([(2, [ann, bob])])
    sign(release2, ann)
    changed = sign(release2, ann, "reject")
    assert (changed.is_first, changed.verdict) == (False, "rejected")
    assert SignOff.objects.filter(attempt__run__release=release2).count() == 1
    assert events(release2, "sign_off.changed") == ["ask"]
    sign(release, ann)
    assert sign(release, bob).verdict == "approved"


@pytest.mark.parametrize(("on_expiry", "state", "outcome"), [("hold", "on_hold", "expired"), ("reject", "expired", "")])
def test_silence_never_approves(on_expiry: str, state: str, outcome: str) -> None:
    """S21."""
    (ann,) = people("ann")
    release = asking([(1, [ann])], due="1h", on_expiry=on_expiry)
    due = open_attempt(release)
    assert (due.due_at - due.asked_at).total_seconds() == 3_600
    later(release, 3_601)
    sweep.sweep()
    run_on(release)
    assert (states(release)["ask"], run(release, "ask").outcome) == (state, outcome)
    with pytest.raises(Conflict) as refusal:
        sign(release, ann)
    assert refusal.value.data["state"] == state


def test_a_vote_just_before_the_sweep_keeps_the_answer() -> None:
    """The date is over and nobody has swept yet: the first committed decides, and the form's answers stay."""
    (ann,) = people("ann")
    release = asking([(1, [ann])], due="1h", on_expiry="reject", fields={"count": {"type": "integer"}})
    later(release, 3_601)
    sign(release, ann, fields={"count": 3})
    sweep.sweep()
    assert (states(release)["ask"], run(release, "ask").outputs) == ("succeeded", {"count": 3})
    assert "attempt.late_result_refused" not in events(release)


def test_a_comment_is_wanted_for_a_rejection() -> None:
    (ann,) = people("ann")
    with pytest.raises(Invalid) as refusal:
        sign(asking([(1, [ann])]), ann, "reject", comment=" ")
    assert [problem.place for problem in refusal.value.problems] == ["/comment"]
    with pytest.raises(Invalid):
        sign(asking([(1, [ann])], comment="required"), ann)
    with pytest.raises(Invalid):
        sign(asking([(1, [ann])]), ann, "maybe")


def test_decisions_may_be_given_while_held() -> None:
    (ann,) = people("ann")
    release = asking([(1, [ann])])
    operating.hold(release=release.pk, actor=ACTOR, reason="wait")
    assert sign(release, ann).verdict == "approved"
    run_on(release)
    assert states(release) == {"ask": "succeeded", "then": "pending"}
    operating.resume(release=release.pk, actor=ACTOR)
    run_on(release)
    assert fresh(release).state == "succeeded"


def test_peer_05_nothing_is_pending_after_a_skip() -> None:
    (ann,) = people("ann")
    release = asking([(1, [ann])])
    operating.skip(release=release.pk, activity="ask", actor=ACTOR, reason="not this time")
    with pytest.raises(Conflict) as refusal:
        sign(release, ann)
    assert "skipped" in refusal.value.message


def test_peer_16_declined_expired_and_failed_are_three_states() -> None:
    (ann,) = people("ann")
    declined = asking([(1, [ann])], on_reject="fail")
    sign(declined, ann, "reject")
    expired = asking([(1, [ann])], due="1h", on_expiry="reject")
    later(expired, 3_601)
    sweep.sweep()
    failed = running(noop("ask", **{"with": {"outcome": "failed"}, "on_failure": "fail"}))
    assert [states(release)["ask"] for release in (declined, expired, failed)] == ["rejected", "expired", "failed"]


# --- order --------------------------------------------------------------------------------------------------------------------------------


def test_sequential_lines_are_asked_one_after_the_other() -> None:
    ann, bob, cem = people("ann", "bob", "cem")
    release = asking([(1, [ann, cem]), (1, [bob])], order="sequential")
    with pytest.raises(Conflict) as refusal:
        sign(release, bob)
    assert refusal.value.code == "not_yet_asked"
    assert sign(release, ann).verdict == "open"
    assert sign(release, cem).verdict == "open", "people of lines already asked may still vote"
    assert sign(release, bob).verdict == "approved"


# --- packet and form ----------------------------------------------------------------------------------------------------------------------


def test_another_packet_than_the_one_seen_is_refused() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(2, [ann, bob])], fields={"count": {"type": "integer"}})
    seen = packets.current_hash(open_attempt(release))
    sign(release, ann, packet=seen, fields={"count": 1})
    with pytest.raises(Conflict) as refusal:
        sign(release, bob, packet=seen)
    assert refusal.value.code == "packet_changed"
    assert sign(release, bob, packet=packets.current_hash(open_attempt(release))).verdict == "approved"
    assert run(release, "ask").outputs == {"count": 1}


def test_a_vote_that_changes_the_form_makes_the_earlier_votes_stale() -> None:
    ann, bob, cem = people("ann", "bob", "cem")
    release = asking([(2, [ann, bob, cem])], fields={"count": {"type": "integer"}})
    sign(release, ann, fields={"count": 1})
    assert sign(release, bob, fields={"count": 2}).verdict == "open", "the vote of ann was on another form"
    assert SignOff.objects.get(person=ann).stale
    assert events(release, "sign_off.stale") == ["ask"]
    assert sign(release, ann).verdict == "approved"
    decision = open_attempt(release).decision
    assert {vote["packet"] for vote in decision["votes"]} == {decision["packet"]}


def test_an_approval_without_what_the_form_requires_is_refused_and_a_rejection_is_not() -> None:
    (ann,) = people("ann")
    fields = {"count": {"type": "integer", "required": True, "min": 1}}
    release = asking([(1, [ann])], fields=fields)
    for given in ({}, {"count": 0}, {"count": 1, "what": 2}):
        with pytest.raises(Invalid) as refusal:
            sign(release, ann, fields=given)
        assert all(problem.place.startswith("/fields") for problem in refusal.value.problems)
    assert SignOff.objects.count() == 0
    assert sign(release, ann, "reject").verdict == "rejected"


def test_the_packet_holds_what_the_decision_is_about_and_is_kept_with_the_vote() -> None:
    (ann,) = people("ann")
    release = running(
        noop("build", **{"with": {"outputs": {"image": "shop:7"}}}),
        manual("ask", "build", of=("user:ann@example.com",), instructions="Ship ${{ activities.build.outputs.image }}?"),
        inputs={"version": {"type": "string"}, "key": {"type": "secret"}},
        given={"version": "1.2", "key": "hush-hush"},
    )
    content = sign(release, ann).sign_off.packet.content
    assert content["bound"]["activities.build.outputs"] == {"image": "shop:7"}
    assert content["bound"]["inputs"]["version"] == "1.2"
    assert content["shown"]["instructions"] == "Ship shop:7?"
    assert "hush" not in str(content)
    assert set(content["bound"]["inputs"]["key"]) == {"$digest"}


# --- the seal (S17) -----------------------------------------------------------------------------------------------------------------------


def forge(release: Release, key: str = "ask", attempt: str | None = "succeeded") -> None:
    """Somebody with the database's password writes an approval that nobody gave."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE releases_attempt DISABLE TRIGGER legal_move")
        if attempt:
            cursor.execute(
                "UPDATE releases_attempt a SET state = %s, finished_at = coalesce(a.finished_at, now()) FROM releases_activityrun run"
                " WHERE run.id = a.run_id AND run.release_id = %s AND run.key = %s",
                [attempt, release.pk, key],
            )
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE releases_attempt ENABLE TRIGGER legal_move")
        cursor.execute(
            "UPDATE releases_activityrun SET state = 'succeeded', outcome = '', finished_at = now() WHERE release_id = %s AND key = %s", [release.pk, key]
        )
        cursor.execute("UPDATE releases_activityrun SET unmet = unmet - 1 WHERE release_id = %s AND key = 'then'", [release.pk])
        cursor.execute("UPDATE releases_phaserun SET remaining = remaining - 1 WHERE release_id = %s", [release.pk])
        cursor.execute("UPDATE releases_release SET stirred_at = now() WHERE id = %s", [release.root_id])


@pytest.mark.parametrize("on_failure", ["hold", "fail", "ignore"])
def test_a_11_a_forged_approval_starts_nothing_and_is_an_alarm(on_failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    people("ann")
    User.objects.create_superuser("root@example.com")
    then = noop("then", "ask", on_failure=on_failure, **{"if": "true"})
    release = running(manual("ask", of=("user:ann@example.com",)), then, noop("after", "then"), owners=["user:ann@example.com"])
    forge(release)
    run_on(release)
    assert states(release) == {"ask": "succeeded", "then": "on_hold", "after": "pending"}
    assert run(release, "then").code == "approval_broken"
    assert json.loads(Event.objects.get(verb="approval.broken").record)["data"] == {"to": ["ann@example.com", "root@example.com"], "approvals": ["ask"]}
    assert broken_now() == [(release.pk, "then")]
    monkeypatch.setattr(migrating, "pending", lambda: False)  # looking closes the connection, and with it this test's transaction
    said = [finding.what for finding in examine(database_runs=True)]
    assert any("not given by the people" in what for what in said), said
    operating.retry(release=release.pk, activity="then", actor=ACTOR, reason="again")
    run_on(release)
    assert states(release)["then"] == "on_hold"


@pytest.mark.parametrize("next_one", ["manual", "subprocess"])
def test_nor_does_it_ask_anybody_or_start_a_child(next_one: str) -> None:
    child = blueprint(noop("x"))
    published(child)
    people("ann")
    who = ("user:ann@example.com",)
    after = manual("then", "ask", of=who, **{"if": "true"}) if next_one == "manual" else sub("then", child.id, "ask", **{"if": "true"})
    release = running(manual("ask", of=who), after)
    forge(release)
    run_on(release)
    assert (run(release, "then").state, run(release, "then").code) == ("on_hold", "approval_broken")
    assert not Release.objects.filter(parent_run__release=release).exists()


def test_a_rejection_does_not_pass_for_an_approval() -> None:
    """It bears a good seal: of a rejection."""
    (ann,) = people("ann")
    release = running(manual("ask", of=("user:ann@example.com",)), noop("then", "ask", **{"if": "true"}))
    sign(release, ann, "reject")
    forge(release)
    run_on(release)
    assert (run(release, "then").state, run(release, "then").code) == ("on_hold", "approval_broken")


def test_a_seal_of_another_attempt_does_not_fit() -> None:
    (ann,) = people("ann")
    good = asking([(1, [ann])])
    sign(good, ann)
    release = running(manual("ask", of=("user:ann@example.com",)), noop("then", "ask", **{"if": "true"}))
    forge(release)
    given = open_attempt(good)
    Attempt.objects.filter(pk=open_attempt(release).pk).update(decision=given.decision, seal=given.seal)
    run_on(release)
    assert run(release, "then").code == "approval_broken"


def test_a_seal_is_checked_when_what_was_queued_is_claimed() -> None:
    (ann,) = people("ann")
    release = asking([(1, [ann])])
    sign(release, ann)
    assert states(release)["then"] == "queued"
    approved = open_attempt(release)
    Attempt.objects.filter(pk=approved.pk).update(decision={**approved.decision, "votes": [{"by": "eve@example.com"}]})
    run_on(release)
    assert (run(release, "then").state, run(release, "then").code) == ("on_hold", "approval_broken")


def test_the_first_activities_of_the_next_phase_follow_an_approval_too() -> None:
    (ann,) = people("ann")
    release = running(phase("one", manual("ask", of=("user:ann@example.com",))), phase("two", noop("a"), noop("b", "a"), depends_on=["one"]))
    sign(release, ann)
    Attempt.objects.filter(pk=open_attempt(release).pk).update(seal="0" * 64)
    run_on(release)
    assert states(release) == {"ask": "succeeded", "a": "on_hold", "b": "pending"}


def test_a_child_that_ends_with_a_forged_approval_hands_nothing_up() -> None:
    people("ann")
    child = blueprint(manual("ask", of=("user:ann@example.com",)), outputs={"answer": "42"})
    published(child)
    release = running(sub("it", child.id), noop("then", "it"))
    below = child_of(release, "it")
    forge(below)
    run_on(release)
    assert fresh(below).state == "succeeded"
    assert (run(release, "it").state, run(release, "it").code, run(release, "it").outputs) == ("on_hold", "approval_broken", {})


def test_a_child_that_ends_with_an_approval_hands_up_its_outputs() -> None:
    (ann,) = people("ann")
    child = blueprint(manual("ask", of=("user:ann@example.com",)), outputs={"answer": "42"})
    published(child)
    release = running(sub("it", child.id), noop("then", "it"))
    sign(child_of(release, "it"), ann)
    run_on(release)
    assert fresh(release).state == "succeeded"
    assert run(release, "it").outputs == {"answer": "42"}


def test_a_refused_vote_leaves_nothing_behind_but_that_it_was_tried() -> None:
    ann, stella = people("ann", "stella")
    release = asking([(1, [ann])])
    before = Event.objects.exclude(verb="sign_off.refused").count()
    for attempt in (lambda: sign(release, stella), lambda: sign(release, ann, "reject", comment=""), lambda: sign(release, ann, packet="0" * 64)):
        with pytest.raises(DomainError):
            attempt()
    assert (Event.objects.exclude(verb="sign_off.refused").count(), SignOff.objects.count()) == (before, 0)
    tried = [json.loads(row.record)["data"]["code"] for row in Event.objects.filter(verb="sign_off.refused").order_by("sequence")]
    assert tried == ["not_entitled", "packet_changed"]
    assert ActivityRun.objects.get(release=release, key="ask").finished_at is None
    assert Group.objects.count() == 0
    assert timezone.now() >= open_attempt(release).asked_at
