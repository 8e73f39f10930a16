"""Runs one script and answers for everything it starts: one such process for each attempt, `python -I -S supervisor.py`.

It stands alone (standard library only, nothing of relorch) because it must start in milliseconds and outlive the worker that asked for it.
It is the subreaper of what it starts: whoever detaches himself becomes its child, never lost to init. It ends all of them when the time is
over, when it is told to, and when the worker is gone: the worker holds the other end of the control pipe, and the kernel closes that even
after SIGKILL. After a normal end only processes that detached themselves (own session, own output) live on.

Control (standard input): a line with the length of the job, the job as JSON, then one byte to stop, one when the end
was heard; end of file means that the worker is gone.
Answers (standard output): one JSON object a line: `{"started": pid}`, then `{"end": …}`.
"""

# ruff: noqa: PTH115, PTH123, PTH208
# pathlib would take longer to import than everything else here

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
LINUX = sys.platform == "linux"

SETTLE = 0.5  # after a normal end: time for background jobs to finish detaching themselves
ASKED = 2.0  # between SIGTERM and SIGKILL
ASKED_LOST = 1.0  # the same when the worker is gone
LOOK = 0.02  # between two looks
TAKE = 30.0  # for the worker to take the answer
STUCK = 10.0  # then what does not die is told, and still pursued


class Process(NamedTuple):
    pid: int
    parent: int
    session: int


def prctl(option: int, value: int) -> None:
    """Linux's prctl; elsewhere nothing."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def descendants() -> list[Process]:
    """All living processes below this one."""
    below: dict[int, list[Process]] = {}
    for name in os.listdir("/proc") if LINUX else ():
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields and fields[0] not in (b"Z", b"X"):
            below.setdefault(int(fields[1]), []).append(Process(int(name), int(fields[1]), int(fields[3])))
    found: list[Process] = []
    waiting = [os.getpid()]
    while waiting:
        children = below.pop(waiting.pop(), [])
        found += children
        waiting += [child.pid for child in children]
    return found


def children() -> list[int]:
    """Our own children, by the fastest way there is; empty where the kernel does not offer it."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def holds(pid: int, pipe: str) -> bool:
    """Has the process our output open?"""
    try:
        return any(os.readlink(f"/proc/{pid}/fd/{fd}") == pipe for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def send(pids: Iterable[int], *signals: int) -> None:
    """Signals to each, gone or not."""
    for pid in pids:
        for number in signals:
            try:
                os.kill(pid, number)
            except OSError:
                break


class Supervisor:
    """The life of one attempt."""

    def __init__(self) -> None:
        self.control = os.dup(0)
        self.answers = os.dup(1)
        self.woken, wake = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(wake, False)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCONT):
            signal.signal(number, self.noticed)
        self.told = False
        self.main = 0
        self.status: int | None = None
        self.pipe = ""
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        # Should the worker die while a script has stopped us: this wakes us, and the end of the control pipe says why.
        prctl(PR_SET_PDEATHSIG, signal.SIGCONT)

    def noticed(self, number: int, frame: object) -> None:
        """SIGTERM and its kind mean: stop. The others only wake the loop."""
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.told = True

    def answer(self, **values: Any) -> None:
        """One line to the worker, if it still listens."""
        with contextlib.suppress(OSError):
            os.write(self.answers, json.dumps(values).encode() + b"\n")

    def job(self) -> dict[str, Any] | None:
        """What to do; None if the worker went before it had said so."""
        data = b""
        while True:
            length, newline, rest = data.partition(b"\n")
            if newline and len(rest) >= int(length):
                found: dict[str, Any] = json.loads(rest)
                return found
            piece = os.read(self.control, 1 << 20)
            if not piece:
                return None
            data += piece

    def start(self, job: dict[str, Any]) -> str:
        """Write the script and start it. Returns why it could not be started, or nothing."""
        output: int = job["output"]
        os.set_inheritable(output, False)
        self.pipe = os.readlink(f"/proc/self/fd/{output}") if LINUX else ""
        try:
            # Written here, where no other thread forks: an executable file that somebody has open for writing cannot be started.
            with open(os.open(job["script"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700), "wb") as file:
                file.write(job["text"].encode())
        except OSError as problem:
            return f"its file cannot be written: {problem.strerror}"
        environment = {name.encode(): value.encode() for name, value in job["environment"].items()}
        trouble, told = os.pipe()
        parent = os.getpid()
        self.main = os.fork()
        if not self.main:
            self.become(job, output, environment, told, parent)
        os.close(told)
        os.close(output)
        with open(trouble, "rb") as file:
            return file.read().decode(errors="replace")

    def become(self, job: dict[str, Any], output: int, environment: dict[bytes, bytes], told: int, parent: int) -> None:
        """In the child: turn into the script. Never returns."""
        try:
            os.setsid()
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(127)
            if job["no_new_privileges"]:
                prctl(PR_SET_NO_NEW_PRIVS, 1)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGCONT):
                signal.signal(number, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
                file.write("500")  # when memory runs out, rather the script than the database
            os.umask(0o022)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(job["work"])
            os.execve(job["argv"][0], job["argv"], environment)  # noqa: S606 - this is what it is for
        except BaseException as problem:  # the parent must hear of it, and this copy must end
            os.write(told, (getattr(problem, "strerror", None) or str(problem) or "unknown reason").encode())
        finally:
            os._exit(127)

    def reap(self) -> bool:
        """Collect who has ended. True when nobody is left below us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if not pid:
                return False
            if pid == self.main:
                self.status = status

    def wait(self, seconds: float | None, *, listening: bool = False) -> str:
        """Sleep until a signal, a word from the worker (`stopped`, `lost`) or the end of the time."""
        fds = [self.woken, self.control] if listening else [self.woken]
        ready, _, _ = select.select(fds, [], [], seconds)
        if self.woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self.woken, 4096)
        if self.control in ready:
            return "stopped" if os.read(self.control, 64) else "lost"
        return "stopped" if self.told else ""

    def gone(self) -> bool:
        """Is the worker gone?"""
        ready, _, _ = select.select([self.control], [], [], 0)
        return bool(ready) and not os.read(self.control, 64)

    def taken(self) -> bool:
        """Has the worker taken the answer? Then the folder is his to remove."""
        ready, _, _ = select.select([self.control], [], [], TAKE)
        return not ready or bool(os.read(self.control, 64))

    def watch(self, seconds: float | None) -> str:
        """Until the script has ended, its time is over, or somebody ends it."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            self.reap()
            if self.status is not None:
                return "exited"
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return "timeout"
            if told := self.wait(left, listening=True):
                return told

    def settle(self) -> int:
        """After a normal end: end what stayed in the script's session or holds our output; count those that detached themselves."""
        until, asked, before = time.monotonic() + SETTLE, False, set[int]()
        while not self.reap():
            below = descendants()
            rest = [process.pid for process in below if process.session == self.main or holds(process.pid, self.pipe)]
            free = {process.pid for process in below}.difference(rest)
            if not rest and free & before:  # looked twice: for one just being born, and for one just handing over to a child of his
                return len(below)
            before = free
            if time.monotonic() > until and asked:
                send(rest, signal.SIGKILL)
                if not rest:
                    self.snatch()
            elif time.monotonic() > until:
                send(rest, signal.SIGTERM, signal.SIGCONT)
                until, asked = time.monotonic() + SETTLE, True
            time.sleep(LOOK)
        return 0

    def end_all(self, how: str, patience: float) -> None:
        """Ask everybody to end, then end them, again and again until nobody is left. What the kernel holds back is told meanwhile."""
        self.ask()
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if self.reap():
                return
            self.wait(min(0.05, max(0.0, until - time.monotonic())))
        tell = time.monotonic() + STUCK
        while not self.reap():
            self.kill()
            self.wait(0.02)
            if time.monotonic() > tell:
                self.answer(end=how, stuck=len(descendants()))
                tell = float("inf")

    def ask(self) -> None:
        if not LINUX:
            os.killpg(self.main, signal.SIGTERM)
        send([process.pid for process in descendants()], signal.SIGTERM, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to all, frozen first: who breeds faster than we count cannot while he stands still."""
        if not LINUX:
            send([-self.main], signal.SIGKILL)
        frozen: set[int] = set()
        for _ in range(50):
            new = {process.pid for process in descendants()} - frozen
            if not new:
                break
            send(new, signal.SIGSTOP)
            frozen |= new
        send(frozen, signal.SIGKILL)
        if not frozen:
            self.snatch()

    def snatch(self) -> None:
        """There is somebody, but whenever we look he has handed over to a child of his: catch him the moment he becomes ours."""
        until = time.monotonic() + 0.05
        while time.monotonic() < until and not self.reap():
            send(children(), signal.SIGKILL)

    def run(self) -> None:
        """The whole life."""
        job = self.job()
        if job is None:
            return
        if trouble := self.start(job):
            self.reap()
            self.answer(end="unstartable", why=trouble)
            return
        self.answer(started=self.main)
        how = self.watch(job["seconds"])
        survivors = 0
        if how == "exited":
            survivors = self.settle()
            if self.gone():
                how = "lost"
        if how != "exited":
            self.end_all(how, ASKED_LOST if how == "lost" else ASKED)
        self.answer(end=how, status=self.status, survivors=survivors)
        if (how == "lost" or not self.taken()) and not survivors:
            import shutil

            shutil.rmtree(job["work"], ignore_errors=True)


if __name__ == "__main__":
    Supervisor().run()
