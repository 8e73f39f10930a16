"""A life of some releases, as a worker and a person live it together, written so that it can be begun anew after it was cut off anywhere.

Everything is looked up by name and state first: whoever is started again goes on where the database stands.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.db import connection

from approvals import signing
from processes.models import Process
from releases import deleting, draining, evaluating, operating, planning, sweep
from releases.engine import Actor
from releases.models import ActivityRun, Attempt, Release
from relorch.accounts.models import User
from tests.releases.driving import published
from tests.releases.scenes import bad, blueprint, manual, noop, phase, script, sub

EFFECTS = ("first", "second", "slow", "lost")
ANN = ("user:ann@example.com",)
OVER = ("succeeded", "partially_succeeded", "failed", "aborted")


def effect(key: str, path: Path, *depends_on: str, takes: float = 0, **keys: Any) -> dict[str, Any]:
    """A script whose effect is a line with its name and its key: what a keyed other side would take for one and the same."""
    text = f'echo "{key} $RELORCH_IDEMPOTENCY_KEY" >> "{path}"\nsleep {takes}'
    return script(key, *depends_on, **{"effect": "keyed", "with": {"run": text}, **keys})


def prepare(path: Path) -> None:
    """The processes and the person; a release whose worker was lost in the middle of its effect, and one that was over long ago."""
    User.objects.create_user("ann@example.com", "a long password", name="Ann")
    below = blueprint(noop("within"), manual("asked_within", "within", of=ANN))
    published(below)
    first = phase("first_phase", effect("first", path), noop("n", "first", **{"if": "true"}), bad("breaks", "n"), noop("undo", "n", run_when="failed"))
    second = phase(
        "second_phase",
        manual("ask", of=ANN),
        {"id": "nap", "type": "automated", "connector": "timer", "with": {"for": "1s"}, "depends_on": ["ask"]},
        sub("child", below.id, "ask"),
        effect("second", path, "nap", "child"),
        depends_on=["first_phase"],
    )
    published(blueprint(first, second, id="whole"))
    published(blueprint(effect("slow", path, takes=1.5), manual("never", "slow"), id="aborted"))
    published(blueprint(effect("lost", path), id="lost"))
    published(blueprint(manual("never", of=ANN), id="old"))
    old = start("old")
    operating.abort(release=old.pk, actor=Actor(None, "ann@example.com", "page"), reason="enough")
    Release.objects.filter(pk=old.pk).update(started_at="2020-01-01T00:00:00Z", finished_at="2020-01-01T00:00:00Z")
    lost = start("lost")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE releases_attempt SET state = 'running', fence = 1, worker = 'gone:1', started_at = clock_timestamp(),"
            " lease_until = clock_timestamp() - interval '1 second' WHERE release_id = %s",
            [lost.pk],
        )
        cursor.execute("UPDATE releases_activityrun SET state = 'running', started_at = clock_timestamp() WHERE release_id = %s", [lost.pk])


def start(process: str) -> Release:
    """A release of it."""
    ann = User.objects.get(email="ann@example.com")
    return planning.start(process=Process.objects.get(identifier=process), given={}, actor=Actor(ann.pk, ann.email, "page"), starter=ann)


def live(seconds: float = 60) -> None:
    """Start what is not there, and work and decide until all is over; then what was over before is deleted. Raises TimeoutError."""
    until = time.monotonic() + seconds
    roots = {name: Release.objects.filter(process__identifier=name, parent_run=None).first() or start(name) for name in ("whole", "aborted", "lost")}
    while Release.objects.exclude(state__in=OVER).exists():
        if time.monotonic() > until:
            raise TimeoutError(dict(ActivityRun.objects.exclude(state="succeeded").values_list("key", "state")))
        sweep.sweep()
        draining.drain("slow", seconds=1)
        draining.drain("engine", seconds=1)
        for root in roots.values():
            evaluating.settle(root.pk)
        decide()
        time.sleep(0.02)
    ann = User.objects.get(email="ann@example.com")
    for old in Release.objects.filter(process__identifier="old"):
        deleting.delete(release=old.pk, actor=Actor(ann.pk, ann.email, "page"), reason="nobody needs it")


def decide() -> None:
    """What a person does: approves, tries once more and then ignores what failed, aborts what is to be aborted."""
    ann = User.objects.get(email="ann@example.com")
    me = Actor(ann.pk, ann.email, "page")
    for run in ActivityRun.objects.filter(state__in=("waiting", "on_hold")).select_related("release"):
        if run.key == "never":
            operating.abort(release=run.release_id, actor=me, reason="enough")
        elif run.type == "manual":
            signing.sign_off(release=run.release_id, activity=run.key, person=ann, actor=me, decision="approve", comment="fine")
        elif run.state == "on_hold" and run.attempt_count == 1:
            operating.retry(release=run.release_id, activity=run.key, actor=me, reason="once more")
        elif run.state == "on_hold":
            operating.ignore(release=run.release_id, activity=run.key, actor=me, reason="it does not matter")


def time_passes() -> None:
    """The leases of whoever was killed run out."""
    Attempt.objects.filter(state="running").update(lease_until="2026-01-01T00:00:00Z")
