"""Stop the servers of places. Safe to repeat; fine when none runs.

usage: stop.py [FOLDER …] [--below FOLDER]      (--below: every place anywhere in that folder)
answers: stopped (how many ran)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from running import answer, places_below, run, say, stop
from shop.place import Place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", type=Path, nargs="*")
    parser.add_argument("--below", type=Path, action="append", default=[])
    told = parser.parse_args()
    places = [Place(folder) for folder in told.places] + [place for folder in told.below for place in places_below(folder)]
    stopped = sum(stop(place) for place in places)
    say(f"stopped {stopped} of {len(places)}")
    answer(stopped=stopped)


if __name__ == "__main__":
    run(main)
