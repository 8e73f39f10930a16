"""The embedded database: PostgreSQL from its wheel, run inside the home when `DATABASE_URL` is unset.

`serve`, a command and the tests all do the same: `with running(home): …` starts the server unless it answers already, and whoever leaves last
stops it. The socket lies in the home and only its owner may enter; log-in is by password (scram), three roles: owner, application, reporting.
"""

from __future__ import annotations

import contextlib
import fcntl
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil

from relorch.cluster import DATABASE, PORT, Place, answers, connection, ours, server_process
from relorch.postgres import Runner

__all__ = ["DATABASE", "PORT", "Place", "answers", "connection", "ensure", "revive", "running", "server_process", "stop"]

STOP_PATIENCE = ((signal.SIGINT, 2.0), (signal.SIGQUIT, 0.5), (signal.SIGKILL, 0.5))
"""Seconds for each way of stopping, from polite to hard; after a hard one the next start recovers from the log. `serve` must be gone in time."""


@contextlib.contextmanager
def running(home: Path, *, dies_with_us: bool = False) -> Iterator[None]:
    """The database runs inside the block. It is started unless it answers already; whoever of its users leaves last stops it.

    `dies_with_us`: the kernel stops a server that we started when this process is killed (Linux), for `serve` and the tests.
    """
    place = Place(home)
    for folder in (home, place.folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with place.users.open("a") as users:
        with _locked(place):
            fcntl.flock(users, fcntl.LOCK_SH)
            ensure(place, dies_with_us=dies_with_us)
        try:
            yield
        finally:
            with _locked(place):
                leave(place, users)


def revive(place: Place, *, dies_with_us: bool = False) -> None:
    """Starts a server again that ended while it was in use."""
    with _locked(place):
        ensure(place, dies_with_us=dies_with_us)


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    """One at a time starts or stops it."""
    with place.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def leave(place: Place, users: IO[str]) -> None:
    """Stops the server if nobody else uses it."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    stop(place)


def ensure(place: Place, *, dies_with_us: bool = False) -> None:
    """Starts the server unless it answers; makes the cluster on first use."""
    if answers(place):
        return
    runner = Runner(place, dies_with_us=dies_with_us)
    if not (place.data / "PG_VERSION").exists():
        runner.make_cluster()
    ours.append(runner.start())


def stop(place: Place) -> None:
    """Ends the server as PostgreSQL's fast shutdown does, harder if it does not end in time."""
    server = server_process(place)
    for number, patience in STOP_PATIENCE:
        if server is None:
            break
        with contextlib.suppress(psutil.NoSuchProcess):
            server.send_signal(number)
        deadline = time.monotonic() + patience
        while (server := server_process(place)) and time.monotonic() < deadline:
            time.sleep(0.01)
    for child in ours:
        if isinstance(child.args, list) and str(place.data) in child.args:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(3.0)  # it has taken its note away and is about to end
