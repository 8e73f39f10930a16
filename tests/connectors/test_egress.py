"""The door out against a real network with a listener behind every address (N-01, N-02), and its bounds (N-03)."""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from relorch.lib import egress
from relorch.lib.addresses import parse_allow
from relorch.lib.egress import EgressError, request
from tests.pure.test_egress_addresses import ALLOWED_ADDRESSES, BAD_URLS, DENIED_ADDRESSES

from .servers import heard, raw, sink, trickle

ROOT = Path(__file__).parents[2]
PORT = 8000
UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--mount"]


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


DENIED_NAMES = [
    "private.test",
    "loopback.test",
    "metadata.test",
    "metadata6.test",
    "mapped.test",
    "nat64.test",
    "mixed.test",
    "mixed6.test",
    "last.test",
    "localhost",
]
DENIED = [f"http://{_host(address)}:{PORT}/" for address in DENIED_ADDRESSES]
DENIED += [f"http://{name}:{PORT}/" for name in DENIED_NAMES]
DENIED += BAD_URLS.values()
REDIRECTED = [
    *(f"http://{_host(address)}:{PORT}/" for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1")),
    f"http://loopback.test:{PORT}/",
]
ALLOWED = [f"http://{_host(address)}:{PORT}/" for address in ALLOWED_ADDRESSES] + [f"http://{name}:{PORT}/" for name in ("public.test", "both.test")]
OPENED = [
    {"url": f"http://10.0.0.1:{PORT}/", "allow": "10.0.0.0/8"},
    {"url": f"http://private.test:{PORT}/", "allow": "private.test"},
    {"url": f"http://private.test:{PORT}/", "allow": "10.0.0.1"},
    {"url": f"http://[fd00:ec2::254]:{PORT}/", "allow": "fd00::/8"},
    {"url": f"http://public.test:{PORT}/to=http://127.0.0.1:{PORT}/", "allow": "127.0.0.1"},
]


@functools.cache
def world() -> dict[str, Any]:
    """What happened in the network of its own; made once for all tests here."""
    if sys.platform != "linux" or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs Linux with unshare and ip")
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are refused here")
    cases = [{"url": url} for url in DENIED + ALLOWED] + [{"url": f"http://public.test:{PORT}/to={url}"} for url in REDIRECTED] + OPENED
    cases += [{"url": f"http://nowhere.test:{PORT}/"}, {"url": f"http://silent.test:{PORT}/"}]
    asked = {"cases": cases, "tries": int(os.environ.get("RELORCH_REBINDING_TRIES", "100"))}
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.connectors.egress_world"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    found["by_url"] = {(case["url"], case.get("allow", "")): result for case, result in zip(cases, found["cases"], strict=True)}
    return found


def test_nothing_denied_is_ever_connected_to() -> None:
    found = world()["by_url"]
    wrong = {url: result for url in DENIED if (result := found[url, ""])["reached"] or result["code"] not in ("egress_denied", "bad_url")}
    assert wrong == {}
    assert len(DENIED) >= 250


def test_the_message_names_the_address_and_the_setting() -> None:
    message = world()["by_url"][f"http://mixed.test:{PORT}/", ""]["message"]
    assert "mixed.test (10.0.0.1)" in message
    assert "RELORCH_EGRESS_ALLOW" in message


def test_what_is_public_is_reached() -> None:
    found = world()["by_url"]
    assert {url: found[url, ""] for url in ALLOWED if found[url, ""]["code"] != "200"} == {}
    assert found[f"http://1.1.1.1:{PORT}/", ""]["reached"] == ["1.1.1.1"]
    assert len(ALLOWED) >= 20


def test_a_redirect_leads_nowhere_else() -> None:
    for url in REDIRECTED:
        result = world()["by_url"][f"http://public.test:{PORT}/to={url}", ""]
        assert (result["code"], result["reached"]) == ("egress_denied", ["93.184.215.14"]), url


def test_what_the_administrator_opened_is_reached() -> None:
    for case in OPENED:
        assert world()["by_url"][case["url"], case["allow"]]["code"] == "200", case


def test_names_without_an_answer() -> None:
    found = world()["by_url"]
    for name in ("nowhere.test", "silent.test"):
        assert found[f"http://{name}:{PORT}/", ""]["code"] == "unreachable"


@pytest.mark.parametrize(("name", "public"), [("rebinding.test", "93.184.215.14"), ("rebinding6.test", "2606:4700::1111")])
def test_the_checked_address_is_the_one_connected_to(name: str, public: str) -> None:
    results = world()[name]
    assert {address for result in results for address in result["reached"]} == {public}
    assert {result["code"] for result in results} == {"200", "egress_denied"}


def test_tls_verifies_the_name() -> None:
    tls = world()["tls"]
    assert tls["right name"]["code"] == "200"
    for case in ("wrong name", "address only", "unknown authority"):
        assert tls[case]["code"] == "unreachable", case
    assert "both.test" in tls["wrong name"]["message"]


def test_the_resolver_is_asked_once_for_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    monkeypatch.setattr(egress, "resolve", resolve)
    with sink() as server:
        assert request("GET", server.url(host="some.test"), allow=parse_allow("127.0.0.1")).status == 200
    assert asked == ["some.test"]


def test_a_second_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "resolve", lambda host, port: ["127.0.0.2", "127.0.0.1"])
    with sink() as server:
        assert request("GET", server.url(host="some.test"), allow=parse_allow("127.0.0.0/8")).status == 200


def test_connecting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "CONNECT_SECONDS", 0.6)
    allow = parse_allow("127.0.0.1")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:  # the queue of this one is full: it neither accepts nor refuses
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        with pytest.raises(EgressError) as caught:
            request("GET", f"http://127.0.0.1:{port}/", allow=allow)
        for each in waiting:
            each.close()
    assert caught.value.code == "unreachable"
    assert not caught.value.sent
    assert 0.5 < time.monotonic() - started < 1.2


def test_a_handshake_that_hangs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "CONNECT_SECONDS", 0.6)
    with raw(lambda connection: time.sleep(3)) as server:
        started = time.monotonic()
        with pytest.raises(EgressError) as caught:
            request("GET", server.url(scheme="https"), allow=parse_allow("127.0.0.1"))
    assert caught.value.code == "unreachable"
    assert time.monotonic() - started < 1.2


def test_a_resolver_that_hangs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "CONNECT_SECONDS", 0.4)
    monkeypatch.setattr(egress, "resolve", lambda host, port: time.sleep(2) or [])
    started = time.monotonic()
    with pytest.raises(EgressError) as caught:
        request("GET", "http://some.test/", allow=parse_allow(""))
    assert caught.value.code == "unreachable"
    assert time.monotonic() - started < 1


def test_the_whole_is_bounded_however_slowly_it_comes() -> None:
    allow = parse_allow("127.0.0.1")
    with raw(trickle) as server:
        started = time.monotonic()
        with pytest.raises(EgressError) as caught:
            request("GET", server.url(), allow=allow, seconds=1)
        assert caught.value.code == "timeout"
        assert 0.9 < time.monotonic() - started < 1.4

    def slow_head(connection: socket.socket) -> None:
        heard(connection)
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.05)

    with raw(slow_head) as server:
        started = time.monotonic()
        with pytest.raises(EgressError) as caught:
            request("GET", server.url(), allow=allow, seconds=1)
        assert caught.value.code == "timeout"
        assert time.monotonic() - started < 1.4


def test_redirects_share_the_time() -> None:
    def slow(asked: Any) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.4)
        return 302, {"Location": "/again"}, b""

    with sink(slow) as server:
        started = time.monotonic()
        with pytest.raises(EgressError) as caught:
            request("GET", server.url(), allow=parse_allow("127.0.0.1"), seconds=1)
    assert caught.value.code == "timeout"
    assert time.monotonic() - started < 1.5


def test_endless_bodies_and_heads_end() -> None:
    def body(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    def head(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"x-more: " + b"y" * 60_000 + b"\r\n")

    for talk, code in ((body, "body_too_large"), (head, "no_answer")):
        with raw(talk) as server, pytest.raises(EgressError) as caught:
            request("GET", server.url(), allow=parse_allow("127.0.0.1"))
        assert caught.value.code == code


def test_nonsense_in_the_setting_is_told(settings: Any) -> None:
    settings.RELORCH_EGRESS_ALLOW = ["10.0.0.0/8", "intranet.example"]
    assert egress.allowed().hosts == {"intranet.example"}
    settings.RELORCH_EGRESS_ALLOW = "10.0.0.0/99"
    with pytest.raises(ValueError, match="RELORCH_EGRESS_ALLOW"):
        egress.allowed()
