"""What tests of connectors share: a call with ears, scripts allowed, and a look at the machine's processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from releases.connectors.base import Call, Done
from releases.connectors.script import Script

TAG = "SURVIVOR_TAG"


@dataclass
class Ran:
    """An attempt that has ended, and what it wrote."""

    end: Done
    log: str
    seconds: float


@dataclass
class Machine:
    """Runs scripts as an attempt would."""

    home: Path
    workspace: Path
    logs: list[str] = field(default_factory=list)

    def run(self, run: str, env: Mapping[str, Any] | None = None, *, stop_after: float | None = None, **call: Any) -> Ran:
        """One attempt, from start to end."""
        started = time.monotonic()
        heard: list[str] = []
        stopping: Callable[[], bool] = (lambda: time.monotonic() - started > stop_after) if stop_after is not None else (lambda: False)
        values = {"key": "rel-1.a.1", "attempt": 1, "release": 1, "activity": "a", "workspace": self.workspace, "at": datetime.now(UTC), "timeout": 60.0}
        end = Script().start({"run": run} | ({"env": dict(env)} if env else {}), Call(**(values | {"log": heard.append, "stopping": stopping} | call)))
        assert isinstance(end, Done)
        return Ran(end, "".join(heard), time.monotonic() - started)


@pytest.fixture
def machine(settings: Any, tmp_path: Path) -> Machine:
    """A machine on which scripts are allowed and nothing else is set."""
    settings.RELORCH_ALLOW_SCRIPTS = True
    settings.RELORCH_SANDBOX = "auto"
    settings.RELORCH_HOME = tmp_path / "home"
    return Machine(tmp_path / "home", tmp_path / "workspace")


def alive(tag: str) -> list[psutil.Process]:
    """Living processes that carry the tag in their environment."""
    mark = f"{TAG}={tag}".encode()
    found = []
    for pid in psutil.pids():
        try:
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and (process := psutil.Process(pid)).status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> bool:
    """Look until it holds, at most so long."""
    end = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return holds
