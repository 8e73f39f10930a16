"""A child must not outlive the process that started it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time


def end_with_parent_process() -> None:
    """Ends this process at once when its parent has ended, however that ended. Called in the child; costs a sleeping thread."""
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent,), name="parent watch", daemon=True).start()


def _watch(parent: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # pidfd: Linux alone
        handle = os.pidfd_open(parent)
        while os.getppid() == parent:
            select.select([handle], [], [], 10)
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
