"""The question that a verb of people is about: the newest attempt of a manual activity, read before the lock and again under it, and how it ended."""

from __future__ import annotations

from approvals.models import SignOff
from releases.engine import Work
from releases.models import Attempt, Release
from releases.states import Run
from releases.values import of_json
from relorch.lib.errors import Conflict
from relorch.lib.prepared import Prepared


def newest(release: int, activity: str) -> Attempt | None:
    """The newest attempt of a manual activity, with what its case reads; None when nobody was ever asked."""
    return next(iter(_NEWEST(release=release, activity=activity)), None)


_NEWEST = Prepared(
    lambda release, activity: (
        Attempt.objects.select_related("run__release__version", "run__release__starter", "run__release__process")
        .defer("run__release__version__document", "run__release__outputs", "run__release__pins")
        .filter(run__release_id=release, run__key=activity, run__type="manual")
        .exclude(state=Run.WAITING, asked_at=None)  # it waits for a lock: nobody is asked yet
        .order_by("-number")[:1]
    ),
    release=-1,
    activity="\n",
)


def the_one_waiting(work: Work, before: Attempt | None, release: int, activity: str) -> Attempt:
    """The attempt under the lock: the one read before if it still waits, else read again. Raises LookupError, Conflict when nobody was ever asked."""
    return _as_it_is(work, before) or _asked(release, activity)


def still_open(work: Work, attempt: Attempt) -> None:
    """Raises Conflict saying what happened and who decided."""
    if attempt.state != Run.WAITING or work.release(attempt.run.release_id).state not in ("running", "held"):
        raise Conflict("settled", how_it_ended(attempt), state=attempt.run.state)


def how_it_ended(attempt: Attempt) -> str:
    """What became of a question that is closed, in a sentence."""
    last = attempt.sign_offs.select_related("person").order_by("-at").first()
    if last is not None and attempt.run.state in (Run.SUCCEEDED, Run.REJECTED, Run.ON_HOLD) and not attempt.run.overridden:
        word = "approved" if last.decision == SignOff.Decision.APPROVE else "rejected"
        return f"Already {word} by {last.person} at {last.at:%Y-%m-%d %H:%M:%S} UTC."
    return f"No longer needed: this activity is {attempt.run.state}."


def _as_it_is(work: Work, before: Attempt | None) -> Attempt | None:
    """The attempt that was read before the lock, if it is still the newest and waits, with what can have changed; else None: read it again."""
    if before is None or before.state != Run.WAITING:
        return None
    work.cursor.execute(
        "SELECT id, state, fence, filled, bound, bound_hash, request FROM releases_attempt WHERE run_id = %s ORDER BY number DESC LIMIT 1", (before.run_id,)
    )
    number, state, fence, filled, bound, bound_hash, request = work.cursor.fetchone()
    if number != before.pk or state != Run.WAITING:
        return None
    before.fence, before.bound_hash = fence, bound_hash
    before.filled, before.bound, before.request = of_json(filled), of_json(bound), of_json(request)
    return before


def _asked(release: int, activity: str) -> Attempt:
    """The newest attempt of a manual activity. Raises LookupError, Conflict when nobody was ever asked."""
    attempt = newest(release, activity)
    if attempt is None:
        run = Release.objects.get(pk=release).runs.filter(key=activity, type="manual").first()
        if run is None:
            raise LookupError(activity)
        raise Conflict("not_waiting", f"This activity is {run.state}: nobody is asked.", state=run.state)
    return attempt
