"""What the tools share: which version is deployed in a place, starting and stopping its server, and how they answer.

A tool prints `name=value` lines on stdout, ready for `>> "$RELORCH_OUTPUT"`, and everything for people on stderr.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from shop.place import Place, read_json, write_json

PATIENCE = 15.0
LIFETIME = 12 * 3600
KEPT_IN_ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR")

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    """The tool could not do its work; the text says why and what helps."""


def say(text: str) -> None:
    """A line for people."""
    print(text, file=sys.stderr, flush=True)


def answer(**values: object) -> None:
    """Lines for `$RELORCH_OUTPUT`."""
    for name, value in values.items():
        print(f"{name}={value}", flush=True)


def digest_of(file: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def get(url: str, patience: float = 3) -> tuple[int, Any]:
    """Status and JSON of a GET; also when the status is an error. Raises OSError when nobody answers."""
    try:
        with _opener.open(url, timeout=patience) as found:
            return found.status, json.load(found)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def state_of(place: Place) -> dict[str, Any]:
    """What is deployed here: `{current, previous[], port}`; `current` is None in a new place."""
    return read_json(place.state) or {"current": None, "previous": [], "port": 0}


def unpack(place: Place, artifact: Path, digest: str) -> dict[str, Any]:
    """Copy an artifact into the place and check that every byte arrived. Answers its entry for `state.json`."""
    if not artifact.is_file():
        raise Failed(f"there is no artifact {artifact}")
    if (found := digest_of(artifact)) != digest:
        raise Failed(f"{artifact} is not the one that was built: its SHA-256 is {found}, expected {digest}")
    version = artifact.name.removeprefix("shop-").removesuffix(".pyz")
    slot = place.versions / f"{version}-{digest[:12]}"
    slot.mkdir(parents=True, exist_ok=True)
    part = slot / f".shop.pyz.{os.getpid()}"
    shutil.copyfile(artifact, part)
    if digest_of(part) != digest:
        raise Failed(f"the copy of {artifact} in {slot} is damaged")
    part.replace(slot / "shop.pyz")
    return {"slot": slot.name, "version": version, "digest": digest}


def make_current(place: Place, entry: dict[str, Any], *, service: str) -> None:
    """Write down that `entry` is what this place runs now, and what it ran before."""
    state = state_of(place)
    before = state["current"]
    kept = [old for old in state["previous"] if old["slot"] != entry["slot"]]
    if before and before["slot"] != entry["slot"]:
        kept.append(before)
    write_json(place.state, state | {"current": entry | {"service": service}, "previous": kept})


def start(place: Place, *, port: int = 0, wait: str = "healthy", patience: float = PATIENCE, lifetime: float = LIFETIME) -> dict[str, Any]:
    """Start the current version, detached, and wait until it answers with its own digest (and is healthy). Answers what it says of itself.

    Raises Failed with the end of the server's log. A server that answers but is not healthy is left running, to be looked at.
    """
    state = state_of(place)
    current = state["current"]
    place.run.mkdir(parents=True, exist_ok=True)
    place.address.unlink(missing_ok=True)
    command = [sys.executable, "-B", str(place.versions / current["slot"] / "shop.pyz"), "--place", str(place.folder), "--port", str(port)]
    command += ["--preferred-port", str(state["port"]), "--service", current["service"], "--lifetime", str(lifetime)]
    environment = {name: os.environ[name] for name in KEPT_IN_ENVIRONMENT if name in os.environ}
    with place.log.open("ab") as log:
        began = log.tell()
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=place.folder, env=environment)
    last = _wait_for(place, server, current["digest"], wait, time.monotonic() + patience)
    if last:
        with place.log.open("rb") as log:
            log.seek(began)
            tail = log.read()[-2000:].decode(errors="replace").strip()
        raise Failed(f"version {current['version']} in {place.folder}: {last}" + (f"\nIts log says:\n{tail}" if tail else ""))
    about = place.announced() or {}
    write_json(place.state, state_of(place) | {"port": about["port"]})
    say(f"{about['service']} {about['version']} runs in {place.folder} on {about['url']} (process {about['pid']})")
    return about


def _wait_for(place: Place, server: subprocess.Popen[bytes], digest: str, wait: str, until: float) -> str:
    """An empty text when all is well, else what was missing at the end."""
    last = "the server did not come up in time"
    while time.monotonic() < until:
        if (code := server.poll()) is not None:
            return {3: "another server runs there already", 4: "its port is taken"}.get(code, f"the server ended with exit code {code}")
        about = place.announced()
        if about and about["pid"] == server.pid:
            with contextlib.suppress(OSError):
                if get(f"{about['url']}/version")[1].get("digest") != digest:
                    return f"{about['url']} does not serve the artifact that was deployed"
                if wait == "answering":
                    return ""
                status, health = get(f"{about['url']}/health")
                if status == 200:
                    return ""
                last = f"not healthy: {json.dumps(health)}"
                time.sleep(0.25)
        time.sleep(0.05)
    return last


def stop(place: Place, patience: float = 5) -> bool:
    """End the server of the place, first politely. Answers whether one ran. Raises Failed if it will not go."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + patience
        told = False
        while place.running():
            about = place.announced()
            if about and not told:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(about["pid"], number)
                told = True
                say(f"stopping process {about['pid']} ({about['service']} {about['version']}) in {place.folder}")
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        else:
            return number != signal.SIGTERM or told
    raise Failed(f"the server in {place.folder} does not end")


def places_below(folder: Path) -> list[Place]:
    """Every place in a folder that ever ran a server, the folder itself included."""
    return [Place(run.parent) for run in sorted(folder.resolve().rglob("run")) if (run / "lock").exists()]


def run(main: Any) -> None:
    """Run a tool: a Failed becomes one line and exit code 1."""
    try:
        main()
    except Failed as error:
        say(f"error: {error}")
        sys.exit(1)
