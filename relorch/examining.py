"""What `doctor` looks at: each finding says what is wrong and, where there is one, the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from django.conf import settings
from django.db import connection
from kombu import Connection

from releases.sealing import broken_now
from relorch import cluster, environment, migrating, postgres
from relorch.invariants import INVARIANTS
from relorch.lib.errors import DomainError
from relorch.lib.invariants import broken
from relorch.lib.unprivileged import namespaces_work
from relorch.models import Mail, MailText


class Grade(StrEnum):
    """How bad."""

    FINE = "ok"
    NOTE = "note"
    WRONG = "WRONG"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    grade: Grade
    what: str
    mend: str = ""


def examine(*, database_runs: bool) -> Iterator[Finding]:
    """Everything, in the order in which it would matter. Without a running database what lies in it is left out."""
    yield from _machine()
    yield from _home()
    yield from _database(database_runs)
    yield from _broker()
    yield from _scripts()
    yield from _mail()


def _machine() -> Iterator[Finding]:
    yield Finding(Grade.FINE, f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    name, release = platform.libc_ver()
    if name == "glibc" and tuple(int(part) for part in release.split(".")[:2]) < (2, 28):
        yield Finding(Grade.WRONG, f"glibc {release} is older than 2.28, which the embedded database needs", "Use a newer system, or set DATABASE_URL.")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        yield Finding(Grade.NOTE, "relorch runs as root; an account of its own would be safer", "useradd --system relorch, and run it as that")


def _home() -> Iterator[Finding]:
    home: Path = settings.RELORCH_HOME
    if not home.exists():
        yield Finding(Grade.NOTE, f"the home {home} is not there yet", "python manage.py serve makes it")
        return
    if not os.access(home, os.W_OK):
        yield Finding(Grade.WRONG, f"the home {home} cannot be written", f"chown {os.getuid()} {home}")
    free = shutil.disk_usage(home).free
    grade = Grade.FINE if free > 1_000_000_000 else Grade.WRONG
    yield Finding(grade, f"the home {home} has {free / 1e9:.1f} GB left", "" if grade is Grade.FINE else "Make room; the database needs some.")
    for name in ("secret_key", "postgres/passwords.json"):
        file = home / name
        if file.exists() and file.stat().st_mode & 0o077:
            yield Finding(Grade.WRONG, f"{file} can be read by others", f"chmod 600 {file}")


def _database(runs: bool) -> Iterator[Finding]:
    if settings.RELORCH_EMBEDDED_DATABASE:
        try:
            yield Finding(Grade.FINE, f"embedded PostgreSQL {postgres.binaries().parent.name.removeprefix('pginstall') or '14'}")
        except DomainError as error:
            yield Finding(Grade.WRONG, error.message, "make install")
            return
        if os.geteuid() == 0 and not namespaces_work():
            yield Finding(Grade.NOTE, "user namespaces are refused: as root the embedded database runs as another account, with its data in /var/lib/relorch")
        if not runs:
            state = "is not running" if cluster.Place(settings.RELORCH_HOME).data.exists() else "is not made yet"
            yield Finding(Grade.NOTE, f"the embedded database {state}", "python manage.py serve")
            return
    elif not environment.text("DATABASE_OWNER_URL"):
        yield Finding(
            Grade.NOTE,
            "DATABASE_OWNER_URL is unset: migrations and the application share one role, which could rewrite the audit log",
            "Give each a role (docs/operations.md).",
        )
    try:
        yield from _inside()
    except Exception as error:  # whatever the driver says
        yield Finding(Grade.WRONG, f"the database does not answer: {str(error).strip().splitlines()[0]}", "Start it, or put DATABASE_URL right.")


def _inside() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        version = int(cursor.fetchone()[0])
    grade = Grade.FINE if version >= 150000 else Grade.WRONG
    yield Finding(grade, f"PostgreSQL {version // 10000}", "" if grade is Grade.FINE else "Version 15 or newer is needed.")
    if migrating.pending():
        yield Finding(Grade.WRONG, "migrations are missing", "python manage.py migrate")
        return
    if dead := Mail.objects.filter(state=Mail.State.DEAD).count():
        yield Finding(Grade.WRONG, f"{dead} mails could not be delivered", "Look at them in the administration under Mail: each has its reason.")
    for text in MailText.objects.exclude(error=""):
        yield Finding(
            Grade.WRONG, f"the text of mails “{text}” fails ({text.error}): ours is sent instead", "Mend it in the administration under Texts of mails."
        )
    for release, key in broken_now():
        yield Finding(
            Grade.WRONG,
            f"release {release}: {key} stands still, because an approval before it was not given by the people it needs",
            "Look at the audit trail: somebody has written to the database.",
        )
    for name, rows in broken(INVARIANTS).items():
        yield Finding(Grade.WRONG, f"broken: {name}, as in {', '.join(str(value) for value in rows[0])}", "python manage.py check_invariants")


def _broker() -> Iterator[Finding]:
    if settings.RELORCH_EMBEDDED_BROKER:
        yield Finding(Grade.FINE, "embedded broker")
        return
    address = Connection(settings.CELERY_BROKER_URL).as_uri()
    try:
        with Connection(settings.CELERY_BROKER_URL, transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS, connect_timeout=2) as broker:
            broker.ensure_connection(max_retries=1, timeout=3)
        yield Finding(Grade.FINE, f"broker {address}")
    except Exception as error:  # each client has its own
        yield Finding(Grade.WRONG, f"the broker {address} does not answer: {error}", "Start it, put BROKER_URL right, or unset it for the embedded broker.")


def _scripts() -> Iterator[Finding]:
    if not settings.RELORCH_ALLOW_SCRIPTS:
        yield Finding(Grade.NOTE, "scripts are off: activities with the connector `script` will fail", "RELORCH_ALLOW_SCRIPTS=1")
        return
    if not sys.platform.startswith("linux"):
        yield Finding(Grade.NOTE, "what a script detaches is not ended with it here (only its process group is)")
    if not shutil.which("bwrap"):
        grade = Grade.WRONG if settings.RELORCH_SANDBOX == "required" else Grade.NOTE
        yield Finding(grade, "bubblewrap is not there: scripts run unconfined, with the rights of relorch", "apt-get install bubblewrap")


def _mail() -> Iterator[Finding]:
    if not settings.RELORCH_MAIL:
        yield Finding(Grade.NOTE, "mail is off: nobody is told of what waits for them", "RELORCH_EMAIL_URL=smtp+tls://user:password@host:587")
        return
    yield Finding(Grade.FINE, f"mail goes out by {settings.EMAIL_BACKEND.rpartition('.')[2]}")
