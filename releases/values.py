"""What passes between the engine and those who use it: who acts, which run, a claim, an end, a move. Plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from releases.states import Release as State
from releases.states import Run
from relorch.audit.chain import Head


def of_json(value: Any) -> Any:
    """A JSON column as a hand-written statement gives it: `json` comes as text, `jsonb` as itself."""
    return json.loads(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it and through which door; the engine itself has no id."""

    id: int | None = None
    name: str = "relorch"
    door: str = "engine"


ENGINE = Actor()


@dataclass(slots=True)
class Tree:
    """A locked root."""

    root: int
    head: Head
    release: ReleaseRow


@dataclass(slots=True)
class ReleaseRow:
    """What the engine knows of a release while it holds its tree."""

    id: int
    root: int
    version: int
    state: State
    troubled: bool
    parent_run: int | None
    level: int

    @classmethod
    def of(cls, row: Sequence[Any]) -> ReleaseRow:
        """From the columns of `statements.RELEASES`."""
        release, root, version, state, troubled, parent_run, level = row
        return cls(release, root, version, State(state), troubled, parent_run, level)


@dataclass(frozen=True, slots=True)
class Ref:
    """A run by its place."""

    id: int
    release: int
    root: int
    phase: int
    key: str


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt that a worker holds, with the fence under which its answer will be taken."""

    attempt: int
    run: Ref
    fence: int
    number: int
    key: str
    effect: str = "keyed"
    lost: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended: `state` succeeded, failed, rejected or expired; `was` and `fence` guard it."""

    attempt: int
    run: Ref
    state: Run
    fence: int = 0
    was: Run = Run.RUNNING
    outputs: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    message: str = ""
    seal: str = ""
    decision: Mapping[str, Any] | None = None
    number: int = 0
    final: bool = False
    """No retry by policy (stop, a person's decision)."""


@dataclass(frozen=True, slots=True)
class Move:
    """One change of state, for previews: `release` and `activity` ("" for the release itself), from and to."""

    release: int
    activity: str
    before: str
    after: str
