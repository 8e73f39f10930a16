"""The servers that releases of the demo leave running while they wait: stopped with the demo, running again when it is back."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

from releases import states
from releases.models import Attempt, Release
from relorch.demo import EXAMPLES

log = logging.getLogger(__name__)


def _workspaces() -> Path:
    return Path(settings.RELORCH_HOME) / "workspaces"


def stop_all() -> None:
    """End every server below the demo's workspaces."""
    if _workspaces().is_dir():
        _tool("stop", "--below", str(_workspaces()))


def start_again() -> None:
    """For releases that rest with people: the servers that they count on. Those of a release that moves are its own business."""
    moving = Attempt.objects.filter(state__in=[states.Run.RUNNING, states.Run.QUEUED]).values("root_id")
    for release in Release.objects.filter(level=1).exclude(state__in=states.ENDED).exclude(pk__in=moving):
        for file in sorted((_workspaces() / str(release.pk)).glob("*/state.json")):
            current: dict[str, Any] | None = json.loads(file.read_text(encoding="utf-8")).get("current")
            if current:
                place = file.parent
                artifact = place / "versions" / current["slot"] / "shop.pyz"
                said = ("--artifact", str(artifact), "--digest", current["digest"], "--service", current["service"])
                _tool("deploy", "--place", str(place), *said, "--unless-deployed", "--wait", "answering")


def _tool(name: str, *arguments: str) -> None:
    command = [sys.executable, "-B", str(EXAMPLES / "app" / "tools" / f"{name}.py"), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        log.warning("%s: %s", name, done.stderr.strip())
