"""What else stands in the way of a release whose question is open: whoever approves should know that it could not go on anyway."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from releases.flows import compiled
from releases.models import ActivityRun, Release
from releases.states import BAD, CLOSED, Run

MOST = 12
_STUCK = frozenset({Run.ON_HOLD, Run.INTERRUPTED})
_WORDS = {Run.ON_HOLD: "needs a decision", Run.INTERRUPTED: "was cut off and needs a decision", Run.WAITING: "is still asked", Run.PENDING: "has not begun"}


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing: how it looks, what it is in a sentence, and where to look."""

    look: str
    text: str
    url: str = ""


def blockers_of(release: Release, key: str) -> list[Blocker]:
    """A hold, what is stuck, and what the next activities wait for beside this question or will be skipped for. Two queries."""
    found = []
    if release.state == "held":
        found.append(Blocker("held", f"The release is on hold{f': {release.reason}' if release.reason else ''}. Nothing starts until it is resumed."))
    flow = compiled(release.version_id).flow
    after = _next(release, key)
    before = {one: next_step for next_step in after for one in _before(release, next_step) if one != key}
    rows = ActivityRun.objects.filter(release=release)
    stuck = list(rows.filter(state__in=_STUCK).order_by("position")[:MOST])
    known = {run.pk for run in stuck}
    waited = [run for run in rows.filter(key__in=list(before)).order_by("position") if run.pk not in known]
    for run in stuck:
        found.append(Blocker(run.state, f"{flow.steps[run.key].label} {_WORDS[Run(run.state)]}.", _url(run)))
    for run in waited[:MOST]:
        follower, label = flow.steps[before[run.key]], flow.steps[run.key].label
        if run.state in BAD:
            if follower.run_when == "satisfied" and not run.recovers:
                found.append(Blocker(run.state, f"{label} ended {run.state}: {follower.label} will not run whatever is decided here.", _url(run)))
        elif run.state not in CLOSED:
            found.append(Blocker(run.state, f"{follower.label} also waits for {label}, which {_WORDS.get(Run(run.state), 'is not done')}.", _url(run)))
    return found


def _next(release: Release, key: str) -> list[str]:
    """The activities that this one makes ready: those that name it, else those that open with the phases after its own."""
    flow = compiled(release.version_id).flow
    direct = list(flow.next_steps.get(key, ()))
    later = [step.id for phase in flow.next_phases.get(flow.phase_of[key], ()) for step in flow.phases[phase].activities if not step.depends_on]
    return [*direct, *later]


def _before(release: Release, key: str) -> list[str]:
    """What it depends on itself, and what the phases that its phase depends on hold."""
    flow = compiled(release.version_id).flow
    phases = flow.phases[flow.phase_of[key]].depends_on
    return [*flow.steps[key].depends_on, *(step.id for phase in phases for step in flow.phases[phase].activities if not step.optional)]


def _url(run: ActivityRun) -> str:
    return reverse("releases:activity", args=[run.release_id, run.key])
