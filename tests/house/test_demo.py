"""The demo as a whole: played in the terminal, and served twice from one home."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.management import CommandError

from relorch.demo import PASSWORD
from relorch.demo.filling import SCENES
from relorch.demo.loading import is_a_real_home
from relorch.management.commands.serve import Command as Serve
from tests import factories
from tests.house.installation import ROOT, environment, manage, until

PEOPLE = ("lena", "tomas", "priya", "jonas", "aiko", "mara")
LOOK = """
import json
from processes.models import InputSet, Process, ProcessVersion
from releases.models import Release
from relorch.accounts.models import User
counts = {"people": User, "processes": Process, "versions": ProcessVersion, "input sets": InputSet}
counts = {name: model.objects.count() for name, model in counts.items()}
print(json.dumps({"counts": counts, "releases": list(Release.objects.filter(level=1).values_list("name", "state"))}))
"""


def idle() -> bool:
    """Whether this machine has nothing else to do, so that seconds mean something."""
    return os.getloadavg()[0] < (os.cpu_count() or 1)


def about(home: Path) -> list[psutil.Process]:
    """Living processes with the home in their command line, the servers of the shops among them."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(home) in word for word in process.info["cmdline"] or []):
            found.append(process)
    return found


class Demo:
    """A running `manage.py demo`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.said = ""
        self.began = time.monotonic()
        self.errors = home.with_suffix(".err").open("a+")
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", "0", "--home", str(home)],
            cwd=ROOT,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        assert self.process.stdout
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C" in line:
                break
        self.seconds = time.monotonic() - self.began
        found = re.search(r"^ *(http://127\.0\.0\.1:\d+/)$", self.said, re.MULTILINE)
        assert found, self.said + Path(self.errors.name).read_text()
        self.address = found[1]

    def _found(self) -> Any:
        said = manage(self.home, "shell", "-c", LOOK)
        return json.loads(next((line for line in said.stdout.splitlines() if line.startswith('{"counts"')), "") or said.stderr)

    def counts(self) -> dict[str, int]:
        """People, processes, versions and input sets."""
        found: dict[str, int] = self._found()["counts"]
        return found

    def releases(self) -> dict[str, str]:
        """The state of each release; no two have the same name."""
        found: list[tuple[str, str]] = self._found()["releases"]
        assert len(dict(found)) == len(found)
        return dict(found)

    def stop(self, number: signal.Signals) -> None:
        """End it as a person at the terminal does."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        assert self.process.stdout
        self.process.stdout.read()
        self.process.stdout.close()
        self.process.wait(30)
        self.errors.close()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose processes do not survive the test."""
    yield tmp_path / "home"
    for process in about(tmp_path):
        process.kill()


def signed_in(address: str, person: str) -> str:
    """The first page after log-in with the printed password."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar))
    with opener.open(address, timeout=20) as page:
        url, form = page.url, page.read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token
    sent = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1], "login": f"{person}@demo.example", "password": PASSWORD}).encode()
    with opener.open(urllib.request.Request(url, sent, headers={"Referer": url}), timeout=20) as page:
        assert "login" not in page.url, page.read().decode()
        return str(page.read().decode())


@pytest.mark.slow
@pytest.mark.xdist_group("serve")
def test_play_ends_well_and_leaves_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    played = manage(tmp_path, "demo", "--play", TMPDIR=str(tmp_path))
    assert played.returncode == 0, played.stdout + played.stderr
    assert time.monotonic() - began < (90 if idle() else 300)
    assert "staging/deploy_staging succeeded" in played.stdout
    assert "sign_off/qa_sign_off succeeded" in played.stdout
    assert played.stdout.rstrip().endswith("Played in the terminal: succeeded")
    assert about(tmp_path) == []
    assert list(tmp_path.glob("relorch-play-*")) == []


@pytest.mark.slow
@pytest.mark.xdist_group("serve")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_play_can_be_ended_at_any_time(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "manage.py", "demo", "--play"]
    playing = subprocess.Popen(command, cwd=ROOT, env=environment(tmp_path, TMPDIR=str(tmp_path)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert playing.stdout
    said = playing.stdout
    until(lambda: "south_before succeeded" in said.readline(), 150, "a region runs")
    assert any("shop.pyz" in " ".join(process.cmdline()) for process in about(tmp_path))
    playing.send_signal(number)
    assert playing.wait(30) != 0
    said.close()
    assert about(tmp_path) == []
    assert list(tmp_path.glob("relorch-play-*")) == []


@pytest.mark.slow
@pytest.mark.xdist_group("serve")
def test_twice_from_one_home(home: Path) -> None:
    demo = Demo(home)
    try:
        assert PASSWORD in demo.said
        assert all(f"{person}@demo.example" in demo.said for person in PEOPLE)
        assert "Lena Hofer" in signed_in(demo.address, "lena")
        waiting, second = SCENES[0], SCENES[1]
        assert not waiting.decide
        until(lambda: about(home / "workspaces") and second.name in demo.releases(), 200, "one release waits, the next one runs")
        before = demo.counts()
        assert demo.releases()[waiting.name] == "running"
    finally:
        demo.stop(signal.SIGINT)
    assert demo.process.returncode == 0
    assert about(home) == []

    again = Demo(home)
    try:
        assert again.seconds < (5 if idle() else 100)
        assert again.counts()["people"] == len(PEOPLE)
        assert again.counts() == before
        served = until(lambda: about(home / "workspaces" / "1"), 60, "the shop of the waiting release is back")
        assert any("shop.pyz" in " ".join(process.cmdline()) for process in served)
        until(lambda: SCENES[2].name in again.releases(), 200, "it goes on where it was")
        assert again.releases()[waiting.name] == "running"
    finally:
        again.stop(signal.SIGTERM)
    assert again.process.returncode == 0
    assert about(home) == []

    refused = manage(home, "serve", "--host", "0.0.0.0", "--port", "0", RELORCH_BASE_URL="https://release.example.org")
    assert refused.returncode != 0
    assert "whose passwords are public" in refused.stderr
    assert about(home) == []


def demo_person(**fields: Any) -> None:
    factories.User.objects.create_user("lena@demo.example", "known", **fields)


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_demo_people_are_not_let_out(host: str) -> None:
    Serve()._check_people(host)
    demo_person()
    with pytest.raises(CommandError, match=re.escape("@demo.example")):
        Serve()._check_people(host)


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_demo_people_may_be_served_here(host: str) -> None:
    demo_person()
    Serve()._check_people(host)


@pytest.mark.django_db
def test_the_demo_does_not_move_into_a_house_of_others() -> None:
    assert not is_a_real_home()
    factories.person("olga")
    assert is_a_real_home()
    demo_person()
    assert not is_a_real_home()
