"""`manage.py rotate_secrets`: a new key, and everything that is kept encrypted under it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from processes import input_sets
from releases import form_secrets
from releases.form_secrets import context_of
from releases.models import Release
from relorch.accounts import authenticators
from relorch.lib import secrets


class Command(BaseCommand):
    """Safe to stop and to repeat: old keys stay, so that what is not renewed yet still opens."""

    help = "Makes a new key for stored secrets and encrypts them again with it. Nothing needs to be stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        """One row at a time, so that nothing waits for it."""
        key = secrets.rotate()
        sets, releases, forms, apps = input_sets.renew_secrets(), _renew_releases(), form_secrets.renew(), authenticators.renew_secrets()
        said = f"{sets} input sets, {releases} releases, {forms} forms and their results and {apps} authenticators encrypted again"
        self.stdout.write(f"New key {key}; {said}. The file secret-keys in the home has changed: save it.")


def _renew_releases() -> int:
    changed = 0
    for pk in Release.objects.order_by("pk").values_list("pk", flat=True).iterator():
        with transaction.atomic():
            row = Release.objects.select_for_update(of=("self",)).filter(pk=pk).only("root_id", "inputs", "variables").first()
            if row is None:
                continue
            context = context_of(row.root_id)
            values = {name: secrets.renewed_in(getattr(row, name), context) for name in ("inputs", "variables")}
            if any(values[name] != getattr(row, name) for name in values):
                Release.objects.filter(pk=pk).update(**values)
                changed += 1
    return changed
