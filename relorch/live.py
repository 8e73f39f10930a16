"""Push: tells open pages at once that something changed. They then ask as they would have asked by themselves a little later.

A page opens `GET /live/?release=<id>&list=1&inbox=1` as server-sent events and hears only which of the three changed, never what: so nothing leaks here,
and a notice that is lost or doubled costs a question. One hub in the web process reads, while anybody listens, the heads of the trees that are looked at
and the newest events, in one short turn on a pooled connection. A stream is a coroutine: it holds no thread and no connection of the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

Message = MutableMapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]

PATH = "/live/"
LOOK_EVERY = 0.2
"""Seconds between two looks of the hub."""
CALM = 1.0
"""Seconds between two notices to a list or a counter: engines write many events a second."""
ASK_AGAIN = 30.0
"""Seconds after which session and permission are checked again, and a silent stream says that it lives (proxies close what is silent for a minute)."""
MOST = 2_000
"""Streams of one process; more are told to ask by themselves."""
INBOX = ("activity.", "sign_off.", "delegation.", "approval.", "task.", "release.")
"""Verbs that begin so may change what waits for somebody."""
_BEHIND = 500
"""Numbers of events are given before the commit: this many behind the newest are looked at again."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Stream:
    """One open page: what it wants to hear of, and what it has not been told yet."""

    topics: frozenset[str]
    news: set[str] = field(default_factory=set)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    def tell(self, topic: str) -> None:
        """Notices of the same kind become one until the reader takes them."""
        self.news.add(topic)
        self.woken.set()

    def close(self) -> None:
        """Ends it at its next turn, which is now."""
        self.closed = True
        self.woken.set()


@dataclass
class Hub:
    """Who listens to what in this process."""

    streams: dict[str, set[Stream]] = field(default_factory=lambda: defaultdict(set))
    heads: dict[str, int] = field(default_factory=dict)
    seen: set[int] | None = None
    waiting: set[str] = field(default_factory=set)
    told_at: float = 0.0
    number: int = 0
    ending: bool = False
    looking: asyncio.Task[None] | None = None
    loop: asyncio.AbstractEventLoop | None = None

    def join(self, stream: Stream) -> None:
        """The hub looks from the first stream on."""
        for topic in stream.topics:
            self.streams[topic].add(stream)
        self.number += 1
        self.loop = asyncio.get_running_loop()
        if self.looking is None or self.looking.done():
            self.looking = asyncio.create_task(self._look())

    def leave(self, stream: Stream) -> None:
        """With the last one it stops looking."""
        self.number -= 1
        for topic in stream.topics:
            self.streams[topic].discard(stream)
            if not self.streams[topic]:
                del self.streams[topic]
                self.heads.pop(topic, None)

    def end(self) -> None:
        """The process stops: all streams end, no new one begins. May be called from a signal handler."""
        self.ending = True
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._close_all)

    def _close_all(self) -> None:
        for stream in {stream for streams in self.streams.values() for stream in streams}:
            stream.close()

    async def _look(self) -> None:
        self.heads, self.seen = {}, None
        while self.number and not self.ending:
            try:
                heads, events = await asyncio.to_thread(newest, [topic for topic in self.streams if topic.startswith("release:")])
            except Exception:
                log.warning("open pages are not told of changes and ask by themselves: the database does not answer", exc_info=True)
                await asyncio.sleep(1)
                continue
            self._compare(heads, events)
            await asyncio.sleep(LOOK_EVERY)

    def _compare(self, heads: dict[str, int], events: dict[int, str]) -> None:
        for topic, sequence in heads.items():
            if self.heads.get(topic, sequence) != sequence:
                self._tell(topic)
            self.heads[topic] = sequence
        fresh = [] if self.seen is None else [verb for number, verb in events.items() if number not in self.seen]
        self.seen = set(events)
        if fresh:
            self.waiting.add("list")
        if any(verb.startswith(INBOX) for verb in fresh):
            self.waiting.add("inbox")
        if self.waiting and time.monotonic() - self.told_at >= CALM:
            for topic in self.waiting:
                self._tell(topic)
            self.waiting, self.told_at = set(), time.monotonic()

    def _tell(self, topic: str) -> None:
        for stream in self.streams.get(topic, ()):
            stream.tell(topic)


HUB = Hub()


def newest(streams: list[str]) -> tuple[dict[str, int], dict[int, str]]:
    """How far the chains of these trees are, and the verbs of the newest events by number."""
    from django.db import connection

    try:
        with connection.cursor() as cursor:
            heads = {}
            if streams:
                cursor.execute("SELECT name, sequence FROM audit_stream WHERE name = ANY(%s)", [streams])
                heads = dict(cursor.fetchall())
            cursor.execute("SELECT id, verb FROM audit_event WHERE id > (SELECT max(id) FROM audit_event) - %s", [_BEHIND])
            return heads, dict(cursor.fetchall())
    finally:
        connection.close()


def topics_for(cookie: str, release: int | None, wanted: set[str]) -> frozenset[str] | None:
    """What the owner of this session may hear of; None without a session, or for a release that they may not see."""
    from django.conf import settings
    from django.contrib.auth import get_user
    from django.db import connection
    from django.http import HttpRequest

    from releases.models import Release
    from relorch.accounts.middleware import SEEN, STARTED

    try:
        request = HttpRequest()
        request.session = import_module(settings.SESSION_ENGINE).SessionStore(_cookie(cookie, settings.SESSION_COOKIE_NAME))
        user, now = get_user(request), int(time.time())
        if not user.is_authenticated or not user.is_active:
            return None
        started, seen = request.session.get(STARTED, now), request.session.get(SEEN, now)
        if now - started > settings.SESSION_COOKIE_AGE or now - seen > settings.SESSION_IDLE_AGE:
            return None
        topics = wanted & {"list", "inbox"}
        if release is not None:
            root = Release.objects.visible_to(user).filter(pk=release).values_list("root_id", flat=True).first()
            if root is None:
                return None
            topics.add(f"release:{root}")
        return frozenset(topics) or None
    finally:
        connection.close()


def _cookie(header: str, name: str) -> str | None:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return found.value if found else None


def pushing(application: Application, hub: Hub = HUB) -> Application:
    """The application with `/live/` before it."""

    async def ask(scope: Any, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
        if scope["type"] == "http" and scope["path"] == PATH:
            await _answer(hub, scope, receive, send)
        else:
            await application(scope, receive, send)

    return ask


async def _answer(hub: Hub, scope: Any, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    query = parse_qs(scope["query_string"].decode("latin-1"))
    cookie = "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")
    said = query.get("release", [""])[0]
    release = int(said) if said.isascii() and said.isdecimal() and len(said) < 18 else None
    asked = (cookie, release, set(query))
    if scope["method"] != "GET":
        await _refuse(send, 405)
        return
    if hub.ending or hub.number >= MOST:
        await _refuse(send, 503)
        return
    topics = None if said and release is None else await asyncio.to_thread(topics_for, *asked)
    if topics is None:
        await _refuse(send, 404)
        return
    if hub.ending or hub.number >= MOST:  # meanwhile
        await _refuse(send, 503)
        return
    stream = Stream(topics)
    hub.join(stream)
    leaving = asyncio.create_task(_gone(receive, stream))
    try:
        await _run(stream, send, asked)
    finally:
        leaving.cancel()
        hub.leave(stream)


async def _run(stream: Stream, send: Callable[[Message], Awaitable[None]], asked: tuple[str, int | None, set[str]]) -> None:
    headers = [
        (b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"), (b"x-content-type-options", b"nosniff"),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"retry: 2000\n\n", "more_body": True})
    checked = time.monotonic()
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stream.woken.wait(), max(0.01, checked + ASK_AGAIN - time.monotonic()))
        if stream.closed:
            break
        text = "".join(f"event: {topic.split(':')[0]}\ndata: 1\n\n" for topic in sorted(stream.news))
        stream.news.clear()
        stream.woken.clear()
        if time.monotonic() - checked >= ASK_AGAIN:
            if await asyncio.to_thread(topics_for, *asked) != stream.topics:
                break
            checked, text = time.monotonic(), text or ": here\n\n"
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
    with contextlib.suppress(OSError):
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Callable[[], Awaitable[Message]], stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.close()


async def _refuse(send: Callable[[Message], Awaitable[None]], status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0"), (b"cache-control", b"no-store")]})
    await send({"type": "http.response.body", "body": b""})
