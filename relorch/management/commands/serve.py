"""`manage.py serve`: everything, in the foreground."""

from __future__ import annotations

import contextlib
import ipaddress
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from processes import storing
from relorch import children, embedded, migrating, serving
from relorch.accounts.models import User
from relorch.demo import DOMAIN
from relorch.lib.errors import DomainError
from relorch.models import Pulse


class Command(BaseCommand):
    help = "Runs the database (unless DATABASE_URL is set), web, workers and clock until Ctrl-C. An empty home is set up first."
    requires_system_checks = []  # noqa: RUF012 (Django's form)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen; manage.py has read --home already."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000; 0 = any free one)")
        parser.add_argument("--home", help="folder of everything that is kept (RELORCH_HOME, or var)")

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        """Starts in this order: checks, database, migrations, children."""
        home = settings.RELORCH_HOME
        self._check_host(host)
        with contextlib.ExitStack() as held:
            try:
                lock = held.enter_context(serving.only_one(home))
                listening = held.enter_context(serving.listen(host, port))
                if settings.RELORCH_EMBEDDED_DATABASE:
                    held.enter_context(embedded.running(home, dies_with_us=True))
                children.preload()
                if migrating.pending():
                    migrating.migrate(home)
                self._check_people(host)
            except DomainError as error:
                raise CommandError(error.message) from error
            storing.install_shipped()
            Pulse.objects.all().delete()
            connection.close()
            settings.RELORCH_LOCAL_URL = f"http://{host}:{listening.getsockname()[1]}"  # the children inherit it: mails name it
            supervisor = serving.Supervisor(
                home,
                listening,
                script_slots=settings.RELORCH_SCRIPT_SLOTS,
                grace=settings.RELORCH_GRACE,
                deaf_after=settings.RELORCH_DEAF_AFTER,
                public=settings.RELORCH_BASE_URL,
                locks=(lock.fileno(),),
            )
            supervisor.run(self.stdout)

    def _check_host(self, host: str) -> None:
        if not _is_loopback(host) and not settings.PRODUCTION:
            raise CommandError(
                f"--host {host} would let others in without encryption. Set RELORCH_BASE_URL to the https address under which a proxy serves relorch, "
                "or leave the host at 127.0.0.1."
            )

    def _check_people(self, host: str) -> None:
        # The demo's passwords are known to everybody.
        if not _is_loopback(host) and User.objects.filter(email__iendswith=DOMAIN).exists():
            raise CommandError(
                f"--host {host} would let others in as the demo's people ({DOMAIN}), whose passwords are public. "
                "Use a home without the demo (RELORCH_HOME), or leave the host at 127.0.0.1."
            )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
