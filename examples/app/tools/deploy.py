"""Deploy an artifact into a place: check it, unpack it, stop what ran, start the new version, wait until it answers.

usage: deploy.py --place FOLDER --artifact FILE --digest SHA256 [--port N] [--service shop|catalog|rates]
                 [--setting NAME=VALUE …] [--wait healthy|answering] [--unless-deployed] [--lifetime SECONDS]
answers: url, version, digest, pid

A settings.json that exists is kept, with the settings named here on top. With `--unless-deployed` a place that has a version keeps
it: only its server is started if none runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from running import LIFETIME, PATIENCE, Failed, answer, make_current, run, say, start, state_of, stop, unpack
from shop.place import Place, write_json
from shop.service import SERVICES
from shop.settings import read


def settings(pairs: list[str]) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping. Raises Failed."""
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise Failed(f"{wrong[0]!r} is not NAME=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", type=Path, required=True)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--digest", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--service", choices=SERVICES, default="shop")
    parser.add_argument("--setting", action="append", default=[])
    parser.add_argument("--wait", choices=["healthy", "answering"], default="healthy")
    parser.add_argument("--unless-deployed", action="store_true")
    parser.add_argument("--patience", type=float, default=PATIENCE)
    parser.add_argument("--lifetime", type=float, default=LIFETIME)
    told = parser.parse_args()
    place = Place(told.place)
    write_json(place.settings, read(place.settings) | settings(told.setting))
    if told.unless_deployed and state_of(place)["current"]:
        about = place.announced() if place.running() else None
        say(f"{place.folder} has a version already")
    else:
        entry = unpack(place, told.artifact.resolve(), told.digest)
        stop(place)
        make_current(place, entry, service=told.service)
        about = None
    if about is None:
        about = start(place, port=told.port, wait=told.wait, patience=told.patience, lifetime=told.lifetime)
    answer(url=about["url"], version=about["version"], digest=about["digest"], pid=about["pid"])


if __name__ == "__main__":
    run(main)
