"""Build the artifact: one runnable `shop-<version>.pyz`, the same bytes from the same sources wherever and whenever it is built.

usage: build.py --source FOLDER --version 1.4.0 --to FOLDER
answers: artifact, digest (SHA-256, hex), version
"""

from __future__ import annotations

import argparse
import json
import re
import zipfile
from pathlib import Path

from running import Failed, answer, digest_of, run, say

START = "import sys\n\nfrom shop.__main__ import main\n\nsys.exit(main())\n"
MOMENT = (1980, 1, 1, 0, 0, 0)
SHIPPED = (".py", ".json")


def build(source: Path, version: str, to: Path) -> Path:
    """The artifact and, beside it, its checksum in the format of `sha256sum`."""
    if not re.fullmatch(r"\d+\.\d+\.\d+(-[a-z0-9.]+)?", version):
        raise Failed(f"{version!r} is not a version such as 1.4.0")
    files = {path.relative_to(source).as_posix(): path.read_bytes() for path in (source / "shop").rglob("*") if path.suffix in SHIPPED}
    if "shop/__main__.py" not in files:
        raise Failed(f"{source} does not hold the sources of the shop")
    files |= {"__main__.py": START.encode(), "shop/build.json": json.dumps({"version": version}).encode()}
    to.mkdir(parents=True, exist_ok=True)
    artifact = to / f"shop-{version}.pyz"
    with zipfile.ZipFile(artifact, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, MOMENT)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, files[name])
    (to / f"{artifact.name}.sha256").write_text(f"{digest_of(artifact)}  {artifact.name}\n", encoding="utf-8")
    return artifact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--to", type=Path, required=True)
    told = parser.parse_args()
    artifact = build(told.source.resolve(), told.version, told.to.resolve())
    say(f"built {artifact} ({artifact.stat().st_size} bytes)")
    answer(artifact=artifact, digest=digest_of(artifact), version=told.version)


if __name__ == "__main__":
    run(main)
