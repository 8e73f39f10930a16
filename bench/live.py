"""How soon 200 open pages are told of a change, over real connections to a running house."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from urllib.parse import urlsplit

from django.conf import settings
from django.test import Client

from bench import processes
from bench.measures import begun, published
from releases import operating
from releases.engine import Actor
from relorch.accounts.models import User

PAGES, CHANGES = 200, 10


def told(address: str, actor: User) -> dict[str, float]:
    """Milliseconds from asking for a verb until each of the pages has its notice. Raises RuntimeError when one is not told."""
    release = begun(published(processes.approval() | {"id": "bench_live"}, actor), actor).pk
    client = Client()
    client.force_login(actor)
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    listening = asyncio.run(_listen(address, cookie, release, actor))
    return {"p50": round(statistics.median(listening), 1), "p95": round(statistics.quantiles(listening, n=20)[18], 1)}


async def _listen(address: str, cookie: str, release: int, actor: User) -> list[float]:
    heard: list[list[float]] = [[] for _ in range(PAGES)]
    pages = [asyncio.create_task(_page(address, cookie, release, times)) for times in heard]
    await asyncio.sleep(10)
    took = []
    try:
        for number in range(CHANGES):
            answered = await asyncio.to_thread(_change, release, actor, number)
            await asyncio.sleep(2)
            for times in heard:
                later = [at for at in times if at >= answered]
                if not later:
                    raise RuntimeError("a page was not told")
                took.append((later[0] - answered) * 1_000)
    finally:
        for page in pages:
            page.cancel()
    return took


def _change(release: int, actor: User, number: int) -> float:
    who = Actor(actor.pk, actor.email, "page")
    before = time.monotonic()  # a notice may overtake the answer: counted from here
    if number % 2:
        operating.resume(release=release, actor=who)
    else:
        operating.hold(release=release, actor=who, reason="bench")
    return before


async def _page(address: str, cookie: str, release: int, heard: list[float]) -> None:
    to = urlsplit(address)
    reader, writer = await asyncio.open_connection(to.hostname, to.port)
    with contextlib.closing(writer):
        writer.write(f"GET /live/?release={release}&inbox=1 HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"event: release"):
                heard.append(time.monotonic())
