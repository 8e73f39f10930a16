"""A house full of people, processes and releases, to look at and to play with. Nothing here is used by a real installation."""

from __future__ import annotations

import os
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HOME = Path(__file__).resolve().parents[2] / "var" / "demo"
PASSWORD = "release the demo"  # noqa: S105 - shown on the console; only in a demo's home
DOMAIN = "@demo.example"


def prepare_environment(home: str | None = None) -> None:
    """Before settings are read: the demo's own home, scripts allowed, and the loopback addresses of its servers."""
    if home or "RELORCH_HOME" not in os.environ:
        os.environ["RELORCH_HOME"] = home or str(HOME)
    os.environ.setdefault("RELORCH_ALLOW_SCRIPTS", "1")
    os.environ.setdefault("RELORCH_EGRESS_ALLOW", "127.0.0.1")
