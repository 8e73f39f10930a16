"""`python -m bench.large`: what is read of a release with 5,000 activities, as page and API: whole requests through Django on a real PostgreSQL.

Three shapes: 50 phases in a row of which half are over, 5,000 phases of one activity each, and one phase in which 5,000 questions wait at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.lists import timed

RESULTS = Path(__file__).parent / "results" / "large.json"
ACTIVITIES, PHASES = 5_000, 50


def main() -> None:
    """Make both releases, measure, print, and write `bench/results/large.json`."""
    asked = argparse.ArgumentParser(prog="python -m bench.large", description=__doc__)
    asked.add_argument("--activities", type=int, default=ACTIVITIES)
    asked.add_argument("--rounds", type=int, default=10, help="requests of each kind")
    asked.add_argument("--home", type=Path)
    wanted = asked.parse_args()
    with contextlib.ExitStack() as held:
        home = wanted.home or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="relorch-bench-")))
        home.mkdir(parents=True, exist_ok=True)
        os.environ |= {"RELORCH_HOME": str(home), "DJANGO_SETTINGS_MODULE": "relorch.settings", "RELORCH_DATABASE_ROLE": "owner", "RELORCH_API_RATE": "0"}
        if not os.environ.get("DATABASE_URL"):
            from relorch import embedded

            held.enter_context(embedded.running(home))
        import django

        django.setup()
        found = measured(wanted.activities, wanted.rounds)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


def measured(activities: int, rounds: int) -> dict[str, Any]:
    """p50 and p95 in milliseconds, the statements and the KiB of each request, for each shape."""
    from django.core.management import call_command
    from django.test import Client

    from bench.measures import analyse, begun, person, published

    call_command("migrate", interactive=False, verbosity=0)
    user = person()
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    found: dict[str, Any] = {"activities": activities, "worst_p95_ms": 0.0}
    for shape, document in (
        ("half_over", half_over(activities)),
        ("phase_each", half_over(activities, phases=activities) | {"id": "phase_each"}),
        ("all_wait", all_wait(activities)),
    ):
        process = published(document, user)
        start = time.perf_counter()
        release = begun(process, user)
        found[shape] = {"started_s": round(time.perf_counter() - start, 2)}
        start = time.perf_counter()
        work_off(release)
        found[shape]["worked_off_s"] = round(time.perf_counter() - start, 2)
        analyse()
        for label, address in requests(release.pk, process.identifier):
            found[shape][label] = timed(client, address, rounds) | cost(client, address)
            found["worst_p95_ms"] = max(found["worst_p95_ms"], found[shape][label]["p95"])
            print(f"{shape}: {label}: {found[shape][label]}", file=sys.stderr)
    return found


def half_over(activities: int, phases: int = PHASES) -> dict[str, Any]:
    """50 phases in a row; in the middle stands a question for people."""
    each = activities // phases
    found: list[dict[str, Any]] = []
    for n in range(phases):
        inside = [{"id": f"p{n}_{k}", "type": "automated", "connector": "noop", "depends_on": [f"p{n}_{k - 10}"] if k >= 10 else []} for k in range(each)]
        if n == phases // 2:
            inside[0] = {"id": f"p{n}_0", "type": "manual"}
        found.append({"id": f"phase_{n}", "activities": inside, "depends_on": [f"phase_{n - 1}"] if n else []})
    return {"apiVersion": "relorch/v1", "kind": "Process", "id": "half_over", "owners": ["group:bench"], "phases": found}


def all_wait(activities: int) -> dict[str, Any]:
    """One phase, all questions."""
    inside = [{"id": f"a{n}", "type": "manual"} for n in range(activities)]
    return {"apiVersion": "relorch/v1", "kind": "Process", "id": "all_wait", "owners": ["group:bench"], "phases": [{"id": "only", "activities": inside}]}


def requests(release: int, process: str) -> list[tuple[str, str]]:
    """What is asked: a label and an address."""
    from releases.models import ActivityRun

    key = ActivityRun.objects.filter(release=release, state="waiting").order_by("position").values_list("key", flat=True)[0]
    page, api = f"/releases/{release}/", f"/api/v1/releases/{release}/"
    return [
        ("page", page),
        ("page of all activities", f"{page}?show=all"),
        ("page of all activities, searched", f"{page}?show=all&find=_77"),
        ("page unfolded", f"{page}?open=*"),
        ("what changed", f"{page}live/held/"),
        ("what to decide", f"/approvals/waiting/{release}/"),
        ("activity", f"{page}activities/{key}/"),
        ("confirmation", f"{page}hold/"),
        ("confirmation of abort", f"{page}abort/"),
        ("list", "/releases/"),
        ("inbox", "/"),
        ("start", f"/releases/start/{process}/"),
        ("process", f"/processes/{process}/"),
        ("api", api),
        ("api: plan", f"{api}plan/"),
        ("api: plan of the process", f"/api/v1/processes/{process}/plan/"),
        ("api: events", f"{api}events/"),
        ("api: list", "/api/v1/releases/"),
        ("api: pending", "/api/v1/sign_offs/pending/"),
    ]


def cost(client: Any, address: str) -> dict[str, float]:
    """The statements of a request, and the KiB of its answer."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as said:
        answer = client.get(address)
    return {"statements": len(said), "KiB": round(len(answer.content) / 1024)}


def work_off(release: Any) -> None:
    """What workers do, in this process, until nothing moves any more."""
    from releases import draining, evaluating

    while evaluating.settle(release.root_id) or draining.drain("engine", seconds=600):
        pass


if __name__ == "__main__":
    main()
