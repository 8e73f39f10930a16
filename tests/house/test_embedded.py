"""The embedded database: whoever needs it starts it, the last one stops it, and being killed does no harm."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from relorch import embedded, postgres
from tests.house.installation import ROOT, environment, manage, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("embedded")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose cluster is made once for this module."""
    folder = tmp_path_factory.mktemp("embedded") / "home"
    yield folder
    embedded.stop(embedded.Place(folder))


def connect(home: Path, role: str) -> psycopg.Connection:
    found = embedded.connection(home, role)
    return psycopg.connect(host=found["HOST"], port=found["PORT"], user=found["USER"], password=found["PASSWORD"], dbname=found["NAME"], autocommit=True)


def ask(home: Path, role: str, statement: str) -> object:
    """The first value of the answer, if there is one."""
    with connect(home, role) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def test_made_started_and_stopped(home: Path) -> None:
    place = embedded.Place(home)
    with embedded.running(home):
        assert embedded.server_process(place)
        assert ask(home, "application", "SELECT current_setting('server_version_num')::int >= 150000")
    assert embedded.server_process(place) is None


def test_roles_have_what_they_need_and_no_more(home: Path) -> None:
    with embedded.running(home), connect(home, "owner") as owner, connect(home, "application") as application, connect(home, "reporting") as reporting:
        owner.execute("CREATE TABLE kept (id bigint GENERATED ALWAYS AS IDENTITY, word text)")
        application.execute("INSERT INTO kept (word) VALUES ('a')")
        application.execute("UPDATE kept SET word = 'b'")
        assert reporting.execute("SELECT word FROM kept").fetchone() == ("b",)
        for connection, statement in (
            (application, "DROP TABLE kept"),
            (application, "TRUNCATE kept"),
            (application, "CREATE TABLE own (id int)"),
            (application, "CREATE DATABASE own"),
            (reporting, "INSERT INTO kept (word) VALUES ('c')"),
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                connection.execute(statement)
        for setting in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
            assert application.execute(f"SHOW {setting}").fetchone() != ("0",)
        owner.execute("DROP TABLE kept")


def test_nobody_enters_without_the_password(home: Path) -> None:
    with embedded.running(home), pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(embedded.Place(home).socket), port=embedded.PORT, user="relorch_admin", password="wrong", dbname="postgres")


def test_the_last_of_several_users_stops_it(home: Path) -> None:
    place = embedded.Place(home)
    inside, leave = threading.Barrier(4), threading.Event()

    def use() -> None:
        with embedded.running(home):
            inside.wait(30)
            leave.wait(30)

    users = [threading.Thread(target=use) for _ in range(3)]
    for user in users:
        user.start()
    inside.wait(30)
    server = embedded.server_process(place)
    with embedded.running(home):
        assert embedded.server_process(place) == server
    assert embedded.server_process(place) == server
    leave.set()
    for user in users:
        user.join()
    assert embedded.server_process(place) is None


def test_what_was_written_survives_kill_9(home: Path) -> None:
    place = embedded.Place(home)
    with embedded.running(home):
        ask(home, "owner", "CREATE TABLE written AS SELECT 42 AS number")
        server = embedded.server_process(place)
        assert server
        server.kill()
        until(lambda: embedded.server_process(place) is None, 5, "it is gone")
        embedded.revive(place)
        assert ask(home, "application", "SELECT number FROM written") == 42
    assert (place.data / "PG_VERSION").exists()


def test_a_stale_note_with_the_number_of_another_program(home: Path) -> None:
    place = embedded.Place(home)
    with embedded.running(home):
        note = (place.data / "postmaster.pid").read_text()
    _, _, rest = note.partition("\n")
    (place.data / "postmaster.pid").write_text(f"{os.getppid()}\n{rest}")  # as after a container was killed and started again
    with embedded.running(home):
        assert ask(home, "application", "SELECT 1") == 1


def test_a_cluster_half_made_is_made_again(tmp_path: Path) -> None:
    half = tmp_path / "home" / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    with embedded.running(tmp_path / "home"):
        assert ask(tmp_path / "home", "application", "SELECT 1") == 1


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 20) / "home"
    with embedded.running(home):
        socket = embedded.Place(home).socket
        assert not socket.is_relative_to(home)
        assert socket.stat().st_mode & 0o777 == 0o700
        assert ask(home, "application", "SELECT 1") == 1
    shutil.rmtree(socket)


def test_commands_share_and_stop_their_own(home: Path) -> None:
    """Two commands at once on a home that nobody serves: one starts the database, the other uses it, and none is left."""
    place = embedded.Place(home)
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", "from django.db import connection as c; c.ensure_connection(); print('fine')"]
    both = [subprocess.Popen(command, cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "fine\n"), err
    assert embedded.server_process(place) is None


def test_a_command_needs_no_setting(home: Path) -> None:
    assert manage(home, "migrate").returncode == 0
    assert manage(home, "showmigrations", "accounts").stdout.count("[X]") >= 1


AS_USER = """
import os, pathlib, sys
from relorch import embedded, postgres
os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[2]))
postgres.binaries = lambda: pathlib.Path(sys.argv[3])
place = embedded.Place(pathlib.Path(sys.argv[4]))
with embedded.running(place.home):
    print(embedded.answers(place), embedded.server_process(place).uids().effective)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="not here: only root can become somebody else")
def test_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As somebody who may write nothing but their home."""
    user = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="relorch-user-") as folder:
        Path(folder).chmod(0o755)
        programs = postgres.copy_programs(postgres.binaries(), Path(folder))
        home = Path(folder, "home")
        home.mkdir(mode=0o700)
        os.chown(home, user.pw_uid, user.pw_gid)
        done = subprocess.run(
            [sys.executable, "-c", AS_USER, str(user.pw_gid), str(user.pw_uid), str(programs), str(home)],
            cwd=ROOT,
            env=environment(home),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.split() == ["True", str(user.pw_uid)], done.stderr


WITHOUT_NAMESPACES = """
import ctypes, os, pathlib, sys
mapped, unshared = os.pipe(), os.pipe()
child = os.fork()
if child:
    os.read(unshared[0], 1)
    for kind in "ug":
        pathlib.Path(f"/proc/{child}/{kind}id_map").write_text("0 0 65536")
    os.write(mapped[1], b".")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert ctypes.CDLL(None).unshare(0x10000000) == 0
os.write(unshared[1], b".")
os.read(mapped[0], 1)
pathlib.Path("/proc/sys/user/max_user_namespaces").write_text("0")
from relorch import embedded, postgres
postgres.binaries = lambda: pathlib.Path(sys.argv[2])
place = embedded.Place(pathlib.Path(sys.argv[1]))
with embedded.running(place.home):
    server = embedded.server_process(place)
    print(embedded.answers(place), server.uids().effective, place.base, server.exe())
"""


@pytest.mark.skipif(os.getuid() != 0 or not sys.platform.startswith("linux"), reason="not here: about root on Linux")
def test_root_where_user_namespaces_are_refused(tmp_path: Path) -> None:
    """In a user namespace of our own whose limit of further ones is 0. The server runs as an account that is there, and its data lies where that one can go."""
    programs = postgres.copy_programs(postgres.binaries(), tmp_path)  # in a folder that only root can enter
    command = [sys.executable, "-c", WITHOUT_NAMESPACES, str(tmp_path / "home"), str(programs)]
    done = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    answers, uid, base, program = done.stdout.split()
    try:
        assert answers == "True"
        assert int(uid) != 0
        assert base.startswith("/var/lib/relorch/")
        assert program.startswith("/var/lib/relorch/programs-")
        assert "user namespaces are refused" in done.stderr
    finally:
        for folder in (Path(base), Path(*Path(program).parts[:5])):
            shutil.rmtree(folder)


OWNER = """
import pathlib, sys, time
from relorch import embedded
with embedded.running(pathlib.Path(sys.argv[1]), dies_with_us=True):
    print("up", flush=True)
    time.sleep(60)
"""


def test_it_ends_with_a_killed_owner(tmp_path: Path) -> None:
    """`dies_with_us`, as serve and the tests ask for it."""
    home = tmp_path / "home"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(home)], cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    assert owner.stdout.readline() == "up\n"
    server = embedded.server_process(embedded.Place(home))
    assert isinstance(server, psutil.Process)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    until(lambda: embedded.server_process(embedded.Place(home)) is None, 10, "the server has ended")
