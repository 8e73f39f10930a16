"""`python -m bench`: everything, printed and written to `bench/results/latest.json`.

A real broker and one worker with two processes; the floor is measured in the same run, beside each figure. Unset `DATABASE_URL` and
`BROKER_URL` measure the embedded ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    """Measure in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="relorch-bench-") as home, contextlib.ExitStack() as held:
        os.environ |= {"RELORCH_HOME": home, "DJANGO_SETTINGS_MODULE": "relorch.settings"}
        from bench.house import served

        with served() as house:
            found: dict[str, Any] = {"ready_s": round(house.ready_s, 2)}
        if not os.environ.get("DATABASE_URL"):
            from relorch import embedded

            held.enter_context(embedded.running(Path(home)))
        # the floor makes tables of its own, which only their owner may
        os.environ["RELORCH_DATABASE_ROLE"] = "owner"
        import django

        django.setup()
        found |= measure()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


def measure() -> dict[str, Any]:
    """All figures, with the ratios on top."""
    from django.db import connection

    from bench import floor, live, measures, processes
    from bench.house import served

    params = connection.get_connection_params()
    dsn = " ".join(f"{key}={params[key]}" for key in ("host", "port", "dbname", "user", "password") if params.get(key))
    actor = measures.person()
    thirty = measures.published(processes.thirty(), actor)
    waiting = [measures.begun(thirty, actor) for _ in range(100)]
    measures.analyse()
    floors = [floor.rate(dsn, 4_000, 2)]
    with served() as house:
        throughput = measures.rate(waiting)
        floors.append(floor.rate(dsn, 4_000, 2))
        two = statistics.mean(floors)
        chains, ones, wides = {}, {}, {}
        for length in (100, 500, 2_000):
            ones[length] = floor.rate(dsn, 1_000, 1)
            chains[length] = measures.rate([measures.begun(measures.published(processes.chain(length), actor), actor)])
        for width in (1_000, 5_000):
            wides[width] = measures.rate([measures.begun(measures.published(processes.wide(width), actor), actor)])
        approve = measures.approvals(house.address, actor)
        memory = house.memory_mib()
        told = live.told(house.address, actor)
    return {
        "throughput_ratio": round(throughput / two, 2),
        "chain_ratio": {length: round(ones[length] / chains[length], 2) for length in chains},
        "wide_ratio": {width: round(wides[width] / two, 2) for width in wides},
        "approve_ms": approve,
        "told_200_pages_ms": told,
        "memory_mib": memory,
        "figures": {
            "floor_two_connections_per_s": [round(rate) for rate in floors],
            "floor_one_connection_ms": {length: round(1_000 / rate, 3) for length, rate in ones.items()},
            "throughput_per_s": round(throughput),
            "chain_ms_per_step": {length: round(1_000 / rate, 3) for length, rate in chains.items()},
            "wide_per_s": {width: round(rate) for width, rate in wides.items()},
        },
    }


if __name__ == "__main__":
    main()
