"""The goals that need a whole installation (reliability, section 2.1). Each gives its figures and what is wrong, and leaves every invariant whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from celery import current_app
from django.db import connection

from processes.models import Process
from releases import operating, planning, scheduling
from releases.engine import Actor
from releases.models import ActivityRun, Attempt, Release
from relorch.accounts.models import User
from relorch.audit.models import Event
from tests.chaos.world import LEASE, ROOT, SLOTS, World, percentile, until
from tests.releases import invariants
from tests.releases.driving import published
from tests.releases.scenes import blueprint, noop, script


@dataclass
class Result:
    """What came of a goal."""

    figures: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def must(self, holds: object, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.wrong.append(what)


@dataclass
class Stage:
    """Where a goal plays."""

    world: World
    random: Random
    size: int
    name: str
    deep: bool = False
    """A deep run, on a machine that has nothing else to do: times count."""

    @property
    def sink(self) -> Path:
        """A file to which effects append a line each: `key attempt`."""
        return self.world.home.parent / f"{self.name}.sink"

    def lines(self) -> list[str]:
        """What has happened."""
        return self.sink.read_text().split("\n")[:-1] if self.sink.exists() else []

    def effect(self, key: str, *before: str, effect: str = "keyed", takes: float = 0.3) -> dict[str, Any]:
        """A script that has its effect first and then takes its time."""
        return script(key, *before, effect=effect, **{"with": {"run": f'echo "$RELORCH_IDEMPOTENCY_KEY" >> "{self.sink}"\nsleep {takes}'}})

    def process(self, *steps: dict[str, Any]) -> Process:
        """Of these activities."""
        return published(blueprint(*steps, id=self.name.replace("-", "_")))

    def start(self, process: Process, **keys: Any) -> Release:
        """A release by Ann."""
        ann = person()
        return planning.start(process=process, given={}, actor=Actor(ann.pk, ann.email, "page"), starter=ann, **keys)


def person() -> User:
    """Ann, who starts and decides."""
    return User.objects.filter(email="ann@example.com").first() or User.objects.create_user("ann@example.com", "a long password", name="Ann")


def pids(of: Process) -> list[tuple[int, int, int]]:
    """Attempts that run under a live lease: (attempt, process that works on it, how often it was lost)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.id, split_part(a.worker, ':', 2)::int, a.lost FROM releases_attempt a JOIN releases_release r ON r.id = a.release_id"
            " WHERE a.state = 'running' AND a.lane = 'slow' AND a.lease_until > clock_timestamp() AND r.process_id = %s",
            [of.pk],
        )
        return cursor.fetchall()


def open_releases(of: Process) -> int:
    """How many are not over."""
    return Release.objects.filter(process=of, state__in=("running", "held", "scheduled")).count()


def now() -> datetime:
    """By the clock that decides."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found


def killed_in_the_middle(stage: Stage) -> Result:
    """R-01 and R-04: workers killed with -9 while they work, some with their whole group: all ends right, each effect under one key, soon again.

    How soon is reported, and fails only a deep run: a busy machine of CI is no clock.
    """
    result, each = Result(), 5
    process = stage.process(*(stage.effect(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(each)))
    releases = [stage.start(process) for _ in range(max(4, stage.size // 4))]
    kills: list[tuple[int, datetime]] = []
    groups, dead = 0, set[tuple[int, int]]()
    until_ = time.monotonic() + 30 + stage.size * 3
    while len(kills) < stage.size and open_releases(process) and time.monotonic() < until_:
        running = [one for one in pids(process) if one[2] < 3 and one[:2] not in dead]
        if not running:
            time.sleep(0.02)
            continue
        if stage.random.random() < 0.06 and (worker := stage.world.child("worker", "scripts")):
            at, hit = now(), [attempt for attempt, _, _ in running]
            if stage.world.ours(worker):
                os.killpg(worker, signal.SIGKILL)
                groups += 1
                dead |= {(attempt, pid) for attempt, pid, _ in running}
                kills += [(attempt, at) for attempt in hit[:1]]
        else:
            attempt, pid, _ = stage.random.choice(running)
            dead.add((attempt, pid))
            at = now()
            if stage.world.hurt(pid, signal.SIGKILL):
                kills.append((attempt, at))
        time.sleep(stage.random.uniform(0.02, 0.25))
    last = time.monotonic()
    until(lambda: not open_releases(process), 120)
    result.figures |= {"kills": len(kills), "of_groups": groups, "releases": len(releases), "seconds_after_last_kill": round(time.monotonic() - last, 1)}
    states = Counter(Release.objects.filter(process=process).values_list("state", flat=True))
    result.must(len(kills) >= stage.size, f"only {len(kills)} kills")
    result.must(states == {"succeeded": len(releases)}, f"releases: {dict(states)}")
    keys = Counter(stage.lines())
    planned = {str(key): lost for key, lost in Attempt.objects.filter(release__process=process).values_list("key", "lost")}
    result.must(set(keys) == set(planned) and len(planned) == len(releases) * each, f"{len(planned)} keys planned, {len(keys)} seen")
    result.must(all(keys[key] <= 1 + lost for key, lost in planned.items()), "an effect happened more often than its worker was lost")
    noticed, again = _until(kills, "attempt.worker_lost"), _until(kills, "activity.started")
    result.figures |= {"effects": len(keys), "lost": sum(planned.values()), "again_p50": percentile(again, 0.5), "again_p99": percentile(again, 0.99)}
    result.figures |= {"noticed_p50": percentile(noticed, 0.5), "noticed_p99": percentile(noticed, 0.99)}
    late = percentile(again, 0.99) > LEASE + 2
    result.figures["R-04"] = "missed" if late else "held"
    result.must(not (late and stage.deep), f"R-04: one in a hundred of the lost attempts took over {LEASE + 2} s to be claimed again")
    return result


def _until(kills: list[tuple[int, datetime]], verb: str) -> list[float]:
    """R-04: seconds from a kill until the next such event of the same activity."""
    found = []
    for attempt, at in kills:
        place = Attempt.objects.values_list("release_id", "run__key").get(pk=attempt)
        then = Event.objects.filter(release_id=place[0], subject=place[1], verb=verb, at__gt=at).order_by("at").values_list("at", flat=True).first()
        if then:
            found.append((then - at).total_seconds())
    return found


def not_safe_to_repeat(stage: Stage) -> Result:
    """R-03: a `once` script is killed after it began: never begun twice, interrupted with a reason, said once, and a person's choice ends it right."""
    result = Result()
    process = stage.process(stage.effect("it", effect="once", takes=600), noop("then", "it"))
    releases = [stage.start(process) for _ in range(stage.size)]
    of_release = ActivityRun.objects.filter(release__process=process, key="it")
    deadline = time.monotonic() + 30 + stage.size * 4
    while of_release.filter(state__in=("queued", "running")).exists() and time.monotonic() < deadline:
        begun = set(stage.lines())
        for attempt, pid, _ in pids(process):
            if str(Attempt.objects.values_list("key", flat=True).get(pk=attempt)) in begun:
                stage.world.hurt(pid, signal.SIGKILL)
        time.sleep(0.1)
    lines = Counter(stage.lines())
    states = Counter(of_release.values_list("state", "code"))
    said = Event.objects.filter(release_id__in=[one.pk for one in releases], verb="activity.interrupted").count()
    result.figures |= {"killed": len(releases), "begun": len(lines), "interrupted": states["interrupted", "worker_lost"], "said": said}
    result.must(set(lines.values()) <= {1}, "a once script began twice")
    result.must(states == {("interrupted", "worker_lost"): len(releases)}, f"states: {dict(states)}")
    result.must(said == len(releases), f"{said} events for {len(releases)} interrupted activities")
    ann = person()
    choices: list[Callable[..., Any]] = [operating.ignore, operating.fail, operating.succeed]
    for number, release in enumerate(releases):
        who = Actor(ann.pk, ann.email, "page")
        if number % 4 == 3:
            operating.abort(release=release.pk, actor=who, reason="enough")
        else:
            choices[number % 4](release=release.pk, activity="it", actor=who, reason="looked at the other side")
    until(lambda: not open_releases(process), 60)
    wanted = Counter({0: "partially_succeeded", 1: "failed", 2: "succeeded", 3: "aborted"}[number % 4] for number in range(len(releases)))
    ends = Counter(Release.objects.filter(process=process).values_list("state", flat=True))
    result.must(ends == wanted, f"after the person's choices: {dict(ends)}, not {dict(wanted)}")
    return result


def delivered_three_times(stage: Stage) -> Result:
    """R-08: rings by the handful, shuffled, through the real broker: one attempt of each activity, one effect."""
    result = Result()
    steps = [noop(f"n{n}") for n in range(3)] + [noop("join", "n0", "n1", "n2", **{"if": "true"}), stage.effect("effect", "join", takes=0)]
    process = stage.process(*steps)
    rung = 0
    for _ in range(max(2, stage.size // len(steps))):
        stage.start(process)
        rings = [("engine", "engine")] * (3 * 4) + [("slow", "scripts")] * 3
        stage.random.shuffle(rings)
        for lane, queue in rings:
            current_app.send_task("releases.tasks.drain", args=[lane], queue=queue, ignore_result=True)
            rung += 1
    until(lambda: not open_releases(process), 120)
    counts = Counter(ActivityRun.objects.filter(release__process=process).values_list("state", "attempt_count"))
    keys = Counter(stage.lines())
    result.figures |= {"activities": sum(counts.values()), "rung": rung, "effects": len(keys)}
    result.must(counts == {("succeeded", 1): sum(counts.values())}, f"activities: {dict(counts)}")
    result.must(set(keys.values()) == {1} and len(keys) == Release.objects.filter(process=process).count(), "an effect happened twice or not at all")
    return result


def zombies(stage: Stage) -> Result:
    """R-09: a worker stands still beyond its lease, another finishes, then the first goes on: its answer is refused, and that is said."""
    result, stopped = Result(), 0
    process = stage.process(stage.effect("it", takes=1.5))
    deadline = time.monotonic() + 30 + stage.size * 12
    asleep: dict[int, int] = {}
    while stopped < stage.size and time.monotonic() < deadline:
        for _ in range(min(SLOTS // 2, stage.size - stopped)):
            stage.start(process)
        until(lambda: len(pids(process)) > 0, 10, 0.02)
        for attempt, pid, lost in pids(process)[: SLOTS // 2]:
            if lost == 0 and stopped < stage.size and stage.world.hurt(pid, signal.SIGSTOP):
                asleep[attempt] = pid
                stopped += 1
        # some wake while another works on it, which only the fence can tell, the others after it has ended
        early = [attempt for attempt in asleep if stage.random.random() < 0.5]
        until(lambda ids=early: Attempt.objects.filter(pk__in=ids, lost=0).count() == 0, LEASE + 20, 0.02)
        until(lambda ids=early: not Attempt.objects.filter(pk__in=ids, state="queued").exists(), 20, 0.02)
        for attempt in early:
            stage.world.hurt(asleep[attempt], signal.SIGCONT)
        until(lambda ids=list(asleep): not Attempt.objects.filter(pk__in=ids, finished_at=None).exists(), LEASE + 20)
        for pid in asleep.values():
            stage.world.hurt(pid, signal.SIGCONT)
        until(lambda wanted=stopped: _refused(process) >= wanted, 10)
        asleep.clear()
    until(lambda: not open_releases(process), 60)
    states = Counter(Release.objects.filter(process=process).values_list("state", flat=True))
    refused = _refused(process)
    result.figures |= {
        "stopped": stopped,
        "refused": refused,
        "fences": sorted(set(Attempt.objects.filter(release__process=process).values_list("fence", flat=True))),
    }
    result.must(stopped >= stage.size, f"only {stopped} were stopped")
    result.must(refused == stopped, f"{stopped} zombies, {refused} refusals")
    result.must(set(_fences_refused(process)) == {1}, f"somebody else than a zombie was refused: {_fences_refused(process)}")
    result.must(set(states) == {"succeeded"}, f"releases: {dict(states)}")
    late = Attempt.objects.filter(release__process=process, lost__gt=0).exclude(state="succeeded").count()
    result.must(late == 0, f"{late} attempts do not bear the newest answer")
    return result


def _refused(process: Process) -> int:
    return len(_fences_refused(process))


def _fences_refused(process: Process) -> list[int]:
    ids = list(Release.objects.filter(process=process).values_list("pk", flat=True))
    records = Event.objects.filter(release_id__in=ids, verb="attempt.late_result_refused").values_list("record", flat=True)
    return [json.loads(record)["data"]["fence"] for record in records]


def timers(stage: Stage) -> Result:
    """R-12: timers and starts come due while the clock is killed again and again and a second one ticks: none missed, none twice, soon after."""
    result = Result()
    waits = stage.process({"id": "nap", "type": "automated", "connector": "timer", "with": {"for": f"{max(8, stage.size // 8)}s"}}, noop("then", "nap"))
    later = published(blueprint(noop("it"), id=f"{stage.name.replace('-', '_')}_later"))
    ann = person()
    second = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "celery", "-A", "relorch.celery", "beat", "--loglevel", "ERROR"],
        cwd=ROOT, env=os.environ.copy(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for number in range(stage.size):
            stage.start(waits)
            if number % 4 == 0:
                at = now() + timedelta(seconds=5 + stage.random.random() * 10)
                actor = Actor(ann.pk, ann.email, "page")
                scheduling.save_scheduled(process=later, given={}, actor=actor, starter=ann, scheduled_for=at, auto_start=True)
        kills, deadline = 0, time.monotonic() + 30 + stage.size
        while open_releases(waits) + open_releases(later) and time.monotonic() < deadline:
            clock = stage.world.child("beat")
            if clock and kills < max(10, stage.size // 4) and stage.world.hurt(clock, signal.SIGKILL):
                kills += 1
            time.sleep(stage.random.uniform(0.3, 1.5))
    finally:
        second.kill()
        second.wait()
    until(lambda: not open_releases(waits) + open_releases(later), 30)
    naps = Attempt.objects.filter(release__process=waits, run__key="nap")
    lateness = [(finished - due).total_seconds() for due, finished in naps.values_list("due_at", "finished_at") if due and finished]
    starts = [(started - due).total_seconds() for due, started in Release.objects.filter(process=later).values_list("scheduled_for", "started_at") if started]
    states = Counter([*Release.objects.filter(process__in=(waits, later)).values_list("state", flat=True)])
    fired = Counter(
        Event.objects.filter(release_id__in=list(naps.values_list("release_id", flat=True)), subject="nap", verb="activity.succeeded").values_list(
            "release_id", flat=True
        )
    )
    begun = Counter(
        Event.objects.filter(release_id__in=list(Release.objects.filter(process=later).values_list("pk", flat=True)), verb="release.started").values_list(
            "release_id", flat=True
        )
    )
    result.figures |= {
        "timers": stage.size, "scheduled": len(begun), "clock_killed": kills, "late_p50": percentile(lateness, 0.5), "late_p99": percentile(lateness, 0.99),
        "start_late_p99": percentile(starts, 0.99),
    }  # fmt: skip
    result.must(set(states) == {"succeeded"}, f"releases: {dict(states)}")
    result.must(len(fired) == stage.size and set(fired.values()) == {1}, "a timer was missed or fired twice")
    result.must(set(begun.values()) <= {1} and len(starts) == len(begun), "a scheduled release started twice or never")
    result.must(all(late >= 0 for late in [*lateness, *starts]), "something came before its time")
    return result


def whole(result: Result) -> Result:
    """With what the invariants found."""
    for name, rows in invariants.broken().items():
        result.wrong.append(f"invariant: {name}: {rows[:2]}")
    return result
