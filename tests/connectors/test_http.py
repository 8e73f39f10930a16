"""The HTTP connector: what it sends, what succeeds, what it says (S24)."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from releases.connectors.base import Call, Done
from releases.connectors.http import Http, expected

from .servers import heard, raw, sink, trickle

Ask = Callable[..., Done]


@pytest.fixture
def ask(settings: Any) -> Ask:
    """One attempt, from start to end."""
    settings.RELORCH_EGRESS_ALLOW = ("127.0.0.1",)

    def attempt(url: str, *, call: dict[str, Any] | None = None, **arguments: Any) -> Done:
        base = {"key": "rel-1.deploy.1", "attempt": 1, "release": 1, "activity": "deploy", "workspace": Path("/nonexistent"), "at": datetime.now(UTC)}
        end = Http().start({"url": url} | arguments, Call(**(base | (call or {}))))
        assert isinstance(end, Done)
        return end

    return attempt


def test_what_is_sent(ask: Ask) -> None:
    with sink() as server:
        end = ask(server.url("/deploy?x=1"), method="post", headers={"Authorization": "Bearer t", "X-Count": 3}, body={"name": "ä", "n": [1, None]})
    assert end.succeeded
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/deploy?x=1")
    assert json.loads(request.body) == {"name": "ä", "n": [1, None]}
    sent = request.headers
    assert sent["idempotency-key"] == "rel-1.deploy.1"
    assert sent["content-type"] == "application/json"
    assert (sent["authorization"], sent["x-count"]) == ("Bearer t", "3")
    assert sent["host"] == f"127.0.0.1:{server.port}"
    assert sent["user-agent"] == "relorch"
    assert "cookie" not in sent


@pytest.mark.parametrize(
    ("body", "kind", "data"),
    [("plain ä", "text/plain; charset=utf-8", "plain ä".encode()), ([], "application/json", b"[]"), (None, None, b""), (False, "application/json", b"false")],
)
def test_kinds_of_bodies(ask: Ask, body: Any, kind: str | None, data: bytes) -> None:
    with sink() as server:
        ask(server.url(), method="PUT", body=body)
        ask(server.url(), method="PUT", body=body, headers={"Content-Type": "application/x-own"})
    assert server.requests[0].body == data
    assert server.requests[0].headers.get("content-type") == kind
    assert server.requests[1].headers["content-type"] == "application/x-own"


@pytest.mark.parametrize(
    ("kind", "content", "body"),
    [
        ("application/json", b'{"a": [1, 2.5, true, null, "x"]}', {"a": [1, 2.5, True, None, "x"]}),
        ("application/json; charset=utf-8", '"ä"'.encode(), "ä"),
        ("application/problem+json", b"[]", []),
        ("application/json", b"{not json", "{not json"),
        ("application/json", b"", ""),
        ("application/json", b'{"a": "\\u0000\\ud800"}', {"a": "\ufffd\ufffd"}),
        (
            "application/json",
            b'{"big": 123456789012345678901234567890, "inf": 1e999, "nan": NaN}',
            {"big": "123456789012345678901234567890", "inf": "inf", "nan": "nan"},
        ),
        ("application/json", b"[" * 100_000, "[" * 100_000),
        ("application/json", b"9" * 5_000, "9" * 5_000),
        ("text/plain", b"x\xff\0y", "x\ufffd\ufffdy"),
        ("text/plain; charset=iso-8859-1", b"\xe4", "ä"),
        ("text/plain; charset=no-such-thing", "ä".encode(), "ä"),
        ("text/html", b"<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_outputs(ask: Ask, kind: str, content: bytes, body: Any) -> None:
    with sink(lambda request: (200, {"Content-Type": kind, "X-Answer": "yes"}, content)) as server:
        end = ask(server.url())
    assert end.succeeded
    assert end.outputs["status"] == 200
    assert end.outputs["body"] == body
    assert end.outputs["headers"]["x-answer"] == "yes"
    json.dumps(end.outputs, allow_nan=False).encode()


def test_deeply_nested_json_stays_storable(ask: Ask) -> None:
    with sink(lambda request: (200, {"Content-Type": "application/json"}, b"[" * 200 + b"]" * 200)) as server:
        body, depth = ask(server.url()).outputs["body"], 0
    while isinstance(body, list):
        body, depth = body[0], depth + 1
    assert depth <= 32
    assert isinstance(body, str)


@pytest.mark.parametrize(
    ("status", "expect", "succeeds"),
    [
        (200, None, True),
        (299, None, True),
        (404, None, False),
        (500, None, False),
        (404, 404, True),
        (200, 404, False),
        (201, [200, 201], True),
        (204, ["2xx", 404], True),
        (404, ["2xx", 404], True),
        (503, "5xx", True),
        (202, "200-202", True),
        (203, "200-202", False),
        (204, "204", True),
        (418, "4XX", True),
    ],
)
def test_expected_statuses(ask: Ask, status: int, expect: Any, succeeds: bool) -> None:
    with sink(lambda request: (status, {}, b"" if status == 204 else b"what happened")) as server:
        end = ask(server.url("/x?token=abc"), **({} if expect is None else {"expect": expect}))
    assert end.succeeded is succeeds
    assert end.outputs["status"] == status
    if not succeeds:
        assert end.code == f"status_{status}"
        assert f"answered {status}, expected " in end.message
        assert "what happened" in end.message
        assert "abc" not in end.message


def test_an_expected_redirect_is_not_followed(ask: Ask) -> None:
    with sink(lambda request: (302, {"Location": "/elsewhere"}, b"")) as server:
        end = ask(server.url(), expect=302)
    assert end.succeeded
    assert end.outputs["headers"]["location"] == "/elsewhere"
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", [None, True, "abc", "6xx", 99, 600, [], ["2xx", "x"], {}, 20.5, "200-", ""])
def test_nonsense_to_expect(value: Any) -> None:
    with pytest.raises(ValueError):
        expected(value)


def test_denied_addresses_name_host_and_setting(ask: Ask, settings: Any) -> None:
    with sink() as server:
        settings.RELORCH_EGRESS_ALLOW = ()
        end = ask(server.url("/?token=abc"))
        assert (end.succeeded, end.code) == (False, "egress_denied")
        assert "127.0.0.1" in end.message
        assert "RELORCH_EGRESS_ALLOW" in end.message
        assert ask(server.url(host="localhost")).code == "egress_denied"
        assert ask("http://2130706433/").code == "bad_arguments"
        settings.RELORCH_EGRESS_ALLOW = "10.0.0.0/8, localhost"
        assert ask(server.url()).code == "egress_denied"
        assert server.connections == 0
        assert ask(server.url(host="localhost")).succeeded
        assert server.connections == 1


def test_nobody_there(ask: Ask) -> None:
    with sink() as server:
        pass
    end = ask(server.url())
    assert (end.succeeded, end.code) == (False, "unreachable")
    assert "refused" in end.message
    end = ask("http://no-such-host.invalid/")
    assert (end.succeeded, end.code) == (False, "unreachable")
    assert "no-such-host.invalid" in end.message


@pytest.mark.parametrize(
    "said",
    [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"],
)
def test_an_answer_that_breaks_off(ask: Ask, said: bytes) -> None:
    def talk(connection: Any) -> None:
        heard(connection)
        connection.sendall(said)

    with raw(talk) as server:
        end = ask(server.url(), method="POST")
    assert (end.succeeded, end.code) == (False, "no_answer")
    assert "may have been carried out" in end.message


def test_time_is_bounded_by_the_activity(ask: Ask) -> None:
    with raw(trickle) as server:
        started = time.monotonic()
        end = ask(server.url(), call={"timeout": 0.8})
        assert (end.succeeded, end.code) == (False, "timeout")
        assert 0.7 < time.monotonic() - started < 1.5
        assert "may have been carried out" in end.message


def test_it_stops_when_told(ask: Ask) -> None:
    with raw(trickle) as server:
        started = time.monotonic()
        end = ask(server.url(), call={"stopping": lambda: time.monotonic() - started > 0.5})
        assert (end.succeeded, end.code) == (False, "stopped")
        assert time.monotonic() - started < 1.5


def test_large_and_packed_answers(ask: Ask) -> None:
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {
        "/large": (200, {}, b"x" * 1_048_577),
        "/fits": (200, {}, b"x" * 1_048_576),
        "/bomb": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"\0" * 50_000_000)),
        "/packed": (200, {"Content-Encoding": "gzip", "Content-Type": "text/plain"}, gzip.compress(b"hello")),
        "/liar": (200, {"Content-Encoding": "gzip"}, b"hello"),
        "/cut": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"hello" * 100)[:-12]),
        "/strange": (200, {"Content-Encoding": "br"}, b"hello"),
    }
    with sink(lambda request: answers[request.path]) as server:
        codes = {path: ask(server.url(path)).code for path in answers}
        assert ask(server.url("/packed")).outputs["body"] == "hello"
    assert codes == {
        "/large": "body_too_large",
        "/fits": "",
        "/bomb": "body_too_large",
        "/packed": "",
        "/liar": "bad_encoding",
        "/cut": "bad_encoding",
        "/strange": "bad_encoding",
    }
    assert all(request.headers["accept-encoding"] == "identity" for request in server.requests)


def test_redirects_drop_credentials_on_another_host(ask: Ask) -> None:
    with sink() as other, sink(lambda request: (307, {"Location": other.url("/there")}, b"")) as first:
        end = ask(first.url(), method="POST", body="x", headers={"Authorization": "Bearer t", "Cookie": "a=b", "X-Api-Key": "k", "Accept": "text/plain"})
    assert end.succeeded
    assert first.requests[0].headers["x-api-key"] == "k"
    (request,) = other.requests
    assert (request.method, request.body) == ("POST", b"x")
    assert not {"authorization", "cookie", "x-api-key"} & set(request.headers)
    assert request.headers["accept"] == "text/plain"
    assert request.headers["idempotency-key"] == "rel-1.deploy.1"


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [
        (301, "POST", "GET", b""),
        (302, "POST", "GET", b""),
        (303, "PUT", "GET", b""),
        (303, "HEAD", "HEAD", b"x"),
        (307, "POST", "POST", b"x"),
        (308, "PUT", "PUT", b"x"),
        (302, "PUT", "PUT", b"x"),
    ],
)
def test_methods_after_redirects(ask: Ask, status: int, method: str, then: str, body: bytes) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        return (200, {}, b"") if request.path == "/b" else (status, {"Location": "/b"}, b"")

    with sink(answer) as server:
        assert ask(server.url("/a"), method=method, body="x", headers={"Authorization": "t"}).succeeded
    assert (server.requests[1].method, server.requests[1].body) == (then, body)
    assert server.requests[1].headers["authorization"] == "t", "the same host may see it"


def test_at_most_five_redirects(ask: Ask) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        left = int(request.path[1:])
        return (302, {"Location": f"/{left - 1}"}, b"") if left else (200, {}, b"arrived")

    with sink(answer) as server:
        assert ask(server.url("/5")).outputs["body"] == "arrived"
        assert ask(server.url("/6")).code == "too_many_redirects"
        assert len(server.requests) == 12


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/",
        "http://[::1]:{port}/",
        "http://0:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://169.254.169.254/",
        "http://2130706433:{port}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//127.0.0.3:{port}/",
        "http://user@127.0.0.1:{port}/",
        "http://127.0.0.1:22/",
        "http:\\\\127.0.0.1\\",
        "https:///",
        "http://%6cocalhost/",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_hop_is_checked(ask: Ask, location: str, status: int) -> None:
    with sink(lambda request: (status, {"Location": location.format(port=server.port)}, b"")) as server:
        end = ask(server.url("/first"))
    assert end.code in ("egress_denied", "bad_redirect")
    assert len(server.requests) == 1


def test_secrets_and_queries_stay_out_of_messages(ask: Ask, settings: Any) -> None:
    with sink(lambda request: (403, {}, b"bad token hunter2-hunter2 aHVudGVyMi1odW50ZXIy")) as server:
        end = ask(server.url("/hunter2-hunter2/?key=other-secret"), headers={"Authorization": "hunter2-hunter2"}, call={"secrets": ("hunter2-hunter2",)})
    assert "hunter2" not in end.message
    assert "aHVudGVyMi1odW50ZXIy" not in end.message
    assert "other-secret" not in end.message
    end = ask("http://127.0.0.1:1/?key=other-secret\n", headers={"X": "other-secret\r\nY: z"})
    assert end.code == "bad_arguments"
    assert "other-secret" not in end.message


def test_proxies_of_the_environment_are_not_used(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with sink() as proxy, sink() as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url())
        assert ask(server.url()).succeeded
    assert (proxy.connections, server.connections) == (0, 1)


BAD = [
    ({}, "/url"),
    ({"url": 5}, "/url"),
    ({"url": "ftp://x/"}, "/url"),
    ({"url": "http://x/", "method": "TRACE"}, "/method"),
    ({"url": "http://x/", "method": "GET\r\n"}, "/method"),
    ({"url": "http://x/", "headers": ["a"]}, "/headers"),
    ({"url": "http://x/", "headers": {"Host": "y"}}, "/headers/Host"),
    ({"url": "http://x/", "headers": {"Idempotency-Key": "y"}}, "/headers/Idempotency-Key"),
    ({"url": "http://x/", "headers": {"Proxy-Authorization": "y"}}, "/headers/Proxy-Authorization"),
    ({"url": "http://x/", "headers": {"A B": "y"}}, "/headers/A B"),
    ({"url": "http://x/", "headers": {"A": "y\r\nHost: z"}}, "/headers/A"),
    ({"url": "http://x/", "headers": {"A": "ä"}}, "/headers/A"),
    ({"url": "http://x/", "headers": {"A": None}}, "/headers/A"),
    ({"url": "http://x/", "expect": "soon"}, "/expect"),
    ({"url": "http://x/", "expects": 200}, "/expects"),
]


@pytest.mark.parametrize(("arguments", "place"), BAD)
def test_what_publishing_finds(arguments: dict[str, Any], place: str) -> None:
    (problem,) = Http().problems(arguments)
    assert problem.place == place


def test_expressions_are_left_to_the_run() -> None:
    arguments = {
        "url": "https://${{ inputs.host }}/",
        "method": "${{ inputs.m }}",
        "headers": {"A": "${{ inputs.a }}"},
        "body": {"x": "${{ inputs.x }}"},
        "expect": "${{ inputs.e }}",
    }
    assert Http().problems(arguments) == []


def test_a_body_that_is_too_large_is_not_sent(ask: Ask) -> None:
    with sink() as server:
        assert ask(server.url(), method="POST", body="x" * 1_048_577).code == "body_too_large"
    assert server.connections == 0
