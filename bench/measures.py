"""The measurements. Rates are taken from the times that the engine itself wrote, not from how often somebody looked."""

from __future__ import annotations

import statistics
import time
from typing import Any

import httpx
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Max, Min

from bench import processes
from processes import editing, publishing
from processes.models import Process
from releases import planning
from releases.engine import Actor
from releases.models import ActivityRun, Attempt, Release
from relorch.accounts import tokens
from relorch.accounts.models import User

PATIENCE = 180.0


def person() -> User:
    """Whoever starts and approves."""
    user = User.objects.create_superuser("bench@example.com", "not used to log in")
    user.groups.add(Group.objects.create(name="bench"))
    return user


def published(document: dict[str, Any], actor: User) -> Process:
    """The process, with one version."""
    process = editing.create_process(document, actor=actor)
    publishing.publish(process, actor=actor)
    return process


def begun(process: Process, actor: User) -> Release:
    """A release that has just started."""
    return planning.start(process=process, given={}, actor=Actor(actor.pk, actor.email, "api"), starter=actor)


def analyse() -> None:
    """Autovacuum may be off, and a plan for empty tables is no plan."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def rate(releases: list[Release]) -> float:
    """Activities a second, from the first claim to the last end, once all have ended."""
    ids = [release.pk for release in releases]
    until = time.monotonic() + PATIENCE
    while Release.objects.filter(pk__in=ids, state="running").exists():
        if time.monotonic() > until:
            raise RuntimeError("the releases do not end")
        time.sleep(0.2)
    if Release.objects.filter(pk__in=ids).exclude(state="succeeded").exists():
        raise RuntimeError("a release did not succeed")
    first = Attempt.objects.filter(release__in=ids).aggregate(at=Min("started_at"))["at"]
    last = ActivityRun.objects.filter(release__in=ids).aggregate(at=Max("finished_at"))["at"]
    return ActivityRun.objects.filter(release__in=ids).count() / (last - first).total_seconds()


def approvals(address: str, actor: User, count: int = 60) -> dict[str, float]:
    """Milliseconds from sending an approval over HTTP to the answer; the successor is queued by then, in the same transaction."""
    process = published(processes.approval(), actor)
    releases = [begun(process, actor) for _ in range(count)]
    until = time.monotonic() + PATIENCE
    while ActivityRun.objects.filter(release__in=releases, key="ask", state="waiting").count() < count:
        if time.monotonic() > until:
            raise RuntimeError("nobody is asked")
        time.sleep(0.1)
    secret = tokens.issue(actor=actor, person=actor)[1]
    took = []
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {secret}"}) as client:
        for release in releases:
            start = time.perf_counter()
            answer = client.post(f"/api/v1/releases/{release.pk}/activities/ask/sign_offs/", json={"decision": "approve"})
            took.append((time.perf_counter() - start) * 1_000)
            answer.raise_for_status()
            if Attempt.objects.filter(release=release, run__key="after").count() != 1:
                raise RuntimeError("the successor was not queued with the answer")
            time.sleep(0.02)
    return {"p50": round(statistics.median(took), 2), "p95": round(statistics.quantiles(took, n=20)[18], 2)}
