"""The embedded broker: whole messages, in order, once; and a doorbell that is heard within 300 ms by a real worker."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu import Connection, Queue

import relorch.broker  # noqa: F401 (tells kombu of folder://)
from releases import doorbell
from relorch.environment import broker_options
from tests.house.installation import ROOT, environment, until


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with Connection("folder://home", transport_options={"home": str(tmp_path / "broker"), "polling_interval": 0.01}) as found:
        yield found


def test_in_order_and_once(connection: Connection) -> None:
    queue = connection.SimpleQueue("engine")
    for number in range(20):
        queue.put({"number": number, "text": "ünï"})
    assert queue.qsize() == 20
    got = []
    for _ in range(20):
        message = queue.get(timeout=1)
        message.ack()
        got.append(message.payload["number"])
    assert got == list(range(20))
    with pytest.raises(queue.Empty):
        queue.get(timeout=0.05)
    queue.close()


def test_each_message_reaches_one_of_several_takers(connection: Connection, tmp_path: Path) -> None:
    options = {"home": str(tmp_path / "broker"), "polling_interval": 0.005}
    got: list[int] = []

    def take() -> None:
        with Connection("folder://home", transport_options=options) as own:
            queue = own.SimpleQueue("engine")
            try:
                while True:
                    message = queue.get(timeout=0.5)
                    message.ack()
                    got.append(message.payload)
            except queue.Empty:
                queue.close()

    queue = connection.SimpleQueue("engine")
    takers = [threading.Thread(target=take) for _ in range(4)]
    for taker in takers:
        taker.start()
    for number in range(200):
        queue.put(number)
    for taker in takers:
        taker.join()
    queue.close()
    assert sorted(got) == list(range(200))


def test_a_half_written_message_is_not_met(connection: Connection, tmp_path: Path) -> None:
    queue = connection.SimpleQueue("engine")
    (tmp_path / "broker" / "queues" / "engine" / ".0001").write_text('{"half')
    with pytest.raises(queue.Empty):
        queue.get(timeout=0.05)
    queue.put("whole")
    assert queue.get(timeout=1).payload == "whole"
    assert queue.clear() == 0
    assert not list((tmp_path / "broker" / "queues" / "engine").iterdir())
    queue.close()


def test_purge_and_folders_inside_the_home(connection: Connection, tmp_path: Path) -> None:
    channel = connection.channel()
    bound = Queue("scripts")(channel)
    bound.declare()
    producer = connection.Producer()
    for _ in range(3):
        producer.publish("x", routing_key="scripts", declare=[bound])
    assert bound.purge() == 3
    assert [folder.name for folder in tmp_path.iterdir()] == ["broker"]
    assert (tmp_path / "broker" / "queues" / "scripts").stat().st_mode & 0o777 == 0o700


LISTENER = """
import os, sys, time
from celery import Celery
import relorch.broker
app = Celery("bell")
app.conf.update(
    broker_url="folder://home", broker_transport_options={"home": sys.argv[1], "polling_interval": 0.05}, task_ignore_result=True,
    worker_prefetch_multiplier=1, worker_enable_remote_control=False, broker_connection_retry_on_startup=True,
)

@app.task(name="heard")
def heard(rung):
    with open(sys.argv[2], "a") as file:
        file.write(f"{time.time() - rung}\\n")

app.start(["--quiet", "worker", "-Q", "engine", "-P", "prefork", "-c", "2", "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"])
"""


@pytest.mark.slow
def test_the_doorbell_is_heard_within_300_ms(tmp_path: Path) -> None:
    """From publish in one process to the task's start in another's pool: median of 30."""
    notes = tmp_path / "notes"
    notes.touch()
    command = [sys.executable, "-W", "ignore", "-c", LISTENER, str(tmp_path / "broker"), str(notes)]
    worker = subprocess.Popen(command, cwd=ROOT, env=environment(tmp_path), start_new_session=True)
    try:
        app = Celery("bell", set_as_current=False)
        app.conf.update(broker_url="folder://home", broker_transport_options={"home": str(tmp_path / "broker")})

        def ring() -> None:
            app.send_task("heard", args=[time.time()], queue="engine", ignore_result=True)

        def heard() -> list[float]:
            return [float(line) for line in notes.read_text().split()]

        ring()
        until(heard, 30, "the worker is there")
        for number in range(30):
            ring()
            until(lambda number=number: len(heard()) >= number + 2, 5, "heard")
            time.sleep(0.01)
        assert statistics.median(heard()[1:]) < 0.3
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(5) == 0
    finally:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        app.close()


def test_a_dead_broker_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Publishing to it neither fails nor holds up whoever rings."""
    address = "redis://127.0.0.1:1/0"
    app = Celery("bell", set_as_current=False)
    app.conf.update(broker_url=address, broker_transport_options=broker_options(address, Path("/nowhere")), task_publish_retry=False)
    monkeypatch.setattr(doorbell, "current_app", app)
    monkeypatch.setattr(doorbell, "_silent_until", 0.0)
    began = time.monotonic()
    for _ in range(20):
        doorbell.ring("engine", "engine")
    assert time.monotonic() - began < 3
    assert [record.getMessage().startswith("doorbell not rung") for record in caplog.records if record.name == "releases.doorbell"] == [True]
    app.close()
