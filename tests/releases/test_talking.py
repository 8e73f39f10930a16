"""Comments and attachments: whoever sees a release may, a stranger gets 404; who is mentioned is told; nothing said vanishes without a mark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from processes.models import Process
from releases import operating, talking
from releases.models import Attachment, Comment, Release
from relorch.accounts.models import User
from relorch.audit.models import Event
from relorch.lib import files
from tests.processes.conftest import Api
from tests.releases.driving import run_on, started
from tests.releases.scenes import ACTOR

pytestmark = pytest.mark.django_db(transaction=True)
PDF = b"%PDF-1.7\n%%EOF\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path / "files"
    return settings.MEDIA_ROOT


@pytest.fixture
def release(shop: Process, people: dict[str, User]) -> Release:
    """It waits for QA."""
    made = started(shop, people["steve"], version="1.2")
    run_on(made)
    return made


def told(release: Release, verb: str) -> list[Any]:
    rows = Event.objects.filter(stream=f"release:{release.root_id}", verb=verb).order_by("sequence")
    return [json.loads(row.record)["data"] for row in rows]


def upload(api: Api, path: str, name: str = "report.pdf", content: bytes = PDF, **more: str) -> Any:
    return api.client.post(f"/api/v1/{path}", {"file": SimpleUploadedFile(name, content), **more})


def page_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_a_thread_tells_those_it_mentions_and_nobody_else(release: Release, api: dict[str, Api], people: dict[str, User]) -> None:
    """Sam sees nothing here: mentioning does not let anybody in."""
    path = f"releases/{release.pk}/activities/qa/comments/"
    text = "@quentin@example.com, @Sam@example.com: look. Mail me at not@example.com. @nobody@example.com @quentin@example.com"
    made = api["rita"].post(path, {"text": text})
    assert made.status_code == 201, made.content
    assert made.json()["not_told"] == ["sam@example.com", "nobody@example.com"]
    assert told(release, "comment.added") == [{"comment": made.json()["id"], "to": ["quentin@example.com"]}]
    assert api["rita"].post(path, {"text": "and you", "mention": ["quirin@example.com"]}).json()["text"] == "@quirin@example.com and you"
    assert [row["by"] for row in api["quentin"].get(path).json()["results"]] == ["rita@example.com"] * 2
    assert [row["activity"] for row in api["quentin"].get(f"releases/{release.pk}/comments/").json()["results"]] == ["qa", "qa"]


@pytest.mark.parametrize("path", ["comments/", "activities/qa/comments/", "attachments/", "activities/qa/attachments/"])
def test_strangers_get_404_and_unknown_activities_too(release: Release, api: dict[str, Api], people: dict[str, User], path: str) -> None:
    whole = f"releases/{release.pk}/{path}"
    assert api["sam"].get(whole).status_code == 404
    assert api["sam"].post(whole, {"text": "hello"}).status_code == 404 if "comments" in path else upload(api["sam"], whole).status_code == 404
    assert page_of(people["sam"]).post(f"/{whole}", {"text": "hello"}).status_code == 404
    assert api["rita"].get(whole.replace("qa", "nothing")).status_code == (404 if "qa" in whole else 200)
    assert not Comment.objects.exists()
    assert not Attachment.objects.exists()


def test_a_changed_comment_says_so_and_a_deleted_one_leaves_a_mark(release: Release, api: dict[str, Api]) -> None:
    path = f"releases/{release.pk}/comments/"
    number = api["rita"].post(path, {"text": "frist"}).json()["id"]
    one = f"{path}{number}/"
    assert api["quentin"]("PATCH", one, {"text": "mine now"}).status_code == 403
    assert api["quentin"]("DELETE", one).status_code == 403
    assert api["sam"]("PATCH", one, {"text": "x"}).status_code == 404
    changed = api["rita"]("PATCH", one, {"text": "first, @quentin@example.com"}).json()
    assert (changed["text"], bool(changed["edited_at"]), [was["text"] for was in changed["earlier"]]) == ("first, @quentin@example.com", True, ["frist"])
    assert told(release, "comment.changed") == [{"comment": number, "to": ["quentin@example.com"]}]
    assert api["rita"]("PATCH", one, {"text": "  "}).status_code == 422
    gone = api["rita"]("DELETE", one).json()
    assert (gone["text"], gone["earlier"], bool(gone["deleted_at"])) == ("", [], True)
    assert api["rita"]("PATCH", one, {"text": "back"}).status_code == 409
    assert api["rita"]("DELETE", one).status_code == 409
    assert [row["deleted_at"] is not None for row in api["quentin"].get(path).json()["results"]] == [True]
    assert "frist" not in "".join(Event.objects.values_list("record", flat=True)), "what was taken back is nowhere any more"


def test_a_token_proposes_while_people_are_asked(release: Release, api: dict[str, Api]) -> None:
    """S14: it never counts as a vote."""
    path = f"releases/{release.pk}/activities/qa/comments/"
    made = api["quentin"].post(path, {"text": "all green", "proposes": "approve"}).json()
    assert (made["proposes"], made["door"], made["attempt"]) == ("approve", "api", 1)
    state = api["quentin"].get(f"releases/{release.pk}/activities/qa/sign_offs/").json()
    assert (state["verdict"], state["votes"], [row["proposes"] for row in state["proposals"]]) == ("open", [], ["approve"])
    assert api["quentin"].post(path, {"text": "x", "proposes": "perhaps"}).json()["problems"][0]["place"] == "/proposes"
    assert api["quentin"].post(f"releases/{release.pk}/comments/", {"text": "x", "proposes": "approve"}).status_code == 422
    assert api["quentin"].post(path.replace("qa", "deploy"), {"text": "x", "proposes": "approve"}).status_code == 409
    operating.skip(release=release.pk, activity="qa", actor=ACTOR, reason="no need")
    late = api["quentin"].post(path, {"text": "x", "proposes": "approve"})
    assert (late.status_code, late.json()["state"]) == (409, "skipped")
    assert api["quentin"].post(path, {"text": "a pity"}).status_code == 201, "talking goes on"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"text": ""}, "required"),
        ({"text": "x" * 10_001}, "too_long"),
        ({"text": "x" * 9_990, "mention": ["ann@example.com"]}, "too_long"),
        ({"text": " ", "mention": ["ann@example.com"]}, "required"),
        ({}, "required"),
        ({"text": "x", "txet": "y"}, "unknown_key"),
        ({"text": ["x"]}, "invalid"),
    ],
)
def test_bad_comments_are_refused_with_their_place(release: Release, api: dict[str, Api], body: Any, code: str) -> None:
    answer = api["rita"].post(f"releases/{release.pk}/comments/", body)
    assert (answer.status_code, answer.json()["problems"][0]["code"]) == (422, code)


def test_markdown_does_nothing_on_the_page(release: Release, people: dict[str, User]) -> None:
    client = page_of(people["rita"])
    evil = "<script>alert(1)</script> **bold** [x](javascript:alert(1)) <img src=x onerror=alert(1)> ![p](http://tracker.example/p.png)"
    assert client.post(f"/releases/{release.pk}/activities/qa/comments/", {"text": evil}).status_code == 302
    text = client.get(f"/releases/{release.pk}/activities/qa/?tab=comments").content.decode()
    thread = text[text.index('<article class="row') : text.index("</article>")]
    assert "<strong>bold</strong>" in thread
    shown = thread[: thread.index("<details")]
    assert "<script" not in shown
    assert "<img" not in shown
    assert 'href="javascript' not in shown


def test_a_file_is_brought_listed_given_out_and_taken_back(release: Release, api: dict[str, Api], home: Path) -> None:
    path = f"releases/{release.pk}/activities/qa/attachments/"
    made = upload(api["rita"], path)
    assert made.status_code == 201, made.content
    said = made.json()
    assert (said["name"], said["size"], said["media"], said["by"], said["activity"]) == ("report.pdf", len(PDF), "application/pdf", "rita@example.com", "qa")
    one = f"releases/{release.pk}/attachments/{said['id']}/"
    answer = api["quentin"].get(one)
    assert b"".join(answer.streaming_content) == PDF
    assert (answer["X-Content-Type-Options"], "sandbox" in answer["Content-Security-Policy"]) == ("nosniff", True)
    assert answer["Content-Disposition"] == 'attachment; filename="report.pdf"'
    assert api["sam"].get(one).status_code == 404
    assert api["rita"].get(f"releases/{started_again(release).pk}/attachments/{said['id']}/").status_code == 404, "by its own release only"
    assert told(release, "attachment.added")[0]["hash"] == said["hash"]
    assert api["quentin"]("DELETE", one).status_code == 403
    assert api["rita"]("DELETE", one).status_code == 204
    assert api["rita"].get(one).status_code == 404
    assert not files.path_of(said["hash"]).exists(), "nothing names it any more"
    assert api["rita"].get(path).json()["results"] == []


def started_again(release: Release) -> Release:
    return started(release.process, release.starter, version="1.3")


def test_a_content_stays_while_anything_names_it(release: Release, api: dict[str, Api]) -> None:
    path = f"releases/{release.pk}/attachments/"
    one, two = upload(api["rita"], path).json(), upload(api["quentin"], path, "copy.pdf").json()
    assert one["hash"] == two["hash"]
    assert api["rita"]("DELETE", f"{path}{one['id']}/").status_code == 204
    assert files.path_of(two["hash"]).exists()


def test_a_file_that_is_refused_does_not_stay(release: Release, people: dict[str, User]) -> None:
    kept = files.keep([PDF], "report.pdf")
    with pytest.raises(LookupError):
        talking.attach(release=release.pk, activity="nowhere", actor=ACTOR, kept=kept)
    assert not files.path_of(kept.hash).exists()


def test_uploads_are_refused_in_the_order_of_the_api(release: Release, api: dict[str, Api], monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"releases/{release.pk}/activities/qa/attachments/"
    assert api["rita"].post(path, {"file": "no"}).status_code == 415
    assert api["rita"].client.post(f"/api/v1/{path}", {}).json()["problems"][0]["place"] == "/file"
    wrong = upload(api["rita"], path, "page.html", b"<html>")
    assert (wrong.status_code, wrong.json()["problems"][0]["code"]) == (422, "file_kind")
    assert upload(api["rita"], path, field="nothing").json()["problems"][0]["place"] == "/field"
    monkeypatch.setattr(files, "LARGEST", 10)
    assert upload(api["rita"], path).status_code == 413
    assert upload(api["sam"], path, content=b"x" * 2_000_000).status_code == 413, "before anything is looked up"
    assert not Attachment.objects.exists()


def test_a_page_shows_threads_with_a_constant_number_of_queries(release: Release, api: dict[str, Api], people: dict[str, User]) -> None:
    client = page_of(people["quentin"])

    def count(path: str) -> int:
        client.get(path)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(path).status_code == 200
        return len(queries)

    pages = [f"/releases/{release.pk}/", f"/releases/{release.pk}/activities/qa/?tab=comments", f"/api/v1/releases/{release.pk}/comments/"]
    path = f"releases/{release.pk}/activities/qa/"
    api["rita"].post(f"{path}comments/", {"text": "one"})
    upload(api["rita"], f"{path}attachments/")
    before = [count(page) for page in pages]
    for who in ("rita", "quentin", "quirin"):
        api[who].post(f"{path}comments/", {"text": "more"})
        upload(api[who], f"{path}attachments/")
    assert [count(page) for page in pages] == before


def test_a_page_without_scripts_says_what_came_of_it(release: Release, people: dict[str, User]) -> None:
    client = page_of(people["quentin"])
    here = f"/releases/{release.pk}/activities/qa/"
    answer = client.post(f"{here}comments/", {"text": "@sam@example.com please", "next": f"{here}?tab=comments"}, follow=True)
    assert answer.redirect_chain == [(f"{here}?tab=comments", 302)]
    text = answer.content.decode()
    assert "Your comment was added." in text
    assert "Not told" in text
    assert "@sam@example.com please" in text
    assert client.post(f"{here}comments/", {"text": " ", "next": "https://evil.example/"}).headers["Location"].startswith(here)
    number = Comment.objects.get().pk
    assert "edited" in client.post(f"/releases/{release.pk}/comments/{number}/", {"text": "now"}, follow=True).content.decode()
    assert page_of(people["rita"]).post(f"/releases/{release.pk}/comments/{number}/", {"text": "hers"}).status_code == 302
    assert Comment.objects.get().text == "now"
    client.post(f"/releases/{release.pk}/comments/{number}/", {"delete": "1"})
    assert "This comment was deleted" in client.get(f"{here}?tab=comments").content.decode()
    sent = client.post(f"{here}attachments/", {"file": SimpleUploadedFile("report.pdf", PDF)}, follow=True).content.decode()
    assert "report.pdf was attached" in sent
    file = Attachment.objects.get()
    assert b"".join(client.get(f"/releases/{release.pk}/attachments/{file.pk}/").streaming_content) == PDF
    assert "not taken" in client.post(f"{here}attachments/", {"file": SimpleUploadedFile("page.html", b"<b>")}, follow=True).content.decode()
    client.post(f"/releases/{release.pk}/attachments/{file.pk}/remove/", {})
    assert client.get(f"/releases/{release.pk}/attachments/{file.pk}/").status_code == 404
