"""The web server: one process, in one place, on the loopback interface only."""

from __future__ import annotations

import errno
import json
import os
import signal
import socketserver
import sys
import threading
import time
import zlib
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from shop.place import Place, write, write_json
from shop.service import Service

HOST = "127.0.0.1"
FIRST_PORT, LAST_PORT = 18_100, 18_999


class PortTaken(Exception):
    """Somebody else listens there."""


class Server(ThreadingHTTPServer):
    """Listens on loopback; never looks up its own name, which could take seconds without a network."""

    daemon_threads = True
    request_queue_size = 64
    service: Service

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]


class Handler(BaseHTTPRequestHandler):
    """Turns a GET into `Service.answer`."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30
    wbufsize = 65_536  # head and body in one packet, else every answer waits 40 ms for the other side's acknowledgement
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        try:
            status, value = self.server.service.answer(self.path)
        except Exception as error:  # whatever a version gets wrong is its 500, never a silent connection
            self.log_error("%s: %r", self.path, error)
            status, value = 500, {"error": f"{type(error).__name__}: {error}"}
        page = isinstance(value, str)
        body = (value if page else json.dumps(value) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8" if page else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Only what went wrong is worth a line."""
        if not isinstance(code, int) or code >= 500:
            super().log_request(code, size)


def free_ports(place: Place) -> list[int]:
    """The ports to try when none is asked for. Every place begins elsewhere, so that it rarely gets one that another has just left."""
    count = LAST_PORT - FIRST_PORT + 1
    begin = zlib.crc32(str(place.folder).encode())
    return [FIRST_PORT + (begin + step) % count for step in range(count)]


def listen(tried: Iterable[int]) -> Server:
    """A server on the first of these ports that is free. Raises PortTaken."""
    tried = list(tried)
    for number in tried:
        try:
            return Server((HOST, number), Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    one = f"port {tried[0]} on {HOST} is taken; choose another, or 0 for a free one"
    raise PortTaken(one if len(tried) == 1 else f"every port from {FIRST_PORT} to {LAST_PORT} on {HOST} is taken")


def serve(place: Place, *, port: int = 0, preferred: int = 0, service: str = "shop", lifetime: float = 0) -> int:
    """Serve until told to stop, until the place is gone, or for `lifetime` seconds. Answers the exit code."""
    held = place.lock()
    if held is None:
        print(f"a server runs in {place.folder} already", file=sys.stderr)
        return 3
    try:
        server = listen([port] if port else [*([preferred] if preferred else []), *free_ports(place)])
    except PortTaken as error:
        print(error, file=sys.stderr)
        return 4
    server.service = Service(place, service)
    threading.Thread(target=_watch, args=(server, place, lifetime), daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    port = server.server_port
    write(place.pid, f"{os.getpid()}\n")
    about = {"pid": os.getpid(), "port": port, "url": f"http://{HOST}:{port}", "service": service}
    write_json(place.address, about | {"version": server.service.version, "digest": server.service.digest})
    print(f"{service} {server.service.version} on http://{HOST}:{port}", file=sys.stderr, flush=True)
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()
        for file in (place.address, place.pid):
            file.unlink(missing_ok=True)
        held.close()
    return 0


def _watch(server: Server, place: Place, lifetime: float) -> None:
    """End by oneself: an example must not leave servers behind for ever when nobody stops it."""
    began = time.monotonic()
    while place.pid.exists() or time.monotonic() - began < 5:
        if lifetime and time.monotonic() - began > lifetime:
            break
        time.sleep(1)
    server.shutdown()
