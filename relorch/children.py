"""The kinds of process that `serve` runs. They are forked from it: what all of them need is loaded once, and its memory is shared."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from importlib import import_module
from types import FrameType

from setproctitle import setproctitle

from relorch import ears
from relorch.lib.unprivileged import end_with_parent

PRELOADED = (
    "relorch.urls", "relorch.celery", "relorch.tasks", "celery.bin.celery", "celery.bin.worker", "celery.bin.beat", "celery.apps.worker", "celery.apps.beat",
    "celery.concurrency.prefork", "celery.worker.components", "celery.worker.consumer", "celery.worker.strategy", "uvicorn.protocols.http.h11_impl",
    "uvicorn.loops.asyncio", "uvicorn.lifespan.off", "uvicorn.middleware.proxy_headers", "psycopg_pool", "django.core.management.commands.migrate",
)  # fmt: skip


def preload() -> None:
    """Loads what the children need, and takes it out of the garbage collector's sight so that its pages stay shared."""
    for name in PRELOADED:
        import_module(name)
    from relorch.celery import app

    app.loader.import_default_modules()
    gc.collect()
    gc.freeze()


def fork(title: str, main: Callable[[], object], *, closes: tuple[int, ...] = ()) -> int:
    """Runs `main` in a new process, which leads its own process group and dies when we do (Linux); returns its number.

    `closes` are descriptors that the child must not hold open: a lock held by it would outlive us.
    """
    us = os.getpid()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        end_with_parent(signal.SIGKILL)
        if os.getppid() != us:
            os._exit(1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in closes:
            os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        setproctitle(title)
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def web(listening: socket.socket, *, behind_proxy: bool, grace: int) -> None:
    """Answers requests until SIGTERM; what is being answered then may finish within the grace."""
    import uvicorn

    from relorch import live

    class Server(uvicorn.Server):
        """Streams would never end by themselves."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            live.HUB.end()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        "relorch.asgi:application",
        lifespan="off",
        loop="asyncio",
        http="h11",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=behind_proxy,  # believed from 127.0.0.1 alone
        timeout_graceful_shutdown=grace,
        timeout_keep_alive=65,
    )
    Server(config).run(sockets=[listening])


def worker(queue: str, slots: int) -> None:
    """A Celery worker for one queue, with `slots` pool processes."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    _celery("worker", "--queues", queue, "--hostname", f"{queue}@%h", "--pool", "prefork", "--concurrency", str(slots), *quiet)


def clock() -> None:
    """Celery's beat."""
    from celery.signals import after_task_publish

    after_task_publish.connect(lambda **_: ears.note(ears.CLOCK), weak=False)
    _celery("beat", "--loglevel", "WARNING")


def _celery(*arguments: str) -> None:
    from celery.platforms import SecurityWarning

    from relorch.celery import app

    warnings.filterwarnings("ignore", category=SecurityWarning)  # of root; `serve` has said it
    os.environ["CELERY_SKIP_CHECKS"] = "1"
    sys.argv = ["celery", *arguments]
    app.start(["--quiet", *arguments])
