"""Counters anew, after a person's verb has taken closed things back: the one place where a whole release is counted."""

from __future__ import annotations

from releases.engine import Work
from releases.states import CLOSED


def recount(work: Work, release: int, *, reopened: int = 0) -> None:
    """Set the unmet dependencies of everything pending, what each phase has left, and how many phases are open.

    `reopened` is a run that is about to get a new attempt: it counts as open though its row still says closed.
    """
    flow = work.compiled(release).flow
    work.cursor.execute("SELECT id, key, state, unmet, phase_run_id FROM releases_activityrun WHERE release_id = %s", (release,))
    runs = {key: (run, state, unmet, phase) for run, key, state, unmet, phase in work.cursor.fetchall()}
    is_open = {key: state not in CLOSED or run == reopened for key, (run, state, _, _) in runs.items()}
    work.cursor.execute("SELECT id, key, unmet, remaining, decided, closed_at IS NOT NULL FROM releases_phaserun WHERE release_id = %s", (release,))
    phases = {key: row for row in work.cursor.fetchall() for key in (row[1],)}
    remaining = {key: sum(is_open[step.id] for step in flow.phases[key].activities) for key in phases}
    closed = {key: bool(row[5]) and remaining[key] == 0 and bool(row[4]) for key, row in phases.items()}
    for key, (phase, _, unmet, left, decided, was_closed) in phases.items():
        wanted = sum(not closed[other] for other in set(flow.phases[key].depends_on)) if not decided else unmet
        if (wanted, remaining[key], closed[key]) != (unmet, left, was_closed):
            work.cursor.execute(
                "UPDATE releases_phaserun SET unmet = %s, remaining = %s, closed_at = CASE WHEN %s THEN closed_at END WHERE id = %s",
                (wanted, remaining[key], closed[key], phase),
            )
    for key, (run, state, unmet, _) in runs.items():
        if state == "pending":
            wanted = sum(is_open[other] for other in set(flow.steps[key].depends_on)) + (not phases[flow.phase_of[key]][4])
            if wanted != unmet:
                work.cursor.execute("UPDATE releases_activityrun SET unmet = %s WHERE id = %s", (wanted, run))
    work.cursor.execute("UPDATE releases_release SET open_phases = %s WHERE id = %s", (sum(not is_closed for is_closed in closed.values()), release))
    work.forget(release)
    # whatever has become ready by this is found as a chore
    work.stir(work.release(release).root)
