"""The one door out (S24): every HTTP request that relorch makes goes through `request`.

The name is resolved here, once for each connection; *all* its addresses are checked; the connection goes to the checked address, while TLS
still verifies the name. So an answer that changes between check and connection (rebinding) gains nothing. Redirects come back to the same
check. Nothing is taken from the environment: no proxy, no netrc.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin

import certifi
import httpcore
import httpx
from django.conf import settings

from relorch.lib.addresses import SETTING, Allow, BadURL, Target, address_allowed, parse_allow, parse_url

__all__ = ["Allow", "Answer", "BadURL", "EgressError", "address_allowed", "allowed", "parse_allow", "parse_url", "request"]

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 30.0
BODY_BYTES = 1024 * 1024
REDIRECTS = 5
_SLICE = 0.25  # how often a request that waits looks whether it should stop
_REDIRECTING = frozenset({301, 302, 303, 307, 308})
_KEPT_ELSEWHERE = frozenset({"accept", "accept-language", "content-type", "idempotency-key", "user-agent"})
"""Headers that another host may see after a redirect. All others may be credentials."""


class EgressError(Exception):
    """The request did not bring an answer. `code` is one of egress_denied, bad_url, unreachable, no_answer, timeout, stopped, body_too_large,
    too_many_redirects, bad_redirect, bad_request, bad_encoding; `sent` says whether the other side may have received it."""

    def __init__(self, code: str, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: names of headers in lower case, repeated ones joined by a comma; `url` is where it came from, as shown in messages."""

    status: int
    headers: dict[str, str]
    body: bytes
    url: str

    @property
    def encoding(self) -> str:
        """The character set that the answer says it is in."""
        return self.headers.get("content-type", "").lower().partition("charset=")[2].partition(";")[0].strip(" \"'") or "utf-8"


@lru_cache(maxsize=4)
def _parsed(words: str | tuple[str, ...]) -> Allow:
    return parse_allow(words)


def allowed() -> Allow:
    """What `RELORCH_EGRESS_ALLOW` opens. Raises ValueError for nonsense in it."""
    words: str | Iterable[str] = settings.RELORCH_EGRESS_ALLOW
    return _parsed(words if isinstance(words, str) else tuple(words))


class _Deadline:
    """The time that is left, for all steps of a request together."""

    def __init__(self, seconds: float, stopping: Callable[[], bool]) -> None:
        self._end = time.monotonic() + seconds
        self._seconds = seconds
        self._stopping = stopping
        self._connect_end = self._end
        self.sent = False  # has a byte left? Then nobody can say that nothing happened

    def connecting(self) -> None:
        """From here on connecting has its 5 seconds: name, address and TLS together."""
        self._connect_end = time.monotonic() + CONNECT_SECONDS

    def connect_left(self) -> float:
        """Seconds left for connecting, never quite none: the step that follows then says what took so long."""
        return self.left(max(self._connect_end - time.monotonic(), 0.01))

    def left(self, at_most: float | None = None) -> float:
        """Seconds left, never more than `at_most`. Raises EgressError when it is over."""
        if self._stopping():
            raise EgressError("stopped", f"the request was stopped{self.doubt}", sent=self.sent)
        left = self._end - time.monotonic()
        if left <= 0:
            raise EgressError("timeout", f"no complete answer within {self._seconds:g} s{self.doubt}", sent=self.sent)
        return left if at_most is None else min(left, at_most)

    @property
    def doubt(self) -> str:
        return "; it may have been carried out" if self.sent else ""


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, in the order in which to try them. Raises OSError."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def _addresses(host: str, port: int, deadline: _Deadline) -> list[str]:
    """As `resolve`, but bounded: the system's resolver knows no time-out, so it works in a thread of its own that may be left behind."""
    with suppress(ValueError):
        return [str(ip_address(host))]
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(resolve(host, port))
        except OSError as problem:
            answers.put(problem)
        except UnicodeError:
            answers.put(OSError("the name is not valid"))

    threading.Thread(target=look_up, daemon=True, name="resolve").start()
    try:
        found = answers.get(timeout=deadline.connect_left())
    except queue.Empty:
        raise EgressError("unreachable", f"{host}: the name was not resolved within {CONNECT_SECONDS:g} s") from None
    if isinstance(found, OSError):
        raise EgressError("unreachable", f"{host}: the name cannot be resolved ({found.strerror or found})")
    return found


class _Stream(httpcore.NetworkStream):
    """A connection whose every step is bounded by the deadline, and which notices while it waits that it should stop."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            try:
                return self._stream.read(max_bytes, timeout=self._deadline.left(_SLICE))
            except httpcore.ReadTimeout:
                continue

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        timeout = self._deadline.left()
        self._deadline.sent = True
        self._stream.write(buffer, timeout=timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout=self._deadline.connect_left()), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Door(httpcore.NetworkBackend):
    """Opens connections, after the check. There is no other way to one."""

    def __init__(self, allow: Allow, deadline: _Deadline) -> None:
        self._allow = allow
        self._deadline = deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        name = host.strip("[]")
        self._deadline.connecting()
        addresses = _addresses(name, port, self._deadline)
        if name not in self._allow.hosts:
            for address in addresses:
                if not address_allowed(address, self._allow):
                    where = name if address == name else f"{name} ({address})"
                    raise EgressError("egress_denied", f"{where} is not a public address; an administrator can allow it with {SETTING}")
        reasons: list[str] = []
        for index, address in enumerate(addresses):
            # A dead first address must leave time for the others.
            share = self._deadline.connect_left() / (len(addresses) - index)
            try:
                stream = self._backend.connect_tcp(address, port, timeout=share)
            except httpcore.ConnectTimeout:
                reasons.append(f"{address} did not answer")
            except httpcore.ConnectError as problem:
                reasons.append(f"{address}: {getattr(problem.__cause__ or problem, 'strerror', None) or problem}")
            else:
                return _Stream(stream, self._deadline)
        raise EgressError("unreachable", f"{name} port {port} cannot be reached ({'; '.join(reasons)})")

    def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None) -> httpcore.NetworkStream:
        raise EgressError("egress_denied", "sockets of this machine are not opened")


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """The system's certificates (`SSL_CERT_FILE` honoured by OpenSSL) and, for systems that have none, Mozilla's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def request(
    method: str,
    url: str,
    *,
    allow: Allow,
    headers: Mapping[str, str] | None = None,
    content: bytes = b"",
    seconds: float = TOTAL_SECONDS,
    limit: int = BODY_BYTES,
    final: Callable[[int], bool] = lambda status: False,
    stopping: Callable[[], bool] = lambda: False,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """Send one request and follow at most 5 redirects, each checked afresh. A status for which `final` is true is not followed.

    All together take at most `seconds`, connecting 5 s of them; an answer holds at most `limit` bytes, also unpacked.
    Raises EgressError; its messages hold neither query nor headers.
    """
    deadline = _Deadline(seconds, stopping)
    target = _target(url)
    kept = {name.lower(): value for name, value in (headers or {}).items()}
    for _ in range(REDIRECTS + 1):
        answer, location = _once(method, target, kept, content, allow, deadline, limit, context or _trusted())
        if answer.status not in _REDIRECTING or final(answer.status) or not location:
            return answer
        following = _target(urljoin(target.text, location), code="bad_redirect", prefix=f"{target.shown} redirects to a place that is not followed: ")
        if target.scheme == "https" and following.scheme == "http":
            raise EgressError("bad_redirect", f"{target.shown} redirects from https to http", sent=True)
        if following.origin != target.origin:
            kept = {name: value for name, value in kept.items() if name in _KEPT_ELSEWHERE}
        if (answer.status == 303 and method != "HEAD") or (answer.status in (301, 302) and method == "POST"):
            method, content = "GET", b""
            kept.pop("content-type", None)
        target = following
    raise EgressError("too_many_redirects", f"more than {REDIRECTS} redirects, the last to {target.shown}", sent=True)


def _target(url: str, code: str = "bad_url", prefix: str = "") -> Target:
    try:
        return parse_url(url)
    except BadURL as problem:
        raise EgressError(code, f"{prefix}{problem}", sent=bool(prefix)) from None


def _once(
    method: str, target: Target, headers: Mapping[str, str], content: bytes, allow: Allow, deadline: _Deadline, limit: int, context: ssl.SSLContext
) -> tuple[Answer, str]:
    """One request, one answer, and where it redirects to."""
    sent = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "relorch", **headers, "connection": "close"}
    try:
        asked = httpx.Request(method, target.text, headers=sent, content=content)
        where = httpcore.URL(scheme=asked.url.raw_scheme, host=asked.url.raw_host, port=asked.url.port, target=asked.url.raw_path)
        with (
            httpcore.ConnectionPool(ssl_context=context, max_connections=1, max_keepalive_connections=0, network_backend=_Door(allow, deadline)) as pool,
            pool.stream(method, where, headers=asked.headers.raw, content=content or None) as response,
        ):
            names = httpx.Headers(response.headers)
            body = _unpacked(_bounded(response.iter_stream(), limit, target), names.get("content-encoding", ""), limit, target)
            found = {name.lower(): ", ".join(names.get_list(name)) for name in names}
            return Answer(response.status, found, body, target.shown), found.get("location", "")
    except (httpx.InvalidURL, httpcore.UnsupportedProtocol, UnicodeError):
        raise EgressError("bad_url", "the URL or a header cannot be sent as it is written") from None
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as problem:
        # Connections that fail are told by the door; what comes here is the TLS handshake.
        raise EgressError("unreachable", f"{target.host}: no secure connection ({_reason(problem)})") from None
    except httpcore.LocalProtocolError:
        raise EgressError("bad_request", "the request cannot be sent: a header or the method is not valid") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as problem:
        message = f"{target.shown} broke off before its answer was complete ({_reason(problem)}){deadline.doubt}"
        raise EgressError("no_answer", message, sent=deadline.sent) from None


def _reason(problem: BaseException) -> str:
    cause = problem.__cause__ or problem
    return str(getattr(cause, "verify_message", "") or getattr(cause, "strerror", "") or cause or type(cause).__name__)


def _bounded(pieces: Iterator[bytes], limit: int, target: Target) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > limit:
            raise EgressError("body_too_large", f"the answer of {target.shown} is larger than {limit:,} bytes", sent=True)
    return bytes(body)


def _unpacked(body: bytes, encoding: str, limit: int, target: Target) -> bytes:
    """The body as meant. We ask for an unpacked one; a server that packs it all the same is understood, within the same limit."""
    packing = encoding.strip().lower()
    if packing in ("", "identity") or not body:
        return body
    if packing not in ("gzip", "x-gzip", "deflate"):
        raise EgressError("bad_encoding", f"the answer of {target.shown} is packed as {packing[:40]!r}, which was not asked for", sent=True)
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = unpack.decompress(body, limit + 1)
    except zlib.error:
        raise EgressError("bad_encoding", f"the answer of {target.shown} says {packing} and is not", sent=True) from None
    if len(plain) > limit:
        raise EgressError("body_too_large", f"the answer of {target.shown} is larger than {limit:,} bytes when unpacked", sent=True)
    if not unpack.eof:
        raise EgressError("bad_encoding", f"the answer of {target.shown} is packed and cut off", sent=True)
    return plain
