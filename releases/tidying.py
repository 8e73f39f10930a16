"""Folders of releases that have ended are removed after some days: a tree's workspace, and the work folders that its scripts left."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

from releases.states import ENDED

MOST = 10_000
_OVER = """
SELECT r.id FROM releases_release r JOIN releases_release root ON root.id = r.root_id
WHERE r.id = ANY(%s) AND root.state = ANY(%s) AND root.finished_at < clock_timestamp() - %s * interval '1 day'
"""


def tidy() -> int:
    """Remove the folders of releases whose tree ended more than `RELORCH_KEEP_WORK` days ago; how many. An open release keeps all it has."""
    folders = list(_folders(Path(settings.RELORCH_HOME)))[:MOST]
    with connection.cursor() as cursor:
        cursor.execute(_OVER, (sorted({release for release, _ in folders}), sorted(ENDED), settings.RELORCH_KEEP_WORK))
        over = {release for (release,) in cursor.fetchall()}
    gone = [folder for release, folder in folders if release in over]
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)
    return sum(not folder.exists() for folder in gone)


def forget(releases: Collection[int]) -> None:
    """Remove the folders of these releases, which are no more."""
    for release, folder in list(_folders(Path(settings.RELORCH_HOME))):
        if release in releases:
            shutil.rmtree(folder, ignore_errors=True)


def _folders(home: Path) -> Iterator[tuple[int, Path]]:
    """Folders that are named for a release: `workspaces/<root>` and `work/<release>-<activity>-<attempt>`; links and whatever else lies there are left."""
    for kind in ("workspaces", "work"):
        if (home / kind).is_dir():
            for folder in sorted((home / kind).iterdir()):
                number = folder.name.split("-", 1)[0]
                if number.isascii() and number.isdecimal() and len(number) <= 18 and folder.is_dir() and not folder.is_symlink():
                    yield int(number), folder
