"""A whole installation on a real broker: it works, and a broker that goes away and comes back is no more than a pause."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.house.installation import Served, left, until
from tests.house.proxy import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.broker, pytest.mark.xdist_group("serve")]


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Redis:
    """A server of our own, without persistence, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.folder = folder
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)], stdout=subprocess.DEVNULL
        )
        until(lambda: answers(self.port), 10, "Redis is there")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    if not shutil.which("redis-server"):
        pytest.skip("Redis is not installed: apt-get install redis-server")
    server = Redis(tmp_path)
    yield server
    server.kill()


def checks(served: Served) -> dict[str, str]:
    body = served.get("/readyz")[1]
    return json.loads(body)["checks"] if body else {}


def test_redis_goes_and_comes_back(tmp_path: Path, redis: Redis) -> None:
    served = Served(tmp_path / "home", BROKER_URL=f"redis://127.0.0.1:{redis.port}/0", RELORCH_GRACE="3")
    processes = served.tree()
    try:
        assert served.get("/readyz")[0] == 200
        redis.kill()
        assert served.get("/readyz")[0] == 503
        assert checks(served)["broker"] == "unreachable"
        assert served.get("/accounts/login/")[0] == 200
        redis.start()
        until(lambda: served.get("/readyz")[0] == 200, 30, "ready again")
        until(lambda: heard_since(served), 30, "a worker hears again")
    finally:
        took = served.stop()
    assert took < 3 + 4
    assert not left(processes)


def test_whoever_lives_and_is_deaf_is_replaced(tmp_path: Path, redis: Redis) -> None:
    """R-06: connections that are dead without an end, then a broker that takes connections and says nothing."""
    with Proxy(redis.port) as proxy:
        served = Served(tmp_path / "home", BROKER_URL=f"redis://127.0.0.1:{proxy.port}/0", RELORCH_GRACE="3", RELORCH_DEAF_AFTER="5")
        processes = served.tree()
        try:
            until(lambda: heard_since(served), 20, "a worker hears")
            before = {name: served.child(*name).pid for name in (("worker", "engine"), ("worker", "scripts"))}
            assert proxy.deafen() >= len(before)
            until(lambda: checks(served).get("worker", "").startswith("silent"), 10, "it is said")
            status, body = served.get("/readyz")
            assert (status, json.loads(body)["status"]) == (503, "degraded")
            assert served.get("/accounts/login/")[0] == 200
            until(lambda: all(heard(served, name[1]) for name in before), 40, "both hear again")
            until(lambda: served.get("/readyz")[0] == 200, 20, "ready again")
            said = served.errors.read_text()
            for title in ("celery worker engine", "celery worker scripts"):
                assert f"{title} lives but has heard nothing for" in said
            until(lambda: not left([psutil.Process(pid) for pid in before.values() if psutil.pid_exists(pid)]), 10, "the deaf ones have left")
            proxy.swallow(True)
            until(lambda: checks(served).get("broker") == "unreachable", 20, "that nobody answers is said")
            assert served.get("/accounts/login/")[0] == 200
            proxy.swallow(False)
            until(lambda: served.get("/readyz")[0] == 200, 40, "ready again")
            assert heard_since(served)
        finally:
            processes += served.tree()
            took = served.stop()
    assert took < 3 + 4
    assert not left(processes)


def heard(served: Served, queue: str) -> bool:
    """Whether the newest pulse of this queue is fresh."""
    from relorch import cluster

    with cluster.connect(cluster.Place(served.home), "application") as connection:
        row = connection.execute("SELECT clock_timestamp() - at < interval '3 seconds' FROM relorch_pulse WHERE queue = %s", [queue]).fetchone()
        return bool(row and row[0])


def heard_since(served: Served) -> bool:
    """Whether the pulse moves: clock, broker, worker and database all work."""
    from relorch import cluster

    def pulse() -> object:
        with cluster.connect(cluster.Place(served.home), "application") as connection:
            return connection.execute("SELECT at FROM relorch_pulse").fetchone()

    before = pulse()
    until(lambda: pulse() != before, 20, "the next pulse")
    return True


def test_rabbitmq(tmp_path: Path) -> None:
    address = os.environ.get("RELORCH_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//")
    if not answers(5672):
        pytest.skip("RabbitMQ does not run: apt-get install rabbitmq-server")
    served = Served(tmp_path / "home", BROKER_URL=address, RELORCH_GRACE="3")
    processes = served.tree()
    try:
        assert served.get("/readyz")[0] == 200
        assert heard_since(served)
    finally:
        took = served.stop()
    assert took < 3 + 4
    assert not left(processes)
