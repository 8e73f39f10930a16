"""Say how many customers see the new checkout. The running server notices at the next request.

usage: flag.py --place FOLDER --percent 10 [--internal]
answers: percent
"""

from __future__ import annotations

import argparse
from pathlib import Path

from running import Failed, answer, run, say
from shop.place import Place, read_json, write_json
from shop.service import NEW_CHECKOUT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", type=Path, required=True)
    parser.add_argument("--percent", type=int, required=True)
    parser.add_argument("--internal", action="store_true", help="our own people too")
    told = parser.parse_args()
    if not 0 <= told.percent <= 100:
        raise Failed(f"{told.percent} is no percentage")
    place = Place(told.place)
    write_json(place.flags, (read_json(place.flags) or {}) | {NEW_CHECKOUT: {"percent": told.percent, "internal": told.internal}})
    say(f"the new checkout is on for {told.percent} %" + (" and for our own people" if told.internal else ""))
    answer(percent=told.percent)


if __name__ == "__main__":
    run(main)
