"""The lock: it holds what the `.in` files ask for, everything has hashes, and nothing says where it came from."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

FOLDER = Path(__file__).resolve().parents[2] / "requirements"


def asked(name: str) -> list[Requirement]:
    lines = [line.partition("#")[0].strip() for line in (FOLDER / f"{name}.in").read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-r")]


def locked(name: str) -> dict[str, tuple[Requirement, str]]:
    """Each locked package with its requirement line and the hashes that follow."""
    found = {}
    for block in re.split(r"\n(?=[a-z0-9])", (FOLDER / f"{name}.txt").read_text()):
        line = block.split("\\\n")[0].strip()
        requirement = Requirement(line)
        found[canonicalize_name(requirement.name)] = (requirement, block)
    return found


def version(requirement: Requirement) -> Version:
    (pin,) = requirement.specifier
    assert pin.operator == "=="
    return Version(pin.version)


@pytest.mark.parametrize("name", ["base", "dev"])
def test_everything_asked_for_is_locked(name: str) -> None:
    pins = locked(name)
    for requirement in asked("base") + (asked("dev") if name == "dev" else []):
        pin, _ = pins[canonicalize_name(requirement.name)]
        assert version(pin) in requirement.specifier, f"{requirement} is locked as {pin}: run `make lock`"


@pytest.mark.parametrize("name", ["base", "dev"])
def test_everything_has_hashes_and_no_origin(name: str) -> None:
    for requirement, block in locked(name).values():
        assert "--hash=sha256:" in block, requirement
    text = (FOLDER / f"{name}.txt").read_text()
    assert not re.search(r"://|index|file:|/(home|tmp|root|opt)/", text)


def test_both_locks_agree() -> None:
    dev = locked("dev")
    for name, (requirement, _) in locked("base").items():
        assert str(dev[name][0].specifier) == str(requirement.specifier)


def test_what_is_installed_is_what_is_locked() -> None:
    for name, (requirement, _) in locked("dev").items():
        if requirement.marker is None or requirement.marker.evaluate():
            assert metadata.version(name) == str(version(requirement)), f"{name}: run `make install`"
