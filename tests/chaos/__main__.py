"""`python -m tests.chaos [goal …] [--scale 1] [--seed N]`: chaos on an installation of its own; the last line counts what held.

The sizes are those of a CI run; `--scale 5` (or RELORCH_CHAOS_SCALE) is the deep one of `make chaos`. Times fail only above scale 1, else they are
reported. Traffic goes to 127.0.0.1 only. The seed is printed and
makes the choices of the killer the same again, not the timing of a machine.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from pathlib import Path
from random import Random

from tests.chaos.world import ROOT, world

SIZES = {"R-01": 200, "R-03": 20, "R-08": 200, "R-09": 10, "R-12": 40, "S9a": 10, "examples": 2}
"""How many kills, scripts, activities, zombies, timers, holders of a lock; and how often each example is hurt."""


def main() -> int:
    """Each goal in turn; 1 if any does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("goals", nargs="*", default=[], help=f"of {', '.join(SIZES)}; all unless named")
    parser.add_argument("--scale", type=float, default=float(os.environ.get("RELORCH_CHAOS_SCALE", "1")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("RELORCH_CHAOS_SEED") or secrets.randbelow(1_000_000)))
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "chaos.json")
    given = parser.parse_args()
    if unknown := set(given.goals) - set(SIZES):
        parser.error(f"no such goal: {', '.join(sorted(unknown))}")
    print(f"seed {given.seed}, scale {given.scale:g}", flush=True)
    passed = failed = 0
    report: dict[str, object] = {"seed": given.seed, "scale": given.scale, "cores": os.cpu_count()}
    with world() as ground:
        from tests.chaos import examples, goals, locks

        acts = {
            "R-01": goals.killed_in_the_middle, "R-03": goals.not_safe_to_repeat, "R-08": goals.delivered_three_times, "R-09": goals.zombies,
            "R-12": goals.timers, "S9a": locks.holders_killed, "examples": examples.killed_at_random,
        }  # fmt: skip
        for name in given.goals or acts:
            began = time.monotonic()
            stage = goals.Stage(ground, Random(f"{given.seed} {name}"), max(2, round(SIZES[name] * given.scale)), f"chaos-{name.lower()}", deep=given.scale > 1)
            try:
                result = goals.whole(acts[name](stage))
            except Exception as error:  # a goal that breaks is a goal that failed; the others are tried
                result = goals.Result(wrong=[f"{type(error).__name__}: {error}"])
            seconds = round(time.monotonic() - began, 1)
            report[name] = {**result.figures, "seconds": seconds, "wrong": result.wrong}
            print(f"{'FAILED' if result.wrong else 'ok':6} {name} in {seconds} s: {json.dumps(result.figures)}", flush=True)
            for what in result.wrong:
                print(f"       {what}", flush=True)
            passed, failed = passed + (not result.wrong), failed + bool(result.wrong)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=2) + "\n")
    print(f"{passed} passed, {failed} failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
