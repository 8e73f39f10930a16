"""A worker killed with -9 in the middle of a script: nothing stuck, no `once` effect twice, a `keyed` one again with the same key (S22)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from releases import doorbell, draining, operating, sweep
from releases.models import Attempt, Release
from tests.releases import invariants
from tests.releases.driving import run_on
from tests.releases.scenes import ACTOR, attempts, events, fresh, later, noop, run, running, states

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

WORKER = """
import os, django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = os.environ["TEST_DATABASE"]
from releases import doorbell, draining
doorbell.ring = lambda *_: None
print("working", flush=True)
draining.drain("slow", seconds=60)
"""


@pytest.fixture(autouse=True)
def scripts(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.RELORCH_ALLOW_SCRIPTS = True
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    yield
    assert invariants.broken() == {}


def effects(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def killed_in_the_middle(path: Path) -> None:
    """A worker of its own process, killed once its script has had its effect."""
    before = len(effects(path))
    environment = {**os.environ, "TEST_DATABASE": str(connection.settings_dict["NAME"]), "RELORCH_ALLOW_SCRIPTS": "1"}
    worker = subprocess.Popen([sys.executable, "-W", "ignore", "-c", WORKER], env=environment, cwd=Path(__file__).parents[2], start_new_session=True)
    try:
        until = time.monotonic() + 40
        while len(effects(path)) == before:
            assert worker.poll() is None, "the worker ended by itself"
            assert time.monotonic() < until, "the script never began"
            time.sleep(0.05)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()


def release_with(path: Path, effect: str, **keys: Any) -> Release:
    """Its script writes its key, and the first time then takes for ever."""
    text = f'if [ -e "{path}" ]; then again=1; fi\necho "$RELORCH_IDEMPOTENCY_KEY" >> "{path}"\nif [ -z "$again" ]; then sleep 600; fi'
    return running({"id": "it", "type": "automated", "connector": "script", "effect": effect, "with": {"run": text}, **keys}, noop("then", "it"))


def test_a_once_effect_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "effects"
    release = release_with(path, "once", retry={"attempts": 5, "delay": "1s"})
    killed_in_the_middle(path)
    assert states(release)["it"] == "running"
    sweep.sweep()
    assert states(release)["it"] == "running", "its lease still holds"
    later(release, 60)
    sweep.sweep()
    assert (run(release, "it").state, run(release, "it").code) == ("interrupted", "worker_lost")
    draining.drain("slow", seconds=5)
    assert len(effects(path)) == 1
    assert attempts(release, "it") == ["interrupted"]
    operating.ignore(release=release.pk, activity="it", actor=ACTOR, reason="it was done")
    run_on(release)
    assert fresh(release).state == "partially_succeeded"


def test_a_keyed_effect_is_repeated_with_its_key(tmp_path: Path) -> None:
    path = tmp_path / "effects"
    release = release_with(path, "keyed")
    killed_in_the_middle(path)
    later(release, 60)
    sweep.sweep()
    assert states(release)["it"] == "queued"
    draining.drain("slow", seconds=20)
    run_on(release)
    assert fresh(release).state == "succeeded"
    attempt = Attempt.objects.get(run__release=release, run__key="it")
    assert effects(path) == [str(attempt.key)] * 2
    assert (attempt.number, attempt.lost, attempt.fence) == (1, 1, 3)
    assert events(release, "attempt.worker_lost") == ["it"]
