"""What ends leave behind: stops that nobody confirms, folders of ended releases, and the count of the retry policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from releases import operating, sweep
from releases.attempts import confirm_stopped
from releases.models import Attempt, Release
from releases.states import Run
from releases.tidying import tidy
from tests.releases.scenes import ACTOR, attempts, claimed, end, events, later, noop, run, running, script, states

pytestmark = pytest.mark.django_db


def _aborted_while_it_worked() -> Release:
    release = running(script("it"))
    claimed("slow")
    operating.abort(release=release.pk, actor=ACTOR, reason="because")
    return release


def test_a_stop_that_nobody_confirms_is_said_once_after_a_minute() -> None:
    release = _aborted_while_it_worked()
    sweep.sweep()
    assert "attempt.stop_not_confirmed" not in events(release)
    Attempt.objects.filter(release=release).update(stop_asked_at="2026-01-01T00:00:00Z")
    sweep.sweep()
    sweep.sweep()
    assert events(release).count("attempt.stop_not_confirmed") == 1
    attempt = Attempt.objects.get(release=release)
    assert (attempt.stop_noted_at is None, attempt.stop_confirmed_at) == (False, None), "it is still shown as possibly running"


def test_a_stop_that_was_confirmed_is_not_spoken_of() -> None:
    release = running(script("it"))
    claim = claimed("slow")["it"]
    operating.abort(release=release.pk, actor=ACTOR, reason="because")
    confirm_stopped(claim)
    Attempt.objects.filter(release=release).update(stop_asked_at="2026-01-01T00:00:00Z")
    sweep.sweep()
    assert "attempt.stop_not_confirmed" not in events(release)


def test_a_retry_by_a_person_opens_the_policy_afresh() -> None:
    release = running(script("it", retry={"attempts": 2, "delay": "1s"}), noop("then", "it"))
    for round_ in (1, 2):
        for number in (1, 2):
            end(claimed("slow")["it"], Run.FAILED)
            assert states(release)["it"] == ("queued" if number == 1 else "on_hold"), (round_, number)
            later(release, 60)
        assert len(attempts(release, "it")) == 2 * round_, "numbers go on"
        operating.retry(release=release.pk, activity="it", actor=ACTOR, reason="again")
    assert run(release, "it").tried_before == 4


@pytest.fixture
def home(settings: Any, tmp_path: Path) -> Path:
    settings.RELORCH_HOME = tmp_path
    settings.RELORCH_KEEP_WORK = 7
    return tmp_path


def test_folders_of_ended_releases_go_after_their_days_and_those_of_open_ones_never(home: Path) -> None:
    over, young, still_open = running(script("it")), running(script("it")), running(script("it"))
    for release in (over, young):
        operating.abort(release=release.pk, actor=ACTOR, reason="because")
    Release.objects.filter(pk__in=[over.pk, still_open.pk]).update(started_at="2026-01-01T00:00:00Z")
    Release.objects.filter(pk=over.pk).update(finished_at="2026-01-01T00:00:00Z")
    kept = [home / "workspaces" / str(release.pk) for release in (young, still_open)]
    kept += [home / "work" / f"{release.pk}-it-1" for release in (young, still_open)]
    kept += [home / "workspaces" / "mine", home / "work" / "999999999-it-1"]
    gone = [home / "workspaces" / str(over.pk), home / "work" / f"{over.pk}-it-1"]
    for folder in [*kept, *gone]:
        (folder / "below").mkdir(parents=True)
        (folder / "below" / "file").write_text("text")
    (home / "workspaces" / f"{over.pk}-link").symlink_to(kept[0])
    assert tidy() == 2
    assert [folder.exists() for folder in gone] == [False, False]
    assert all((folder / "below" / "file").exists() for folder in kept)


def test_what_only_waits_has_nothing_that_could_still_run() -> None:
    release = running({"id": "it", "type": "automated", "connector": "timer", "with": {"for": "1h"}})
    assert Attempt.objects.get(release=release).reference
    operating.abort(release=release.pk, actor=ACTOR, reason="because")
    assert attempts(release, "it") == ["aborted"]
    assert Attempt.objects.get(release=release).stop_asked_at is None
