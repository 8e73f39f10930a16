"""Forms, evidence and checklists (S17a): filled in with or without a vote, part of the packet, and a change asks those again who have voted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from approvals.models import SignOff
from releases import operating
from releases.models import ActivityRun, Attachment, Release, Task, TaskChange
from relorch.accounts.models import User
from relorch.audit.models import Event
from tests import factories
from tests.processes.conftest import Api
from tests.releases.driving import run_on, started
from tests.releases.scenes import ACTOR

pytestmark = pytest.mark.django_db(transaction=True)
PDF = b"%PDF-1.7\n%%EOF\n"
FIELDS = {
    "summary": {"type": "text", "required": True, "min_length": 5},
    "report": {"type": "file", "required": True, "accept": [".pdf"], "max_size": "1KB"},
}
TASKS = [
    {"id": "smoke", "name": "Smoke test of ${{ inputs.version }}", "required": True, "owners": ["user:dora@example.com"], "expected": "2h"},
    {"id": "eu", "required": "inputs.region == 'eu'"},
    {"id": "us", "required": "${{ inputs.region == 'us' }}"},
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "files"


class World:
    """QA (two of Quentin, Quirin and Una) decides; Dora owns a task, Olga is responsible, Rita sees it, Sam does not."""

    def __init__(self, people: dict[str, User], *, count: int = 2, **manual: Any) -> None:
        self.people = people
        people["una"] = factories.person("una")
        people["quentin"].groups.get().user_set.add(people["una"])
        approval = {"requires": [{"count": count, "of": ["group:qa"]}], "allow_tokens": True}
        question = {"id": "qa", "name": "QA", "type": "manual", "owners": ["user:olga@example.com"], "approval": approval, **manual}
        then = {"id": "then", "type": "automated", "connector": "noop", "depends_on": ["qa"], "with": {"outputs": {}}}
        inputs = {"version": {"type": "string", "default": "1.2"}, "region": {"type": "choice", "options": ["eu", "us"], "default": "eu"}}
        self.process = factories.process("filled", owners=["user:olga@example.com"], inputs=inputs, phases=[{"id": "one", "activities": [question, then]}])
        factories.version(self.process)
        for who in ("rita", "dora"):
            factories.allow(people[who], "view_process", self.process)
        self.api = {name: Api(user) for name, user in people.items()}
        self.release = self.start()

    def start(self) -> Release:
        release = started(self.process, self.people["steve"])
        run_on(release)
        return release

    def path(self, rest: str, release: Release | None = None) -> str:
        return f"releases/{(release or self.release).pk}/activities/qa/{rest}"

    def post(self, who: str, rest: str, body: Any) -> Any:
        return self.api[who].post(self.path(rest), body)

    def vote(self, who: str, **more: Any) -> Any:
        return self.post(who, "sign_offs/", {"decision": "approve", **more})

    def attach(self, who: str = "olga", name: str = "report.pdf", content: bytes = PDF, field: str = "report") -> Any:
        sent = {"file": SimpleUploadedFile(name, content), "field": field}
        return self.api[who].client.post(f"/api/v1/{self.path('attachments/')}", sent)

    def move(self, who: str, task: str, **body: Any) -> Any:
        return self.api[who]("PATCH", self.path(f"tasks/{task}/"), body)

    def seen(self) -> Any:
        return self.api["quentin"].get(self.path("sign_offs/")).json()

    def told(self, verb: str) -> list[Any]:
        rows = Event.objects.filter(stream=f"release:{self.release.pk}", verb=verb).order_by("sequence")
        return [json.loads(row.record)["data"] for row in rows]

    def state(self) -> str:
        return str(ActivityRun.objects.get(release=self.release, key="qa").state)


# --- forms and evidence -------------------------------------------------------------------------------------------------------------------


def test_a_responsible_person_fills_in_and_two_approve_what_is_there(people: dict[str, User]) -> None:
    world = World(people, fields=FIELDS)
    assert world.vote("quentin").json()["problems"][0]["place"] == "/fields/summary"
    before = world.seen()["packet"]["hash"]
    file = world.attach().json()
    filled = world.post("olga", "fill/", {"fields": {"summary": "All green", "report": file["id"]}})
    assert filled.status_code == 200, filled.content
    evidence = {"name": "report.pdf", "size": len(PDF), "hash": file["hash"], "link": file["link"], "attachment": file["id"]}
    assert filled.json()["fields_filled"] == {"summary": "All green", "report": evidence}
    assert filled.json()["packet"] == world.seen()["packet"]["hash"] != before
    assert world.told("form.filled")[0]["fields"] == ["report", "summary"]
    assert world.vote("quentin", packet=before).status_code == 409
    assert world.vote("quentin").status_code == world.vote("una").status_code == 201
    assert ActivityRun.objects.get(release=world.release, key="qa").outputs == {"summary": "All green", "report": evidence}
    assert SignOff.objects.first().packet.content["filled"]["report"]["hash"] == file["hash"]
    assert world.api["olga"]("DELETE", f"releases/{world.release.pk}/attachments/{file['id']}/").json()["code"] == "evidence"


def test_filling_in_after_a_vote_asks_that_person_again(people: dict[str, User]) -> None:
    world = World(people, fields={"summary": {"type": "text"}})
    assert world.vote("quentin").status_code == 201
    assert world.post("olga", "fill/", {"fields": {"summary": "Now with words"}}).status_code == 200
    assert [vote["stale"] for vote in world.seen()["votes"]] == [True]
    assert world.told("sign_off.stale") == [{"because": "form", "people": ["quentin@example.com"], "to": ["quentin@example.com"]}]
    assert world.post("olga", "fill/", {"fields": {"summary": "Now with words"}}).status_code == 200
    assert len(world.told("form.filled")) == 1, "the same again changes nothing"
    assert world.vote("una").json()["verdict"] == "open"
    assert world.vote("quentin").json()["verdict"] == "approved"


@pytest.mark.parametrize("who", ["rita", "dora", "steve", "sam"])
def test_who_is_neither_responsible_nor_decides_does_not_fill_in(people: dict[str, User], who: str) -> None:
    world = World(people, fields={"summary": {"type": "text"}})
    refused = world.post(who, "fill/", {"fields": {"summary": "mine"}})
    assert refused.status_code == (404 if who == "sam" else 403)
    assert world.seen()["packet"]["fields_filled"] == {}


def test_evidence_is_looked_up_and_not_described(people: dict[str, User]) -> None:
    world = World(people, fields=FIELDS)
    other = world.start()
    elsewhere = (
        world.api["olga"]
        .client.post(f"/api/v1/{world.path('attachments/', other)}", {"file": SimpleUploadedFile("other.pdf", PDF), "field": "report"})
        .json()["id"]
    )
    forged = {"name": "x.pdf", "size": 1, "hash": "0" * 64, "link": "https://evil.example"}
    for value in (forged, elsewhere, 0, -1, 10**30, True, "1", {"attachment": elsewhere}, [1]):
        refused = world.post("olga", "fill/", {"fields": {"report": value}})
        assert (refused.status_code, refused.json()["problems"][0]["place"]) == (422, "/fields/report"), value
    assert world.attach(name="shot.png", content=b"\x89PNG\r\n\x1a\nx").json()["problems"][0]["code"] == "file_kind"
    assert world.attach(content=PDF + b" " * 2000).status_code == 413
    plain = world.attach(field="", name="notes.txt", content=b"words").json()["id"]
    assert world.post("olga", "fill/", {"fields": {"report": plain}}).json()["problems"][0]["code"] == "not_an_option"
    assert Attachment.objects.count() == 2


def test_null_takes_a_value_away_and_a_closed_form_is_closed(people: dict[str, User]) -> None:
    world = World(people, fields={"summary": {"type": "text"}, "count": {"type": "integer"}})
    world.post("olga", "fill/", {"fields": {"summary": "words", "count": 3}})
    assert world.post("olga", "fill/", {"fields": {"summary": None}}).json()["fields_filled"] == {"count": 3}
    assert world.post("olga", "fill/", {"fields": {"count": "three"}}).status_code == 422
    assert world.post("olga", "fill/", {"fields": {"summary": "x"}, "packet": "0" * 64}).status_code == 409
    assert world.post("olga", "fill/", {}).status_code == 422
    operating.skip(release=world.release.pk, activity="qa", actor=ACTOR, reason="no need")
    late = world.post("olga", "fill/", {"fields": {"count": 4}})
    assert (late.status_code, late.json()["state"]) == (409, "skipped")
    assert world.post("rita", "fill/", {"fields": {"count": 4}}).status_code == 403, "an outsider learns nothing of the end"


# --- checklists ---------------------------------------------------------------------------------------------------------------------------


def test_required_tasks_come_before_an_approval_and_none_before_a_rejection(people: dict[str, User]) -> None:
    world = World(people, tasks=TASKS, count=1)
    shown = world.api["rita"].get(world.path("tasks/")).json()["results"]
    assert [(task["id"], task["name"], task["required"], task["status"]) for task in shown] == [
        ("smoke", "Smoke test of 1.2", True, "todo"),
        ("eu", "eu", True, "todo"),
        ("us", "us", False, "todo"),
    ]
    assert (shown[0]["expected"], shown[0]["owners"]) == (7200, ["user:dora@example.com"])
    refused = world.vote("quentin")
    assert (refused.status_code, [found["place"] for found in refused.json()["problems"]]) == (422, ["/tasks/smoke", "/tasks/eu"])
    assert world.move("dora", "smoke", status="done").status_code == 200
    assert world.move("dora", "eu", status="done").status_code == 403, "not hers"
    assert world.move("olga", "eu", status="failed", note="no").status_code == 200
    assert world.vote("quentin").json()["problems"][0]["message"].endswith("it is failed.")
    assert world.move("olga", "eu", status="done").status_code == 200
    assert world.vote("quentin").status_code == 201
    assert world.state() == "succeeded"
    assert [task["status"] for task in SignOff.objects.get().packet.content["tasks"]] == ["done", "done", "todo"]
    late = world.move("olga", "us", status="done")
    assert (late.status_code, "approved by" in late.json()["detail"]) == (409, True)
    other = world.start()
    assert world.api["quentin"].post(world.path("sign_offs/", other), {"decision": "reject", "comment": "no"}).status_code == 201


def test_a_task_that_moves_asks_those_again_who_have_voted(people: dict[str, User]) -> None:
    world = World(people, tasks=[{"id": "look"}])
    world.vote("quentin")
    assert world.move("olga", "look", actual=60).status_code == 200
    assert not world.seen()["votes"][0]["stale"], "how long it took is not what was decided on"
    assert world.move("olga", "look", status="in_progress").status_code == 200
    assert world.seen()["votes"][0]["stale"]
    assert world.told("sign_off.stale")[0] == {"because": "task", "people": ["quentin@example.com"], "to": ["quentin@example.com"]}
    world.vote("quentin")
    assert world.move("olga", "look", status="in_progress").status_code == 200
    assert not world.seen()["votes"][0]["stale"], "a double click is no change"


def test_the_history_of_a_task_is_newest_first_and_its_times_are_measured(people: dict[str, User]) -> None:
    world = World(people, tasks=TASKS)
    for status in ("in_progress", "blocked", "done", "todo", "done"):
        assert world.move("dora", "smoke", status=status, note=f"to {status}").status_code == 200
    whole = world.api["rita"].get(world.path("tasks/smoke/")).json()
    assert [(row["before"], row["after"], row["by"], row["note"]) for row in whole["history"]][:2] == [
        ("todo", "done", "dora@example.com", "to done"),
        ("done", "todo", "dora@example.com", "to todo"),
    ]
    assert whole["actual"] == 0
    assert world.move("dora", "smoke", actual=5400).json()["actual"] == 5400
    assert TaskChange.objects.count() == 5
    assert world.move("dora", "smoke", name="Smoke test, twice", description="In both browsers").json()["name"] == "Smoke test, twice"
    listed = world.api["rita"].get(f"releases/{world.release.pk}/tasks/?status=done,blocked").json()["results"]
    assert [task["id"] for task in listed] == ["smoke"]
    assert world.api["rita"].get(f"releases/{world.release.pk}/tasks/?status=doen").status_code == 422
    assert world.api["sam"].get(f"releases/{world.release.pk}/tasks/").status_code == 404


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ""),
        ({"status": "finished"}, "/status"),
        ({"name": " "}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"status": "done", "note": "x" * 1025}, "/note"),
        ({"actual": -1}, "/actual"),
        ({"stauts": "done"}, "/stauts"),
    ],
)
def test_bad_changes_of_a_task_are_refused_at_their_place(people: dict[str, User], body: Any, place: str) -> None:
    world = World(people, tasks=TASKS)
    refused = world.move("dora", "smoke", **body)
    assert (refused.status_code, refused.json()["problems"][0]["place"]) == (422, place)
    assert world.move("dora", "nothing", status="done").status_code == 404
    assert set(Task.objects.values_list("status", flat=True)) == {"todo"}


def test_comments_on_a_task_are_short(people: dict[str, User]) -> None:
    world = World(people, tasks=TASKS)
    assert world.post("rita", "tasks/smoke/comments/", {"text": "x" * 1025}).status_code == 422
    made = world.post("rita", "tasks/smoke/comments/", {"text": "x" * 1024}).json()
    assert (made["task"], made["activity"]) == ("smoke", "qa")
    number = made["id"]
    refused = world.api["rita"]("PATCH", f"releases/{world.release.pk}/comments/{number}/", {"text": "y" * 1025})
    assert refused.status_code == 422
    listed = world.api["dora"].get(world.path("tasks/smoke/comments/")).json()["results"]
    assert [row["id"] for row in listed] == [number]
    assert world.post("rita", "tasks/nothing/comments/", {"text": "x"}).status_code == 404


def test_a_retry_begins_a_fresh_checklist(people: dict[str, User]) -> None:
    world = World(people, tasks=TASKS)
    world.move("dora", "smoke", status="done")
    world.post("quentin", "sign_offs/", {"decision": "reject", "comment": "no"})
    operating.retry(release=world.release.pk, activity="qa", actor=ACTOR, reason="again")
    run_on(world.release)
    assert [(task["status"], task["attempt"]) for task in world.api["rita"].get(world.path("tasks/")).json()["results"]] == [("todo", 2)] * 3
    assert len(world.api["rita"].get(f"releases/{world.release.pk}/tasks/").json()["results"]) == 6
