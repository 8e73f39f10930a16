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

from relorch.demo import EXAMPLES
from relorch.lib.parents import end_with_parent_process

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
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy(), start_new_session=True, preexec_fn=end_with_parent_process)
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
        threading.Thread(target=_forward, args=(process.stdout,), daemon=True).start()
        yield Server(process, address)
    finally:
        _stop(process)


def _forward(lines: IO[str]) -> None:
    for line in lines:
        sys.stdout.write(line)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(settings.RELORCH_GRACE + 6)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    workspaces = Path(settings.RELORCH_HOME) / "workspaces"
    if workspaces.is_dir():
        subprocess.run(
            [sys.executable, str(EXAMPLES / "app" / "tools" / "stop.py"), "--below", str(workspaces)],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
