"""A process that has everything loaded and forks others that may be killed: a start costs nothing, and no connection is inherited.

Run as a program it reads lines of JSON `{"fault": name, "mark": path}` and answers each with how its child ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from django.db import connection

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, django
django.setup()
from django.conf import settings
from django.db import connection
connection.settings_dict["NAME"] = os.environ["TEST_DATABASE"]
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
from tests.chaos import forks
forks.serve()
"""


class Forks:
    """The process that forks, as a test sees it."""

    def __init__(self) -> None:
        environment = {**os.environ, "TEST_DATABASE": str(connection.settings_dict["NAME"]), "RELORCH_ALLOW_SCRIPTS": "1", "RELORCH_SANDBOX": "off"}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROGRAM], env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def live(self, fault: str = "") -> int:
        """A life that is cut off at this point, or lived to its end: its exit status as of `os.waitstatus_to_exitcode`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"fault": fault}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> None:
        """No more."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


def serve() -> None:
    """Fork for each line, and say how it ended."""
    from tests.chaos import life  # loaded before the forks

    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        child = os.fork()
        if not child:
            code = 1
            try:
                from relorch.lib import faults

                faults.arm(order["fault"])
                life.live()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
