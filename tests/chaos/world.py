"""An installation of its own that is being hurt: `manage.py serve` in a fresh home, the database seen from here, and a killer that knows what it started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
LEASE = 3
"""Seconds; production has 30."""
SLOTS = 4


class World:
    """The processes of the installation. Only what descends from the one that was started here is ever hurt."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._errors = (home.parent / f"{home.name}.err").open("w")
        self.server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "manage.py", "serve", "--port", "0"],
            cwd=ROOT, env=os.environ.copy(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        assert self.server.stdout
        line = self.server.stdout.readline()
        if "http" not in line:
            raise RuntimeError((home.parent / f"{home.name}.err").read_text())
        self.address = next(word for word in line.split() if word.startswith("http")).rstrip("/")

    def ours(self, pid: int) -> bool:
        """Whether this process descends from what we started."""
        with contextlib.suppress(psutil.Error):
            return any(parent.pid == self.server.pid for parent in psutil.Process(pid).parents())
        return False

    def hurt(self, pid: int, number: signal.Signals) -> bool:
        """A signal to one of ours; False when it is none, or gone."""
        if not self.ours(pid):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def child(self, *words: str) -> int | None:
        """The direct child with these words in its command line."""
        for process in psutil.Process(self.server.pid).children():
            with contextlib.suppress(psutil.Error):
                if all(word in " ".join(process.cmdline()) for word in words):
                    return process.pid
        return None

    def ready(self) -> bool:
        """Whether work would be done now."""
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    def end(self) -> None:
        """All of it."""
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            try:
                self.server.wait(30)
            except subprocess.TimeoutExpired:
                self.server.kill()
        self._errors.close()


@contextlib.contextmanager
def world() -> Iterator[World]:
    """A fresh one; Django of this process is set up for its home, and the home is taken away at the end."""
    home = Path(tempfile.mkdtemp(prefix="relorch-chaos-")) / "home"
    for name in [name for name in os.environ if name.startswith(("RELORCH_", "DATABASE_")) or name == "BROKER_URL"]:
        if not name.startswith("RELORCH_CHAOS"):
            del os.environ[name]
    os.environ |= {
        "RELORCH_HOME": str(home), "RELORCH_ALLOW_SCRIPTS": "1", "RELORCH_SANDBOX": "off", "RELORCH_SCRIPT_SLOTS": str(SLOTS), "RELORCH_LEASE": str(LEASE),
        "RELORCH_EGRESS_ALLOW": "127.0.0.1", "DJANGO_SETTINGS_MODULE": "relorch.settings",
    }  # fmt: skip
    made = None
    try:
        made = World(home)
        import django

        django.setup()
        yield made
    finally:
        if made is not None:
            made.end()
        shutil.rmtree(home.parent, ignore_errors=True)


def until(look: Callable[[], Any], seconds: float, every: float = 0.1) -> Any:
    """The first true value within the time; else the last one."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(every)


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of them lies; 0 of none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3) if ordered else 0.0
