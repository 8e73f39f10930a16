"""Running a release to where it stands, as a worker would, in this process and in an order of the test's choosing."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from processes.blueprint import Blueprint
from processes.models import Process, ProcessVersion
from processes.reading import digest, document
from releases import evaluating, planning
from releases.attempts import Wait, exchange
from releases.draining import work_on
from releases.engine import Actor, Claim, End
from releases.models import Release


def published(blueprint: Blueprint) -> Process:
    """A process whose first version is this blueprint; soundness is not asked again."""
    process = Process.objects.create(identifier=blueprint.id, name=blueprint.name)
    ProcessVersion.objects.create(process=process, number=1, document=document(blueprint), hash=digest(blueprint))
    return process


def started(process: Process, starter: Any, **inputs: Any) -> Release:
    """A release of its newest version."""
    return planning.start(process=process, given=inputs, actor=Actor(starter.pk, starter.email, "page"), starter=starter)


def run_on(release: Release, *, random: Random | None = None, lane: str = "engine", batch: int = 5, most: int = 10_000) -> list[Claim]:
    """Claim, perform and record until nothing moves any more; ends are recorded some at a time in random order. The claims, as they came."""
    random = random or Random(0)
    claimed: list[Claim] = []
    working: list[Claim] = []
    for _ in range(most):
        got = exchange("test:1", lane, batch)
        claimed += got.claims
        working += got.claims
        evaluated = evaluating.settle(release.root_id)
        if not working:
            if not evaluated:
                return claimed
            continue
        random.shuffle(working)
        cut = random.randint(1, len(working))
        some, working = working[:cut], working[cut:]
        answers = work_on(some, got.at)
        more = exchange("test:1", lane, random.randint(0, batch), *sorted_out(answers), search=False)
        claimed += more.claims
        working += more.claims
        evaluating.settle(release.root_id)
    raise AssertionError("it never comes to rest")


def sorted_out(answers: Sequence[End | Wait]) -> tuple[list[End], list[Wait]]:
    """Ends and waits apart."""
    return [answer for answer in answers if isinstance(answer, End)], [answer for answer in answers if isinstance(answer, Wait)]
