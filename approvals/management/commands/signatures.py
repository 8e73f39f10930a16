"""`manage.py signatures export|verify`: the signatures of a release as a file, and whether signatures hold, here or anywhere else."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from approvals import evidence
from approvals.models import Signature
from approvals.signatures import document_of, verifies

PAGE = 200


class Command(BaseCommand):
    """Exit status: 0 every signature holds, 1 one does not, 2 the command makes no sense."""

    help = "Exports signatures, and says of each whether it holds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand each."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        save = verbs.add_parser("export", help="write the signatures of a release as JSON")
        save.add_argument("release", type=int)
        check = verbs.add_parser("verify", help="check all signatures of this installation, or those of an exported file")
        check.add_argument(
            "file", nargs="?", help="an exported file, or - for standard input: those by passkey are checked from it alone, without the database"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Calls the subcommand."""
        if options["verb"] == "export":
            found = [document_of(row) for row in _rows().filter(sign_off__attempt__release=options["release"])]
            self.stdout.write(json.dumps({"signatures": found}, ensure_ascii=False, indent=2))
        elif not (self._of_file(options["file"]) if options["file"] else self._of_here()):
            sys.exit(1)

    def _of_file(self, name: str) -> bool:
        try:
            documents = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))["signatures"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{name} is no export of signatures: {error}", returncode=2) from error
        bad = elsewhere = 0
        for number, document in enumerate(documents, 1):
            who = (document.get("record") or {}).get("email", "?") if isinstance(document, dict) else "?"
            if isinstance(document, dict) and document.get("passkey") is None and document.get("statement") is None:
                elsewhere += 1
                self.stdout.write(f"  {number}  {who}: not by passkey; only the installation that sealed it can say")
                continue
            wrong = evidence.problems(document)
            bad += bool(wrong)
            self.stdout.write(f"{'BROKEN' if wrong else 'ok'}  {number}  {who}{''.join(f'{chr(10)}        {one}' for one in wrong)}")
        self.stdout.write(f"{len(documents) - bad - elsewhere} hold, {bad} broken, {elsewhere} not by passkey")
        return not bad

    def _of_here(self) -> bool:
        held, broken = 0, 0
        for row in _all():
            wrong = [] if verifies(row) else ["What is kept is not what was signed."]
            wrong += evidence.problems(document_of(row)) if row.evidence else []
            held, broken = held + (not wrong), broken + bool(wrong)
            if wrong:
                self.stdout.write(f"BROKEN  {row.pk}  {row.email}, release {row.sign_off.attempt.release_id}" + "".join(f"\n        {one}" for one in wrong))
        self.stdout.write(f"{held} hold, {broken} broken")
        return not broken


def _rows() -> Any:
    rows = Signature.objects.select_related("sign_off__person", "sign_off__for_person", "sign_off__packet", "sign_off__attempt")
    return rows.prefetch_related("sign_off__signatures", "sign_off__attempt__packets").order_by("pk")


def _all() -> Iterator[Signature]:
    last = 0
    while page := list(_rows().filter(pk__gt=last)[:PAGE]):
        yield from page
        last = page[-1].pk
