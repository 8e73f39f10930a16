"""What the engine's step statement takes and gives, as values: ends with what they unblock in, what was counted and tried out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from releases.flows import Step
from releases.states import BAD, CLOSED, Run
from releases.states import Release as State
from releases.values import End, Ref

if TYPE_CHECKING:
    from releases.engine import Work


@dataclass(frozen=True, slots=True)
class Try:
    """A new attempt."""

    id: int
    number: int
    key: str


@dataclass(frozen=True, slots=True)
class Unblock:
    """An end counts down this step of its release; `goes` is the state that the step takes if it waits for nothing else (None: it is to be decided)."""

    attempt: int
    release: int
    key: str
    goes: Run | None
    step: Step

    def as_row(self) -> dict[str, Any]:
        """For `statements.STEP`."""
        return {
            "attempt": self.attempt,
            "release_id": self.release,
            "key": self.key,
            "go": self.goes or "",
            "lane": self.step.lane,
            "effect": self.step.effect,
        }


@dataclass(frozen=True, slots=True)
class Counted:
    """A step that was counted down: with its attempt if it went on, and as `Work` notes what may be ready."""

    ref: Ref
    attempt: Try | None
    waiting: tuple[Any, ...]


@dataclass(slots=True)
class Stepped:
    """What came of it."""

    ends: dict[int, tuple[Ref, int]] = field(default_factory=dict)
    phases: list[tuple[Any, ...]] = field(default_factory=list)
    runs: dict[tuple[int, str], Counted] = field(default_factory=dict)


def unblocked(work: Work, ends: Sequence[End], endings: Sequence[Run]) -> list[Unblock]:
    """What waits for the ends that succeed, and how each goes on if it waits for nothing else then. Takes from the worker's appetite what it may claim."""
    troubled = {end.run.release for end, ending in zip(ends, endings, strict=True) if ending in BAD}
    goes: dict[tuple[int, str], Run | None] = {}
    found = []
    for end, ending in zip(ends, endings, strict=True):
        if ending is not Run.SUCCEEDED:
            continue
        release, version = end.run.release, work.compiled(end.run.release)
        for key in version.flow.next_steps[end.run.key]:
            step = version.steps[key]
            if (release, key) not in goes:
                goes[release, key] = None if release in troubled else _goes(work, release, step)
            found.append(Unblock(end.attempt, release, key, goes[release, key], step))
    return found


def _goes(work: Work, release_id: int, step: Step) -> Run | None:
    """How a step gets its attempt without a decision: claimed while this worker has appetite, queued, or (None) not."""
    row = work.release(release_id)
    if row.troubled or row.state is not State.RUNNING or not step.is_certain:
        return None
    if step.guards or work.appetite.get(step.lane, 0) <= 0:
        return Run.QUEUED
    work.appetite[step.lane] -= 1
    return Run.RUNNING


def end_as_row(end: End, ending: Run) -> dict[str, Any]:
    """For `statements.STEP`: the end of an attempt, and the state that its run takes."""
    return {
        "id": end.attempt,
        "fence": end.fence,
        "was": end.was,
        "state": end.state,
        "ending": ending,
        "outcome": end.state if ending is Run.ON_HOLD else "",
        "closes": ending in CLOSED,
        "goes_on": ending is Run.SUCCEEDED,
        "outputs": end.outputs or {},
        "code": end.code,
        "message": end.message[:10_000],
        "seal": end.seal,
        "decision": end.decision,
    }


def sorted_rows(rows: Iterable[tuple[Any, ...]]) -> Stepped:
    """The rows of `statements.STEP` by what they say."""
    found = Stepped()
    for what, run, release, root, phase, key, attempt, number, token, left, decided, because, met, is_closed, is_broken in rows:
        if what == "end":
            found.ends[attempt] = Ref(run, release, root, phase, key), number
        elif what == "phase":
            found.phases.append((run, release, root, key, left, decided, is_closed, is_broken))
        else:
            ref = Ref(run, release, root, phase, key)
            tried = None if attempt is None else Try(attempt, number, str(token))
            found.runs[release, key] = Counted(ref, tried, (run, release, root, phase, key, left, decided, because, met))
    return found


def tried_before(work: Work, ends: Sequence[End]) -> list[int]:
    """For each end: attempts that do not count for the retry policy, because a person or an earlier decision began anew since (S22); 0 where it asks not."""
    again = [end.run.id for end in ends if end.state is Run.FAILED and end.number > 1]
    if not again:
        return [0] * len(ends)
    work.cursor.execute("SELECT id, tried_before FROM releases_activityrun WHERE id = ANY(%s)", (again,))
    found = dict(work.cursor.fetchall())
    return [found.get(end.run.id, 0) for end in ends]
