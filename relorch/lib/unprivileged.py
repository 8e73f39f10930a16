"""Running a program that refuses to be root. PostgreSQL is such a program.

An ordinary user runs it as themselves. Root on Linux runs it in a user namespace in which root is called `nobody`: files keep their owner and
no permission changes. Where user namespaces are refused, root drops to an account that is there already.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
_NEW_USER_NAMESPACE = 0x10000000
_DIE_WITH_PARENT = 1
_LINUX = sys.platform.startswith("linux")
_libc = ctypes.CDLL(None, use_errno=True) if _LINUX else None


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the program. `drops`: a real other account, so files must be given to it; `mapped`: root under another name."""

    uid: int
    gid: int
    name: str
    drops: bool = False
    mapped: bool = False

    def become(self, *, dies_with_us: bool = False) -> Callable[[], None]:
        """What the child does between fork and exec. `dies_with_us`: it gets SIGINT when the starting thread ends, however that ends (Linux)."""

        def prepare() -> None:
            if self.mapped:
                map_root_to_nobody()
            elif self.drops:
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
            if dies_with_us:
                end_with_parent(signal.SIGINT)

        return prepare

    def give(self, path: Path) -> None:
        """Makes the account the owner of what we made for it."""
        if self.drops:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Whether the account can run a file there: every folder above lets strangers through."""
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def map_root_to_nobody() -> None:
    """In the child: a new user namespace in which we are nobody."""
    if _libc is None or _libc.unshare(_NEW_USER_NAMESPACE) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are refused")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1", encoding="ascii")


def end_with_parent(number: signal.Signals) -> None:
    """In the child: the kernel sends this signal when the thread that started us ends. Elsewhere than on Linux nothing happens."""
    if _libc is not None:
        _libc.prctl(_DIE_WITH_PARENT, int(number), 0, 0, 0)


def namespaces_work() -> bool:
    """Whether root may make a user namespace and run a program in it."""
    if not _LINUX:
        return False
    try:
        return subprocess.run(["/bin/true"], preexec_fn=map_root_to_nobody, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def account() -> Account:
    """The account for the embedded database: ourselves unless we are root."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), "ourselves")
    if namespaces_work():
        return Account(0, 0, "nobody", mapped=True)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, name, drops=True)
    raise OSError("We are root, user namespaces are refused, and there is no account `postgres` or `nobody` to run the database as; set DATABASE_URL.")
