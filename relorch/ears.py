"""Who of `serve`'s children has heard something lately: a worker can live and be deaf, its connection to the broker being dead without an end (R-06).

The times lie in memory that the children share. A worker notes each message that reaches it, and once a second that it could take none because all its
slots are taken; the clock notes each message that the broker has taken from it.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable, Sequence

CLOCK = "clock"
_TIME = struct.Struct("d")
SPEAKS_WITHIN = 5.0
"""Seconds since its last message in which the clock counts as heard by everybody who can hear; it says something every second."""
MOST_BETWEEN = 2.0
"""Seconds that one look may add to a silence: one that comes later says only that this process stood still, or the whole machine."""


class Ears:
    """The last time, by this machine's monotonic clock, at which each has heard something; 0 before the first. Made before the children are forked."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._places = {name: number * _TIME.size for number, name in enumerate(self.names)}
        self._memory = mmap.mmap(-1, max(1, len(self.names)) * _TIME.size)

    def note(self, name: str) -> None:
        """It hears."""
        if name in self._places:
            _TIME.pack_into(self._memory, self._places[name], time.monotonic())

    def last(self, name: str) -> float:
        """When it last did."""
        found: float = _TIME.unpack_from(self._memory, self._places[name])[0]
        return found

    def silent(self, seconds: float) -> list[str]:
        """Those that have heard something once, and nothing for so long."""
        since = time.monotonic() - seconds
        return [name for name in self.names if 0 < self.last(name) < since]


here: Ears | None = None
"""Those of the `serve` that this process belongs to."""


def make(names: Sequence[str]) -> Ears:
    """The ears of this `serve`; children that are forked from now on share them."""
    global here
    here = Ears(names)
    return here


def note(name: str) -> None:
    """It hears; nothing happens outside `serve`."""
    if here is not None:
        here.note(name)


class Watch:
    """Finds who is deaf. A worker is silent only while the clock speaks: a broker that is away makes nobody deaf, and starting afresh would not help."""

    def __init__(self, last: Callable[[str], float], names: Sequence[str], after: float) -> None:
        self.last = last
        self.after = after
        self._heard = dict.fromkeys(names, 0.0)
        self._silent = dict.fromkeys(names, 0.0)
        self._looked: float | None = None

    def began(self, name: str) -> None:
        """It has just been started."""
        if name in self._silent:
            self._silent[name] = 0.0

    def deaf(self, now: float) -> dict[str, float]:
        """Those that have been silent for too long, with the seconds."""
        passed = 0.0 if self._looked is None else min(now - self._looked, MOST_BETWEEN)
        self._looked = now
        speaks = now - self.last(CLOCK) < SPEAKS_WITHIN
        for name, before in self._heard.items():
            heard = self.last(name)
            if heard != before:
                self._heard[name], self._silent[name] = heard, 0.0
            elif speaks or name == CLOCK:
                self._silent[name] += passed
        return {name: silent for name, silent in self._silent.items() if silent > self.after}
