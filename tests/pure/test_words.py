"""Times, durations and names in words (design, section 12)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from relorch.lib import words

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 11, 24, 14, 45, 10, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (-5, "0 s", "0 s"),
        (0.9, "0 s", "0 s"),
        (48, "48 s", "48 s"),
        (60, "1 min", "1 m 00 s"),
        (252, "4 min", "4 m 12 s"),
        (362, "6 min", "6 m 02 s"),
        (600, "10 min", "10 m"),
        (1860, "31 min", "31 m"),
        (3600, "1 h", "1 h"),
        (8700, "2 h 25 min", "2 h 25 m"),
        (86399, "23 h 59 min", "23 h 59 m"),
        (194400, "2 d 6 h", "2 d 6 h"),
        (172800, "2 d", "2 d"),
    ],
)
def test_durations(seconds: float, long: str, short: str) -> None:
    assert words.duration(seconds) == long
    assert words.short_duration(timedelta(seconds=seconds)) == short


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (timedelta(), "just now"),
        (timedelta(seconds=-59), "just now"),
        (timedelta(seconds=30), "in a moment"),
        (timedelta(minutes=-24), "24 min ago"),
        (timedelta(minutes=36, seconds=20), "in 36 min"),
        (timedelta(hours=-2, minutes=-25), "2 h 25 min ago"),
        (timedelta(hours=-3), "3 h ago"),
        (timedelta(hours=-25), "yesterday"),
        (timedelta(hours=30), "tomorrow"),
        (timedelta(days=-3), "3 days ago"),
        (timedelta(days=7), "in 7 days"),
        (timedelta(days=-12), "12 Nov"),
        (timedelta(days=-400), "20 Oct 2025"),
    ],
)
def test_relative_times(gap: timedelta, said: str) -> None:
    assert words.relative(NOW + gap, NOW) == said


def test_relative_times_count_days_in_the_readers_zone() -> None:
    late = datetime(2026, 11, 22, 23, 30, tzinfo=PARIS)
    assert words.relative(late, datetime(2026, 11, 24, 0, 30, tzinfo=PARIS).astimezone(UTC)) == "2 days ago"


def test_absolute_times_name_their_zone() -> None:
    assert words.absolute(NOW) == "Tue 24 Nov 2026, 14:45 CET"
    assert words.absolute(NOW, with_seconds=True) == "Tue 24 Nov 2026, 14:45:10 CET"
    assert words.absolute(NOW.astimezone(ZoneInfo("America/Sao_Paulo"))) == "Tue 24 Nov 2026, 10:45 UTC-03:00"
    assert words.absolute(NOW.astimezone(timezone(timedelta(0)))) == "Tue 24 Nov 2026, 13:45 UTC"


@pytest.mark.parametrize(
    ("name", "said"), [("Lena Okafor", "LO"), ("priya", "P"), ("mara.lindqvist", "ML"), ("Jean-Luc de Vries", "JV"), ("  ", "?"), ("Éva", "É"), ("(x) Y", "Y")]
)
def test_initials(name: str, said: str) -> None:
    assert words.initials(name) == said


def test_a_person_keeps_the_tint() -> None:
    assert words.tint("Lena@example.com") == words.tint("lena@example.com")
    assert {words.tint(f"person{n}@example.com") for n in range(60)} == set(range(words.TINTS))


@pytest.mark.parametrize(("title", "asked"), [("Go live", "Approve Go live?"), ("May it go live?", "May it go live?"), ("Check it.", "Check it?")])
def test_a_question_is_asked_once(title: str, asked: str) -> None:
    assert words.question(title) == asked
