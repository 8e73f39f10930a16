"""The demo's people and processes in a test's database, with a few threads as its workers, and scenarios that are all played at once."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from processes.models import Process
from releases import doorbell, planning
from releases.draining import drain
from releases.engine import Actor
from releases.models import ActivityRun, Release
from releases.sweep import sweep
from relorch.accounts.models import User
from relorch.demo import EXAMPLES, playing

log = logging.getLogger(__name__)

APP = EXAMPLES / "app"
AT_ONCE = 4
SECONDS = 150
"""For one scenario, on a machine with other things to do; an idle one needs five."""


class Rests(Exception):
    """It has come to where the scenario ends, or waits for help that nobody gives here."""


@dataclass(frozen=True)
class Scenario:
    """A release to play: its inputs, whom the people turn down, and where it stays when it does not run to its end."""

    process: str
    inputs: dict[str, Any] = field(default_factory=dict)
    reject: Sequence[str] = ()
    rests_at: str = ""


class Played:
    """A release that has been played, and what its activities did."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.runs = {run.key: run for run in ActivityRun.objects.filter(release=release).select_related("phase_run")}
        self.workspace = Path(settings.RELORCH_HOME) / "workspaces" / str(release.root_id)

    @property
    def state(self) -> str:
        """Of the release."""
        return self.release.state

    def states(self, *activities: str) -> list[str]:
        """Of some activities, in this order."""
        return [self.runs[key].state for key in activities]

    def of_phase(self, phase: str) -> set[str]:
        """The states that occur in a phase."""
        return {run.state for run in self.runs.values() if run.phase_run.key == phase}

    def outputs(self, activity: str) -> dict[str, Any]:
        """What an activity handed over."""
        found: dict[str, Any] = self.runs[activity].outputs
        return found

    def children(self) -> list[Release]:
        """The releases that it called, in the order in which they were made."""
        return list(Release.objects.filter(root_id=self.release.root_id).exclude(pk=self.release.pk).order_by("pk"))

    def story(self) -> str:
        """For the message of an assertion: every activity of the tree that has moved."""
        runs = ActivityRun.objects.filter(root_id=self.release.root_id).exclude(state="pending").order_by("release_id", "position")
        return "\n".join(f"{run.release_id} {run.key}: {run.state} {run.code} {run.message}" for run in runs)


class Playhouse:
    """Plays scenarios, a few at the same time, each at most once; `played` waits for one."""

    def __init__(self, people: Sequence[User], scenarios: dict[str, Scenario], pool: ThreadPoolExecutor) -> None:
        self._people = people
        self._futures: dict[str, Future[int]] = {name: pool.submit(self._play, name, one) for name, one in scenarios.items()}

    def played(self, name: str) -> Played:
        """The release of a scenario when it is over, or where it rests."""
        found = self._futures[name].result(SECONDS * 2)
        return Played(Release.objects.get(pk=found))

    def _play(self, name: str, scenario: Scenario) -> int:
        def watch(release: Release) -> None:
            moved = ActivityRun.objects.filter(root_id=release.root_id)
            if moved.filter(key=scenario.rests_at, state="waiting").exists() or moved.filter(state="on_hold").exists():
                raise Rests

        try:
            starter, *deciders = self._people
            release = planning.start(
                process=Process.objects.get(identifier=scenario.process),
                given={"app_dir": str(APP), **scenario.inputs},
                actor=Actor(starter.pk, starter.email, "demo"),
                starter=starter,
                name=name,
            )
            with contextlib.suppress(Rests):
                playing.play(release, deciders, reject=scenario.reject, seconds=SECONDS, watch=watch)
            return release.pk
        finally:
            connection.close()


@contextlib.contextmanager
def workers(slots: int = 4) -> Iterator[None]:
    """Engine, scripts and clock as threads of this process, woken by the bell; they end with the block."""
    over = threading.Event()
    bells = {lane: threading.Semaphore(0) for lane in doorbell.QUEUES}
    real = doorbell.ring

    def ring(lane: str, queue: str) -> None:
        bells[lane].release()

    def listen(lane: str, work: Callable[[], object], every: float) -> None:
        try:
            while not over.is_set():
                bells[lane].acquire(timeout=every)
                try:
                    work()
                except Exception:
                    log.exception("a worker of the test failed")
        finally:
            connection.close()

    def strike() -> None:
        sweep()
        drain("engine")

    threads = [threading.Thread(target=listen, args=("engine", strike, 0.3))]
    threads += [threading.Thread(target=listen, args=("slow", lambda: drain("slow"), 0.5)) for _ in range(slots)]
    doorbell.ring = ring
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
        doorbell.ring = real


def stop_everything() -> None:
    """Whatever server a release of this home has left running."""
    command = [sys.executable, "-B", str(APP / "tools" / "stop.py"), "--below", str(settings.RELORCH_HOME)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
