"""`serve`: database, web, workers and clock as one process tree, from the first start to the last process gone.

A child that dies is started again within a second, however often; in the place of one that lives and hears nothing comes another. Each child leads its
own process group, so that Ctrl-C reaches only us and we decide the order of stopping; on Linux the kernel ends the children when we are killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import logging
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Protocol

import psutil
from django.db import DatabaseError, connection

from releases.draining import worker_name
from releases.models import Attempt
from relorch import children, ears, embedded
from relorch.lib.errors import Conflict, Unavailable

log = logging.getLogger(__name__)

LOOK_EVERY = 0.1
AFTER_GRACE = 1.0
"""Seconds between asking hard and killing, once the grace is over."""


class Writes(Protocol):
    """A stream, as commands have it."""

    def write(self, text: str) -> object:
        """One line."""
        ...


@dataclass
class Child:
    """One process that must always run."""

    title: str
    main: Callable[[], object]
    closes: tuple[int, ...] = ()
    ear: str = ""
    """Its name among the ears, if it is to hear something."""
    number: int = 0
    code: int | None = None
    starts: int = 0
    started: float = 0.0

    def start(self) -> None:
        """Starts it, or starts it again."""
        self.number, self.code = children.fork(self.title, self.main, closes=self.closes), None
        self.starts += 1
        self.started = time.monotonic()

    def lives(self) -> bool:
        """Whether it runs now; its exit code (or minus its signal) is kept when it does not."""
        if self.number and self.code is None:
            ended, status = os.waitpid(self.number, os.WNOHANG)
            if ended:
                self.code = os.waitstatus_to_exitcode(status)
        return bool(self.number) and self.code is None

    def send(self, number: signal.Signals) -> None:
        """A signal to the process alone."""
        if self.lives():
            os.kill(self.number, number)

    def sweep(self) -> None:
        """Kills whatever is left of it and of its process group."""
        if self.number:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.number, signal.SIGKILL)
            while self.lives():
                time.sleep(0.005)


@dataclass
class Leaving:
    """A deaf worker in whose place is another. Its sockets may hold it for ever; what it still performs may not be cut off for that."""

    child: Child
    since: float = field(default_factory=time.monotonic)
    looked: float = 0.0

    def has_left(self, grace: float) -> bool:
        """Whether it is gone; it is killed after the grace as soon as nothing that it has claimed runs."""
        now = time.monotonic()
        if self.child.lives() and (now < self.since + grace or now < self.looked + 1.0):
            return False
        self.looked = now
        if self.child.lives() and self._works():
            return False
        self.child.sweep()
        return True

    def _works(self) -> bool:
        try:
            numbers = [self.child.number, *(process.pid for process in psutil.Process(self.child.number).children())]
            return Attempt.objects.filter(state="running", worker__in=[worker_name(number) for number in numbers]).exists()
        except (DatabaseError, psutil.Error):
            return True
        finally:
            connection.close()


class Supervisor:
    """Runs the children until it is told to stop."""

    def __init__(
        self, home: Path, listening: socket.socket, *, script_slots: int, grace: int, deaf_after: int, public: str = "", locks: tuple[int, ...] = ()
    ) -> None:
        """`public` is the https base address, if any; `locks` are descriptors that no child may hold."""
        self.place = None if os.environ.get("DATABASE_URL") else embedded.Place(home)
        self.grace = grace
        self.stopping = 0
        host, port = listening.getsockname()[:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.public = public or self.address
        others = (*locks, listening.fileno())
        self.children = [
            Child("relorch web", functools.partial(children.web, listening, behind_proxy=bool(public), grace=grace), locks),
            Child("celery worker engine", functools.partial(children.worker, "engine", 2), others, ear="engine"),
            Child("celery worker scripts", functools.partial(children.worker, "scripts", script_slots), others, ear="scripts"),
            Child("celery beat", children.clock, others, ear=ears.CLOCK),
        ]
        names = [child.ear for child in self.children if child.ear]
        self.watch = ears.Watch(ears.make(names).last, names, deaf_after)
        self.leaving: list[Leaving] = []

    def run(self, out: Writes) -> None:
        """Starts all, says the address when `/readyz` answers 200, and watches until SIGTERM, SIGHUP or Ctrl-C."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        try:
            for child in self.children:
                child.start()
            ready = False
            while not self.stopping:
                self._watch()
                if not ready and self._is_ready():
                    ready = True
                    out.write(f"relorch is ready at {self.public}/ (Ctrl-C stops it)")
                time.sleep(LOOK_EVERY)
        finally:
            self._end()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Once: within the grace. Twice: now."""
        self.stopping += 1

    def _watch(self) -> None:
        if self.place and not embedded.server_process(self.place):
            log.warning("the database has ended; starting it again")
            try:
                embedded.revive(self.place, dies_with_us=True)
            except Unavailable as error:
                log.error("%s", error)
        for child in self.children:
            if child.lives():
                continue
            if child.starts & (child.starts - 1) == 0:  # say so the 1st, 2nd, 4th, 8th … time
                lived = time.monotonic() - child.started
                log.warning("%s has ended (%s) after %.1f s; starting it again, start %d", child.title, child.code, lived, child.starts + 1)
            child.sweep()
            self._start(child)
        for name, seconds in self.watch.deaf(time.monotonic()).items():
            for child in self.children:
                if child.ear == name:
                    log.warning("%s lives but has heard nothing for %.0f s; another takes its place, start %d", child.title, seconds, child.starts + 1)
                    self._replace(child)
        self.leaving = [one for one in self.leaving if not one.has_left(self.grace)]

    def _start(self, child: Child) -> None:
        child.start()
        self.watch.began(child.ear)

    def _replace(self, child: Child) -> None:
        """The deaf one may still work on what it had heard: it is asked to end, and may come to the end of that beside the new one."""
        self.leaving.append(Leaving(dataclasses.replace(child)))
        child.send(signal.SIGTERM)
        self._start(child)

    def _is_ready(self) -> bool:
        try:
            request = urllib.request.Request(f"{self.address}/readyz", headers={"Host": "localhost"})  # noqa: S310 (our own address)
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _end(self) -> None:
        """All are asked to end and finish what they do within the grace; then whatever is left is killed."""
        everybody = [*self.children, *(one.child for one in self.leaving)]
        for child in reversed(everybody):
            child.send(signal.SIGTERM)
        self._wait(everybody, self.grace)
        for child in everybody:
            child.send(signal.SIGQUIT)
        self._wait(everybody, AFTER_GRACE, patient=True)
        for child in everybody:
            child.sweep()

    def _wait(self, everybody: Sequence[Child], seconds: float, *, patient: bool = False) -> None:
        deadline = time.monotonic() + seconds
        while any(child.lives() for child in everybody) and time.monotonic() < deadline and (patient or self.stopping < 2):
            time.sleep(0.02)


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[IO[str]]:
    """One `serve` per home: the held lock, or Conflict."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "serve.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise Conflict("already_serving", f"{home} is being served already, by process {lock.read().strip() or 'unknown'}.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; Unavailable when the port is taken or the host is not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind, protocol)  # without the protocol asyncio does not turn Nagle's delay off: 40 ms an answer
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(512)
    except OSError as error:
        raise Unavailable("cannot_listen", f"Cannot listen on {host} port {port}: {error.strerror or error}. Another --port may be free.") from error
    return listening
