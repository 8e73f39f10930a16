"""The progress of a release in the terminal: live where there is one, a line per change elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.table import Table

from releases.models import ActivityRun, Release
from relorch.lib.look import STATES

_COLOURS = {"success": "green", "running": "blue", "waiting": "yellow", "failed": "red", "hold": "magenta", "neutral": "white"}


class Progress:
    """Give it to `playing.play` as `watch`, within `with`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
        self._said: set[tuple[int, str, str]] = set()

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, release: Release) -> None:
        """Show it as it is now."""
        runs = list(ActivityRun.objects.filter(root_id=release.root_id).select_related("release", "phase_run").order_by("release_id", "position"))
        if self._live:
            self._live.update(self._table(release, runs))
            return
        for run in runs:
            change = (run.release_id, run.key, run.state)
            if run.state != "pending" and change not in self._said:
                self._said.add(change)
                self._console.print(
                    f"{run.release.name}: {run.phase_run.key}/{run.key} {run.state} {run.message[:100]}".rstrip(), markup=False, highlight=False
                )

    def _table(self, release: Release, runs: list[ActivityRun]) -> Table:
        table = Table(title=f"{release.name}: {release.state}", box=None, pad_edge=False)
        for column in ("Release", "Phase", "Activity", "State"):
            table.add_column(column)
        for run in runs:
            look = STATES[run.state]
            table.add_row(run.release.name, run.phase_run.key, run.key, f"[{_COLOURS.get(look.colour, 'white')}]{look.label}[/]")
        return table
