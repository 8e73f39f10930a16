"""The floor: the least durable work, with psycopg and nothing else.

For each activity two commits, each with an audit row, one statement per round trip. What any engine that records a claim before the work
and an end after it cannot do without, unless it batches.
"""

from __future__ import annotations

import threading
import time

import psycopg

_TABLES = """
DROP TABLE IF EXISTS bench_floor_run; DROP TABLE IF EXISTS bench_floor_event;
CREATE TABLE bench_floor_run (id bigserial PRIMARY KEY, state text NOT NULL, at timestamptz);
CREATE TABLE bench_floor_event (id bigserial PRIMARY KEY, run bigint NOT NULL, verb text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
"""


def rate(dsn: str, activities: int, connections: int) -> float:
    """Activities a second over this many connections at once."""
    with psycopg.connect(dsn, autocommit=True) as setup:
        setup.execute(_TABLES)
        setup.execute("INSERT INTO bench_floor_run (state) SELECT 'queued' FROM generate_series(1, %s)", (activities,))
        setup.execute("ANALYZE bench_floor_run")
    share = activities // connections
    threads = [threading.Thread(target=_work, args=(dsn, 1 + n * share, share)) for n in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    with psycopg.connect(dsn, autocommit=True) as setup:
        setup.execute("DROP TABLE bench_floor_run; DROP TABLE bench_floor_event")
    return share * connections / seconds


def _work(dsn: str, first: int, count: int) -> None:
    with psycopg.connect(dsn) as connection:
        for run in range(first, first + count):
            for before, after in (("queued", "running"), ("running", "succeeded")):
                connection.execute("UPDATE bench_floor_run SET state = %s, at = clock_timestamp() WHERE id = %s AND state = %s", (after, run, before))
                connection.execute("INSERT INTO bench_floor_event (run, verb) VALUES (%s, %s)", (run, after))
                connection.commit()
