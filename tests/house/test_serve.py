"""`serve` as a whole: from an empty home to the last process gone."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.house.installation import Served, left, manage, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("serve")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """On an empty home, with no setting but its place."""
    found = Served(tmp_path_factory.mktemp("served") / "home", RELORCH_GRACE="3")
    yield found
    found.stop()


def test_ready_says_its_address_in_one_line(served: Served) -> None:
    status, body = served.get("/readyz")
    assert (status, json.loads(body)["checks"]) == (200, {"database": "ok", "migrations": "ok", "broker": "ok", "worker": "ok"})
    assert served.get("/healthz")[0] == 200
    assert served.first_line.count("\n") == 1


def test_an_answer_is_not_held_back(served: Served) -> None:
    """Nagle's delay would cost 40 ms on a kept connection."""
    connection = http.client.HTTPConnection(served.address.removeprefix("http://"), timeout=5)
    took = []
    for _ in range(20):
        began = time.monotonic()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        took.append(time.monotonic() - began)
    connection.close()
    assert min(took[1:]) < 0.03


def test_keys_are_for_the_owner_alone(served: Served) -> None:
    for name in ("secret_key", "postgres/passwords.json"):
        assert stat.S_IMODE((served.home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(served.home.stat().st_mode) == 0o700
    assert stat.S_IMODE((served.home / "postgres" / "run").stat().st_mode) == 0o700


def test_workers_and_clock_are_seen_as_celery(served: Served) -> None:
    until(lambda: len(served.named("celery", "ForkPoolWorker")) == 2 + max(4, os.cpu_count() or 1), 5, "the pools are whole")
    assert len(served.named("celery", "MainProcess")) == 2
    assert len(served.named("celery beat")) == 1


@pytest.mark.parametrize("words", [("celery", "engine"), ("celery", "scripts"), ("celery beat",), ("relorch web",)])
def test_a_killed_child_is_back_within_a_second(served: Served, words: tuple[str, ...]) -> None:
    took = []
    for _ in range(3):
        old = until(lambda: served.child(*words), 5, f"{words} runs")
        pool = old.children()
        killed = time.monotonic()
        old.send_signal(signal.SIGKILL)
        until(lambda old=old: (served.child(*words) or old).pid != old.pid, 5, f"{words} is back")
        took.append(time.monotonic() - killed)
        until(lambda pool=pool: not left(pool), 5, "its pool children died with it")
    assert min(took) < 1  # the others too, where nothing else runs
    until(lambda: served.get("/readyz")[0] == 200, 15, "ready again")


def test_a_killed_database_is_back(served: Served) -> None:
    server = served.child("postgres", "-D")
    assert server
    server.send_signal(signal.SIGKILL)
    until(lambda: served.child("postgres", "-D") and served.get("/readyz")[0] == 200, 15, "ready again")


def test_a_command_uses_the_running_database_and_leaves_it(served: Served) -> None:
    server = served.child("postgres", "-D")
    assert server
    made = manage(served.home, "createsuperuser", "--noinput", DJANGO_SUPERUSER_EMAIL="root@example.org", DJANGO_SUPERUSER_PASSWORD="correct horse")
    assert made.returncode == 0, made.stderr
    token = manage(served.home, "create_token", "root@example.org")
    assert token.returncode == 0, token.stderr
    assert token.stdout.startswith("relorch_")
    assert served.child("postgres", "-D") == server


def test_a_home_is_served_once(served: Served) -> None:
    second = manage(served.home, "serve", "--port", "0")
    assert second.returncode != 0
    assert str(served.process.pid) in second.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_others_are_not_let_in_without_encryption(host: str) -> None:
    with pytest.raises(CommandError, match="RELORCH_BASE_URL"):
        call_command("serve", host=host, port=0)


def test_a_taken_port_is_named(served: Served, tmp_path: Path) -> None:
    port = served.address.rpartition(":")[2]
    refused = manage(tmp_path, "serve", "--port", port)
    assert refused.returncode != 0
    assert port in refused.stderr
    assert "--port" in refused.stderr


def test_stop_leaves_nothing_and_the_next_start_finds_everything(served: Served) -> None:
    """Last in this module."""
    made = manage(served.home, "createsuperuser", "--noinput", DJANGO_SUPERUSER_EMAIL="stays@example.org", DJANGO_SUPERUSER_PASSWORD="correct horse")
    assert made.returncode == 0, made.stderr
    processes = served.tree()
    assert served.stop() < 3 + 4
    assert served.process.returncode == 0, served.errors.read_text()
    assert not left(processes)
    again = Served(served.home)
    try:
        token = manage(served.home, "create_token", "stays@example.org")
        assert token.returncode == 0, token.stderr
        processes = again.tree()
        again.process.send_signal(signal.SIGKILL)
        until(lambda: not left(processes), 5, "everything dies with a killed serve")
    finally:
        again.stop()
    ended = manage(served.home, "create_token", "stays@example.org")
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in served.errors.read_text()


def test_ctrl_c_reaches_only_us(tmp_path: Path) -> None:
    """A terminal sends it to the whole foreground group; the children are not in it."""
    served = Served(tmp_path / "home")
    processes = served.tree()
    assert all(os.getpgid(process.pid) != os.getpgid(served.process.pid) for process in processes)
    assert served.stop(signal.SIGINT) < 14
    assert served.process.returncode == 0
    assert not left(processes)
    assert subprocess.run(["pgrep", "-f", str(served.home)], capture_output=True, text=True, check=False).stdout == ""


def test_behind_a_proxy_that_speaks_https(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    base = "https://release.example.org"
    served = Served(tmp_path / "home", "--port", str(port), "--host", "0.0.0.0", RELORCH_BASE_URL=base, RELORCH_SECRET_KEY=secrets.token_urlsafe(64))
    try:
        assert served.address == base

        def ask(**headers: str) -> http.client.HTTPResponse:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/accounts/login/", headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer

        through = ask(Host="release.example.org", X_Forwarded_Proto="https")
        assert through.status == 200
        assert "max-age=63072000; includeSubDomains" in through.getheader("Strict-Transport-Security", "")
        cookies = through.headers.get_all("Set-Cookie") or []
        assert cookies
        assert all(cookie.startswith("__Host-") and "Secure" in cookie and "Path=/" in cookie for cookie in cookies)
        plain = ask(Host="release.example.org")
        assert (plain.status, plain.getheader("Location")) == (301, f"{base}/accounts/login/")
        assert ask(Host="evil.example.org", X_Forwarded_Proto="https").status == 400
    finally:
        served.stop()
