#!/usr/bin/env python
"""The command line of relorch. `serve` starts everything; `doctor` says what is missing."""

import os
import sys
from pathlib import Path

WITHOUT_DATABASE = {"serve", "demo", "doctor", "help", "version", "check", "collectstatic", "spectacular", "makemessages", "compilemessages"}
AS_OWNER = {"migrate", "flush", "sqlflush", "pgtrigger"}


def main() -> None:
    """Runs one command; with the embedded database, that runs at least as long as the command does."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "relorch.settings")
    for number, argument in enumerate(sys.argv):
        if argument == "--home" and len(sys.argv) > number + 1:
            os.environ["RELORCH_HOME"] = sys.argv[number + 1]
        elif argument.startswith("--home="):
            os.environ["RELORCH_HOME"] = argument.partition("=")[2]
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command == "demo":
        from relorch.demo import prepare_environment

        prepare_environment()
    if command in AS_OWNER:
        os.environ.setdefault("RELORCH_DATABASE_ROLE", "owner")

    from django.core.management import execute_from_command_line

    if command in WITHOUT_DATABASE or command.startswith("-") or {"-h", "--help"} & set(sys.argv) or os.environ.get("DATABASE_URL"):
        execute_from_command_line(sys.argv)
        return
    from relorch import embedded, environment

    with embedded.running(environment.folder("RELORCH_HOME", Path(__file__).resolve().parent / "var")):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
