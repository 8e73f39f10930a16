"""`manage.py doctor`: what is missing, by name, with the command that mends it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from relorch import cluster
from relorch.examining import Grade, examine


class Command(BaseCommand):
    help = "Says what is missing or wrong here, and the command that mends it. Starts nothing and changes nothing; ends with 1 if something is wrong."
    requires_system_checks = []  # noqa: RUF012 (Django's form)

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each thing looked at."""
        runs = not settings.RELORCH_EMBEDDED_DATABASE or cluster.answers(cluster.Place(settings.RELORCH_HOME))
        wrong = 0
        for finding in examine(database_runs=runs):
            wrong += finding.grade is Grade.WRONG
            self.stdout.write(f"{finding.grade:>5}  {finding.what}")
            if finding.mend:
                self.stdout.write(f"       -> {finding.mend}")
        if wrong:
            raise SystemExit(1)
