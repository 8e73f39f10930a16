"""The Celery application. Its messages are doorbells: what must run is known by the database."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, bootsteps
from celery.signals import task_received, worker_process_init, worker_ready
from celery.worker import state

import relorch.broker  # noqa: F401 (tells kombu of folder://)
from relorch import ears
from relorch.lib.parents import end_with_parent_process

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relorch.settings")

app = Celery("relorch")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect(weak=False)
def _die_with_parent(**_: Any) -> None:
    """A pool child whose worker was killed must not go on."""
    end_with_parent_process()


@worker_ready.connect(weak=False)
def _say_so(sender: Any, **_: Any) -> None:
    """The first pulse need not wait for the clock."""
    if str(sender.hostname).startswith("engine@"):
        app.send_task("relorch.tasks.pulse", args=["engine"], queue="engine", ignore_result=True)


class Ear(bootsteps.StartStopStep):
    """Whoever has no free slot hears nothing and is not deaf."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Looks every second from now on, after each new connection."""
        self.looking = consumer.timer.call_repeatedly(1.0, _note_when_full, (consumer,))

    def stop(self, consumer: Any) -> None:
        """Until the connection ends."""
        self.looking.cancel()


app.steps["consumer"].add(Ear)


def _note_when_full(consumer: Any) -> None:
    if len(state.active_requests) >= consumer.controller.concurrency:
        ears.note(_queue(consumer))


@task_received.connect(weak=False)
def _heard(sender: Any, **_: Any) -> None:
    """A message has reached the worker."""
    ears.note(_queue(sender))


def _queue(consumer: Any) -> str:
    return str(consumer.hostname).split("@", 1)[0]
