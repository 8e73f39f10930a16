"""Switch a place back to the version that it ran before, and start that.

usage: roll_back.py --place FOLDER [--to-digest SHA256] [--port N]
answers: url, version, digest, pid

With `--to-digest` the place goes back to just that artifact; when it runs already, nothing happens. So it is safe to repeat.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from running import LIFETIME, PATIENCE, Failed, answer, make_current, run, say, start, state_of, stop
from shop.place import Place, write_json


def goal(state: dict[str, Any], digest: str) -> dict[str, Any]:
    """The entry to go back to. Raises Failed when there is none."""
    known = [*state["previous"], *([state["current"]] if state["current"] and digest else [])]
    for entry in reversed(known):
        if not digest or entry["digest"] == digest:
            return dict(entry)
    raise Failed(f"no version with the digest {digest} was ever here" if digest else "there is no version before this one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", type=Path, required=True)
    parser.add_argument("--to-digest", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--patience", type=float, default=PATIENCE)
    parser.add_argument("--lifetime", type=float, default=LIFETIME)
    told = parser.parse_args()
    place = Place(told.place)
    state = state_of(place)
    entry = goal(state, told.to_digest)
    about = place.announced() if place.running() else None
    if about and about["digest"] == entry["digest"]:
        say(f"{place.folder} runs version {entry['version']} already")
    else:
        stop(place)
        make_current(place, entry, service=entry["service"])
        # What we came from is no version to go back to.
        back = state_of(place)
        write_json(place.state, back | {"previous": [old for old in back["previous"] if old["slot"] != state["current"]["slot"]]})
        about = start(place, port=told.port, patience=told.patience, lifetime=told.lifetime)
    answer(url=about["url"], version=about["version"], digest=about["digest"], pid=about["pid"])


if __name__ == "__main__":
    run(main)
