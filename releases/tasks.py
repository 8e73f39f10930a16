"""What Celery calls: a ring, and the clock. No message carries anything that a row does not hold."""

from __future__ import annotations

from celery import shared_task

from releases import draining, tidying
from releases import sweep as sweeping


@shared_task(name="releases.tasks.drain", ignore_result=True)
def drain(lane: str) -> None:
    """Somebody rang: work until nothing is ready in this lane."""
    draining.drain(lane)


@shared_task(name="releases.tasks.take_up_locks", ignore_result=True)
def take_up_locks() -> None:
    """A lock was freed: releases that were next in line go on."""
    sweeping.take_up_locks()


@shared_task(name="releases.tasks.sweep", ignore_result=True)
def sweep() -> None:
    """The clock struck: find what the doorbell missed."""
    sweeping.sweep()


@shared_task(name="releases.tasks.tidy", ignore_result=True)
def tidy() -> None:
    """Folders of releases that ended days ago go; in a worker that runs scripts, where the folders are."""
    tidying.tidy()
