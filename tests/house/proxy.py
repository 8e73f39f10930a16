"""A TCP proxy that can be made half-dead: what is connected stays connected, and nothing goes through any more."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class Proxy:
    """Forwards to one port. Only loopback; a thread for each direction."""

    def __init__(self, port: int) -> None:
        self.target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._swallows = False
        self._pairs: list[tuple[socket.socket, socket.socket, threading.Event]] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.close()
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for near, far, _ in pairs:
            for one in (near, far):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def deafen(self) -> int:
        """Whoever is connected now will never hear anything again, and is not told; who comes later is served. How many."""
        with self._lock:
            for *_, dead in self._pairs:
                dead.set()
            return len(self._pairs)

    def swallow(self, on: bool) -> None:
        """A black hole: it takes connections, and nothing comes of them."""
        self._swallows = on
        if on:
            self.deafen()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                dead = threading.Event()
                if self._swallows:
                    dead.set()
                with self._lock:
                    self._pairs.append((near, far, dead))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink, dead), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket, dead: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not dead.is_set():
                    sink.sendall(data)
        if not dead.is_set():
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
