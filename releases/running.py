"""Doing what was claimed: resolve the arguments, call the connector, keep the log and the lease, and say how it ended. Never in a transaction."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from processes.expressions import ExpressionError, render
from releases import attempts, form_secrets
from releases.attempts import POLL_AGAIN, Wait
from releases.connectors.base import Call, Done, Later
from releases.connectors.registry import connector
from releases.engine import Claim, End
from releases.evaluating import mapped_outputs
from releases.flows import Step, compiled
from releases.models import ActivityRun, Attempt, LogChunk, Release
from releases.names import names_of_step
from releases.retrying import DEFAULT_TIMEOUT
from releases.states import Run
from relorch.lib import faults, secrets
from relorch.lib.masking import Masker, mask, mask_json

log = logging.getLogger(__name__)

BEAT = 1.0
"""Seconds between looks whether the attempt is still ours; a person's stop is seen within this."""
FLUSH = 0.5


def perform(claim: Claim, at: datetime, *, version: int) -> End | Wait:
    """Run one claimed attempt to its end, or to where it waits. Nothing that a connector does can raise out of here."""
    step = compiled(version).steps[claim.run.key]
    faults.point("effect.before")
    try:
        # a later attempt may have been given other inputs by the person who retried
        if step.is_plain and step.lane == Attempt.ENGINE and claim.number == 1:
            return _answer(claim, step, _call(claim, step, dict(step.activity.arguments), at, []), None, [], over_at=_over_at(step, at))
        return _with_names(claim, step, at)
    except ExpressionError as error:
        return End(claim.attempt, claim.run, Run.FAILED, claim.fence, code=error.code, message=f"{error.message} In: {error.expression}", number=claim.number)
    except Exception as error:  # a connector must not take its worker along
        log.exception("connector failed", extra={"attempt": claim.attempt})
        return End(claim.attempt, claim.run, Run.FAILED, claim.fence, code="internal_error", message=f"{type(error).__name__}: {error}", number=claim.number)


def _with_names(claim: Claim, step: Step, at: datetime) -> End | Wait:
    release = Release.objects.select_related("version", "process", "starter").get(pk=claim.run.release)
    activity = step.activity
    names = names_of_step(release, activity.id, activity.arguments, reveal=True)
    changes = ActivityRun.objects.values_list("changes", flat=True).get(pk=claim.run.id)
    arguments = {**render(activity.arguments, names), **changes.get("inputs", {})}
    hidden = _secrets_of(release)
    Attempt.objects.filter(pk=claim.attempt, fence=claim.fence).update(inputs=mask_json(arguments, hidden))
    return _answer(claim, step, _call(claim, step, arguments, at, hidden), release, hidden, over_at=_over_at(step, at))


def _secrets_of(release: Release) -> list[str]:
    """Every secret value of the release, to be masked wherever text leaves."""
    found: list[str] = []

    def collect(stored: Any, shown: Any) -> None:
        if secrets.is_secret(stored):
            found.append(str(shown))
        elif isinstance(stored, dict):
            for key, value in stored.items():
                collect(value, shown[key])
        elif isinstance(stored, list):
            for value, said in zip(stored, shown, strict=True):
                collect(value, said)

    for values in (release.inputs, release.variables):
        collect(values, secrets.opened(values, f"release:{release.root_id}"))
    return found + form_secrets.texts_of(release)


def _call(claim: Claim, step: Step, arguments: dict[str, Any], at: datetime, hidden: list[str]) -> Done | Later:
    behind = connector(step.activity.connector or "noop")
    if step.lane == Attempt.ENGINE:
        return behind.start(arguments, _call_of(claim, step, at, hidden, _silent, _never))
    with _Pulse(claim) as pulse, _Log(claim.attempt, hidden) as written:
        return behind.start(arguments, _call_of(claim, step, at, hidden, written.write, pulse.is_over))


def _call_of(claim: Claim, step: Step, at: datetime, hidden: list[str], write: Callable[[str], None], stopping: Callable[[], bool]) -> Call:
    timeout = step.activity.timeout
    return Call(
        key=claim.key,
        attempt=claim.attempt,
        release=claim.run.release,
        activity=claim.run.key,
        workspace=_workspace(settings.RELORCH_HOME, claim.run.root),
        at=at,
        timeout=float(timeout if timeout is not None else DEFAULT_TIMEOUT),
        log=write,
        stopping=stopping,
        environment={"RELORCH_RELEASE": str(claim.run.release), "RELORCH_ACTIVITY": claim.run.key, "RELORCH_ATTEMPT": str(claim.number)},
        secrets=tuple(hidden),
    )


@lru_cache(maxsize=1_000)
def _workspace(home: str | Path, root: int) -> Path:
    """The one folder of a tree; a path costs more to make than a claim's share of a statement."""
    return Path(home) / "workspaces" / str(root)


def _answer(
    claim: Claim, step: Step, said: Done | Later, release: Release | None, hidden: list[str], *, over_at: datetime | None, was: Run = Run.RUNNING
) -> End | Wait:
    faults.point("effect.after")
    if isinstance(said, Later):
        # at its time-out it is looked at in any case, and then it is over
        poll_at = min(filter(None, (said.poll_at, over_at)), default=None) if said.poll_at or (said.due_at and over_at and over_at < said.due_at) else None
        return Wait(claim, said.reference, poll_at, said.due_at, mask(said.message, hidden), mask_json(dict(said.outputs), hidden), was)
    if not said.succeeded:
        return End(
            claim.attempt,
            claim.run,
            Run.EXPIRED if said.code == "expired" and was is Run.WAITING else Run.FAILED,
            claim.fence,
            was,
            outputs=mask_json(dict(said.outputs), hidden),
            code=said.code or "failed",
            message=mask(said.message, hidden),
            number=claim.number,
            final=said.code == "stopped",
        )
    result = mask_json(dict(said.outputs), hidden)
    outputs = result if step.activity.outputs is None else mapped_outputs(release or _release(claim), step.activity, claim.run.key, result)
    return End(claim.attempt, claim.run, Run.SUCCEEDED, claim.fence, was, outputs=outputs, message=mask(said.message, hidden), number=claim.number)


def _release(claim: Claim) -> Release:
    found: Release = Release.objects.select_related("version", "process", "starter").get(pk=claim.run.release)
    return found


def finish_waiting(attempt: Attempt, at: datetime) -> End | Wait:
    """Go on with an automated attempt that waited: what is due has happened, what is to be polled is asked again.

    An answer that cannot be had or understood is no failure (S22): it is asked for again.
    """
    run, claim = attempt.run, attempts.claim_of(attempt)
    step = compiled(run.release.version_id).steps[run.key]
    said: Done | Later
    try:
        hidden = _secrets_of(run.release)
        if attempt.due_at is not None and attempt.due_at <= at:
            said = Done(succeeded=True, outputs=attempt.outputs or {}, message=attempt.message)
        else:
            behind, call = connector(step.activity.connector or "noop"), _call_of(claim, step, at, [], _silent, _never)
            if _is_over(attempt, step, at):
                behind.abort(dict(attempt.reference or {}), call)
                said = Done(succeeded=False, outputs=attempt.outputs or {}, message="It took too long.", code="timeout")
            else:
                said = behind.poll(dict(attempt.reference or {}), call)
        return _answer(claim, step, said, run.release, hidden, over_at=_over_at(step, attempt.started_at or at), was=Run.WAITING)
    except ExpressionError as error:
        return End(claim.attempt, claim.run, Run.FAILED, claim.fence, Run.WAITING, code=error.code, message=error.message, number=claim.number)
    except Exception as error:
        log.exception("poll failed", extra={"attempt": attempt.pk})
        return Wait(claim, attempt.reference or {}, at + POLL_AGAIN, attempt.due_at, f"Cannot tell yet: {error}", attempt.outputs or {}, Run.WAITING)


def _over_at(step: Step, began: datetime) -> datetime | None:
    """When its author says that it has taken too long."""
    return began + timedelta(seconds=float(step.activity.timeout)) if step.activity.timeout else None


def _is_over(attempt: Attempt, step: Step, at: datetime) -> bool:
    """Whether what waits has taken longer than it may. Without a word of its author a signal waits for ever, since its own `due` says otherwise (S26), and a
    timer until its time."""
    has_its_own = step.activity.connector == "signal" or attempt.due_at is not None
    timeout = step.activity.timeout or (None if has_its_own else DEFAULT_TIMEOUT)
    return timeout is not None and attempt.started_at is not None and (at - attempt.started_at).total_seconds() >= timeout


def _silent(text: str) -> None:
    """No log is kept of a poll."""


def _never() -> bool:
    return False


class _Pulse:
    """Keeps the lease while a connector works, and says when to end: a person's stop, or the claim is not ours any more."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._over = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def is_over(self) -> bool:
        """Whether the work is to end now."""
        return self._over.is_set()

    def __enter__(self) -> _Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._over.is_set():
            attempts.confirm_stopped(self._claim)

    def _beat(self) -> None:
        try:
            while not self._done.wait(BEAT):
                try:
                    if attempts.renew(self._claim) != "ours":
                        self._over.set()
                        return
                except Exception:  # the database is away: the lease decides
                    log.warning("lease not renewed", exc_info=True)
                    connection.close()
        finally:
            connection.close()


class _Log:
    """Writes an attempt's log while it runs, in chunks of whole lines, masked; from the thread that calls the connector or another."""

    def __init__(self, attempt: int, hidden: list[str]) -> None:
        self._attempt = attempt
        self._masker = Masker(hidden)
        self._text = ""
        self._flushed = time.monotonic()
        self._lock = threading.Lock()
        self._next_line = self._after_last()

    def _after_last(self) -> int:
        last = LogChunk.objects.filter(attempt_id=self._attempt).order_by("-first_line").values_list("first_line", "lines").first()
        return sum(last) if last else 1

    def write(self, text: str) -> None:
        """Take some text, in any pieces."""
        with self._lock:
            self._text += self._masker.feed(text)
            if time.monotonic() - self._flushed > FLUSH or len(self._text) > 65_536:
                self._flush()

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._text += self._masker.end()
            self._flush(rest=True)

    def _flush(self, *, rest: bool = False) -> None:
        self._flushed = time.monotonic()
        cut = len(self._text) if rest else self._text.rfind("\n") + 1
        text, self._text = self._text[:cut], self._text[cut:]
        if text:
            lines = text.count("\n") + (not text.endswith("\n"))
            LogChunk.objects.create(attempt_id=self._attempt, first_line=self._next_line, lines=lines, text=text.replace("\x00", "�"))
            self._next_line += lines
