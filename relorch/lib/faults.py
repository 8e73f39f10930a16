"""Named points at which a test lets its process die, to prove that nothing hangs on its going on (reliability, R-02).

Unless a test has armed a point, `point` compares one name with None. Nothing of an installation arms one: no setting, no environment.
"""

from __future__ import annotations

import os
import signal

_armed: str | None = None
_passes = 0


def point(name: str) -> None:
    """Somebody may be killed here."""
    if _armed is not None and _armed == name:
        _die()


def arm(order: str) -> None:
    """`<name>:<n>`: this process dies, as by `kill -9`, when it comes past that point for the nth time. Empty disarms."""
    global _armed, _passes
    name, _, number = order.partition(":")
    _armed, _passes = name or None, int(number or 1)


def _die() -> None:
    global _passes
    _passes -= 1
    if _passes <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
