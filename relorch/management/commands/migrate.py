"""Django's `migrate`, and then the application role gets its rights on what is new."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import transaction

from relorch.granting import grant_to_application


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        """All or nothing: between grant and revocation nobody sees too many rights."""
        super().handle(*args, **options)
        if options["plan"] or options["check_unapplied"]:
            return
        with transaction.atomic():
            grant_to_application()
