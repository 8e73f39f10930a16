"""`python -m bench.lists`: the list of releases among 100,000, as page and API. Each figure is a whole request through Django on a real PostgreSQL.

Takes minutes to fill its database, so it is not in `make bench`. `--home DIR` keeps what was filled for the next run; `--plans` prints the slowest
statements of each request with their plans. A superuser, somebody who sees most processes by a group, and somebody who sees a few releases ask the same.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "lists.json"
PROCESSES, PEOPLE, GROUPS = 40, 60, 20
PEOPLE_ASKING = ("admin", "broad", "narrow")
WORK = ("build", "test", "sign_off", "deploy", "verify", "tell")
DOCUMENT_KEYS: dict[str, Any] = {
    "apiVersion": "relorch/v1",
    "kind": "Process",
    "inputs": {"version": {"type": "string", "required": True}, "region": {"type": "choice", "options": ["eu", "us"]}, "ticket": {"type": "string"}},
}

RELEASES = """
INSERT INTO releases_release (id, root_id, level, process_id, version_id, name, identifier, tags, release_version, state, reason, starter_id, inputs,
    variables, pins, troubled, open_phases, created_at, scheduled_for, expected_end, started_at, finished_at, held_by_id, held_at)
SELECT n, n, 1, p.id, v.id, p.name || ' ' || to_char(at, 'YYYY.MM') || '.' || n, 'bench-' || n,
    CASE WHEN n %% 7 = 0 THEN ARRAY['mobile', 'tag' || n %% 50] ELSE '{}'::varchar[] END, n / 1000 || '.' || n %% 1000, state, '',
    (%(people)s)[1 + n * 7 %% %(many)s],
    json_build_object('version', n / 1000 || '.' || n %% 1000, 'region', CASE n %% 2 WHEN 0 THEN 'eu' ELSE 'us' END, 'ticket', 'OPS-' || n * 13 %% 50000)::json,
    '{}', '{}', state = 'failed', 0, at, CASE WHEN state IN ('scheduled', 'missed', 'cancelled') THEN at END, at + interval '7 days',
    CASE WHEN state NOT IN ('scheduled', 'draft', 'missed', 'cancelled') THEN at END,
    CASE WHEN state IN ('succeeded', 'failed', 'aborted', 'partially_succeeded') THEN at + (n %% 300 + 5) * interval '1 minute' END,
    CASE state WHEN 'held' THEN n END, CASE state WHEN 'held' THEN at END
FROM (
    SELECT n, now() - (%(count)s - n) * interval '900 days' / %(count)s AS at,
        CASE WHEN n %% 1000 = 1 THEN 'held' WHEN n %% 500 = 2 THEN 'scheduled' WHEN n %% 500 = 3 THEN 'draft' WHEN n %% 100 = 4 THEN 'running'
        WHEN n %% 100 = 5 THEN 'cancelled' WHEN n %% 20 = 6 THEN 'failed' WHEN n %% 40 = 7 THEN 'aborted' WHEN n %% 50 = 8 THEN 'partially_succeeded'
        ELSE 'succeeded' END AS state FROM generate_series(1, %(count)s) AS n
) AS made JOIN processes_process p ON p.id = (%(processes)s)[1 + n * 11 %% %(kinds)s] JOIN processes_processversion v ON v.process_id = p.id
"""
PHASES = """
INSERT INTO releases_phaserun (release_id, root_id, key, position, unmet, remaining, total, decided, skipped_because, met, variables, error,
    opened_at, closed_at)
SELECT id, id, 'only', 0, 0, CASE WHEN finished_at IS NULL THEN 3 ELSE 0 END, 6, 'open', '', '{}', '{}', '', started_at, finished_at
FROM releases_release WHERE started_at IS NOT NULL
"""
RUNS = """
INSERT INTO releases_activityrun (release_id, root_id, phase_run_id, key, position, type, recovers, state, outcome, skipped_because, met, unmet, attempt_count,
    outputs, code, message, overridden, changes, started_at, finished_at)
SELECT r.id, r.id, f.id, (%(work)s::text[])[k], k, CASE k WHEN 3 THEN 'manual' ELSE 'automated' END, false, s.state,
    CASE s.state WHEN 'on_hold' THEN 'failed' ELSE '' END, '',
    '{}', 0, CASE s.state WHEN 'pending' THEN 0 ELSE 1 END, '{}', '', '', false, '{}', CASE WHEN s.state <> 'pending' THEN r.started_at END,
    CASE WHEN s.state IN ('succeeded', 'failed', 'aborted') THEN coalesce(r.finished_at, r.started_at + interval '1 minute') END
FROM releases_release r JOIN releases_phaserun f ON f.release_id = r.id CROSS JOIN generate_series(1, 6) AS k, LATERAL (SELECT
    CASE WHEN r.finished_at IS NULL AND k = 3 THEN CASE r.id %% 3 WHEN 0 THEN 'on_hold' ELSE 'waiting' END WHEN r.finished_at IS NULL AND k > 3 THEN 'pending'
    WHEN r.state = 'failed' AND k = 6 THEN 'failed' WHEN r.state = 'aborted' AND k > 3 THEN 'aborted' ELSE 'succeeded' END AS state) AS s
"""
ATTEMPTS = """
INSERT INTO releases_attempt (run_id, release_id, root_id, number, state, lane, key, fence, worker, lost, effect, queued_at, started_at, finished_at,
    code, message, asked_at, due_at, bound_hash, seal)
SELECT id, release_id, root_id, 1, CASE state WHEN 'on_hold' THEN 'failed' ELSE state END, CASE type WHEN 'manual' THEN 'prepare' ELSE 'engine' END,
    gen_random_uuid(), 1, '', 0, 'once', started_at, started_at, CASE WHEN state <> 'waiting' THEN coalesce(finished_at, started_at) END, '', '',
    CASE type WHEN 'manual' THEN started_at END, CASE WHEN state = 'waiting' AND release_id %% 4 = 0 THEN now() + interval '3 days' END, '', ''
FROM releases_activityrun WHERE state <> 'pending'
"""
ASKED = """
INSERT INTO releases_runperson (run_id, release_id, role, line, user_id, group_id)
SELECT id, release_id, role, 0, CASE WHEN role = 'owner' THEN (%(people)s)[1 + release_id * 3 %% %(many)s] END,
    CASE WHEN role <> 'owner' THEN (%(groups)s)[1 + release_id %% %(few)s] END
FROM releases_activityrun CROSS JOIN (VALUES ('owner'), ('decider')) AS roles (role) WHERE type = 'manual' AND state <> 'pending'
"""
CHILDREN = """
UPDATE releases_release AS child SET root_id = child.id - 1, level = 2, identifier = '', parent_run_id = run.id
FROM releases_activityrun AS run JOIN releases_release AS parent ON parent.id = run.release_id
WHERE child.id %% 20 = 10 AND run.release_id = child.id - 1 AND run.key = 'deploy' AND child.finished_at IS NOT NULL AND parent.finished_at IS NOT NULL
"""
ROOTS = "UPDATE {} AS row SET root_id = r.root_id FROM releases_release r WHERE r.id = row.release_id AND r.root_id <> r.id"


def main() -> None:
    """Fill, measure, print, and write `bench/results/lists.json`."""
    asked = argparse.ArgumentParser(prog="python -m bench.lists", description=__doc__)
    asked.add_argument("--releases", type=int, default=100_000)
    asked.add_argument("--rounds", type=int, default=40, help="requests of each kind")
    asked.add_argument("--home", type=Path)
    asked.add_argument("--plans", action="store_true")
    wanted = asked.parse_args()
    with contextlib.ExitStack() as held:
        home = wanted.home or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="relorch-bench-")))
        home.mkdir(parents=True, exist_ok=True)
        given = {"RELORCH_HOME": str(home), "DJANGO_SETTINGS_MODULE": "relorch.settings", "RELORCH_DATABASE_ROLE": "owner", "RELORCH_API_RATE": "0"}
        os.environ |= given
        if not os.environ.get("DATABASE_URL"):
            from relorch import embedded

            held.enter_context(embedded.running(home))
        import django

        django.setup()
        found = measured(wanted.releases, wanted.rounds, plans=wanted.plans)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    json.dump(found, sys.stdout, indent=2)
    sys.stdout.write("\n")


def measured(count: int, rounds: int, *, plans: bool = False) -> dict[str, Any]:
    """p50 and p95 in milliseconds of each request, for each person."""
    from django.core.management import call_command
    from django.test import Client

    from releases.models import Release
    from relorch.accounts.models import User

    call_command("migrate", interactive=False, verbosity=0)
    found: dict[str, Any] = {"releases": count}
    if Release.objects.count() != count:
        start = time.perf_counter()
        fill(count)
        found["filled_s"] = round(time.perf_counter() - start, 1)
    found |= {"runs": _number("SELECT count(*) FROM releases_activityrun"), "worst_p95_ms": 0.0}
    for name in PEOPLE_ASKING:
        person = User.objects.get(email=f"{name}@example.com")
        client = Client(headers={"host": "localhost"})
        client.force_login(person)
        found[name] = {"sees": Release.objects.visible_to(person).count()}
        for label, address in requests(count):
            if plans:
                print(f"== {name}: {label}", file=sys.stderr)
                explain(client, address)
            found[name][label] = timed(client, address, rounds)
        found["worst_p95_ms"] = max([found["worst_p95_ms"], *(one["p95"] for one in found[name].values() if isinstance(one, dict))])
    return found


def requests(count: int) -> list[tuple[str, str]]:
    """What is asked: a label and an address."""
    middle = count // 2
    page, api = "/releases/?", "/api/v1/releases/?"
    return [
        *((f"page {view}", f"{page}view={view}") for view in ("active", "attention", "finished", "all", "archived")),
        ("page of one process and state", f"{page}view=all&process=bench_3&state=failed"),
        ("page by starter and days", f"{page}view=all&starter=3&from=2026-01-01"),
        ("page deep", f"{page}view=archived&before={count // 10}"),
        ("page by name", f"{page}view=all&q=process+7"),
        ("page by name that nothing has", f"{page}view=all&q=nothing+of+that"),
        ("page by number", f"{page}view=all&q=R-{count - 5}"),
        ("page by release version", f"{page}view=all&release_version={middle // 1000}.7"),
        ("page by value", f"{page}view=all&value=OPS-4711"),
        ("page by named value", f"{page}view=all&value=ticket%3DOPS-4711"),
        ("page by value that nothing has", f"{page}view=all&value=nothing+of+that"),
        ("page by person", f"{page}view=all&person=person5%40example.com"),
        ("page by tag", f"{page}view=all&tag=mobile"),
        ("page by kind", f"{page}view=all&kind=hotfix"),
        ("page by source", f"{page}view=all&source=subprocess"),
        ("api", api),
        ("api of 200", f"{api}limit=200"),
        ("api of one state", f"{api}state=failed"),
        ("api deep", f"{api}cursor={cursor(count // 10)}&archived=any"),
        ("api by name", f"{api}q=process+7"),
        ("api by value that nothing has", f"{api}value=nothing+of+that&archived=any"),
        ("api archived", f"{api}archived=true"),
    ]


def cursor(pk: int) -> str:
    """The place in the API's list after this release."""
    from base64 import b64encode

    return b64encode(f"p={pk}".encode()).decode().replace("=", "%3D")


def timed(client: Any, address: str, rounds: int) -> dict[str, float]:
    """Milliseconds of a warm request. Raises RuntimeError for what is not answered."""
    took = []
    for number in range(rounds + 3):
        start = time.perf_counter()
        answer = client.get(address)
        if answer.status_code != 200:
            raise RuntimeError(f"{address}: {answer.status_code}")
        if number >= 3:
            took.append((time.perf_counter() - start) * 1_000)
    return {"p50": round(statistics.median(took), 1), "p95": round(statistics.quantiles(took, n=20)[18], 1)}


def explain(client: Any, address: str) -> None:
    """The slowest statements of one request, with their plans."""
    from django.db import connection

    said: list[tuple[float, str, Any]] = []

    def listen(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        start = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            said.append(((time.perf_counter() - start) * 1_000, sql, params))

    client.get(address)
    with connection.execute_wrapper(listen):
        client.get(address)
    print(f"{len(said)} statements, {sum(one[0] for one in said):.0f} ms", file=sys.stderr)
    with connection.cursor() as at:
        for took, sql, params in sorted(said, key=lambda one: -one[0])[:3]:
            if took > 15 and sql.lstrip().startswith("SELECT"):
                print(f"-- {took:.0f} ms: {sql[:1500]}\n   {params}", file=sys.stderr)
                at.execute("EXPLAIN (ANALYZE, BUFFERS) " + sql, params)
                print("\n".join(row[0] for row in at.fetchall()), file=sys.stderr)


def _number(sql: str) -> int:
    from django.db import connection

    with connection.cursor() as at:
        at.execute(sql)
        return int(at.fetchone()[0])


def fill(count: int) -> None:
    """People, processes with one version each, and the releases by statements over the whole set."""
    from django.contrib.auth.models import Group
    from guardian.shortcuts import assign_perm

    from processes import editing, publishing
    from releases.models import Release
    from relorch.accounts.models import User

    admin = User.objects.create_superuser("admin@example.com", "not used to log in")
    people = [User.objects.create_user(f"person{n}@example.com") for n in range(PEOPLE)]
    broad, narrow = (User.objects.create_user(f"{name}@example.com") for name in PEOPLE_ASKING[1:])
    groups = [Group.objects.create(name=f"group{n}") for n in range(GROUPS)]
    for n, person in enumerate([*people, broad]):
        person.groups.add(groups[n % GROUPS], groups[(n + 7) % GROUPS])
    processes = []
    for n in range(PROCESSES):
        work = [{"id": key, "type": "automated", "connector": "noop"} for key in WORK]
        work[2] = {"id": "sign_off", "type": "manual", "owners": [f"group:group{n % GROUPS}"]}
        body = {"id": f"bench_{n}", "name": f"Process {n}", "owners": [f"user:person{n}@example.com"], "phases": [{"id": "only", "activities": work}]}
        process = editing.create_process(DOCUMENT_KEYS | body, actor=admin)
        publishing.publish(process, actor=admin)
        processes.append(process)
        if n % 4:
            assign_perm("view_process", groups[n % 2], process)
    broad.groups.add(groups[0], groups[1])
    assign_perm("view_process", narrow, processes[5])
    with _statements() as run:
        ids = [person.pk for person in people]
        run(RELEASES, count=count, people=ids, many=len(ids), processes=[process.pk for process in processes], kinds=len(processes))
        run("SELECT setval(pg_get_serial_sequence('releases_release', 'id'), %(count)s)", count=count)
        run(PHASES)
        run(RUNS, work=list(WORK))
        run(CHILDREN)
        for table in ("releases_activityrun", "releases_phaserun"):
            run(ROOTS.format(table))
        run(ATTEMPTS)
        run(ASKED, people=ids, many=len(ids), groups=[group.pk for group in groups], few=len(groups))
        run("VACUUM ANALYZE")
    if Release.objects.count() != count:
        raise RuntimeError("not all releases are there")


@contextlib.contextmanager
def _statements() -> Iterator[Any]:
    """Each statement by itself, and how long it took."""
    from django.db import connection

    def run(sql: str, **params: Any) -> None:
        start = time.perf_counter()
        with connection.cursor() as at:
            at.execute(sql, params)
        print(f"{time.perf_counter() - start:6.1f} s  {sql.split('(')[0].strip()[:60]}", file=sys.stderr)

    yield run


if __name__ == "__main__":
    main()
