"""Which version runs: what the build wrote into the artifact, and the digest of the very file this process was started from."""

from __future__ import annotations

import hashlib
import json
import pkgutil
import sys
from pathlib import Path

import shop


def version() -> str:
    """The version that the build wrote into the artifact; `source` when run from a checkout."""
    try:
        data = pkgutil.get_data("shop", "build.json")
    except OSError:
        data = None
    return str(json.loads(data)["version"]) if data else "source"


def artifact() -> Path | None:
    """The file this process runs from, or None when it runs from a checkout."""
    archive = getattr(shop.__loader__, "archive", None)
    return Path(archive) if archive else None


def digest() -> str:
    """SHA-256 of the artifact, hex; empty when run from a checkout. To be called at the start, before the file can be replaced."""
    file = artifact()
    return hashlib.sha256(file.read_bytes()).hexdigest() if file else ""


def python() -> str:
    """The Python that runs this."""
    return ".".join(str(part) for part in sys.version_info[:3])
