"""The one door to processes: runs a script under a supervisor of its own and hears from it how it ended (S23).

No shell text is composed, nothing of our environment is inherited, and everything the script starts ends with it: see `supervisor.py`.
Where bubblewrap works (`RELORCH_SANDBOX`), the script also lives in namespaces of its own: it does not see relorch's home with its keys,
database and other work folders, and cannot look into other processes. It keeps the network and the process numbers of the machine, because
a server that one activity starts must be reachable for the next and can be stopped there by its number (S23).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

SUPERVISOR = Path(__file__).with_name("supervisor.py")
LINUX = platform.system() == "Linux"
_PIECE = 1 << 16
_LOOK = 0.2  # how often we look whether to stop
_WAKE = 1.0  # so long after the end was due, the supervisor is woken, should the script have stopped it
_GIVE_UP = 16.0  # and so long after, it is replaced by our own hands

How = Literal["exited", "timeout", "stopped", "unstartable", "lost"]


@dataclass(frozen=True, slots=True)
class Protection:
    """How scripts are kept apart on this machine; `note` is for start-up and doctor."""

    mode: Literal["bubblewrap", "supervised", "group"]
    note: str
    command: tuple[str, ...] = ()


class SandboxMissing(Exception):
    """`RELORCH_SANDBOX=required`, and there is none; the message says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: the script's text, its whole environment, its own folder, the release tree's, and relorch's home."""

    text: str
    environment: Mapping[str, str]
    work: Path
    workspace: Path
    home: Path


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended. `code` is the exit code (128 + n for signal n) of one that `exited`, `why` says what hindered one that could not start;
    `survivors` counts processes that detached themselves, `stuck` those that the kernel has not let die yet."""

    how: How
    code: int | None = None
    why: str = ""
    survivors: int = 0
    stuck: int = 0


@lru_cache(maxsize=1)
def _bubblewrap() -> tuple[str, str]:
    """The path of a bubblewrap that works here, or nothing and the reason. Tried once for each process."""
    path = shutil.which("bwrap")
    if not path:
        return "", "bubblewrap (bwrap) is not installed"
    try:
        trial = subprocess.run(
            [path, "--unshare-user", "--dev-bind", "/", "/", "--tmpfs", "/tmp", "--", "/bin/sh", "-c", ":"],  # noqa: S108 - inside the sandbox
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return "", f"bubblewrap does not start: {problem}"
    if trial.returncode:
        return "", f"bubblewrap does not work here: {trial.stderr.decode(errors='replace').strip()[:200]}"
    return path, ""


def protection(wanted: str) -> Protection:
    """What `RELORCH_SANDBOX` (auto, required, off) comes to on this machine. Raises SandboxMissing."""
    path, why = ("", "switched off by RELORCH_SANDBOX=off") if wanted == "off" else _bubblewrap()
    if path:
        return Protection("bubblewrap", "scripts run in namespaces of their own (bubblewrap)", (path,))
    if wanted == "required":
        raise SandboxMissing(f"{why}, and RELORCH_SANDBOX=required forbids to run without")
    if LINUX:
        return Protection("supervised", f"scripts run under a supervisor, not in a sandbox: {why}")
    return Protection("group", "scripts run in a process group only: on this system one that detaches itself escapes the end of its attempt")


def _sandboxed(path: str, program: Program) -> list[str]:
    """bubblewrap's words: everything as it is, relorch's home empty but for what belongs to this script."""
    words = [path, "--unshare-user", "--unshare-ipc", "--die-with-parent", "--dev-bind", "/", "/", "--tmpfs", str(program.home)]
    own = [program.workspace, program.work]
    for folder in own:
        words += ["--bind", str(folder), str(folder)]
    if Path(sys.prefix).is_relative_to(program.home):
        words += ["--ro-bind", sys.prefix, sys.prefix]
    return [*words, "--chdir", str(program.work), "--"]


def fresh_folder(parent: Path, name: str) -> Path:
    """A new folder that only we can enter, for one attempt. Raises OSError."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = parent / f"{name}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    return folder


def discard(folder: Path) -> None:
    """Remove a folder, also where a script has locked us out of its parts."""
    for place, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(place).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def run(program: Program, *, output: Callable[[bytes], None], seconds: float | None, stopping: Callable[[], bool], sandbox: str) -> Ended:
    """Run it to its end; `output` gets what it writes, as it comes. Blocks for at most `seconds` plus the time to end everything.

    Raises SandboxMissing, and whatever `output` raises; then too everything that was started ends.
    """
    kept_apart = protection(sandbox)
    script = program.work / "script"
    words, why = _interpreter(program.text)
    if why:
        return Ended("unstartable", why=why)
    argv = [*words, str(script)]
    if kept_apart.command:
        argv = [*_sandboxed(kept_apart.command[0], program), *argv]
    reading, writing = os.pipe()
    try:
        supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SUPERVISOR)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=writing,
            env={},
            cwd="/",
            pass_fds=(writing,),
            start_new_session=True,  # a signal to the worker's group must not reach it: it has to clean up behind us
            bufsize=0,
        )
    except OSError as problem:
        os.close(reading)
        return Ended("unstartable", why=f"the supervisor does not start: {problem.strerror}")
    finally:
        os.close(writing)
    job = {
        "text": program.text,
        "script": str(script),
        "work": str(program.work),
        "argv": argv,
        "environment": dict(program.environment),
        "output": writing,
        "seconds": seconds,
        "no_new_privileges": sandbox != "off",
    }
    assert supervisor.stdin  # noqa: S101 - both were asked for
    assert supervisor.stdout  # noqa: S101
    with _Watch(supervisor, supervisor.stdin, supervisor.stdout, reading, f"{program.work}/") as watch:
        watch.tell(job)
        return watch.follow(output, seconds, stopping)


def _interpreter(text: str) -> tuple[list[str], str]:
    """The words that come before the script's own path, read as the kernel reads `#!`; or why that cannot be started.

    The kernel itself is not asked: it would refuse where the home is mounted without leave to execute, and says little about why.
    """
    if not text.startswith("#!"):
        return ["/bin/sh", "-e"], ""
    line = text.partition("\n")[0][2:]
    if line.endswith("\r"):
        return [], "its lines end in carriage returns (Windows); save it with plain line ends"
    words = line.strip(" \t").split(maxsplit=1)
    if not words:
        return [], "its first line (#!) names no interpreter"
    interpreter = Path(words[0])
    if not interpreter.is_absolute():
        return [], f"its first line (#!) names {words[0]}; write the whole path, or #!/usr/bin/env {words[0]}"
    if not interpreter.exists():
        return [], f"its interpreter {words[0]} does not exist on this machine"
    if not interpreter.is_file() or not os.access(interpreter, os.X_OK):
        return [], f"its interpreter {words[0]} is not an executable file"
    return words, ""


class _Watch:
    """Our side of a supervisor."""

    def __init__(self, supervisor: subprocess.Popen[bytes], control: IO[bytes], answers: IO[bytes], reading: int, tag: str) -> None:
        self._supervisor = supervisor
        self._control = control
        self._answers = answers
        self._reading = reading
        self._tag = tag
        self._heard = b""
        self._main = 0
        os.set_blocking(reading, False)

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *problem: object) -> None:
        """Whatever happened: the closed control pipe ends the script, and the supervisor is waited for."""
        with contextlib.suppress(OSError):
            self._control.close()
        try:
            self._supervisor.wait(timeout=_GIVE_UP)
        except subprocess.TimeoutExpired:
            self._by_hand()
        self._answers.close()
        os.close(self._reading)

    def tell(self, job: Mapping[str, object]) -> None:
        """Hand over the job."""
        data = json.dumps(job).encode()
        rest = memoryview(b"%d\n%b" % (len(data), data))
        with contextlib.suppress(BrokenPipeError):  # it died; its silence is the answer
            while rest:
                rest = rest[os.write(self._control.fileno(), rest) :]

    def follow(self, output: Callable[[bytes], None], seconds: float | None, stopping: Callable[[], bool]) -> Ended:
        """Pass the output on until the end is told."""
        due = None if seconds is None else time.monotonic() + seconds
        told, woken = False, False
        answers, open_fds = self._answers.fileno(), select.poll()
        open_fds.register(self._reading, select.POLLIN)
        open_fds.register(answers, select.POLLIN)
        while True:
            ready = {fd for fd, _ in open_fds.poll(_LOOK * 1000)}
            if self._reading in ready and not self._pass_on(output):
                open_fds.unregister(self._reading)
            if answers in ready and (ended := self._listen()):
                while self._pass_on(output, otherwise=False):
                    pass
                self._say(b"e")
                return ended
            now = time.monotonic()
            if not told and stopping():
                told, due = True, now if due is None else min(due, now)
                self._say(b"s")
            if due is not None and now > due + _WAKE and not woken:
                woken = True
                self._supervisor.send_signal(signal.SIGCONT)
            if due is not None and now > due + _GIVE_UP:
                self._by_hand()
                return Ended("stopped" if told else "timeout")

    def _say(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self._control.write(word)

    def _pass_on(self, output: Callable[[bytes], None], *, otherwise: bool = True) -> bool:
        """One piece of output. False at its end, `otherwise` when there is none now."""
        try:
            piece = os.read(self._reading, _PIECE)
        except BlockingIOError:
            return otherwise
        if piece:
            output(piece)
        return bool(piece)

    def _listen(self) -> Ended | None:
        """What the supervisor says; the end, if that is it."""
        piece = os.read(self._answers.fileno(), _PIECE)
        if not piece:
            self._by_hand()
            return Ended("lost", why="its supervisor was killed")
        *lines, self._heard = (self._heard + piece).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "started" in said:
                self._main = said["started"]
            else:
                return _ended(said)
        return None

    def _by_hand(self) -> None:
        """The supervisor is dead or deaf: end it and all that carries this attempt's folder in its environment."""
        self._supervisor.kill()
        self._supervisor.wait()
        if self._main:
            with contextlib.suppress(OSError):
                os.killpg(self._main, signal.SIGKILL)
        until = time.monotonic() + 5
        mark = f"RELORCH_OUTPUT={self._tag}".encode()
        while time.monotonic() < until and (found := _marked(mark)):
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in found:
                    with contextlib.suppress(OSError):
                        os.kill(pid, number)
            time.sleep(0.05)


def _ended(said: Mapping[str, Any]) -> Ended:
    status = said.get("status")
    code = None if status is None else os.waitstatus_to_exitcode(status)
    if code is not None and code < 0:
        code = 128 - code
    return Ended(said["end"], code, said.get("why", ""), said.get("survivors", 0), said.get("stuck", 0))


def _marked(mark: bytes) -> list[int]:
    """Living processes that carry the mark in the environment they were started with."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*") if LINUX else ():
        with contextlib.suppress(OSError, IndexError):
            if mark in (entry / "environ").read_bytes() and (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                found.append(int(entry.name))
    return found
