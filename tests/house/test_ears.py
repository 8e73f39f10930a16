"""Who is deaf, and who only has nothing to hear: the watch over `serve`'s children, with times of our own."""

from __future__ import annotations

import time

import pytest

from releases.draining import worker_name
from releases.models import Attempt
from relorch import children, ears, readiness
from relorch.ears import CLOCK, Watch
from relorch.serving import Child, Leaving
from tests.releases.scenes import claimed, end, running, script


class Scene:
    """The clock speaks each second unless told otherwise; the worker hears when told."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.times = {CLOCK: self.now, "scripts": 0.0}
        self.watch = Watch(self.times.__getitem__, list(self.times), 20)

    def passes(self, seconds: int, *, speaks: bool = True, hears: bool = False) -> dict[str, float]:
        """What the watch says at the end."""
        found: dict[str, float] = {}
        for _ in range(seconds):
            self.now += 1
            if speaks:
                self.times[CLOCK] = self.now
            if hears:
                self.times["scripts"] = self.now
            found = self.watch.deaf(self.now)
        return found


def test_who_hears_nothing_while_the_clock_speaks_is_deaf_after_its_time() -> None:
    scene = Scene()
    assert scene.passes(60, hears=True) == {}
    assert scene.passes(20) == {}
    assert scene.passes(1) == {"scripts": 21.0}
    scene.watch.began("scripts")
    assert scene.passes(20) == {}
    assert list(scene.passes(2)) == ["scripts"]


def test_a_broker_that_is_away_makes_no_worker_deaf_but_the_clock_is_started_afresh() -> None:
    scene = Scene()
    scene.passes(10, hears=True)
    assert scene.passes(20, speaks=False) == {}
    assert list(scene.passes(10, speaks=False)) == [CLOCK]
    scene.watch.began(CLOCK)
    assert scene.passes(10) == {}
    assert scene.passes(1, hears=True) == {}


def test_the_time_in_which_nobody_could_look_is_nobody_s_silence() -> None:
    scene = Scene()
    scene.passes(10, hears=True)
    scene.now += 600  # the machine slept, or the supervisor waited for the database
    assert scene.passes(1) == {}
    assert scene.passes(17) == {}
    assert list(scene.passes(10)) == ["scripts"]


def test_one_message_is_enough() -> None:
    scene = Scene()
    for _ in range(5):
        assert scene.passes(19) == {}
        assert scene.passes(1, hears=True) == {}


def test_children_share_what_they_note_and_silence_is_degraded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ears, "here", None)
    ears.note("engine")
    made = ears.make(["engine", CLOCK])
    assert made.silent(0) == [], "before the first message nobody is silent"
    ears.note("engine")
    ears.note("somebody else's")
    assert made.last("engine") > made.last(CLOCK) == 0
    assert made.silent(100) == []
    monkeypatch.setattr(ears.time, "monotonic", lambda: made.last("engine") + 101)
    assert made.silent(100) == ["engine"]
    assert readiness._worker() == "silent: engine"  # it asks no database for that


@pytest.mark.django_db(transaction=True)
def test_a_deaf_worker_leaves_when_what_it_still_performs_has_ended() -> None:
    child = Child("a deaf worker", lambda: time.sleep(60), number=children.fork("a deaf worker", lambda: time.sleep(60)))
    try:
        release = running(script("build"))
        claim = claimed("slow")["build"]
        Attempt.objects.filter(release=release).update(worker=worker_name(child.number))
        leaving = Leaving(child)
        assert not leaving.has_left(60), "it has its grace"
        assert not leaving.has_left(0)
        assert child.lives(), "it works"
        end(claim)
        leaving.looked = 0.0
        assert leaving.has_left(0)
        assert not child.lives()
    finally:
        child.sweep()
