"""`manage.py create_token <e-mail>` prints a new API token and nothing else."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from relorch.accounts import tokens
from relorch.accounts.models import USUAL_TOKEN, User
from relorch.lib.errors import DomainError


class Command(BaseCommand):
    help = "Makes an API token with all rights of a person and prints it. It is shown only now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The person, a name for the token and its days."""
        parser.add_argument("email", help="the person's e-mail address")
        parser.add_argument("--name", default="", help="what it is for")
        parser.add_argument("--days", type=int, default=USUAL_TOKEN.days, help="how long it lives (1 to 365; 90 if not said)")

    def handle(self, *args: Any, email: str, name: str, days: int, **options: Any) -> None:
        """Whoever can run this owns the installation: the person is the actor."""
        person = User.objects.filter(email=email, is_active=True).first()
        if person is None:
            raise CommandError(f"Nobody active has the address {email}.")
        try:
            _, secret = tokens.issue(actor=person, person=person, name=name, lifetime=timedelta(days=days))
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(secret)
