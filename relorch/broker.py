"""The embedded broker: kombu's filesystem transport, kept inside the home and made safe against half-written messages (`folder://`).

It may lose a message when a worker is killed in the middle; the sweep finds what a lost doorbell missed.
"""

from __future__ import annotations

import os
import time
import uuid
from functools import cached_property
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem, virtual
from kombu.utils.json import dumps, loads


def _messages(folder: Path) -> list[str]:
    """The names of the whole messages, oldest first."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith("."))


class Channel(filesystem.Channel):
    """One folder per queue: a message is written under a hidden name and then renamed, so that a reader meets only whole ones; to take one is to rename it."""

    @cached_property
    def home(self) -> Path:
        """The folder of all queues, from the transport options."""
        return Path(self.transport_options["home"])

    # Only direct exchanges are used, and whoever publishes or consumes declares its queue: bindings in memory are enough.
    supports_fanout = False
    get_table = virtual.Channel.get_table
    _delete = virtual.Channel._delete

    def _queue(self, queue: str) -> Path:
        folder: Path = self.home / "queues" / queue.replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        """Puts a message at the end."""
        folder = self._queue(queue)
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        half = folder / f".{name}"
        half.write_bytes(dumps(payload).encode())
        half.rename(folder / name)

    def _get(self, queue: str) -> Any:
        """Takes the oldest message; Empty when there is none. Of two takers one wins the rename."""
        folder = self._queue(queue)
        for name in _messages(folder):
            taken = folder / f".taken-{name}"
            try:
                (folder / name).rename(taken)
            except FileNotFoundError:
                continue
            text = taken.read_bytes()
            taken.unlink()
            return loads(text.decode())
        raise Empty

    def _size(self, queue: str) -> int:
        """How many wait."""
        return len(_messages(self._queue(queue)))

    def _purge(self, queue: str) -> int:
        """Throws all away, what a killed worker left half taken too; says how many."""
        count = self._size(queue)
        for file in self._queue(queue).iterdir():
            file.unlink(missing_ok=True)
        return count


class Transport(filesystem.Transport):
    """`folder://`; the folder is the transport option `home`."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """As kombu's, but a worker that waits for two seconds hears of its end sooner."""
        super().drain_events(connection, timeout and min(timeout, 0.2))


TRANSPORT_ALIASES["folder"] = "relorch.broker:Transport"
