"""Copy the sources of the shop into a folder, as a build server checks them out; `--fault` plants a bug there, as a developer might.

usage: checkout.py --to FOLDER [--fault unit_test|health_after_rollout|new_checkout|none]
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import NamedTuple

from running import Failed, answer, run, say

APP = Path(__file__).resolve().parent.parent


class Fault(NamedTuple):
    """One wrong edit: in `file`, `right` becomes `wrong`."""

    file: str
    right: str
    wrong: str
    effect: str


FAULTS = {
    "unit_test": Fault("shop/money.py", "rounding=ROUND_HALF_UP", 'rounding="ROUND_DOWN"', "taxes are rounded down: a unit test fails"),
    "health_after_rollout": Fault(
        "shop/settings.py", '("country",)', '("country", "payment_provider")', "needs a setting that staging has and production does not"
    ),
    "new_checkout": Fault(
        "shop/checkout.py", "net // line.quantity", "net // (line.quantity % 100)", "the new checkout breaks for 100 of one product; no unit test sees it"
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--fault", choices=["none", *FAULTS], default="none")
    told = parser.parse_args()
    target = told.to.resolve()
    if APP in (target, *target.parents):
        raise Failed(f"{target} lies inside the sources themselves")
    for name in ("shop", "tests"):
        shutil.rmtree(target / name, ignore_errors=True)
        shutil.copytree(APP / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    if told.fault != "none":
        plant(target, FAULTS[told.fault])
    say(f"sources are in {target}")
    answer(source=target)


def plant(source: Path, fault: Fault) -> None:
    """Make the wrong edit. Raises Failed when the sources no longer have the place for it."""
    file = source / fault.file
    text = file.read_text(encoding="utf-8")
    if text.count(fault.right) != 1:
        raise Failed(f"{fault.file} does not hold {fault.right!r} exactly once")
    file.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")
    say(f"planted a fault in {fault.file}: {fault.effect}")


if __name__ == "__main__":
    run(main)
