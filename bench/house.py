"""A running relorch to measure: `serve` in a home of its own, its address, how long it took to be ready, what memory it takes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class House:
    """The process tree of one `serve`."""

    address: str
    ready_s: float
    process: psutil.Process

    def memory_mib(self) -> dict[str, float]:
        """Proportional set size of every process, so that what they share counts once, by name; the sum as `all`."""
        sizes: dict[str, float] = {}
        for process in [self.process, *self.process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                name = " ".join(process.cmdline()[:3])[-40:] or process.name()
                sizes[name] = round(sizes.get(name, 0) + process.memory_full_info().pss / 2**20, 1)
        return sizes | {"all": round(sum(sizes.values()), 1)}


@contextlib.contextmanager
def served() -> Iterator[House]:
    """Start it on any free port and stop it after. Raises RuntimeError when it does not come up."""
    start = time.perf_counter()
    command = [sys.executable, str(ROOT / "manage.py"), "serve", "--port", "0"]
    environment = {key: value for key, value in os.environ.items() if key != "RELORCH_DATABASE_ROLE"} | {"RELORCH_API_RATE": "0"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if "ready at " not in line:
            raise RuntimeError("serve did not start")
        yield House(line.split("ready at ")[1].split()[0].rstrip("/"), time.perf_counter() - start, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
