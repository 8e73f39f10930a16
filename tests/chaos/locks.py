"""S9a: releases race for one lock and the workers of its holders are killed with -9: never two at once, nobody forgotten, and it is free at the end."""

from __future__ import annotations

import signal
import time

from releases import operating
from releases.engine import Actor
from releases.models import ActivityRun, Lock, Release
from tests.chaos.goals import Result, Stage, open_releases, person, pids
from tests.chaos.world import until
from tests.releases.driving import published
from tests.releases.scenes import blueprint, phase, script

NAME = "chaos-lock"


def holders_killed(stage: Stage) -> Result:
    """Half of the releases may be repeated (they go on with the lock), half not (they keep it until a person has chosen)."""
    result, hurt, chosen = Result(), 0, 0
    begin = f'echo "begin $RELORCH_RELEASE" >> "{stage.sink}"\nsleep 0.6\necho "end $RELORCH_RELEASE" >> "{stage.sink}"'
    steps = [script(f"go_{effect}", effect=effect, **{"with": {"run": begin}}) for effect in ("keyed", "once")]
    kinds = [published(blueprint(phase("only", step, lock=NAME), id=f"{stage.name.replace('-', '_')}_{step['effect']}")) for step in steps]
    releases = [stage.start(kinds[number % 2]) for number in range(stage.size * 2)]
    ann = person()
    deadline = time.monotonic() + 60 + stage.size * 10
    most, killed = 0, set[int]()
    while any(open_releases(kind) for kind in kinds) and time.monotonic() < deadline:
        working = [one for kind in kinds for one in pids(kind)]
        most = max(most, len(working))
        for attempt, pid, lost in working:
            if hurt < stage.size and attempt not in killed and lost == 0 and stage.random.random() < 0.5:
                time.sleep(stage.random.uniform(0, 0.5))
                if stage.world.hurt(pid, signal.SIGKILL):
                    hurt += 1
                    killed.add(attempt)
        for run in ActivityRun.objects.filter(release__process__in=kinds, state="interrupted"):
            waiting = Lock.objects.filter(name=NAME, state="waiting").count()
            held = Lock.objects.filter(name=NAME, state="held").values_list("release_id", flat=True).first()
            result.must(held == run.release_id, f"R-{run.release_id} is interrupted and R-{held} holds the lock")
            verb = operating.fail if chosen % 2 else operating.ignore
            verb(release=run.release_id, activity=run.key, actor=Actor(ann.pk, ann.email, "page"), reason="looked at the other side")
            chosen += 1
            result.figures["most_waiting"] = max(result.figures.get("most_waiting", 0), waiting)
        time.sleep(0.05)
    until(lambda: not Lock.objects.filter(name=NAME).exclude(state="free").exists(), 20)
    ends = Release.objects.filter(process__in=kinds).values_list("state", flat=True)
    result.figures |= {"releases": len(releases), "killed": hurt, "chosen": chosen, "most_at_work": most}
    result.must(hurt >= stage.size, f"only {hurt} holders were killed")
    result.must(set(ends) <= {"succeeded", "partially_succeeded", "failed"} and len(ends) == len(releases), f"not over: {list(ends)}")
    result.must(most <= 1, f"{most} worked at once")
    result.must(not _overlaps(stage.lines()), f"worked at once: {_overlaps(stage.lines())}")
    result.must({line.split()[1] for line in stage.lines()} == {str(one.pk) for one in releases}, "somebody never had it")
    left = list(Lock.objects.filter(name=NAME).exclude(state="free").values_list("release_id", "state"))
    result.must(not left, f"not free at the end: {left}")
    return result


def _overlaps(lines: list[str]) -> list[str]:
    """Ends of another release than the one that began last: somebody began while somebody else worked."""
    found, last = [], ""
    for line in lines:
        word, release = line.split()
        if word == "begin":
            last = release
        elif release != last:
            found.append(f"R-{release} ended after R-{last} began")
    return found
