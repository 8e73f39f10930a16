"""`manage.py demo`: a house full of people, processes and releases; `--play` plays one release to its end in the terminal."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from relorch.demo import PASSWORD

INTERRUPTED = 130
"""What shells say of a command that Ctrl-C ended."""


class Command(BaseCommand):
    help = "Starts relorch with demo people, example processes and releases that really run. Safe to repeat; var/demo is its home."
    requires_system_checks = []  # noqa: RUF012 (Django's form)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Where to listen, and whether only to play."""
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000; 0 = any free one)")
        parser.add_argument("--home", help="folder of everything that is kept (var/demo)")
        parser.add_argument("--play", action="store_true", help="play one standard release to its end without a browser, in a home of its own, and leave")
        parser.add_argument("--in-this-home", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, port: int, play: bool, in_this_home: bool, **options: Any) -> None:
        """Serve, load what is missing, make the first releases, and stay; or play."""
        if play and not in_this_home:
            sys.exit(self._play_elsewhere())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        try:
            self._serve(0 if play else port, play)
        except KeyboardInterrupt:
            if play:
                sys.exit(INTERRUPTED)

    def _serve(self, port: int, play: bool) -> None:
        from relorch.demo import filling, loading, serving, shops

        with serving.served(port) as server:
            if loading.is_a_real_home():
                raise CommandError(f"{settings.RELORCH_HOME} is used by people who are not the demo's. Give the demo a home of its own: --home FOLDER.")
            people = loading.load()
            if play:
                sys.exit(filling.play_one(people, Console()))
            self.stdout.write(f"\n  {server.address}/\n\n  Log in as one of these, password: {PASSWORD}\n")
            for person in people:
                self.stdout.write(f"    {person.email:<24}{person.name:<14}{', '.join(sorted(person.groups.values_list('name', flat=True)))}")
            self.stdout.write("\n  Ctrl-C stops everything.\n")
            self.stdout.flush()
            shops.start_again()
            filling.fill(people)
            server.process.wait()
            raise CommandError("The server has ended.")

    def _play_elsewhere(self) -> int:
        """Settings know one home, so that another one takes another process; it cleans up, whoever of us is told to end."""
        from relorch.demo.serving import ends_with_us

        with tempfile.TemporaryDirectory(prefix="relorch-play-") as home:
            environment = {**os.environ, "RELORCH_HOME": home}
            for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "BROKER_URL", "RELORCH_BASE_URL"):
                environment.pop(name, None)
            command = [sys.executable, sys.argv[0], "demo", "--play", "--in-this-home", "--home", home]
            player = subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=ends_with_us)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda *_: player.send_signal(signal.SIGTERM))
            return player.wait()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
