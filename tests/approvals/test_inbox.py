"""The inbox: in the order of consequences, narrowed by its address, and several questions that ask the same decided at once."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from approvals import inbox, signing, together
from approvals.comparing import since_last
from approvals.inbox import Wanted, inbox_of
from approvals.models import SignOff
from releases.engine import Actor
from releases.models import ActivityRun, Attempt, Release
from relorch.audit.models import Event
from tests import factories
from tests.approvals.test_views import client_of
from tests.processes.conftest import Api
from tests.releases.driving import run_on, started
from tests.releases.scenes import blueprint, later, manual, published

pytestmark = pytest.mark.django_db


class World:
    """Ann of QA is asked the same by each of `number` releases; Sam has started them."""

    def __init__(self, number: int = 3, **approval: Any) -> None:
        self.qa = factories.group("qa")
        self.ann, self.sam = factories.person("ann", groups=(self.qa,)), factories.person("sam")
        self.stranger = factories.person("stella")
        self.approval = {"requires": [{"count": 1, "of": ["group:qa"]}], **approval}
        self.version = published(blueprint(manual("ask", approval=self.approval)))
        self.releases = [self.start() for _ in range(number)]

    def start(self) -> Release:
        release = started(self.version, self.sam)
        run_on(release)
        return release

    def shown(self, person: Any = None) -> list[together.Asked]:
        picked = [(release.pk, "ask") for release in self.releases]
        return [asked for group in together.selected(picked, person or self.ann).groups for asked in group]

    def states(self) -> list[str]:
        return [str(ActivityRun.objects.get(release=release, key="ask").state) for release in self.releases]

    def post(self, values: list[str], decision: str = "approve", comment: str = "") -> Any:
        return client_of(self.ann).post("/approvals/together/decide/", {"item": values, "decision": decision, "comment": comment})


def test_ten_that_ask_the_same_are_decided_with_one_form_and_leave_ten_records() -> None:
    world = World(10)
    picked = [f"{release.pk}/ask" for release in world.releases]
    page = client_of(world.ann).get("/approvals/together/", {"item": picked})
    assert page.content.decode().count('name="decision" value="approve"') == 1
    assert "checked" not in page.content.decode().split('class="opts"')[1].split("</fieldset>")[0], "nothing is chosen beforehand"
    said = [asked.value for asked in world.shown()]
    assert "10 decided" in world.post(said).content.decode()
    assert world.states() == ["succeeded"] * 10
    votes = SignOff.objects.select_related("packet")
    assert sorted(f"{vote.attempt.release_id}/ask/{vote.packet.hash}" for vote in votes) == sorted(said)
    assert Event.objects.filter(verb="sign_off.given").count() == 10
    again = world.post(said).content.decode()
    assert "0 decided" in again
    assert "Already approved by Ann" in again
    assert SignOff.objects.count() == 10


def test_what_has_changed_since_it_was_shown_drops_out_and_is_said() -> None:
    world = World(3)
    said = [asked.value for asked in world.shown()]
    Attempt.objects.filter(release=world.releases[1]).update(bound={"inputs": {"image": "another"}})
    answer = world.post(said).content.decode()
    assert "2 decided" in answer
    assert "What you saw has changed" in answer
    assert world.states() == ["succeeded", "waiting", "succeeded"]
    assert len(together.selected([(release.pk, "ask") for release in world.releases], world.ann).groups) == 1
    unseen = world.post([f"{world.releases[1].pk}/ask"]).content.decode()
    assert "It was not shown to you" in unseen
    assert world.states()[1] == "waiting"


def test_what_does_not_ask_the_same_has_a_form_of_its_own() -> None:
    world = World(3)
    Attempt.objects.filter(release=world.releases[1]).update(bound={"inputs": {"image": "another"}})
    groups = together.selected([(release.pk, "ask") for release in world.releases], world.ann).groups
    assert [len(group) for group in groups] == [2, 1]


@pytest.mark.parametrize(
    ("activity", "why"),
    [
        ({"fields": {"summary": {"type": "text"}}}, "form to fill in"),
        ({"tasks": [{"id": "smoke", "name": "Smoke"}]}, "checklist"),
        ({"approval": {"requires": [{"count": 1, "of": ["group:qa"]}], "reauthenticate": True}}, "confirm that it is you"),
    ],
)
def test_what_wants_more_than_a_decision_is_left_out_and_said(activity: dict[str, Any], why: str) -> None:
    world = World(1)
    release = started(published(blueprint(manual("ask", **{"approval": world.approval, **activity}))), world.sam)
    run_on(release)
    page = client_of(world.ann).get("/approvals/together/", {"item": [f"{release.pk}/ask", f"{world.releases[0].pk}/ask"]}).content.decode()
    assert why in page
    assert f'value="{release.pk}/ask/' not in page
    assert f'value="{release.pk}/ask"' not in client_of(world.ann).get("/").content.decode()


def test_a_comment_that_is_wanted_is_wanted_of_all() -> None:
    world = World(2)
    refused = world.post([asked.value for asked in world.shown()], "reject")
    assert (refused.status_code, "Say why" in refused.content.decode()) == (422, True)
    assert world.states() == ["waiting"] * 2
    assert world.post([asked.value for asked in world.shown()], "").status_code == 422
    world.post([asked.value for asked in world.shown()], "reject", "Too early")
    assert {vote.comment for vote in SignOff.objects.all()} == {"Too early"}


def test_a_stranger_learns_nothing_and_decides_nothing() -> None:
    world = World(2)
    said = [asked.value for asked in world.shown()]
    stranger = client_of(world.stranger)
    assert "Ask" not in stranger.get("/approvals/together/", {"item": said}).content.decode().split("<main")[1]
    answer = stranger.post("/approvals/together/decide/", {"item": said, "decision": "approve"})
    assert "0 decided" in answer.content.decode()
    assert str(world.releases[0]) not in answer.content.decode()
    assert not SignOff.objects.exists()
    assert not Event.objects.filter(verb="sign_off.refused").exists()
    for nonsense in ("x", "1/2/3/4", "99999999999999999999/ask", "", "-1/ask", "1/<b>"):
        assert stranger.get("/approvals/together/", {"item": nonsense}).status_code == 200
    assert stranger.get("/approvals/together/decide/").status_code == 405


def test_the_address_narrows_the_list() -> None:
    world = World(2, due="24h")
    named = started(published(blueprint(manual("other", approval={"requires": [{"count": 1, "of": ["user:ann@example.com"]}]}))), world.ann)
    run_on(named)
    later(world.releases[0], 90_000)
    heads = {head: len(rows) for head, rows in inbox_of(world.ann).groups}
    assert heads == {"Overdue": 1, "Due within a day": 1, "Blocks a release": 1}
    client = client_of(world.ann)

    def rows(query: str) -> int:
        return client.get(f"/?{query}").content.decode().count('class="mail"')

    process = named.process.identifier
    expected = {
        "": 3, "whose=groups": 2, "whose=asked": 1, f"process={process}": 1, "due=overdue": 1, "due=day": 1, "due=never": 1, "due=week": 2,
        "kind=sign_off": 3, "kind=checklist": 0, f"whose=groups&process={process}": 0, "whose=nonsense&due=x": 3,
    }  # fmt: skip
    assert {query: rows(query) for query in expected} == expected
    said = client.get("/?whose=groups&due=overdue").content.decode()
    assert 'href="/?whose=asked&amp;due=overdue"' in said, "the tabs keep the filters"


def test_who_has_more_than_are_shown_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(3)
    monkeypatch.setattr("approvals.inbox.MOST", 2)
    monkeypatch.setattr("approvals.views.MOST", 2)
    said = client_of(world.ann).get("/").content.decode()
    assert said.count('class="mail"') == 2
    assert "The 2 most urgent are shown" in said


def test_the_page_of_many_asks_no_more_than_that_of_two() -> None:
    world = World(2)

    def asked() -> int:
        with CaptureQueriesContext(connection) as seen:
            client_of(world.ann).get("/approvals/together/", {"item": [f"{release.pk}/ask" for release in world.releases]})
        return len(seen)

    asked()
    few = asked()
    world.releases += [world.start() for _ in range(8)]
    assert asked() == few


def test_what_is_pressed_in_the_inbox_is_chosen_and_not_decided() -> None:
    world = World(1)
    client = client_of(world.ann)
    address = f"/approvals/{world.releases[0].pk}/ask/"
    assert "?choose=approve#decide" in client.get("/").content.decode()
    assert 'value="approve" checked' in client.get(f"{address}?choose=approve").content.decode()
    assert 'value="reject" checked' in client.get(f"{address}?choose=reject").content.decode()
    assert " checked" not in client.get(address).content.decode()
    assert not SignOff.objects.exists()


def test_peer_05_nothing_is_in_the_inbox_after_a_decision() -> None:
    world = World(1)
    assert len(inbox_of(world.ann).mine) == 1
    actor = Actor(world.ann.pk, world.ann.email, "page")
    signing.sign_off(release=world.releases[0].pk, activity="ask", person=world.ann, actor=actor, decision="approve")
    assert inbox_of(world.ann).found == []


@pytest.mark.parametrize("said", ["1/as\x00k", "1/ask/\x00", "1/ask/zz", "1", "1/ask/x/y", "²/ask", "1" * 19 + "/ask", "/ask", "1/", ""])
def test_what_names_no_question_is_passed_over(said: str) -> None:
    assert together.places([said, "7/ask", "8/ask/" + "a" * 64]) == [(7, "ask", ""), (8, "ask", "a" * 64)]


def test_a_character_that_cannot_be_kept_is_refused_at_every_door() -> None:
    world = World(1)
    release = world.releases[0]
    page, here = client_of(world.ann), f"/approvals/{release.pk}/ask/"
    answers = [
        world.post([asked.value for asked in world.shown()], comment="fine\x00"),
        page.post(f"{here}sign_off/", {"decision": "approve", "comment": "fine\x00"}),
        page.post(f"{here}nudge/", {"message": "well\x00"}),
        Api(world.ann).post(f"releases/{release.pk}/activities/ask/nudge/", {"message": "well\x00"}),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 422]
    assert world.states() == ["waiting"]
    assert not Event.objects.filter(verb="sign_off.nudged").exists()


def test_what_a_filter_lets_through_is_found_behind_the_most_that_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(3, due="10d")
    urgent = world.releases[0]
    other = World.__new__(World)
    other.sam, other.version = factories.person("sally"), published(blueprint(manual("ask", approval=world.approval | {"due": "30d"})))
    last = other.start()
    ann = world.ann
    monkeypatch.setattr(inbox, "MOST", 2)
    whole = inbox_of(ann)
    assert (len(whole.items), whole.is_cut) == (2, True)
    assert last.pk not in {item.release.pk for item in whole.items}
    for wanted in (Wanted(process=last.process.identifier), Wanted(whose="groups", process=last.process.identifier)):
        narrow = inbox_of(ann, wanted)
        assert ([item.release.pk for item in narrow.items], narrow.is_cut) == ([last.pk], False)
        assert len(narrow.found) == 2, "the numbers on the tabs stay"
    assert [item.release.pk for item in inbox_of(other.sam, Wanted(whose="asked")).items] == [last.pk]
    Attempt.objects.filter(release=last).update(due_at=None)
    assert [item.release.pk for item in inbox_of(ann, Wanted(due="never")).items] == [last.pk]
    Attempt.objects.filter(release=urgent).update(due_at=Now())
    for due in ("overdue", "week"):
        assert [item.release.pk for item in inbox_of(ann, Wanted(due=due)).items] == [urgent.pk]
    assert inbox_of(ann, Wanted(due="day")).items == []


def test_the_drawer_offers_to_ask_others_to_whoever_may() -> None:
    world = World(1)
    where = f"/releases/{world.releases[0].pk}/activities/ask/"
    assert "/ask/reassign/" in client_of(world.sam).get(where).content.decode()
    assert "/ask/reassign/" not in client_of(world.ann).get(where).content.decode()


# --- what is at stake -----------------------------------------------------------------------------------------------------------------------


def stake_of(release: Release, person: Any) -> str:
    """As the inbox says it, and, so that the two never differ, as the page says it."""
    (row,) = [row for _, rows in inbox_of(person).groups for row in rows if row.item.release.pk == release.pk]
    since = since_last(row.item.attempt)
    order = ("high", "medium", "low")
    on_page = "first" if since.previous is None else min((change.risk for change in since.changes), key=order.index, default="none")
    assert row.risk == on_page
    return str(row.stake)


def test_each_question_says_what_is_at_stake_and_what_it_blocks() -> None:
    qa = factories.group("qa")
    ann, sam = factories.person("ann", groups=(qa,)), factories.person("sam")
    ask = manual("ask", approval={"requires": [{"count": 1, "of": ["group:qa"]}]})
    build = {"id": "build", "type": "automated", "connector": "noop", "with": {"outputs": {"image": "${{ inputs.image }}", "tests": 12}}}
    values = {"image": {"type": "string", "default": "shop:1"}, "note": {"type": "string"}, "key": {"type": "secret"}}
    process = factories.process("shop", inputs=values, variables={"wide": "${{ inputs.note == 'x' }}"}, phases=[
        {"id": "make", "activities": [build]},
        {"id": "go", "depends_on": ["make"], "variables": {"who": "me"}, "activities": [ask]},
        {"id": "ship", "depends_on": ["go"], "activities": [{"id": "ship_it", "type": "automated", "connector": "noop"}]},
        {"id": "after", "depends_on": ["ship"], "activities": [{"id": "tell", "type": "automated", "connector": "noop"}]},
    ])  # fmt: skip
    factories.version(process)

    def asked(**inputs: Any) -> Release:
        release = started(process, sam, **{"note": "a", "key": "k", **inputs})
        run_on(release)
        return release

    first = asked()
    assert stake_of(first, ann) == "First release"
    signing.sign_off(release=first.pk, activity="ask", person=ann, actor=Actor(ann.pk, ann.email, "page"), decision="approve")
    run_on(first)
    expected = {"No change": asked(), "Low risk": asked(note="b"), "High risk": asked(key="another"), "Medium risk": asked(image="shop:2")}
    assert {stake_of(release, ann): release.pk for release in expected.values()} == {word: release.pk for word, release in expected.items()}
    page = client_of(ann).get("/").content.decode()
    assert all(f">{word}</span>" in page for word in expected)
    assert page.count("blocks 2 phases") == 4
    rows = [row for _, rows in inbox_of(ann).groups for row in rows]
    assert [row.stake for row in rows] == ["High risk", "Medium risk", "Low risk", "No change"], "by consequence"


def test_what_is_at_stake_is_more_than_what_is_bound() -> None:
    """As on the page, whose list of what changed has everything upstream."""
    qa = factories.group("qa")
    ann, sam = factories.person("ann", groups=(qa,)), factories.person("sam")
    approval = {"requires": [{"count": 1, "of": ["group:qa"]}], "binds": ["inputs.note"]}
    build = {"id": "build", "type": "automated", "connector": "noop", "with": {"outputs": {"image": "${{ inputs.image }}"}}}
    process = factories.process("shop", inputs={"image": {"type": "string"}, "note": {"type": "string", "default": "n"}}, phases=[
        {"id": "make", "activities": [build]}, {"id": "go", "depends_on": ["make"], "activities": [manual("ask", approval=approval)]},
    ])  # fmt: skip
    factories.version(process)
    first, same, other = (started(process, sam, image=image) for image in ("shop:1", "shop:1", "shop:2"))
    for release in (first, same, other):
        run_on(release)
    signing.sign_off(release=first.pk, activity="ask", person=ann, actor=Actor(ann.pk, ann.email, "page"), decision="approve")
    run_on(first)
    assert (stake_of(same, ann), stake_of(other, ann)) == ("No change", "Medium risk")


def test_what_most_waits_for_comes_first() -> None:
    qa = factories.group("qa")
    ann, sam = factories.person("ann", groups=(qa,)), factories.person("sam")
    ask = manual("ask", approval={"requires": [{"count": 1, "of": ["group:qa"]}]})
    alone = started(published(blueprint(ask)), sam)
    rest = [{"id": "ship", "depends_on": ["go"], "activities": [{"id": "ship_it", "type": "automated", "connector": "noop"}]}]
    process = factories.process("long", phases=[{"id": "go", "activities": [ask]}, *rest])
    factories.version(process)
    blocking = started(process, sam)
    for release in (alone, blocking):
        run_on(release)
    assert [item.release.pk for item in inbox_of(ann).items] == [blocking.pk, alone.pk]
    assert [item.later_phases for item in inbox_of(ann).items] == [1, 0]


def test_the_inbox_of_many_asks_no_more_than_that_of_two_whatever_is_at_stake() -> None:
    world = World(2)
    done = world.start()
    signing.sign_off(release=done.pk, activity="ask", person=world.ann, actor=Actor(world.ann.pk, world.ann.email, "page"), decision="approve")
    run_on(done)

    def asked() -> int:
        with CaptureQueriesContext(connection) as seen:
            client_of(world.ann).get("/")
        return len(seen)

    asked()
    few = asked()
    world.releases += [world.start() for _ in range(8)]
    assert asked() == few
