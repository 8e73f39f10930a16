"""A real installation in a folder of its own, for tests that start processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

Found = TypeVar("Found")
ROOT = Path(__file__).resolve().parents[2]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Only what a person would have set."""
    ours = ("RELORCH_", "DATABASE_", "BROKER_URL", "DJANGO_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"RELORCH_HOME": str(home)} | more


def manage(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """One command, to its end."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(home, **more), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


def until(look: Callable[[], Found], seconds: float, what: str) -> Found:
    """The first true value of `look` within the time."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Served:
    """A running `manage.py serve` and its processes."""

    def __init__(self, home: Path, *arguments: str, **more: str) -> None:
        self.home = home
        self.errors = home.with_suffix(".err")
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--port", "0", *arguments],
                cwd=ROOT,
                env=environment(home, **more),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout
        self.first_line = self.process.stdout.readline()
        assert "http" in self.first_line, self.errors.read_text()
        self.address = next(word for word in self.first_line.split() if word.startswith("http")).rstrip("/")

    def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        try:
            with urllib.request.urlopen(f"{self.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def tree(self) -> list[psutil.Process]:
        """Every living process below it."""
        return left(psutil.Process(self.process.pid).children(recursive=True))

    def child(self, *words: str) -> psutil.Process | None:
        """The one direct child with all the words in its command line."""
        direct = {process.pid for process in psutil.Process(self.process.pid).children()}
        return next((process for process in self.named(*words) if process.pid in direct), None)

    def named(self, *words: str) -> list[psutil.Process]:
        """Those with all the words in their command line."""
        found = []
        for process in self.tree():
            try:
                line = " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            if all(word in line for word in words):
                found.append(process)
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Ends it and everything; how long that took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(30)
        assert self.process.stdout
        self.process.stdout.close()
        return time.monotonic() - began


def left(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still live."""
    living = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
        except psutil.NoSuchProcess:
            continue
    return living
