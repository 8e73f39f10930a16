"""The contract every connector keeps (S22). Pure: plain values in, plain values out.

`start` either ends the attempt at once (`Done`) or says what it waits for (`Later`), and the engine keeps that as a row; nothing here holds
a worker while waiting. An unknown state of the other side is `Later` again, never a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from processes.problems import Problem


class Effect(StrEnum):
    """May an attempt whose answer was lost be repeated? Only when the other side honours our key."""

    KEYED = "keyed"
    ONCE = "once"


Lane = Literal["engine", "slow"]
"""Which workers run it: `engine` never blocks, `slow` may."""


def _silent(text: str) -> None:
    """Where log text goes when nobody listens."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a connector: who asks, and what it may use.

    `key` is the idempotency key of the attempt (a lost attempt repeated keeps it), `workspace` one folder for the whole release tree,
    `at` the time of the call in UTC, `timeout` the seconds left (None: no limit). `log` takes text in any chunking. `stopping` turns true
    when the attempt must end now. `environment` holds the `RELORCH_*` values for scripts, `secrets` the values of the secrets that the
    arguments were made from: the connector masks them in what it logs and says.
    """

    key: str
    attempt: int
    release: int
    activity: str
    workspace: Path
    at: datetime
    timeout: float | None = None
    log: Callable[[str], None] = _silent
    stopping: Callable[[], bool] = _never
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an attempt. `code` is for machines (`timeout`, `stopped`, `exit_1`, `egress_denied` …), empty when it succeeded."""

    succeeded: bool
    outputs: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """Not ended: ask again at `poll_at`, or it has succeeded with `outputs` at `due_at`. `reference` is what `poll` and `abort` get back (plain JSON)."""

    reference: dict[str, Any] = field(default_factory=dict)
    poll_at: datetime | None = None
    due_at: datetime | None = None
    message: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)


class Connector(Protocol):
    """What the registry holds. Arguments are the activity's `with`: for `problems` as written (they may hold `${{ }}`), for `start` resolved."""

    name: str
    title: str
    effects: frozenset[Effect]
    default_effect: Effect
    lane: Lane
    uses_scripts: bool

    def schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12 of `with`, with titles and descriptions good enough to build a form from."""
        ...

    def problems(self, arguments: dict[str, Any]) -> list[Problem]:
        """What can be known to be wrong at publish; places are JSON Pointers relative to `with`."""
        ...

    def start(self, arguments: dict[str, Any], call: Call) -> Done | Later:
        """Do it, or begin it. Never raises for what the other side or the author did wrong: that is a failed `Done`."""
        ...

    def poll(self, reference: dict[str, Any], call: Call) -> Done | Later:
        """How is it? Also called when a `Later` is due."""
        ...

    def abort(self, reference: dict[str, Any], call: Call) -> None:
        """Stop what `start` began, as far as the other side lets us."""
        ...
