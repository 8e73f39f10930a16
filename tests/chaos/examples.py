"""Every example process, its workers killed at random moments: it ends right, or stands interrupted and ends right after the person's choice.

Those that are made to be called (`deploy_region`, `deploy_service`) are hurt inside their callers.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from typing import Any

from processes.models import Process
from releases import operating, planning
from releases.engine import Actor
from releases.models import ActivityRun, Release
from relorch.accounts.models import User
from relorch.demo import EXAMPLES, loading, playing
from tests.chaos.goals import Result, Stage, pids

INPUTS: dict[str, dict[str, Any]] = {
    "standard_release": {"version": "1.4.0"},
    "emergency_hotfix": {"version": "1.4.1", "reason": "Orders with a coupon are charged twice"},
    "feature_rollout": {"version": "1.5.0"},
    "multi_service": {"version": "2.0.0"},
    "database_change": {},
}
SECONDS = 240


def killed_at_random(stage: Stage) -> Result:
    """Each example once at a time, hurt `stage.size` times."""
    result = Result()
    people = loading.load()
    wounded = Counter[str]()
    for process, inputs in INPUTS.items():
        found = _killed(stage, process, inputs, people, wounded)
        result.figures[process] = found
        right = {"succeeded", "partially_succeeded"} | ({"failed"} if found["chosen"] else set())
        result.must(found["state"] in right, f"{process}: {found}")
    result.figures["wounded"] = dict(wounded)
    spared = set(Process.objects.values_list("identifier", flat=True).filter(identifier__in=examples())) - set(wounded)
    result.must(not spared, f"never hurt: {', '.join(sorted(spared))}")
    return result


def examples() -> list[str]:
    """The processes that are shipped."""
    return [name.removesuffix(".yaml") for name in loading.described()["processes"]]


def _killed(stage: Stage, identifier: str, inputs: dict[str, Any], people: list[User], wounded: Counter[str]) -> dict[str, Any]:
    starter, *deciders = people
    process = Process.objects.get(identifier=identifier)
    actor = Actor(starter.pk, starter.email, "demo")
    release = planning.start(process=process, given={"app_dir": str(EXAMPLES / "app"), **inputs}, actor=actor, starter=starter)
    hurt, chosen = 0, Counter[str]()
    next_blow = time.monotonic() + stage.random.uniform(0.2, 2)

    def watch(_: Release) -> None:
        nonlocal hurt, next_blow
        running = [(one.identifier, pid) for one in Process.objects.all() for _, pid, _ in pids(one)]
        spared = [one for one in running if one[0] not in wounded]
        if spared or (running and hurt < stage.size and time.monotonic() > next_blow):
            where, pid = stage.random.choice(spared or running)
            if stage.world.hurt(pid, signal.SIGKILL):
                hurt += 1
                wounded[where] += 1
                next_blow = time.monotonic() + stage.random.uniform(0.2, 4)
        for run in ActivityRun.objects.filter(root_id=release.root_id, state__in=("interrupted", "on_hold")):
            tries = chosen[f"{run.release_id} {run.key}"]
            chosen[f"{run.release_id} {run.key}"] += 1
            verb = operating.retry if tries == 0 else operating.fail
            verb(release=run.release_id, activity=run.key, actor=actor, reason="it was cut off")

    playing.play(release, deciders, seconds=SECONDS, watch=watch)
    release.refresh_from_db()
    return {"state": release.state, "hurt": hurt, "chosen": sum(chosen.values())}
