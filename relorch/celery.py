"""The Celery application. Its messages are doorbells: what must run is known by the database."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_ready

import relorch.broker  # noqa: F401 (tells kombu of folder://)
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
