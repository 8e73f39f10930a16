"""A signed address takes one file of just the name, kind and size that were said (H120)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from releases import upload_api
from releases.models import Attachment
from relorch.audit.models import Event
from tests import factories
from tests.processes.conftest import Api
from tests.releases.driving import run_on, started

pytestmark = pytest.mark.django_db(transaction=True)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 92
MP4 = b"\0\0\0\x18ftypmp42" + b"\0" * 88


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path / "files"
    return tmp_path / "files"


class World:
    """Ann of QA is asked, with a field for a picture; Stella knows nothing of it."""

    def __init__(self) -> None:
        self.ann, self.stella = factories.person("ann", groups=(factories.group("qa"),)), factories.person("stella")
        fields = {"photo": {"type": "file", "accept": [".png"], "max_size": "1KB"}}
        ask = {"id": "ask", "type": "manual", "owners": ["group:qa"], "fields": fields}
        process = factories.process("shop", phases=[{"id": "go", "activities": [ask]}])
        factories.version(process)
        self.release = started(process, factories.person("sam"))
        run_on(self.release)

    def asks(self, person: Any = None, activity: str = "activities/ask/", **said: Any) -> Any:
        return Api(person or self.ann).post(f"releases/{self.release.pk}/{activity}attachments/address/", {"name": "rack.png", "size": 100, **said})

    def path(self, **said: Any) -> str:
        answer = self.asks(**said)
        assert answer.status_code == 200, answer.content
        return "/" + answer.json()["url"].split("/", 3)[3]


def send(path: str, content: bytes = PNG) -> Any:
    return Client(enforce_csrf_checks=True).put(path, content, content_type="application/octet-stream")


def kept(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


def test_a_camera_without_an_account_sends_a_picture_once(home: Path) -> None:
    world = World()
    path = world.path(field="photo", media="image/png")
    first = send(path)
    assert first.status_code == 201, first.content
    row = Attachment.objects.get()
    assert (row.by, row.name, row.media, row.size, row.field, row.door) == (world.ann, "rack.png", "image/png", 100, "photo", "api")
    assert send(path).json() == first.json(), "sent again, it is not there twice"
    assert Attachment.objects.count() == Event.objects.filter(verb="attachment.added").count() == 1
    video = world.path(activity="", name="walk.mp4", media="video/mp4")
    assert send(video, MP4).json()["media"] == "video/mp4"


@pytest.mark.parametrize(
    ("content", "status"), [(PNG + b"\0", 413), (MP4, 422), (b"<script>alert(1)</script>", 422), (b"", 422)], ids=["too large", "a video", "a page", "nothing"]
)
def test_what_is_not_what_was_said_is_not_kept(home: Path, content: bytes, status: int) -> None:
    world = World()
    path = world.path()
    assert send(path, content).status_code == status
    assert kept(home) == []
    assert send(path).status_code == 201, "and the address still serves for what was said"


def test_what_would_not_be_taken_gets_no_address_and_every_reason() -> None:
    world = World()
    answer = world.asks(name="notes.pdf", size=2_000, media="image/png", field="photo")
    assert answer.status_code == 422
    assert [problem["place"] for problem in answer.json()["problems"]] == ["/name", "/media", "/size"]
    assert world.asks(name="page.html").json()["problems"][0]["place"] == "/name"
    assert world.asks(field="other").json()["problems"][0]["place"] == "/field"
    assert world.asks(size=0).status_code == world.asks(size=100_000_001).status_code == 422
    assert world.asks(world.stella).status_code == 404


def test_an_address_is_dead_when_it_is_old_or_changed_or_its_person_may_not(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    world = World()
    path = world.path()
    answers = [send(path[:-2] + "x/"), send("/api/v1/uploads/nonsense/"), send(path.replace("/uploads/", "/uploads/W"))]
    group = world.ann.groups.get()
    world.ann.groups.clear()
    answers.append(send(path))
    world.ann.groups.add(group)
    world.ann.is_active = False
    world.ann.save()
    answers.append(send(path))
    world.ann.is_active = True
    world.ann.save()
    monkeypatch.setattr(upload_api, "LASTS", timedelta(seconds=-1))
    answers.append(send(path))
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert kept(home) == []
    assert Client().get(path).status_code == 405
