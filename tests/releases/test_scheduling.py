"""Releases that start later: what is checked and locked, what the clock does and does once, and who counts as the starter (S13, S14, R-12)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from approvals.deciding import excluded
from processes.blueprint import Blueprint
from processes.models import Process, ProcessVersion
from processes.writing import digest, document
from releases import planning, scheduling, sweep
from releases.models import Attempt, Release
from releases.restarting import restart_from
from releases.waiting import waiting_for
from relorch.audit.models import Event
from relorch.lib.errors import Conflict, Invalid
from tests import factories
from tests.processes.conftest import Api
from tests.processes.test_api import problem
from tests.races.test_engine import at_once
from tests.releases.driving import published, run_on
from tests.releases.scenes import ACTOR, blueprint, events, fresh, manual, noop, states

pytestmark = pytest.mark.django_db(transaction=True)
WHY: dict[str, Any] = {"actor": ACTOR, "reason": "because"}
HOUR = timedelta(hours=1)


def now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    return at


def scheduled(*steps: Any, given: dict[str, Any] | None = None, **keys: Any) -> Release:
    """A release that is to start in an hour."""
    process = published(blueprint(*(steps or (noop("it"),)), **keys.pop("process", {})))
    return scheduling.save_scheduled(process=process, given=given or {}, actor=ACTOR, starter=factories.person(), scheduled_for=now() + HOUR, **keys)


def time_has_come(release: Release, *, end: bool = False) -> None:
    """As if an hour, or with `end` more than a week, had passed."""
    Release.objects.filter(pk=release.pk).update(scheduled_for=now() - timedelta(minutes=1), expected_end=now() + (timedelta(seconds=-1) if end else HOUR))


def test_before_its_time_nothing_happens_and_at_its_time_it_starts_by_itself_once() -> None:
    release = scheduled(auto_start=True)
    sweep.sweep()
    assert (fresh(release).state, release.expected_end) == ("scheduled", release.scheduled_for + timedelta(weeks=1))  # type: ignore[operator]
    time_has_come(release)
    at_once(*[lambda: scheduling.come_due(release.pk)] * 4)
    sweep.sweep()
    assert fresh(release).state == "running"
    assert events(release).count("release.started") == 1
    run_on(release)
    assert fresh(release).state == "succeeded"
    started = Event.objects.get(stream=f"release:{release.pk}", verb="release.started")
    assert '"early":false' in started.record
    assert started.actor_id is None, "nobody: the clock"


def test_without_the_switch_it_waits_for_a_person_and_is_shown_so() -> None:
    release = scheduled()
    assert [(wait["kind"], wait["verb"]) for wait in waiting_for(release)] == [("time", "start")]
    time_has_come(release)
    at_once(*[lambda: scheduling.come_due(release.pk)] * 4)
    after = fresh(release)
    assert after.state == "scheduled"
    assert after.due_since is not None
    assert events(release).count("release.due") == 1
    assert [(wait["kind"], wait["verb"]) for wait in waiting_for(after)] == [("person", "start")]
    planning.start_draft(release=after, actor=ACTOR)
    assert (fresh(release).state, fresh(release).due_since) == ("running", None)


@pytest.mark.parametrize("auto", [True, False])
def test_it_is_missed_when_its_expected_end_passes_unstarted(auto: bool) -> None:
    release = scheduled(auto_start=auto)
    time_has_come(release, end=True)
    at_once(*[lambda: scheduling.come_due(release.pk)] * 4)
    assert fresh(release).state == "missed"
    assert events(release).count("release.missed") == 1
    with pytest.raises(Conflict) as refusal:
        planning.start_draft(release=fresh(release), actor=ACTOR)
    assert refusal.value.data["state"] == "missed"
    scheduling.reschedule(release=release.pk, scheduled_for=now() + HOUR, **WHY)
    assert fresh(release).state == "scheduled"


def test_a_start_and_the_clock_and_a_cancel_meet() -> None:
    """Whoever comes first: it starts once, or not at all."""
    for _ in range(6):
        release = scheduled(auto_start=True)
        time_has_come(release)
        at_once(
            lambda one=release.pk: scheduling.come_due(one),
            lambda one=release.pk: planning.start_draft(release=Release.objects.select_related("process", "version", "starter").get(pk=one), actor=ACTOR),
            lambda one=release.pk: scheduling.cancel(release=one, **WHY),
        )
        said = events(release)
        assert said.count("release.started") + said.count("release.cancelled") == 1
        assert fresh(release).state in ("running", "cancelled")


def test_it_may_start_before_its_time_with_the_same_audit() -> None:
    release = scheduled()
    planning.start_draft(release=release, actor=ACTOR)
    started = Event.objects.get(stream=f"release:{release.pk}", verb="release.started")
    assert '"early":true' in started.record
    assert '"scheduled_for"' in started.record
    time_has_come(release)
    sweep.sweep()
    assert events(release).count("release.started") == 1


def second_version(process: Process, first: Blueprint) -> None:
    changed = first.model_copy(update={"description": "second"})
    ProcessVersion.objects.create(process=process, number=2, document=document(changed), hash=digest(changed))


@pytest.mark.parametrize("pinned", [True, False])
def test_the_newest_version_starts_unless_one_was_pinned(pinned: bool) -> None:
    first = blueprint(noop("it"))
    process = published(first)
    version = planning.newest_version(process)
    release = scheduling.save_scheduled(
        process=process, given={}, actor=ACTOR, starter=factories.person(), scheduled_for=now() + HOUR, version=version if pinned else None, auto_start=True
    )
    second_version(process, first)
    time_has_come(release)
    sweep.sweep()
    assert (fresh(release).state, fresh(release).version.number) == ("running", 1 if pinned else 2)


def test_what_cannot_start_stands_there_for_a_person_and_is_not_tried_again() -> None:
    release = scheduled(auto_start=True)
    Process.objects.filter(pk=release.process_id).update(archived_at=now())
    time_has_come(release)
    for _ in range(3):
        sweep.sweep()
    after = fresh(release)
    assert (after.state, after.auto_start, after.due_since is not None) == ("scheduled", False, True)
    assert "archived" in after.reason
    assert events(release).count("release.start_failed") == 1


def test_inputs_are_checked_when_it_is_scheduled_and_times_must_make_sense() -> None:
    keys = {"inputs": {"version": {"type": "string", "required": True}}}
    with pytest.raises(Invalid) as refusal:
        scheduled(process=keys, expected_end=now())
    assert {one.place for one in refusal.value.problems} == {"/inputs/version", "/expected_end"}
    assert not Release.objects.exists()
    draft = planning.save_draft(process=published(blueprint(noop("it"), **keys)), given={}, actor=ACTOR, starter=factories.person())
    with pytest.raises(Invalid) as refusal:
        scheduling.schedule(release=draft, actor=ACTOR, scheduled_for=now() - HOUR)
    assert {one.place for one in refusal.value.problems} == {"/inputs/version", "/scheduled_for"}
    with pytest.raises(Invalid):
        scheduling.schedule(release=draft, actor=ACTOR, scheduled_for=now() + timedelta(days=5_000))


def test_a_reschedule_keeps_the_length_and_needs_a_reason_and_a_time() -> None:
    release = scheduled(expected_end=now() + 3 * HOUR, auto_start=True)
    length = release.expected_end - release.scheduled_for  # type: ignore[operator]
    told = scheduling.reschedule(release=release.pk, scheduled_for=now() + 9 * HOUR, preview=True, **WHY)
    assert [(move.before, move.after) for move in told] == [("scheduled", "scheduled")]
    assert fresh(release).scheduled_for == release.scheduled_for
    scheduling.reschedule(release=release.pk, scheduled_for=now() + 9 * HOUR, **WHY)
    after = fresh(release)
    assert (after.expected_end - after.scheduled_for, after.auto_start) == (length, True)  # type: ignore[operator]
    for given in ({"reason": ""}, {"scheduled_for": None}, {"scheduled_for": now() - HOUR}):
        with pytest.raises(Invalid):
            scheduling.reschedule(release=release.pk, **{**WHY, "scheduled_for": now() + HOUR, **given})


def in_state(state: str) -> Release:
    """A release that stands there."""
    if state in ("scheduled", "cancelled", "missed"):
        release = scheduled()
        if state == "cancelled":
            scheduling.cancel(release=release.pk, **WHY)
        elif state == "missed":
            time_has_come(release, end=True)
            sweep.sweep()
        return release
    process = published(blueprint(manual("ask") if state in ("running", "held", "aborted") else noop("it")))
    draft = planning.save_draft(process=process, given={}, actor=ACTOR, starter=factories.person())
    if state != "draft":
        planning.start_draft(release=draft, actor=ACTOR)
        run_on(draft)
        if state in ("held", "aborted"):
            from releases import operating

            getattr(operating, {"held": "hold", "aborted": "abort"}[state])(release=draft.pk, **WHY)
    return draft


@pytest.mark.parametrize("state", ["draft", "scheduled", "running", "held", "succeeded", "aborted", "cancelled", "missed"])
def test_peer_12_cancel_in_every_state_ends_in_cancelled_or_says_why_not(state: str) -> None:
    release = in_state(state)
    assert fresh(release).state == state
    if state == "scheduled":
        scheduling.cancel(release=release.pk, **WHY)
        assert fresh(release).state == "cancelled"
        assert events(release, "release.cancelled") == [""]
    else:
        with pytest.raises(Conflict) as refusal:
            scheduling.cancel(release=release.pk, **WHY)
        assert refusal.value.data["state"] == state
        assert state in refusal.value.message
        assert fresh(release).state == state
    if state in ("draft", "scheduled", "cancelled", "missed"):
        with pytest.raises(Conflict):
            restart_from(release=release.pk, phase="work", **WHY)
        assert states(release) == {}


def test_whoever_prepared_it_counts_as_its_starter() -> None:
    """S14: who edited the draft, who scheduled it, who started it; also in its children."""
    olga, ann, bob, cleo, dan = (factories.person(name) for name in ("olga", "ann", "bob", "cleo", "dan"))
    process = published(blueprint(manual("ask", of=("user:ann@example.com", f"user:{dan.email}"), approval={"exclude": ["starter"]})))
    release = planning.save_draft(process=process, given={}, actor=ACTOR, starter=olga)
    from releases.engine import Actor

    planning.change_draft(release=release, actor=Actor(ann.pk, ann.email, "page"), seen=lambda _: None, name="Another")
    release = fresh(release)
    scheduling.schedule(release=release, actor=Actor(bob.pk, bob.email, "page"), scheduled_for=now() + HOUR)
    planning.start_draft(release=fresh(release), actor=Actor(cleo.pk, cleo.email, "page"))
    run_on(release)
    attempt = Attempt.objects.select_related("run__release__starter", "run__release__version").get(run__release=release)
    from approvals.deciding import approval_of

    assert excluded(attempt, approval_of(attempt)) == {f"{name}@example.com" for name in ("olga", "ann", "bob", "cleo")}


# --- in the API ---------------------------------------------------------------------------------------------------------------------------


def test_a_release_is_scheduled_locked_rescheduled_and_cancelled(api: dict[str, Api], shop: Process) -> None:
    steve = api["steve"]
    when = (now() + HOUR).isoformat()
    made = steve.post("releases/", {"process": "shop", "inputs": {"version": "1.2"}, "scheduled_for": when, "auto_start": True})
    assert made.status_code == 201, made.content
    body, place = made.json(), f"releases/{made.json()['id']}/"
    assert (body["state"], body["auto_start"], body["starter"], body["prepared_by"]) == ("scheduled", True, "steve@example.com", ["steve@example.com"])
    assert [(wait["kind"], wait["verb"]) for wait in body["waiting_for"]] == [("time", "start")]
    assert problem(steve("PATCH", place, {"name": "x"}, If_Match="*"), 409, "wrong_state")["state"] == "scheduled"
    assert problem(steve("DELETE", place, If_Match="*"), 409, "wrong_state")["state"] == "scheduled"
    problem(api["sam"].post(f"{place}cancel/", {"reason": "no"}), 404, "not_found")
    problem(api["rita"].post(f"{place}cancel/", {"reason": "no"}), 403, "not_allowed")
    problem(steve.post(f"{place}cancel/", {}), 422, "reason_needed")
    problem(steve.post(f"{place}reschedule/", {"reason": "later", "scheduled_for": "2030-01-01T10:00:00"}), 422, "invalid")
    later = (now() + 2 * HOUR).isoformat()
    assert steve.post(f"{place}reschedule/?preview=true", {"reason": "later", "scheduled_for": later}).json() == {
        "will": [{"release": body["id"], "activity": None, "from": "scheduled", "to": "scheduled"}]
    }
    assert steve.post(f"{place}reschedule/", {"reason": "later", "scheduled_for": later}).status_code == 200
    assert steve.post(f"{place}cancel/", {"reason": "not now"}).json()["state"] == "cancelled"
    assert problem(steve.post(f"{place}start/", {}), 409, "wrong_state")["state"] == "cancelled"


def test_a_draft_is_scheduled(api: dict[str, Api], shop: Process) -> None:
    steve = api["steve"]
    place = f"releases/{steve.post('releases/', {'process': 'shop', 'inputs': {}}).json()['id']}/"
    wrong = problem(steve.post(f"{place}schedule/", {"scheduled_for": "2020-01-01T10:00:00Z"}), 422, "invalid_inputs")
    assert {one["place"] for one in wrong["problems"]} == {"/inputs/version", "/scheduled_for"}
    for far in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z", "2099-01-01T00:00:00Z"):
        for name in ("scheduled_for", "expected_end"):
            said = steve.post(f"{place}schedule/", {"scheduled_for": (now() + HOUR).isoformat(), name: far})
            assert (said.status_code, f"/{name}" in {one["place"] for one in said.json()["problems"]}) == (422, True), (far, name)
    seen = steve("PATCH", place, {"inputs": {"version": "1.2"}}, If_Match="*")["ETag"]
    Release.objects.filter(pk=int(place.split("/")[1])).update(auto_start=True)
    problem(steve("PATCH", place, {"name": "x"}, If_Match=seen), 412, "stale")
    Release.objects.filter(pk=int(place.split("/")[1])).update(auto_start=False)
    problem(api["rita"].post(f"{place}schedule/", {"scheduled_for": (now() + HOUR).isoformat()}), 403, "not_allowed")
    assert steve.post(f"{place}schedule/", {"scheduled_for": (now() + HOUR).isoformat()}).json()["state"] == "scheduled"
    assert problem(steve.post(f"{place}schedule/", {"scheduled_for": (now() + HOUR).isoformat()}), 409, "wrong_state")["state"] == "scheduled"
    assert steve.post(f"{place}start/", {}).json()["state"] == "running"


FIELDS = {
    "identifier": "spring-24",
    "description": "All of *spring*.",
    "tags": ["mobile", "eu"],
    "release_version": "24.1",
    "colour": "teal",
    "links": [{"url": "https://tickets.example.com/REL-1", "title": "REL-1"}],
    "owners": ["user:olga@example.com"],
    "phase_owners": {"ship": ["group:dev"]},
}


def test_what_a_release_says_of_itself(api: dict[str, Api], shop: Process) -> None:
    steve = api["steve"]
    made = steve.post("releases/", {"process": "shop", "name": "Frühling 24", "inputs": {"version": "1.2"}})
    body, place = made.json(), f"releases/{made.json()['id']}/"
    assert body["identifier"] == f"fruhling-24-{body['id']}"
    changed = steve("PATCH", place, FIELDS, If_Match=made["ETag"])
    assert changed.status_code == 200, changed.content
    assert {name: changed.json()[name] for name in FIELDS} == FIELDS
    assert changed["ETag"] != made["ETag"]
    assert {a["id"]: a["owners"] for a in changed.json()["activities"]} == {
        "compile": ["group:dev"],
        "qa": ["user:olga@example.com"],
        "deploy": ["group:dev"],
    }
    assert [row["id"] for row in steve.get("releases/?tag=mobile").json()["results"]] == [body["id"]]
    assert steve.get("releases/?tag=mobi").json()["results"] == []
    assert problem(steve.post("releases/", {"process": "shop", "identifier": "spring-24"}), 409, "identifier_taken")
    again = steve.post("releases/", {"like": body["id"]}).json()
    assert (again["tags"], again["links"], again["owners"]) == (FIELDS["tags"], FIELDS["links"], [])
    assert again["identifier"] == f"fruhling-24-{again['id']}"
    assert steve("PATCH", place, {"version": 1}, If_Match="*").json()["version_pinned"] is True
    assert steve("PATCH", place, {"version": None}, If_Match="*").json()["version_pinned"] is False


def test_every_problem_is_said_at_its_place(api: dict[str, Api], shop: Process) -> None:
    wrong = {
        "identifier": "Not So",
        "tags": ["a", "a", "b,c"],
        "release_version": "1.2-beta",
        "colour": "plaid",
        "links": [{"url": "javascript:alert(1)"}, {"url": "ftp://example.com"}, {"url": "https://"}],
        "owners": ["olga", "user:nobody@example.com"],
        "phase_owners": {"nowhere": ["group:dev"]},
        "inputs": {"version": "x"},
        "start": True,
    }
    said = problem(api["steve"].post("releases/", {"process": "shop", **wrong}), 422, "invalid_inputs")
    places = ["/identifier", "/release_version", "/colour", "/tags/1", "/tags/2", "/links/0/url", "/links/1/url", "/links/2/url"]
    assert [one["place"] for one in said["problems"]] == [*places, "/owners/0", "/owners/1", "/phase_owners/nowhere", "/inputs/version"]
    assert not Release.objects.exists()


def test_the_clock_starts_nothing_that_could_then_never_be_decided() -> None:
    """S18 is asked again when its time comes: who was to decide has become who starts it."""
    quinn = factories.person("quinn")
    release = scheduled(manual("ask", of=("user:quinn@example.com",), approval={"exclude": ["starter"]}), auto_start=True)
    Release.objects.filter(pk=release.pk).update(starter=quinn)
    time_has_come(release)
    for _ in range(2):
        sweep.sweep()
    after = fresh(release)
    assert (after.state, after.auto_start, after.due_since is not None) == ("scheduled", False, True)
    assert "could never be decided" in after.reason
    assert "quinn@example.com" in after.reason
    assert events(release).count("release.start_failed") == 1
