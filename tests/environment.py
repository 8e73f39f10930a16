"""A pytest plugin, loaded before Django's settings are (`addopts` in pyproject.toml): where the tests live, and which database they use.

`DATABASE_URL` set: that server, by a role that may create databases. Unset: the embedded one in a folder of this run, started once for all
processes of the run. Nothing of a real installation's environment reaches a test.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

KEPT = {
    "RELORCH_CHAOS_TIMES",
    "RELORCH_CHAOS_ROUNDS",
    "RELORCH_MACHINE",
    "RELORCH_TEST_HOME",
    "RELORCH_CI",
    "RELORCH_PROPERTY_EXAMPLES",
    "RELORCH_PROPERTY_SEED",
    "RELORCH_ROUND_TRIPS",
}
FIRST = "PYTEST_XDIST_WORKER" not in os.environ  # else a process that the first one started
_to_close = contextlib.ExitStack()

if FIRST:
    for name in [name for name in os.environ if name.startswith("RELORCH_") and name not in KEPT]:
        del os.environ[name]
    os.environ.pop("BROKER_URL", None)
    home = Path(tempfile.mkdtemp(prefix="relorch-tests-"))
    os.environ |= {
        "RELORCH_HOME": str(home),
        "RELORCH_SECRET_KEY": "only-for-tests-" + "0123456789abcdef" * 4,
        "RELORCH_DATABASE_ROLE": "owner",  # makes and changes the test databases
        "RELORCH_API_RATE": "0",
        "DJANGO_SETTINGS_MODULE": "relorch.settings",
    }


def pytest_configure(config: pytest.Config) -> None:
    """Starts the embedded database, unless Django takes no part in this run."""
    if FIRST and not os.environ.get("DATABASE_URL") and not config.pluginmanager.is_blocked("django") and not config.option.collectonly:
        from relorch import embedded

        home = Path(os.environ["RELORCH_HOME"])
        _to_close.enter_context(embedded.running(home, dies_with_us=True))
        _hurry(home)


def _hurry(home: Path) -> None:
    """Nothing of these databases outlives the run, so nothing waits for the disk. A killed server loses nothing by it: only a machine would."""
    from relorch.cluster import Place, connect

    with connect(Place(home), "admin") as admin:
        for name, value in (("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")):
            admin.execute(f"ALTER SYSTEM SET {name} = {value}")
        admin.execute("SELECT pg_reload_conf()")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops it, and takes the folder away."""
    if FIRST:
        _to_close.close()
        shutil.rmtree(os.environ["RELORCH_HOME"], ignore_errors=True)
