"""Where the embedded database of a home lies, and whether it runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psutil
import psycopg

from relorch.environment import kept

DATABASE = "relorch"
ROLES = {"admin": "relorch_admin", "owner": "relorch_owner", "application": "relorch", "reporting": "relorch_reporting"}
PORT = "5432"
_LONGEST_SOCKET_FOLDER = 90  # a socket's whole path fits 107 bytes
ours: list[subprocess.Popen[bytes]] = []
"""The servers that this process started; asked now and then, so that none that has ended keeps its number."""


class Place:
    """Where everything of one home's database lies."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "postgres"
        self.lock = self.folder / "lock"
        self.users = self.folder / "users"
        self.log = self.folder / "log"

    @property
    def passwords(self) -> dict[str, str]:
        """Of the roles, by the keys of ROLES; made on first use."""
        text = kept(self.folder / "passwords.json", lambda: json.dumps({role: secrets.token_urlsafe(24) for role in ROLES}))
        found: dict[str, str] = json.loads(text)
        return found

    @property
    def base(self) -> Path:
        """The folder of data and socket: in the home, unless the server must run as an account that cannot get there (`moved` says where it is)."""
        moved = self.folder / "moved"
        return Path(moved.read_text(encoding="utf-8").strip()) if moved.exists() else self.folder

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.base / "data"

    @property
    def socket(self) -> Path:
        """The folder of the socket; a home whose path is too long for a socket has a short one beside the temporary files, wherever these lie."""
        folder = self.base / "run"
        if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
            return folder
        name = f"relorch-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
        short = Path(tempfile.gettempdir()) / name
        return short if len(os.fsencode(short)) <= _LONGEST_SOCKET_FOLDER else Path("/tmp") / name  # noqa: S108 (its owner alone may enter, checked at the start)


def connection(home: Path, role: str) -> dict[str, Any]:
    """Django's HOST, PORT, USER, PASSWORD, NAME and OPTIONS for a role of the embedded database; nothing is started."""
    place = Place(home)
    return {"NAME": DATABASE, "USER": ROLES[role], "PASSWORD": place.passwords[role], "HOST": str(place.socket), "PORT": PORT, "OPTIONS": {}}


def answers(place: Place) -> bool:
    """Whether the database takes connections now."""
    with contextlib.suppress(psycopg.OperationalError), connect(place, "application"):
        return True
    return False


def connect(place: Place, role: str) -> psycopg.Connection[Any]:
    """A connection as that role."""
    return psycopg.connect(
        host=str(place.socket), port=PORT, user=ROLES[role], password=place.passwords[role], dbname=DATABASE, connect_timeout=2, autocommit=True
    )


def server_process(place: Place) -> psutil.Process | None:
    """The living server of this place, told by its own note; a note left by a killed one, whose number another process may have by now, is none."""
    ours[:] = [child for child in ours if child.poll() is None]
    try:
        process = psutil.Process(int((place.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]))
        if process.name() == "postgres" and str(place.data) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except (OSError, ValueError, psutil.Error):
        pass
    return None
