"""`manage.py check_invariants`: whether everything holds that must always hold, while relorch runs or not."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from relorch.invariants import INVARIANTS
from relorch.lib.invariants import broken


class Command(BaseCommand):
    help = "Looks for rows that no order of events may leave behind. Changes nothing; ends with 1 if it finds any."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--list` names them."""
        parser.add_argument("--list", action="store_true", help="name the invariants and look at nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """What is broken, with the first rows; then one line."""
        if options["list"]:
            self.stdout.write("\n".join(invariant.name for invariant in INVARIANTS))
            return
        began = time.monotonic()
        found = broken(INVARIANTS)
        for name, rows in found.items():
            self.stdout.write(f"BROKEN  {name}")
            self.stdout.writelines(f"        {', '.join(str(value) for value in row)}" for row in rows)
        self.stdout.write(f"{len(INVARIANTS) - len(found)} hold, {len(found)} broken ({time.monotonic() - began:.1f} s)")
        if found:
            raise SystemExit(1)
