"""`python3 shop.pyz --place FOLDER --port 18100`: serve the shop."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shop.place import Place
from shop.server import serve
from shop.service import SERVICES


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and serve. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="shop", description="A small shop, for demonstrations.")
    parser.add_argument("--place", type=Path, required=True, help="the folder in which this copy lives")
    parser.add_argument("--port", type=int, default=0, help="0: a free one from 18100 to 18999")
    parser.add_argument("--preferred-port", type=int, default=0, help="with --port 0: tried first")
    parser.add_argument("--service", choices=SERVICES, default="shop")
    parser.add_argument("--lifetime", type=float, default=0, help="end by oneself after so many seconds; 0: never")
    told = parser.parse_args(arguments)
    return serve(Place(told.place), port=told.port, preferred=told.preferred_port, service=told.service, lifetime=told.lifetime)


if __name__ == "__main__":
    sys.exit(main())
