"""Nobody survives an attempt that is ended, and only who detached himself one that ended by itself (S23, X-02)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import TAG, Machine, alive, wait_until

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is only the process group, and doctor says so")

PYTHON = f"#!{sys.executable}\nimport os, signal, sys, time\n"
HOPPER = "end = time.monotonic() + 30\nwhile time.monotonic() < end:\n if os.fork():\n  os._exit(0)\n os.setsid()\n"
NASTY = {
    "sleeps": "sleep 300",
    "forks": "for i in 1 2 3 4 5 6 7 8; do sleep 300 & done; wait",
    "ignores TERM": "trap '' TERM HUP INT; while :; do sleep 1; done",
    "detaches": "setsid sleep 300 </dev/null >/dev/null 2>&1 & setsid sleep 300 & wait",
    "detaches and ignores TERM": "setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & wait",
    "double fork": PYTHON + "if os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  time.sleep(300)\n os._exit(0)\ntime.sleep(300)\n",
    "double fork, new group each": PYTHON + "for _ in range(5):\n if os.fork() == 0:\n  os.setpgid(0, 0)\n  if os.fork():\n   os._exit(0)\n  os.setsid()\n"
    "  signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(300)\n",
    "holds the pipes": "(setsid sleep 300 &) ; exec sleep 300",
    "stops itself": "sleep 300 & kill -STOP $$",
    "stops all": "setsid sleep 300 & sleep 0.1; kill -STOP $! ; kill -STOP $$",
    "stops the supervisor": "kill -STOP $PPID; sleep 300 & wait",
    "kills the supervisor": "setsid sleep 300 & sleep 300 & kill -KILL $PPID; sleep 300",
    "asks the supervisor to end": "sleep 300 & kill -TERM $PPID; sleep 300",
    "closes everything": "exec 0<&- 1>&- 2>&-; sleep 300 & sleep 300",
    "another folder, another name": PYTHON
    + "os.chdir('/')\nif os.fork() == 0:\n os.setsid()\n os.execve('/bin/sleep', ['[kworker]', '300'], os.environ)\ntime.sleep(300)\n",
    "born again": PYTHON + "def on(*_):\n if os.fork() == 0:\n  os.setsid()\n  signal.signal(signal.SIGTERM, on)\n  while True: time.sleep(1)\n"
    "signal.signal(signal.SIGTERM, on)\nwhile True: time.sleep(1)\n",
    "hands over": PYTHON + "if os.fork():\n time.sleep(300)\n" + HOPPER,
    "breeds in width": "for i in 1 2 3; do (while :; do sleep 0.01; done) & done; wait",
    "a thread's child": PYTHON + "import subprocess, threading\nthreading.Thread(target=lambda: subprocess.run(['sleep', '300'])).start()\ntime.sleep(300)\n",
    "a namespace of its own": "unshare --user --pid --fork sleep 300 || sleep 300",
}


def together(check: Callable[[str], str], cases: Iterable[str]) -> dict[str, str]:
    """What is wrong with each case; they mostly wait, so eight are tried at once."""
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(cases, pool.map(check, cases), strict=True))
    return {case: wrong for case, wrong in found.items() if wrong}


@pytest.mark.parametrize("ended_by", ["timeout", "stopped"])
def test_nobody_survives_the_end(machine: Machine, ended_by: str) -> None:
    after = 0.6

    def check(case: str) -> str:
        tag = uuid.uuid4().hex
        ran = machine.run(NASTY[case], {TAG: tag}, **({"timeout": after} if ended_by == "timeout" else {"stop_after": after}))
        # Whoever lays hands on his supervisor ends sooner, and otherwise; nobody ends later.
        right = not ran.end.succeeded if "supervisor" in case else ran.end.code == ended_by and ran.seconds >= after
        survivors = alive(tag)
        return "" if right and ran.seconds < after + 5 and not survivors else f"{ran} {survivors}"

    assert together(check, NASTY) == {}


WORKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from django.conf import settings
home = Path(sys.argv[1])
settings.configure(RELORCH_HOME=home, RELORCH_ALLOW_SCRIPTS=True, RELORCH_SANDBOX="auto")
from releases.connectors.base import Call
from releases.connectors.script import Script
call = Call(key="k", attempt=1, release=1, activity="a", workspace=home / "workspace", at=datetime.now(UTC))
print(Script().start({"run": sys.stdin.read(), "env": {"%s": sys.argv[2]}}, call))
"""


def test_nobody_survives_a_killed_worker(tmp_path: Path) -> None:
    def check(case: str) -> str:
        tag, home = uuid.uuid4().hex, tmp_path / case.replace(" ", "_")
        worker = subprocess.Popen([sys.executable, "-c", WORKER % TAG, str(home), tag], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=ROOT)
        try:
            assert worker.stdin
            with worker.stdin as text:
                text.write(NASTY[case].encode())
            begun = wait_until(lambda: bool(alive(tag)) or worker.poll() is not None, 20)
            time.sleep(0.3)
        finally:
            worker.kill()
            worker.wait()
        dead = wait_until(lambda: not alive(tag), 5)
        cleared = wait_until(lambda: not any((home / "work").iterdir()), 2)
        return "" if begun and dead and cleared else f"{begun=} {dead=} {cleared=} {alive(tag)}"

    # With the supervisor and the worker killed at once there is nobody left to know of it.
    assert together(check, [case for case in NASTY if case != "kills the supervisor"]) == {}


def test_nobody_survives_a_worker_whose_whole_group_is_killed(tmp_path: Path) -> None:
    tag = uuid.uuid4().hex
    worker = subprocess.Popen([sys.executable, "-c", WORKER % TAG, str(tmp_path), tag], stdin=subprocess.PIPE, cwd=ROOT, process_group=0)
    try:
        assert worker.stdin
        with worker.stdin as text:
            text.write(b"setsid sleep 300 & sleep 300")
        assert wait_until(lambda: len(alive(tag)) >= 2, 10)
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    assert wait_until(lambda: not alive(tag), 5), alive(tag)


def test_a_normal_end_ends_the_rest_of_the_group_and_waits_for_no_pipe(machine: Machine) -> None:
    tag = uuid.uuid4().hex
    ran = machine.run("sleep 300 & (trap '' TERM; while :; do sleep 1; done) & nohup sleep 300 >/dev/null 2>&1 & echo done", {TAG: tag})
    assert ran.end.succeeded
    assert ran.log == "done\n"
    assert ran.seconds < 4
    assert alive(tag) == []


def test_one_who_hands_over_faster_than_anybody_looks_does_not_live_on(machine: Machine) -> None:
    tag = uuid.uuid4().hex
    ran = machine.run(PYTHON + HOPPER, {TAG: tag})
    assert ran.seconds < 5
    assert not any(alive(tag) for _ in range(50))


def test_a_process_that_kept_our_output_is_not_detached(machine: Machine) -> None:
    tag = uuid.uuid4().hex
    ran = machine.run("setsid sleep 300 & sleep 0.2", {TAG: tag})
    assert ran.end.succeeded
    assert ran.seconds < 4
    assert alive(tag) == []


def test_who_detached_himself_lives_on_and_can_be_stopped_later(machine: Machine) -> None:
    tag = uuid.uuid4().hex
    server = (
        "import http.server, os; open(os.environ['RELORCH_WORKSPACE'] + '/pid', 'w').write(str(os.getpid())); "
        "http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    started = machine.run(f'setsid "$RELORCH_PYTHON" -c "{server}" </dev/null >"$RELORCH_WORKSPACE/log" 2>&1 &\necho started', {TAG: tag})
    try:
        assert started.end.succeeded
        assert started.log == "started\n"
        assert started.seconds < 2
        assert wait_until((machine.workspace / "pid").exists)
        time.sleep(1.2)
        (survivor,) = alive(tag)
        assert survivor.pid == int((machine.workspace / "pid").read_text())
        assert [folder.name[:6] for folder in (machine.home / "work").iterdir()] == ["1-a-1-"], "he may still stand in it"
        stopped = machine.run('kill "$(cat "$RELORCH_WORKSPACE/pid")"')
        assert stopped.end.succeeded
        assert wait_until(lambda: not alive(tag))
    finally:
        for process in alive(tag):
            process.kill()


def test_detaching_in_the_last_line_is_early_enough(machine: Machine) -> None:
    for _ in range(15):
        tag = uuid.uuid4().hex
        try:
            assert machine.run("setsid sleep 300 </dev/null >/dev/null 2>&1 &", {TAG: tag}).end.succeeded
            assert len(alive(tag)) == 1
        finally:
            for process in alive(tag):
                process.kill()


def test_other_processes_of_the_machine_are_left_alone(machine: Machine) -> None:
    bystander = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        machine.run("sleep 300", timeout=0.3)
        machine.run("kill -KILL $PPID; sleep 300")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_if_listening_fails_for_good_nothing_goes_on(machine: Machine) -> None:
    tag = uuid.uuid4().hex

    def stopping() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        machine.run("setsid sleep 300 & sleep 300", {TAG: tag}, stopping=stopping)
    assert wait_until(lambda: not alive(tag))
