"""What is different in a release since the last one of its process that succeeded: read for the sign-off page, the API and the mail, which say the same.

For the mail: `since_last(attempt).sentence` and `since_last(attempt).lines()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from approvals import changes
from approvals.changes import Change
from processes import diffing
from processes.models import ProcessVersion
from processes.versions import blueprint_of
from releases.asking import values_at
from releases.flows import compiled
from releases.models import Attempt, Release
from releases.states import Release as State
from relorch.lib.secrets import SecretUnreadable

MOST_LINES = 50


@dataclass(frozen=True, slots=True)
class Since:
    """The release compared with (None: there is none) and every difference, the largest risk first."""

    previous: Release | None
    changes: tuple[Change, ...] = ()

    @property
    def sentence(self) -> str:
        """What there is to say of it as a whole."""
        if self.previous is None:
            return "This is the first release of its process: there is nothing to compare it with."
        if not self.changes:
            return f"Nothing changed since {self.previous.name}."
        number = len(self.changes)
        return f"{number} {'thing' if number == 1 else 'things'} changed since {self.previous.name}."

    def lines(self, most: int = MOST_LINES) -> list[str]:
        """One line for each difference, for plain text."""
        left = len(self.changes) - most
        return [change.text for change in self.changes[:most]] + ([f"and {left} more"] if left > 0 else [])

    def as_dict(self) -> dict[str, Any]:
        """Its shape in the API."""
        previous = {"id": self.previous.pk, "name": self.previous.name} if self.previous else None
        return {"previous": previous, "sentence": self.sentence, "changes": [change.as_dict() for change in self.changes]}


def last_succeeded(release: Release) -> Release | None:
    """The last other release of the process that succeeded; of a child, one that ran in the same place of the same parent process."""
    others = Release.objects.filter(process=release.process_id, state=State.SUCCEEDED).exclude(root=release.root_id)
    if release.parent_run is None:
        others = others.filter(parent_run=None)
    else:
        others = others.filter(parent_run__key=release.parent_run.key, parent_run__release__process=release.parent_run.release.process_id)
    return others.select_related("process", "starter", "version").defer("version__document").order_by("-finished_at", "-pk").first()


def since_last(attempt: Attempt) -> Since:
    """What is different in what this attempt asks about; values by what its approval binds and by everything upstream. Secrets are compared by digest."""
    release, key = attempt.run.release, attempt.run.key
    previous = last_succeeded(release)
    if previous is None:
        return Since(None)
    now = {**values_at(release, key, _binds(release, key)), **(attempt.bound or {})}
    before = _values_of(previous, key, list(now))
    found = changes.of_values(before, without_new_steps(now, previous))
    if release.version_id != previous.version_id:
        found += changes.of_process(of_versions(previous.version_id, release.version_id))
    return Since(previous, tuple(changes.in_order(found)))


def _values_of(release: Release, key: str, places: list[str]) -> dict[str, Any]:
    """The values there; a secret whose key is gone counts as another one, and must not keep anybody from deciding."""
    try:
        return values_at(release, key, places)
    except SecretUnreadable:
        return values_at(release, key, places, readable=False)


def _binds(release: Release, key: str) -> list[str]:
    upstream = compiled(release.version_id).flow.upstream_of_step(key)
    return ["inputs", "variables", *(f"activities.{step}.outputs" for step in sorted(upstream))]


def without_new_steps(now: dict[str, Any], previous: Release) -> dict[str, Any]:
    """The outputs of an activity that the version before had not are no news beside the activity itself, which the process's changes name."""
    known = compiled(previous.version_id).flow.steps
    return {origin: values for origin, values in now.items() if not (origin.startswith("activities.") and origin.split(".")[1] not in known)}


def of_versions(before: int, after: int) -> list[diffing.Change]:
    """What is different between two versions of a process, by their ids."""
    found = ProcessVersion.objects.in_bulk([before, after])
    return diffing.changes(blueprint_of(found[before]), blueprint_of(found[after]))
