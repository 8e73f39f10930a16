"""The demo's own server: a `serve` of its own as a child, stopped with us, and the shops that its releases have started stopped after it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.management.base import CommandError

from relorch.demo import shops
from relorch.lib.unprivileged import end_with_parent

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
_READY = "relorch is ready at "


class Server:
    """A running `serve`; `address` is where it answers, without a slash at its end."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address


@contextlib.contextmanager
def served(port: int) -> Iterator[Server]:
    """Start it on the port (0: any), wait until it is ready, and leave no process behind. Raises CommandError when it does not start."""
    command = [sys.executable, str(MANAGE), "serve", "--port", str(port), "--home", str(settings.RELORCH_HOME)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy(), start_new_session=True, preexec_fn=ends_with_us)
    try:
        if process.stdout is None:
            raise CommandError("the server says nothing")
        address = ""
        for line in process.stdout:
            if line.startswith(_READY):
                address = line.removeprefix(_READY).split()[0].rstrip("/")
                break
        if not address:
            raise CommandError("The server did not start; see above why.")
        threading.Thread(target=_read, args=(process.stdout,), daemon=True).start()
        yield Server(process, address)
    finally:
        _stop(process)


def ends_with_us() -> None:
    """In the child: it is asked to end when we are gone, however we went."""
    end_with_parent(signal.SIGTERM)


def _read(lines: IO[str]) -> None:
    """Else the pipe is full some day. What matters is said on stderr, which the server shares with us."""
    for _ in lines:
        pass


def _stop(process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(settings.RELORCH_GRACE + 6)
        except KeyboardInterrupt:
            continue  # told twice, it ends without grace
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    shops.stop_all()
