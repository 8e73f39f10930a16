"""What a decision is about (S17): bound values compared again while it is asked, and what changed since the last release that succeeded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals import packets
from approvals.comparing import since_last
from approvals.deciding import case_of
from approvals.models import SignOff
from processes import editing, publishing
from processes.forms import NamesField
from processes.models import Process
from releases import operating, sweep, talking
from releases.engine import Actor
from releases.models import Attempt, Release
from releases.states import Run
from relorch.accounts.models import User
from relorch.audit.models import Event
from relorch.lib.errors import Invalid
from tests import factories
from tests.approvals.test_signing import sign
from tests.processes.conftest import Api
from tests.releases.driving import run_on, started
from tests.releases.scenes import ACTOR, claimed, end, later, manual, noop, phase, running, script, states

pytestmark = pytest.mark.django_db


def told(release: Release, verb: str) -> list[Any]:
    rows = Event.objects.filter(stream=f"release:{release.root_id}", verb=verb).order_by("sequence")
    return [json.loads(row.record)["data"] | {"subject": json.loads(row.record)["subject"]} for row in rows]


def attempt_of(release: Release, key: str) -> Attempt:
    return Attempt.objects.select_related("run__release__process", "run__release__version").filter(run__release=release, run__key=key).latest("number")


def troubled(*, binds: list[str] | None = None) -> tuple[Release, User, User]:
    """An optional scan failed; two questions wait beside it: `ask` is about what it says, `other` is not."""
    ann, bob = factories.person("ann"), factories.person("bob")
    of = ["user:ann@example.com", "user:bob@example.com"]
    two = {"requires": [{"count": 2, "of": of}]}
    release = running(
        phase("first", script("scan", optional=True, on_failure="fail", outputs={"found": "${{ result.outputs.found }}"}), noop("build")),
        phase(
            "second",
            manual(
                "ask",
                approval=two | ({"binds": binds} if binds else {}),
                instructions="The scan found ${{ has(activities.scan.outputs.found) ? activities.scan.outputs.found : 'nothing' }}.",
            ),
            manual("other", approval=two | {"binds": ["inputs", "activities.build.outputs"]}),
            depends_on=["first"],
        ),
        inputs={"version": {"type": "string", "default": "1.0"}},
    )
    claim = claimed("slow")["scan"]
    end(claim, Run.FAILED, code="exit", message="1")
    run_on(release)
    assert states(release) == {"scan": "failed", "build": "succeeded", "ask": "waiting", "other": "waiting"}
    return release, ann, bob


def scanned_again(release: Release, found: str) -> None:
    operating.retry(release=release.pk, activity="scan", actor=ACTOR, reason="the scanner was down")
    end(claimed("slow")["scan"], Run.SUCCEEDED, outputs={"found": found})


def test_only_the_votes_whose_approval_binds_a_changed_value_go_stale() -> None:
    """In the transaction of the change: the event says who is asked again; the next vote is on what is there now."""
    release, ann, bob = troubled()
    seen = packets.current_hash(attempt_of(release, "ask"))
    sign(release, ann)
    sign(release, ann, key="other")
    scanned_again(release, "7 findings")
    assert {(vote.attempt.run.key, vote.stale) for vote in SignOff.objects.select_related("attempt__run")} == {("ask", True), ("other", False)}
    assert told(release, "sign_off.stale") == [{"because": "bound", "people": ["ann@example.com"], "to": ["ann@example.com"], "subject": "ask"}]
    assert len(told(release, "activity.rebound")) == 1
    attempt = attempt_of(release, "ask")
    assert attempt.bound["activities.scan.outputs"] == {"found": "7 findings"}
    assert attempt.request["instructions"] == "The scan found 7 findings.", "worded again, outside the lock"
    assert packets.current_hash(attempt) != seen
    assert sign(release, bob).verdict == "open", "one vote of two holds"
    assert sign(release, bob, key="other").verdict == "approved"
    assert sign(release, ann).verdict == "approved"
    bound = {vote.packet.content["bound"]["activities.scan.outputs"]["found"] for vote in SignOff.objects.filter(attempt=attempt).select_related("packet")}
    assert bound == {"7 findings"}


def test_who_is_asked_again_is_shown_the_difference() -> None:
    release, ann, _ = troubled()
    sign(release, ann)
    scanned_again(release, "7 findings")
    client = Client()
    client.force_login(ann)
    said = client.get(f"/approvals/{release.pk}/ask/").content.decode()
    assert "What you decided on has changed" in said
    assert 'title="activities.scan.outputs.found">scan: found</b>' in said
    assert "7 findings" in said
    (vote,) = Api(ann).get(f"releases/{release.pk}/activities/ask/sign_offs/").json()["votes"]
    assert vote["stale"]
    assert [change["place"] for change in vote["changes"]] == ["activities.scan.outputs.found", "text.instructions"]


def test_ignoring_with_outputs_is_a_change_too() -> None:
    release, ann, _ = troubled()
    sign(release, ann)
    operating.retry(release=release.pk, activity="scan", actor=ACTOR, reason="again")
    claim = claimed("slow")["scan"]
    later(release, 60)
    sweep.sweep()
    assert states(release)["scan"] == "interrupted", claim
    operating.ignore(release=release.pk, activity="scan", actor=ACTOR, reason="looked by hand", outputs={"found": "none"})
    assert SignOff.objects.get().stale
    assert attempt_of(release, "ask").bound["activities.scan.outputs"] == {"found": "none"}


def test_the_same_value_again_changes_no_vote() -> None:
    release, ann, _ = troubled(binds=["activities.build.outputs"])
    sign(release, ann)
    scanned_again(release, "7 findings")
    assert not SignOff.objects.get().stale
    assert told(release, "activity.rebound") == []


# --- since the last release ---------------------------------------------------------------------------------------------------------------


def shipping(image: str, *, count: int = 1) -> dict[str, Any]:
    """A process file whose build puts out this image."""
    approval = {"requires": [{"count": count, "of": ["group:qa"]}], "binds": ["inputs", "activities.build.outputs.image"]}
    build = {"id": "build", "type": "automated", "connector": "noop", "with": {"outputs": {"image": image, "tests": 12}}}
    return factories.document(
        "shipping",
        inputs={"image": {"type": "string", "default": image}, "key": {"type": "secret"}},
        owners=["user:olga@example.com"],
        phases=[
            {"id": "make", "activities": [{**build, "with": {"outputs": {"image": "${{ inputs.image }}", "tests": 12}}}]},
            {"id": "go", "depends_on": ["make"], "activities": [{"id": "ask", "type": "manual", "approval": approval}]},
        ],
    )


@pytest.fixture
def qa(db: None) -> User:
    return factories.person("quinn", groups=(factories.group("qa"),))


@pytest.fixture
def process(qa: User) -> Process:
    factories.person("olga")
    made = editing.create_process(shipping("shop@sha256:" + "a" * 12, count=1), actor=None)
    publishing.publish(made, actor=None)
    return made


def asked(process: Process, **inputs: Any) -> Release:
    release = started(process, factories.person(), **inputs)
    run_on(release)
    return release


def done(process: Process, qa: User, **inputs: Any) -> Release:
    release = asked(process, **inputs)
    sign(release, qa)
    run_on(release)
    assert Release.objects.get(pk=release.pk).state == "succeeded"
    return release


def since(release: Release) -> Any:
    return since_last(attempt_of(release, "ask"))


def test_first_nothing_and_one_digest(process: Process, qa: User) -> None:
    """Exactly that line in API, page and the lines for the mail, and another packet."""
    first = asked(process, key="k1")
    assert since(first).previous is None
    assert "first release" in since(first).sentence
    sign(first, qa)
    run_on(first)
    same = asked(process, key="k1")
    assert (since(same).previous, since(same).changes) == (first, ())
    assert since(same).sentence == f"Nothing changed since {first.name}."
    new = "shop@sha256:" + "b" * 12
    other = asked(process, key="k1", image=new)
    lines = [f"{place}: shop@sha256:{'a' * 12} → {new}" for place in ("inputs.image", "activities.build.outputs.image")]
    assert sorted(since(other).lines()) == sorted(lines)
    shown = Api(qa).get(f"releases/{other.pk}/activities/ask/sign_offs/").json()
    assert sorted(change["text"] for change in shown["since_last"]["changes"]) == sorted(lines)
    assert shown["since_last"]["previous"] == {"id": first.pk, "name": first.name}
    client = Client()
    client.force_login(qa)
    page = client.get(f"/approvals/{other.pk}/ask/").content.decode()
    assert page.count(new) >= 2
    assert f"medium risk, compared with {first.name}" in page
    assert "tests" not in page[page.index("What changed") : page.index("What is decided on")]
    contents = [packets.content_of(attempt_of(release, "ask")) for release in (same, other)]
    assert contents[0]["bound"] != contents[1]["bound"]
    assert packets.current_hash(attempt_of(same, "ask")) != packets.current_hash(attempt_of(other, "ask"))


def test_another_secret_is_said_and_not_shown_and_a_weaker_rule_comes_first(process: Process, qa: User) -> None:
    done(process, qa, key="k1")
    weaker = shipping("shop@sha256:" + "a" * 12) | {"fail_fast": True}
    weaker["phases"][1]["activities"][0]["approval"] = {"requires": [{"count": 1, "of": ["group:qa", "user:olga@example.com"]}]}
    editing.write_draft(process, weaker, actor=None)
    publishing.publish(process, actor=None)
    release = asked(process, key="k2")
    found = since(release).changes
    assert found[0].place.startswith("process:")
    assert found[0].risk == "high"
    assert "inputs.key: replaced by another secret" in [change.text for change in found]
    assert "k2" not in str([change.as_dict() for change in found])


def test_failed_aborted_and_other_processes_are_not_compared_with(process: Process, qa: User) -> None:
    good = done(process, qa)
    other = editing.create_process(shipping("other") | {"id": "other"}, actor=None)
    publishing.publish(other, actor=None)
    done(other, qa)
    rejected = asked(process, image="bad")
    sign(rejected, qa, "reject")
    operating.abort(release=rejected.pk, actor=ACTOR, reason="no")
    assert since(asked(process)).previous == good


def test_peer_06_two_releases_of_one_process_show_only_their_own_values(process: Process, qa: User) -> None:
    """Side by side: each page, answer and packet holds its own values and none of the other's."""
    one, two = asked(process, image="shop:one", key="first-secret"), asked(process, image="shop:two", key="other-secret")
    client = Client()
    client.force_login(qa)
    for release, own, strange in ((one, "shop:one", "shop:two"), (two, "shop:two", "shop:one")):
        for text in (
            client.get(f"/approvals/{release.pk}/ask/").content.decode(),
            json.dumps(Api(qa).get(f"releases/{release.pk}/activities/ask/sign_offs/").json()),
            json.dumps(packets.content_of(attempt_of(release, "ask"))),
        ):
            assert own in text
            assert strange not in text
            assert "secret" not in text.replace("secret, not shown", "").replace("a secret", "").replace('"secret"', "").replace("$secret", "")


def test_a_secret_of_the_release_before_that_cannot_be_read_keeps_nobody_from_deciding(process: Process, qa: User) -> None:
    before = done(process, qa, key="k1")
    Release.objects.filter(pk=before.pk).update(inputs={**before.inputs, "key": {"$secret": "1.00000000.AAAA"}})
    assert [change.text for change in since(asked(process, key="k1")).changes] == ["inputs.key: replaced by another secret"]


# --- who decides ----------------------------------------------------------------------------------------------------------------------------


def test_peer_07_being_asked_is_enough_to_see_and_to_decide(qa: User) -> None:
    """No permission on the process: asked, so the release is there, with its button; and nobody can be named who is not there."""
    made = editing.create_process(shipping("shop:1"), actor=None)
    with pytest.raises(Invalid) as refusal:
        publishing.publish(made, actor=None)
    assert any("olga@example.com" in problem.message for problem in refusal.value.problems)
    factories.person("olga")
    publishing.publish(made, actor=None)
    release = asked(made)
    client = Client()
    client.force_login(qa)
    said = client.get(f"/approvals/{release.pk}/ask/").content.decode()
    assert 'name="decision" value="approve"' in said
    assert client.get(f"/releases/{release.pk}/").status_code == 200
    stranger = Client()
    stranger.force_login(factories.person("stella"))
    assert stranger.get(f"/approvals/{release.pk}/ask/").status_code == 404
    assert sign(release, qa).verdict == "approved"


def test_peer_08_a_list_of_people_is_read_to_its_end_however_it_is_written(db: None) -> None:
    """Commas, lines, spaces, the same name again and upper case: the set of those who may decide is the same."""
    crowd = [factories.person(name) for name in ("ann", "bob", "cem")]
    text = " user:ann@example.com,user:BOB@example.com ,\n\n  user:cem@example.com\nuser:ann@example.com,"
    of = NamesField().clean(text)
    release = running(manual("ask", of=tuple(of)), noop("then", "ask"))
    attempt = attempt_of(release, "ask")
    (line,) = case_of(attempt).rule.lines
    assert line.of == {who.email for who in crowd}


# --- what else stands in the way --------------------------------------------------------------------------------------------------------------


def test_peer_23_what_else_stands_in_the_way_is_said_above_the_buttons() -> None:
    """Another question, a failure that needs a decision, a failure that skips what follows, a hold: each named, with where to look; without them nothing is."""
    ann = factories.person("ann")
    of = ("user:ann@example.com",)
    alone = running(manual("ask", of=of), noop("then", "ask"))
    client = Client()
    client.force_login(ann)
    assert "Approving alone does not let it go on" not in client.get(f"/approvals/{alone.pk}/ask/").content.decode()
    release = running(
        manual("ask", of=of),
        manual("security", of=of, name="Security review"),
        noop("broken", name="Load test", **{"with": {"outcome": "failed"}}),
        noop("gone", name="Licences", on_failure="fail", **{"with": {"outcome": "failed"}}),
        noop("roll_out", "ask", "security", "gone", name="Roll out"),
    )
    operating.hold(release=release.pk, actor=ACTOR, reason="incident 7")
    said = client.get(f"/approvals/{release.pk}/ask/").content.decode()
    blockers = said[said.index("Approving alone does not let it go on") : said.index('name="decision"')]
    for words in (
        "The release is on hold: incident 7",
        "Load test needs a decision",
        "Licences ended failed: Roll out will not run whatever is decided here",
        "Roll out also waits for Security review, which is still asked",
    ):
        assert words in blockers
    assert f"/releases/{release.pk}/activities/security/" in blockers


def test_the_page_asks_the_database_as_often_however_much_there_is_to_show(process: Process, qa: User) -> None:
    others = [factories.person(groups=(qa.groups.get(),)) for _ in range(4)]
    crowded = editing.create_process(shipping("shop:1", count=5) | {"id": "crowded"}, actor=None)
    publishing.publish(crowded, actor=None)
    release = asked(crowded)
    client = Client()
    client.force_login(qa)

    def count() -> int:
        client.get(f"/approvals/{release.pk}/ask/")
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/approvals/{release.pk}/ask/").status_code == 200
        return len(queries)

    sign(release, others[0])
    talking.comment(release=release.pk, activity="ask", actor=Actor(qa.pk, qa.email, "page"), text="one")
    before = count()
    for who in others[1:]:
        sign(release, who)
        talking.comment(release=release.pk, activity="ask", actor=Actor(who.pk, who.email, "page"), text="more")
    assert count() == before


def test_the_rule_is_told_at_any_time(process: Process, qa: User) -> None:
    """Satisfied, still possible and who is missing, impossible: in the API and on the page."""
    release = asked(process)
    client, address = Client(), f"releases/{release.pk}/activities/ask/sign_offs/"
    client.force_login(qa)
    told = Api(qa).get(address).json()
    assert (told["standing"], told["missing"]) == ("possible", [{"line": 0, "places": 1, "people": [qa.email]}])
    page = f"/approvals/{release.pk}/ask/"
    assert "Still needed: 1 of Quinn" in client.get(page).content.decode()
    group = qa.groups.get()
    group.user_set.clear()
    factories.allow(qa, "view_process", process)
    told = Api(qa).get(address).json()
    assert (told["verdict"], told["standing"], told["missing"]) == ("impossible", "impossible", [{"line": 0, "places": 1, "people": []}])
    assert "cannot meet this rule any more" in client.get(page).content.decode()
    group.user_set.add(qa)
    sign(release, qa)
    told = Api(qa).get(address).json()
    assert (told["verdict"], told["standing"], told["missing"]) == ("approved", "satisfied", [])


@pytest.mark.parametrize(("binds", "stale"), [(None, True), (["inputs"], False), (["phases.first.outputs"], True), (["activities.build.outputs"], False)])
def test_a_question_is_compared_by_what_it_binds(binds: list[str] | None, stale: bool) -> None:
    """Outputs of a phase are a value like another: they come when the phase closes again."""
    ann, of = factories.person("ann"), ["user:ann@example.com", "user:bob@example.com"]
    factories.person("bob")
    approval = {"requires": [{"count": 2, "of": of}]} | ({"binds": binds} if binds else {})
    said = "${{ has(activities.scan.outputs.found) ? activities.scan.outputs.found : 'nothing' }}"
    release = running(
        phase("first", script("scan", optional=True, on_failure="fail"), noop("build"), outputs={"found": said}),
        phase("second", manual("ask", approval=approval), depends_on=["first"]),
    )
    end(claimed("slow")["scan"], Run.FAILED, code="exit")
    run_on(release)
    sign(release, ann)
    scanned_again(release, "7 findings")
    run_on(release)
    assert SignOff.objects.get().stale == stale
