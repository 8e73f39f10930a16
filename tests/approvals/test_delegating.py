"""Delegation (S19): who may decide for whom, what the record says, what it excludes, and how it ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.utils import timezone

from approvals import delegating, reminding
from approvals.inbox import inbox_of
from approvals.models import Delegation, SignOff
from releases.engine import Actor
from releases.models import Attempt, Release
from relorch.accounts.models import User
from relorch.audit.models import Event
from relorch.lib.errors import Conflict, Invalid, NotAllowed
from tests import factories
from tests.approvals.test_signing import asking, people, sign
from tests.releases.scenes import manual, run, running, states

pytestmark = pytest.mark.django_db


def delegated(giver: User, to: User, **keys: Any) -> Delegation:
    return delegating.delegate(actor=Actor(giver.pk, giver.email, "page"), by=giver, person=giver, to=to, **keys)


def again(user: User) -> User:
    """As the next request has it."""
    return User.objects.get(pk=user.pk)


def finds(user: User) -> set[int]:
    return {item.release.pk for item in inbox_of(again(user)).mine}


def test_a_delegate_finds_it_sees_it_and_votes_in_the_others_name() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(1, [ann])])
    assert not Release.objects.visible_to(again(bob)).filter(pk=release.pk)
    with pytest.raises(NotAllowed):
        sign(release, bob)
    delegated(ann, bob, reason="on leave")
    assert Release.objects.visible_to(again(bob)).filter(pk=release.pk)
    assert finds(bob) == {release.pk}
    assert sign(release, bob).verdict == "approved"
    vote = SignOff.objects.get()
    assert (vote.person, vote.for_person) == (bob, ann)
    decision = Attempt.objects.get(run__release=release, run__key="ask").decision
    assert (decision["votes"][0]["by"], decision["votes"][0]["for"]) == ("bob@example.com", "ann@example.com")
    assert Event.objects.filter(stream="delegations", verb="delegation.made", subject="ann@example.com").count() == 1


def test_b_with_an_own_entitlement_and_for_a_is_one_vote() -> None:
    ann, bob, cem = people("ann", "bob", "cem")
    release = asking([(2, [ann, bob, cem])])
    delegated(ann, bob)
    assert sign(release, bob).verdict == "open"
    assert sign(release, bob, behalf="ann@example.com").verdict == "open", "one human, one vote, whoever it is for"
    assert SignOff.objects.count() == 1
    assert sign(release, cem).verdict == "approved"


def test_what_others_have_filled_does_not_wait_for_anybody_any_more() -> None:
    """Neither for the others of the line, nor for whom a stand-in has voted; they may still decide, on its page."""
    ann, bob, cem, dan = people("ann", "bob", "cem", "dan")
    release = asking([(1, [ann, bob]), (1, [cem])])
    delegated(ann, dan)
    assert [finds(person) for person in (ann, bob, cem, dan)] == [{release.pk}] * 4
    sign(release, dan)
    assert [finds(person) for person in (ann, bob, cem, dan)] == [set(), set(), {release.pk}, set()]
    assert sign(release, bob).verdict == "open"
    assert sign(release, cem).verdict == "approved"


def test_chains_end_after_three() -> None:
    a, b, c, d, e = people("a1", "b1", "c1", "d1", "e1")
    for giver, to in ((a, b), (b, c), (c, d), (d, e)):
        delegated(giver, to)
    release = asking([(1, [a])])
    assert (finds(d), finds(e)) == ({release.pk}, set())
    with pytest.raises(NotAllowed):
        sign(release, e)
    assert sign(release, d).verdict == "approved"


def test_circles_are_refused() -> None:
    a, b, c = people("a1", "b1", "c1")
    delegated(a, b)
    delegated(b, c)
    with pytest.raises(Invalid) as refusal:
        delegated(c, a)
    assert [(problem.code, problem.place) for problem in refusal.value.problems] == [("delegation_circle", "/to")]
    with pytest.raises(Invalid):
        delegated(a, a)
    assert Delegation.objects.count() == 2
    later = timezone.now() + timedelta(days=30)
    delegating.end(actor=Actor(a.pk, a.email, "page"), by=a, delegation=Delegation.objects.get(person=a))
    assert delegated(c, a, starts_at=later).pk, "no circle once one link has ended"


@pytest.mark.parametrize("whom", ["starter", "author", "earlier_approvers"])
def test_exclusions_hold_for_both(whom: str) -> None:
    """Neither may the delegate of an excluded person decide, even with an entitlement of their own, nor an excluded one for somebody else."""
    steve, bob, cem, dan = people("steve", "bob", "cem", "dan")
    of = [f"user:{who.email}" for who in (steve, bob, cem, dan)]
    rule = {"requires": [{"count": 1, "of": of}], "exclude": [whom], "reject_when": "impossible"}
    release = running(manual("first", of=("user:steve@example.com",)), manual("ask", "first", approval=rule), starter=steve)
    if whom == "author":
        release.version.authors.add(steve)
    sign(release, steve, key="first")
    from tests.releases.driving import run_on

    run_on(release)
    delegated(steve, bob)
    delegated(dan, steve)
    for who, behalf in ((steve, ""), (steve, "dan@example.com"), (bob, ""), (bob, "steve@example.com")):
        with pytest.raises(NotAllowed) as refusal:
            sign(release, who, behalf=behalf)
        assert refusal.value.code == "excluded"
    assert sign(release, cem).verdict == "approved"


def test_scope_and_dates() -> None:
    ann, bob = people("ann", "bob")
    one, two = asking([(1, [ann])]), asking([(1, [ann])])
    delegated(ann, bob, process=one.process)
    assert finds(bob) == {one.pk}
    assert not Release.objects.visible_to(again(bob)).filter(pk=two.pk)
    with pytest.raises(NotAllowed):
        sign(two, bob)
    delegated(ann, bob, starts_at=timezone.now() + timedelta(hours=1))
    assert finds(bob) == {one.pk}, "it has not begun"
    delegated(ann, bob, run=run(two, "ask"))
    assert finds(bob) == {one.pk, two.pk}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE approvals_delegation SET starts_at = starts_at - interval '1 day', ends_at = clock_timestamp() - interval '1 second'")
    assert finds(bob) == set()
    with pytest.raises(NotAllowed):
        sign(one, bob)


def test_one_approval_is_delegated_by_who_decides_it_while_it_waits() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(1, [ann])])
    with pytest.raises(NotAllowed):
        delegated(bob, ann, run=run(release, "ask"))
    sign(release, ann)
    with pytest.raises(Conflict):
        delegated(ann, bob, run=run(release, "ask"))


def test_asked_again_at_the_verdict() -> None:
    """A vote under a delegation that has ended since fills no place; neither does that of a delegate who has left."""
    ann, bob, cem, dan = people("ann", "bob", "cem", "dan")
    release = asking([(2, [ann, cem, dan])])
    made = delegated(ann, bob)
    sign(release, bob)
    delegating.end(actor=Actor(bob.pk, bob.email, "page"), by=bob, delegation=made)
    assert sign(release, cem).verdict == "open"
    delegated(ann, bob)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert sign(release, cem).verdict == "open"
    assert sign(release, dan).verdict == "approved"
    votes = Attempt.objects.get(run__release=release, run__key="ask").decision["votes"]
    assert [vote["by"] for vote in votes] == ["cem@example.com", "dan@example.com"], "the seal names those who counted"


def test_only_the_two_and_an_administrator_may_end_it() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    made = delegated(ann, bob)
    with pytest.raises(NotAllowed):
        delegating.end(actor=Actor(eve.pk, eve.email, "page"), by=eve, delegation=made)
    with pytest.raises(NotAllowed):
        delegating.delegate(actor=Actor(eve.pk, eve.email, "page"), by=eve, person=ann, to=eve)
    assert delegating.end(actor=Actor(bob.pk, bob.email, "page"), by=bob, delegation=made).ended_at is not None


def test_delegates_are_reminded_too() -> None:
    ann, bob, olga = people("ann", "bob", "olga")
    release = asking([(1, [ann])])
    delegated(ann, bob)
    assert reminding.nudge(release=release.pk, activity="ask", actor=Actor(olga.pk, olga.email, "page")) == ["ann@example.com", "bob@example.com"]


def test_a_group_that_was_left_takes_the_delegation_along() -> None:
    ann, bob = people("ann", "bob")
    qa: Group = factories.group("qa", ann)
    release = asking([(1, [qa])])
    delegated(ann, bob)
    assert finds(bob) == {release.pk}
    qa.user_set.remove(ann)
    assert finds(bob) == set()
    with pytest.raises(NotAllowed):
        sign(release, bob)
    assert states(release)["ask"] == "waiting"


def test_the_page_names_a_stand_in_ends_it_and_shows_what_was_decided() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    release = asking([(1, [ann])])
    client, other = Client(), Client()
    client.force_login(ann)
    other.force_login(eve)
    refused = client.post("/stand-ins/", {"to": "ghost@example.com"})
    assert (refused.status_code, b"no active person" in refused.content) == (422, True)
    assert client.post("/stand-ins/", {"to": "bob@example.com", "reason": "on leave"}).status_code == 302
    made = Delegation.objects.get()
    assert other.post(f"/stand-ins/{made.pk}/end/").status_code == 404
    sign(release, bob)
    page = client.get("/stand-ins/").content.decode()
    assert "Bob for Ann: approved" in page
    assert "Bob</b> for Ann approved" in client.get(f"/approvals/{release.pk}/ask/").content.decode()
    assert client.post(f"/stand-ins/{made.pk}/end/").status_code == 302
    assert Delegation.objects.get().ended_by == ann


def test_one_question_is_delegated_on_its_page() -> None:
    ann, bob = people("ann", "bob")
    release = asking([(1, [ann])])
    client = Client()
    client.force_login(ann)
    where = f"/approvals/{release.pk}/ask/delegate/"
    assert client.get(where).status_code == 200
    assert client.post(where, {"to": "ann@example.com"}).status_code == 422
    assert client.post(where, {"to": "bob@example.com"}).status_code == 302
    assert Delegation.objects.get().scope == "approval"
    assert sign(release, bob).verdict == "approved"


def test_the_api_gives_one_s_own_and_takes_no_token() -> None:
    ann, bob, eve = people("ann", "bob", "eve")
    client, other = Client(), Client()
    client.force_login(ann)
    other.force_login(eve)
    body = {"to": "bob@example.com", "reason": "away", "ends_at": "2030-01-01T00:00:00Z"}
    token = {"headers": {"Authorization": f"Bearer {factories.token(ann)}"}, "content_type": "application/json"}
    assert Client().post("/api/v1/delegations/", body, **token).json()["code"] == "token_may_not_delegate"
    made = client.post("/api/v1/delegations/", body, content_type="application/json")
    assert made.status_code == 201, made.content
    assert {"from": "ann@example.com", "delegate": "bob@example.com", "scope": "all"}.items() <= made.json().items()
    wrong = client.post("/api/v1/delegations/", {"to": "x@example.com", "process": "nope"}, content_type="application/json").json()
    assert [problem["place"] for problem in wrong["problems"]] == ["/to", "/process"]
    where = f"/api/v1/delegations/{made.json()['id']}/"
    assert other.delete(where).status_code == 404
    assert other.get("/api/v1/delegations/").json()["results"] == []
    assert client.delete(where).status_code == 204
    assert client.get("/api/v1/delegations/").json()["results"][0]["ended_at"]
    del bob
