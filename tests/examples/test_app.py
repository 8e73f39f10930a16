"""The example application and its tools, really run: processes are started, asked over loopback, rolled back and stopped."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

APP = Path(__file__).parents[2] / "examples" / "app"
Outputs = dict[str, str]


def tool(name: str, *words: object, fails: bool = False) -> tuple[Outputs, str]:
    """Run a tool as a script of a process does, with a minimal environment: its `name=value` lines, and what it said to people."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": "/nonexistent"}
    command = [sys.executable, "-B", str(APP / "tools" / f"{name}.py"), *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert (ended.returncode != 0) is fails, ended.stderr
    assert "Traceback" not in ended.stderr
    return dict(line.split("=", 1) for line in ended.stdout.splitlines()), ended.stderr


def get(url: str) -> Any:
    return httpx.get(url, trust_env=False).json()


def listens(url: str) -> bool:
    try:
        httpx.get(f"{url}/version", trust_env=False)
    except httpx.TransportError:
        return False
    return True


def unit_tests(source: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-m", "unittest", "discover", "-s", "tests", "-t", "."]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=60, check=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Outputs]:
    """`built(version, fault)`: artifact and digest, built once for each."""
    folder = tmp_path_factory.mktemp("built")
    known: dict[tuple[str, str], Outputs] = {}

    def build(version: str, fault: str = "none") -> Outputs:
        if (version, fault) not in known:
            tool("checkout", "--to", folder / fault, "--fault", fault)
            known[version, fault] = tool("build", "--source", folder / fault, "--version", version, "--to", folder / fault / "dist")[0]
        return known[version, fault]

    return build


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Path]:
    """A folder for places; whatever runs in them is stopped at the end."""
    yield tmp_path
    tool("stop", "--below", tmp_path)


def deploy(place: Path, artifact: Outputs, *words: object, fails: bool = False) -> tuple[Outputs, str]:
    return tool("deploy", "--place", place, "--artifact", artifact["artifact"], "--digest", artifact["digest"], "--setting", "country=DE", *words, fails=fails)


@pytest.mark.parametrize(("fault", "passes"), [("none", True), ("unit_test", False), ("health_after_rollout", True), ("new_checkout", True)])
def test_its_own_unit_tests(tmp_path: Path, fault: str, passes: bool) -> None:
    source = Path(tool("checkout", "--to", tmp_path, "--fault", fault)[0]["source"])
    ended = unit_tests(source)
    assert (ended.returncode == 0) is passes, ended.stderr
    assert "Ran 0 tests" not in ended.stderr


def test_the_artifact_is_the_same_bytes_from_the_same_sources(tmp_path: Path) -> None:
    digests: list[str] = []
    for name in ("one", "two"):
        tool("checkout", "--to", tmp_path / name)
        for file in (tmp_path / name).rglob("*.py"):
            os.utime(file, (0, len(digests)))
        built = tool("build", "--source", tmp_path / name, "--version", "1.2.3", "--to", tmp_path / name / "dist")[0]
        artifact = Path(built["artifact"])
        assert built["digest"] == hashlib.sha256(artifact.read_bytes()).hexdigest()
        assert (artifact.parent / "shop-1.2.3.pyz.sha256").read_text() == f"{built['digest']}  shop-1.2.3.pyz\n"
        digests.append(built["digest"])
    assert digests[0] == digests[1]
    assert all(name.endswith((".py", ".json")) for name in zipfile.ZipFile(tmp_path / "one" / "dist" / "shop-1.2.3.pyz").namelist())


def test_a_version_is_part_of_the_artifact(built: Callable[..., Outputs]) -> None:
    assert built("1.0.0", "none")["digest"] != built("1.1.0", "none")["digest"]
    tool("build", "--source", APP, "--version", "latest", "--to", "/nonexistent", fails=True)


def test_deploy_serve_and_roll_back(places: Path, built: Callable[..., Outputs]) -> None:
    old, new = built("1.0.0", "none"), built("1.1.0", "none")
    place, port = places / "north", free_port()
    first, _ = deploy(place, old, "--port", port)
    assert first["url"] == f"http://127.0.0.1:{port}"
    assert get(f"{first['url']}/version") == {"service": "shop", "version": "1.0.0", "digest": old["digest"], "pid": int(first["pid"])}
    second, _ = deploy(place, new, "--port", port)
    assert get(f"{second['url']}/version")["digest"] == new["digest"]
    assert get(f"{second['url']}/health")["status"] == "ok"
    assert get(f"{second['url']}/cart/total?item=mug:2&item=tea&country=DE")["total"] == "33.91"
    back, _ = tool("roll_back", "--place", place, "--port", port)
    assert get(f"{back['url']}/version")["version"] == "1.0.0"
    assert "no version before" in tool("roll_back", "--place", place, fails=True)[1]
    assert tool("stop", place)[0] == {"stopped": "1"}
    assert tool("stop", place)[0] == {"stopped": "0"}
    assert not listens(back["url"])


def test_going_back_to_a_digest_may_be_repeated(places: Path, built: Callable[..., Outputs]) -> None:
    old, new = built("1.0.0", "none"), built("1.1.0", "none")
    deploy(places / "south", old)
    deploy(places / "south", new)
    once, _ = tool("roll_back", "--place", places / "south", "--to-digest", old["digest"])
    again, _ = tool("roll_back", "--place", places / "south", "--to-digest", old["digest"])
    assert once == again
    assert "was ever here" in tool("roll_back", "--place", places / "south", "--to-digest", "0" * 64, fails=True)[1]


def test_healthy_in_staging_but_not_in_production(places: Path, built: Callable[..., Outputs]) -> None:
    good, bad = built("1.0.0", "none"), built("1.1.0", "health_after_rollout")
    deploy(places / "staging", bad, "--setting", "payment_provider=sandbox")
    deploy(places / "north", good)
    _, said = deploy(places / "north", bad, "--patience", 1, fails=True)
    assert "payment_provider" in said
    left, _ = deploy(places / "north", bad, "--wait", "answering")
    assert httpx.get(f"{left['url']}/health", trust_env=False).status_code == 503
    back, _ = tool("roll_back", "--place", places / "north", "--to-digest", good["digest"])
    assert get(f"{back['url']}/version")["digest"] == good["digest"]


def test_a_place_keeps_what_it_has_if_asked_to(places: Path, built: Callable[..., Outputs]) -> None:
    first, _ = deploy(places / "north", built("1.0.0", "none"), "--unless-deployed")
    assert deploy(places / "north", built("1.1.0", "none"), "--unless-deployed")[0] == first
    tool("stop", places / "north")
    assert deploy(places / "north", built("1.1.0", "none"), "--unless-deployed")[0]["version"] == "1.0.0"


def test_a_taken_port_is_said_clearly(places: Path, built: Callable[..., Outputs]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        _, said = deploy(places / "north", built("1.0.0", "none"), "--port", port, fails=True)
    assert f"port {port} on 127.0.0.1 is taken; choose another" in said


def test_only_the_artifact_that_was_built_is_deployed(places: Path, built: Callable[..., Outputs]) -> None:
    good = built("1.0.0", "none")
    running, _ = deploy(places / "north", good)
    wrong = Path(places / "shop-1.0.0.pyz")
    wrong.write_bytes(Path(good["artifact"]).read_bytes() + b"\n")
    _, said = deploy(places / "north", good | {"artifact": str(wrong)}, fails=True)
    assert "not the one that was built" in said
    assert get(f"{running['url']}/version")["pid"] == int(running["pid"]), "what ran must go on"


def test_a_killed_server_leaves_no_riddle(places: Path, built: Callable[..., Outputs]) -> None:
    first, _ = deploy(places / "north", built("1.0.0", "none"))
    os.kill(int(first["pid"]), signal.SIGKILL)
    until = time.monotonic() + 5
    while tool("stop", places / "north")[0] != {"stopped": "0"}:
        assert time.monotonic() < until
    again, _ = deploy(places / "north", built("1.0.0", "none"), "--unless-deployed")
    assert again["pid"] != first["pid"]


def test_a_server_ends_by_itself(places: Path, built: Callable[..., Outputs]) -> None:
    started, _ = deploy(places / "north", built("1.0.0", "none"), "--lifetime", 0.5)
    until = time.monotonic() + 10
    while listens(started["url"]):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert tool("stop", places / "north")[0] == {"stopped": "0"}


def test_waves(places: Path, built: Callable[..., Outputs]) -> None:
    place = places / "shop"
    good, _ = deploy(place, built("1.0.0", "none"))
    shares = []
    for percent in (0, 10, 100):
        tool("flag", "--place", place, "--percent", percent, "--internal")
        seen, _ = tool("traffic", "--url", good["url"])
        assert (seen["errors"], seen["wrong_totals"]) == ("0", "0")
        shares.append(float(seen["share"]))
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 100)
    deploy(place, built("1.0.0", "new_checkout"))
    tool("flag", "--place", place, "--percent", 10, "--internal")
    tool("traffic", "--url", good["url"], "--most-errors", 0.3)
    tool("flag", "--place", place, "--percent", 50, "--internal")
    assert "are more than 0.3 %" in tool("traffic", "--url", good["url"], "--most-errors", 0.3, fails=True)[1]
    tool("flag", "--place", place, "--percent", 0)
    assert tool("traffic", "--url", good["url"])[0]["share"] == "0.0"


def test_three_services(places: Path, built: Callable[..., Outputs]) -> None:
    artifact = built("2.0.0", "none")
    catalog, _ = deploy(places / "catalog", artifact, "--service", "catalog")
    rates, _ = deploy(places / "rates", artifact, "--service", "rates")
    below = ["--setting", f"catalog_url={catalog['url']}", "--setting", f"rates_url={rates['url']}"]
    shop, _ = deploy(places / "shop", artifact, *below)
    assert get(f"{shop['url']}/health")["checks"] == {"settings": "ok", "catalog": "ok", "rates": "ok"}
    assert get(f"{shop['url']}/cart/total?item=mug:2&item=tea&country=FR")["total"] == "34.04"
    tool("stop", places / "rates")
    assert httpx.get(f"{shop['url']}/health", trust_env=False).status_code == 503
    deploy(places / "shop", artifact, *below, "--setting", f"rates_url={catalog['url']}", "--wait", "answering")
    address = json.loads((places / "shop" / "run" / "server.json").read_text())["url"]
    assert get(f"{address}/health")["checks"]["rates"] == f"at {catalog['url']} is the service catalog"


@pytest.mark.parametrize("fault", ["none", "comma"])
def test_a_database_change_and_its_way_back(places: Path, built: Callable[..., Outputs], fault: str) -> None:
    database, copy = places / "shop" / "orders.db", places / "backup" / "orders.db"
    tool("migrate", "sample", "--database", database, "--fault", fault)
    shop, _ = deploy(places / "shop", built("1.0.0", "none"))
    before = get(f"{shop['url']}/orders/summary")
    saved, _ = tool("migrate", "backup", "--database", database, "--to", copy)
    assert (saved["orders"], saved["schema"]) == ("200", "1")
    assert tool("migrate", "upgrade", "--database", database)[0] == {"schema": "2", "orders": "200"}
    after = get(f"{shop['url']}/orders/summary")
    assert after["schema"] == 2
    if fault == "none":
        tool("migrate", "verify", "--database", database, "--backup", copy)
        assert after["total"] == before["total"]
    else:
        _, said = tool("migrate", "verify", "--database", database, "--backup", copy, fails=True)
        assert "'12,50' became 12.00" in said
        assert after["total"] != before["total"]
    # Neither step is harmed by being repeated: the change is made once, the backup stays the one from before it.
    assert tool("migrate", "upgrade", "--database", database)[0]["schema"] == "2"
    assert tool("migrate", "backup", "--database", database, "--to", copy)[0] == saved
    tool("migrate", "restore", "--database", database, "--backup", copy, "--digest", "0" * 64, fails=True)
    tool("migrate", "restore", "--database", database, "--backup", copy, "--digest", saved["digest"])
    assert get(f"{shop['url']}/orders/summary") == before
    assert get(f"{shop['url']}/health")["checks"]["orders"] == "ok"
