"""Push: who hears of what, in bounded time, and what an ended hub leaves. The ASGI application itself is asked, as a server would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from releases import operating
from releases.engine import Actor
from releases.models import Release
from relorch import live
from relorch.accounts.middleware import SEEN
from relorch.accounts.models import User
from tests import factories
from tests.releases.driving import published, started
from tests.releases.scenes import blueprint, script

pytestmark = pytest.mark.django_db(transaction=True)


def cookie_of(person: User) -> str:
    client = Client()
    client.force_login(person)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


class Reader:
    """One open page."""

    def __init__(self, cookie: str, query: str, method: str = "GET") -> None:
        self.scope = {"type": "http", "path": "/live/", "method": method, "query_string": query.encode(), "headers": [(b"cookie", cookie.encode())]}
        self.leaves = asyncio.Event()
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.heard: list[tuple[float, str]] = []
        self.ended = False

    async def receive(self) -> dict[str, Any]:
        """The request is whole; then nothing until the reader leaves."""
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: live.Message) -> None:
        """What the server says."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self.heard += [(time.monotonic(), line[7:]) for line in message["body"].decode().splitlines() if line.startswith("event: ")]
            self.ended = not message.get("more_body", False)

    def topics(self) -> set[str]:
        """Of what it has heard."""
        return {topic for _, topic in self.heard}


async def until(true: Callable[[], Any], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.01)


def opened(hub: live.Hub, readers: list[Reader]) -> list[asyncio.Task[None]]:
    async def elsewhere(*_: Any) -> None:
        raise AssertionError("asked for by another address")

    ask = live.pushing(elsewhere, hub)
    return [asyncio.create_task(_as_task(ask(reader.scope, reader.receive, reader.send))) for reader in readers]


async def _as_task(asked: Awaitable[None]) -> None:
    await asked


@pytest.fixture
def release() -> Release:
    return started(published(blueprint(script("it"))), starter=factories.person("olga"))


def hold(release: Release) -> None:
    try:
        operating.hold(release=release.pk, actor=Actor(None, "olga@example.com", "page"), reason="Wait.")
    finally:
        connection.close()  # this thread's


def leave(person: User) -> None:
    try:
        User.objects.filter(pk=person.pk).update(is_active=False)
    finally:
        connection.close()


def test_only_who_sees_a_release_hears_of_it_and_only_as_long_as_the_session_lasts(release: Release) -> None:
    olga, stranger = cookie_of(release.starter), cookie_of(factories.person("stranger"))
    assert live.topics_for(olga, release.pk, {"release", "list"}) == frozenset({f"release:{release.pk}", "list"})
    assert live.topics_for(stranger, release.pk, {"release", "list"}) is None
    assert live.topics_for(stranger, None, {"list", "inbox", "other"}) == frozenset({"list", "inbox"})
    assert live.topics_for(olga, 10**17, {"release"}) is None
    assert live.topics_for("", release.pk, {"release"}) is None
    assert live.topics_for(f"{settings.SESSION_COOKIE_NAME}=wrong", None, {"list"}) is None
    client = Client()
    client.force_login(release.starter)
    session = client.session
    session[SEEN] = int(time.time()) - settings.SESSION_IDLE_AGE - 1
    session.save()
    assert live.topics_for(f"{settings.SESSION_COOKIE_NAME}={session.session_key}", None, {"list"}) is None
    release.starter.is_active = False
    release.starter.save()
    assert live.topics_for(olga, None, {"list"}) is None


def test_two_hundred_pages_hear_of_a_change_and_end_when_the_process_does(release: Release) -> None:
    cookie, stranger = cookie_of(release.starter), cookie_of(factories.person("stranger"))

    async def scene() -> None:
        hub = live.Hub()
        readers = [Reader(cookie, f"release={release.pk}&inbox=1") for _ in range(199)] + [Reader(stranger, "list=1")]
        tasks = opened(hub, readers)
        refused = [Reader(stranger, f"release={release.pk}"), Reader(cookie, "release=x"), Reader(cookie, "list=1", "POST")]
        await asyncio.gather(*opened(hub, refused))
        assert [reader.status for reader in refused] == [404, 404, 405]
        await until(lambda: hub.number == 200 and hub.seen is not None and hub.heads, 30)
        await asyncio.sleep(3 * live.LOOK_EVERY)
        assert not any(reader.heard for reader in readers)  # nothing changed
        changed = time.monotonic()
        await asyncio.to_thread(hold, release)
        # a look between two commits may bring the inbox first, and the release with the next
        await until(lambda: all("release" in reader.topics() for reader in readers[:-1]) and bool(readers[-1].heard))
        assert readers[-1].topics() == {"list"}
        assert max(reader.heard[0][0] for reader in readers) - changed < 3  # measured in bench; here only that no slow poll brought it
        assert readers[0].headers[b"content-type"] == b"text/event-stream"
        assert readers[0].headers[b"x-accel-buffering"] == b"no"
        readers[0].leaves.set()
        await until(lambda: hub.number == 199)
        hub.end()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert all(reader.ended for reader in readers[1:])
        assert (hub.number, dict(hub.streams)) == (0, {})
        late = Reader(cookie, "list=1")
        await asyncio.gather(*opened(hub, [late]))
        assert late.status == 503

    asyncio.run(scene())


def test_whoever_loses_the_right_hears_no_more(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ASK_AGAIN", 0.3)
    cookie = cookie_of(release.starter)

    async def scene() -> None:
        hub = live.Hub()
        reader = Reader(cookie, f"release={release.pk}")
        tasks = opened(hub, [reader])
        await asyncio.sleep(1)
        assert (reader.status, reader.ended) == (200, False)
        await asyncio.to_thread(leave, release.starter)
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert (reader.ended, hub.number) == (True, 0)

    asyncio.run(scene())


def test_a_page_that_asks_while_the_process_ends_is_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = live.Hub()

    def slow(*_: Any) -> frozenset[str]:
        hub.ending = True
        return frozenset({"list"})

    monkeypatch.setattr(live, "topics_for", slow)
    reader = Reader("", "list=1")

    async def ask() -> None:
        await asyncio.gather(*opened(hub, [reader]))

    asyncio.run(ask())
    assert (reader.status, hub.number) == (503, 0)
