"""`manage.py process validate|import|export|diff`: process files on the command line, by the same verbs as everywhere else."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from processes import diffing, editing, publishing, reading
from processes.blueprint import Blueprint
from processes.draft_text import typed
from processes.drafts import document_of
from processes.models import Process
from processes.problems import Problem, errors
from processes.soundness import problems as soundness_problems
from processes.writing import yaml_text
from relorch.accounts.models import User
from relorch.lib.errors import Conflict, Invalid

DOOR = "command"


class Command(BaseCommand):
    """Exit status: 0 all well, 1 problems found or documents differ, 2 the command makes no sense."""

    help = "Checks, imports, exports and compares process files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand each."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        validate = verbs.add_parser("validate", help="say everything that is wrong with the files")
        validate.add_argument("files", nargs="+", metavar="FILE", help="a process file, or - for standard input")
        validate.add_argument("--offline", action="store_true", help="check the files alone: no database, nothing around them is known")
        validate.add_argument("--json", action="store_true", help="one JSON object by file name")
        load = verbs.add_parser("import", help="store the files as drafts, new ones and known ones")
        load.add_argument("files", nargs="+", metavar="FILE", help="a process file, or - for standard input")
        load.add_argument("--publish", action="store_true", help="publish each that is sound and has changed")
        load.add_argument("--note", default="", help="the note of the published version")
        load.add_argument("--as", dest="person", metavar="E-MAIL", help="whose doing it is; else nobody's")
        save = verbs.add_parser("export", help="write processes as YAML")
        save.add_argument("which", nargs="*", metavar="ID[@N]", help="a draft, or version N; none with --to means all drafts")
        save.add_argument("--to", type=Path, metavar="FOLDER", help="one file each, named by id; else standard output")
        compare = verbs.add_parser("diff", help="what changed, by meaning; ! marks what weakens a control")
        compare.add_argument("before", help="a file, a process's id (its draft) or ID@N")
        compare.add_argument("after", help="the same")
        compare.add_argument("--json", action="store_true", help="the changes as the API gives them")

    def handle(self, *args: Any, **options: Any) -> None:
        """Calls the subcommand; it answers whether all is well."""
        if not {"validate": self.validate, "import": self.load, "export": self.save, "diff": self.compare}[options["verb"]](options):
            sys.exit(1)

    def validate(self, options: dict[str, Any]) -> bool:
        """Every problem of every file; only errors make it fail."""
        found = {name: self._checked(_text(name), options["offline"]) for name in options["files"]}
        if options["json"]:
            self.stdout.write(json.dumps({name: [problem.as_dict() for problem in problems] for name, problems in found.items()}, ensure_ascii=False, indent=2))
        else:
            for name, problems in found.items():
                self._say(name, problems)
                if not problems:
                    self.stdout.write(f"{name}: all well")
        return not any(errors(problems) for problems in found.values())

    def load(self, options: dict[str, Any]) -> bool:
        """Each file by itself: one that cannot be read does not keep the others out. Published in rounds, because one may need another one first."""
        actor = _person(options["person"])
        read = {name: reading.read(_text(name)) for name in options["files"]}
        stored = {name: process for name in read if (process := self._stored(name, read[name], actor)) is not None}
        waiting = dict(stored) if options["publish"] else {}
        while waiting:
            done = [name for name, process in waiting.items() if self._published(name, process, actor, options["note"])]
            if not done:
                break
            waiting = {name: process for name, process in waiting.items() if name not in done}
        for name in stored:
            self._say(name, publishing.problems_in(read[name]))
        for name in waiting:
            self.stderr.write(f"{name}: stored, but it cannot be published yet.")
        return len(stored) == len(read) and not waiting

    def save(self, options: dict[str, Any]) -> bool:
        """Canonical YAML."""
        which, folder = options["which"], options["to"]
        if not which and folder is None:
            raise CommandError("Say which processes, or give --to a folder for all of them.")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        for name in which or Process.objects.order_by("identifier").values_list("identifier", flat=True):
            text = yaml_text(_document(name))
            if folder is None:
                self.stdout.write(text, ending="")
            else:
                (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
                self.stdout.write(f"{folder / f'{name}.yaml'}")
        return True

    def compare(self, options: dict[str, Any]) -> bool:
        """Like diff(1): fails when there is a difference."""
        changes = diffing.changes(_blueprint(options["before"]), _blueprint(options["after"]))
        if options["json"]:
            self.stdout.write(json.dumps({"changes": [change.as_dict() for change in changes]}, ensure_ascii=False, indent=2))
        else:
            for change in changes:
                self.stdout.write(f"{'!' if change.weakens else ' '} {change.place}: {change.text}")
        return not changes

    def _checked(self, text: bytes, offline: bool) -> list[Problem]:
        read = reading.read(text)
        if not offline:
            return publishing.problems_in(read)
        alone = soundness_problems(read.blueprint) if isinstance(read.blueprint, Blueprint) else []
        return [*read.problems, *editing.unstorable(read), *read.located(alone)]

    def _stored(self, name: str, read: reading.Reading, actor: User | None) -> Process | None:
        if errors([*read.problems, *editing.unstorable(read)]):
            self._say(name, publishing.problems_in(read))
            return None
        known = Process.objects.filter(identifier=read.document["id"]).first()
        try:
            if known is None:
                process = editing.create_process(read.document, actor=actor, door=DOOR, text=typed(read))
            else:
                process = editing.write_draft(known, read.document, actor=actor, door=DOOR, text=typed(read))
        except (Conflict, Invalid) as refusal:
            self.stderr.write(f"{name}: {refusal.message}")
            return None
        done = "created" if known is None else "as it was" if process.revision == known.revision else "saved"
        self.stdout.write(f"{name}: {process.identifier} {done}")
        return process

    def _published(self, name: str, process: Process, actor: User | None, note: str) -> bool:
        try:
            version, _ = publishing.publish(process, actor=actor, note=note, door=DOOR)
        except Invalid:
            return False
        except Conflict as refusal:
            if refusal.code != "nothing_changed":
                raise
            self.stdout.write(f"{name}: still version {refusal.data['number']}")
        else:
            self.stdout.write(f"{name}: published as version {version.number}")
        return True

    def _say(self, name: str, problems: list[Problem]) -> None:
        for problem in problems:
            line = f":{problem.line}" if problem.line else ""
            self.stderr.write(f"{name}{line}: {problem.severity}: {problem.message} [{problem.code} at {problem.place or '/'}]")


def _text(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.", returncode=2) from error


def _person(email: str | None) -> User | None:
    if email is None:
        return None
    person = User.objects.filter(email=email).first()
    if person is None:
        raise CommandError(f"There is nobody with the address {email}.", returncode=2)
    return person


def _document(name: str) -> dict[str, Any]:
    identifier, _, number = name.partition("@")
    process = Process.objects.filter(identifier=identifier).first()
    if process is None:
        raise CommandError(f'There is no process "{identifier}".', returncode=2)
    if not number:
        return document_of(process)
    version = process.versions.filter(number=number).first() if number.isdecimal() else None
    if version is None:
        raise CommandError(f'The process "{identifier}" has no version {number}.', returncode=2)
    document: dict[str, Any] = version.document
    return document


def _blueprint(name: str) -> Blueprint:
    read = reading.read(_text(name)) if Path(name).suffix or name == "-" else reading.parse(_document(name))
    if not isinstance(read.blueprint, Blueprint) or read.unreadable:
        raise CommandError(f"{name} is no readable process: `manage.py process validate` says why.", returncode=2)
    return read.blueprint
