"""What a script cannot reach where bubblewrap works, and what it still can because S23 promises it (X-04)."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

import pytest

from releases.connectors import runner

from .conftest import Machine

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap is for Linux"),
    pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap (bwrap) is not installed"),
]


@pytest.fixture
def sandbox(machine: Machine, settings: Any) -> Machine:
    """The machine, with a home that holds what no script may see."""
    settings.RELORCH_SANDBOX = "required"
    machine.home.mkdir()
    (machine.home / "secret.key").write_text("the key")
    (machine.home / "work" / "other").mkdir(parents=True)
    (machine.home / "work" / "other" / "output").write_text("of another")
    machine.workspace = machine.home / "workspaces" / "1"
    return machine


PROBES = {
    "keys": 'cat "$HOME/../../secret.key"',
    "the home by its path": "ls {home} | grep -v -x -e work -e workspaces",
    "other work folders": 'cat "$HOME/../other/output"',
    "the list of work folders": 'ls "$HOME/.." | grep other',
    "the worker's environment": "cat /proc/{pid}/environ",
    "the worker's memory": "head -c 1 /proc/{pid}/mem",
    "the worker's files": "ls /proc/{pid}/fd/ && cat /proc/{pid}/fd/*",
    "the worker's folder": "ls /proc/{pid}/cwd/",
    "the worker's root": "cat /proc/{pid}/root{home}/secret.key",
    "the supervisor's environment": "cat /proc/$PPID/environ | grep .",
    "undoing the mounts": "umount {home} && cat {home}/secret.key",
    "mounting over them": "mount --bind / /mnt && cat /mnt{home}/secret.key",
    "the namespace of the worker": "nsenter --mount --target {pid} cat {home}/secret.key",
    "becoming somebody else": "sudo -n true",
}


@pytest.mark.parametrize("probe", PROBES)
def test_out_of_reach(sandbox: Machine, probe: str) -> None:
    ran = sandbox.run(PROBES[probe].format(home=sandbox.home, pid=os.getpid()) + " 2>&1 && echo REACHED || true")
    assert ran.end.succeeded
    assert "REACHED" not in ran.log
    assert "the key" not in ran.log
    assert "of another" not in ran.log


def test_within_reach(sandbox: Machine) -> None:
    assert runner.protection("auto").mode == "bubblewrap"
    ran = sandbox.run(
        'echo kept > "$RELORCH_WORKSPACE/file"; echo own > mine; cat mine; echo a=1 > "$RELORCH_OUTPUT"; "$RELORCH_PYTHON" -c "print(2)"; kill -0 $PPID'
    )
    assert ran.end.succeeded, ran
    assert (ran.log, ran.end.outputs) == ("own\n2\n", {"a": "1"})
    assert sandbox.run('cat "$RELORCH_WORKSPACE/file"').log == "kept\n"
    assert (sandbox.workspace / "file").read_text() == "kept\n"
