"""The folder in which one copy of the shop lives: its settings, flags and orders, and who runs in it.

```
<place>/settings.json      what this place tells the shop
<place>/flags.json         who sees which new feature
<place>/orders.db          the orders
<place>/versions/<slot>/   the artifacts that were deployed here
<place>/state.json         which of them is current, and which were before
<place>/run/               lock, process id, address and log of the running server
```
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any


class Place:
    """Paths and the run files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.settings = self.folder / "settings.json"
        self.flags = self.folder / "flags.json"
        self.orders = self.folder / "orders.db"
        self.versions = self.folder / "versions"
        self.state = self.folder / "state.json"
        self.run = self.folder / "run"
        self.pid = self.run / "server.pid"
        self.address = self.run / "server.json"
        self.log = self.run / "server.log"

    def lock(self) -> IO[str] | None:
        """The place's lock, which its server holds as long as it lives; None when somebody has it.

        The kernel lets go of it however the holder dies, so a left-over process id can never be mistaken for a running server.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        handle = (self.run / "lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
        return handle

    def running(self) -> bool:
        """Whether a server lives here now."""
        if not self.run.exists():
            return False
        handle = self.lock()
        if handle is None:
            return True
        handle.close()
        return False

    def announced(self) -> dict[str, Any] | None:
        """What the running server wrote of itself: pid, port, url, version, digest, service."""
        found = read_json(self.address)
        return found if isinstance(found, dict) else None


def read_json(file: Path) -> Any:
    """The JSON of a file, or None when there is no file."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def write(file: Path, text: str) -> None:
    """Whole or not at all: nobody meets half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def write_json(file: Path, value: Any) -> None:
    """`value` as JSON, whole or not at all."""
    write(file, json.dumps(value, indent=2, sort_keys=True) + "\n")
