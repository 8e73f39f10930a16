"""The demo's first releases: finished, failed and waiting ones, each made by really running it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.console import Console

from releases.models import Release
from releases.states import Release as State
from relorch.accounts.models import User
from relorch.demo import playing
from relorch.demo.showing import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scene:
    """One release to make: its process and input set, how it is called, and what the people do."""

    process: str
    input_set: str
    name: str
    decide: bool = True
    reject: tuple[str, ...] = ()


PATIENCE = 120
"""Seconds for one scene, on a machine that has other things to do."""
SCENES: Sequence[Scene] = (
    Scene("database_change", "The window is open", "Orders in cents", decide=False),
    Scene("standard_release", "The shop", "Shop 1.4.0, first try", reject=("product_sign_off",)),
    Scene("standard_release", "The shop", "Shop 1.4.0"),
    Scene("standard_release", "The shop, a unit test broken", "Shop 1.4.0 with a slip"),
    Scene("standard_release", "The shop, not healthy after roll-out", "Shop 1.4.0, rolled back"),
    Scene("multi_service", "Three services", "Catalog, rates and shop 2.0.0"),
    Scene("emergency_hotfix", "The shop", "Double charge of coupons", decide=False),
    Scene("standard_release", "The shop", "Shop 1.4.1", decide=False),
)


def fill(people: Sequence[User]) -> None:
    """Make the scenes that are not there yet, one after the other; one that cannot be made is logged and left out."""
    starter, deciders = people[0], people[1:]
    for scene in SCENES:
        if Release.objects.filter(name=scene.name, level=1).exists():
            continue
        try:
            release = playing.begin(scene.process, scene.input_set, starter, name=scene.name)
            playing.play(release, deciders, decide=scene.decide, reject=scene.reject, seconds=PATIENCE)
        except Exception:
            log.exception("the scene %s was not made", scene.name)


def play_one(people: Collection[User], console: Console) -> int:
    """Play one standard release to its end, shown in the terminal: 0 when it succeeded."""
    everybody = list(people)
    release = playing.begin("standard_release", "The shop", everybody[0], name="Played in the terminal")
    with Progress(console) as progress:
        state = playing.play(release, everybody[1:], watch=progress)
    console.print(f"{release.name}: {state}", markup=False)
    return 0 if state == State.SUCCEEDED else 1
