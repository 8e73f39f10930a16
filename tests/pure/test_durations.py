"""Durations are read in two forms and written in one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processes.durations import DURATION_PATTERN, LONGEST, duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds", "canonical"),
    [
        ("90s", 90, "1m30s"),
        ("30m", 1_800, "30m"),
        ("24h", 86_400, "1d"),
        ("2d", 172_800, "2d"),
        ("1d12h", 129_600, "1d12h"),
        ("1d2h3m4s", 93_784, "1d2h3m4s"),
        ("0s", 0, "0s"),
        ("PT30M", 1_800, "30m"),
        ("P1W", 604_800, "7d"),
        ("P1DT12H", 129_600, "1d12h"),
        ("PT0S", 0, "0s"),
        ("3660d", LONGEST, "3660d"),
    ],
)
def test_read_and_written(text: str, seconds: int, canonical: str) -> None:
    assert parse_duration(text) == seconds
    assert duration_text(seconds) == canonical
    assert re.search(DURATION_PATTERN, text)


@pytest.mark.parametrize(
    "text", ["", "s", "30", "1.5h", "-5m", "5 m", "5M", "1h1d", "1m1m", "P", "PT", "P1DT", "P1Y", "P1M", "PT1.5S", "pt5m", "5min", " 5m", "5m\n", "٣m", "T5M"]
)
def test_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s, 30m"):
        parse_duration(text)
    assert not re.search(DURATION_PATTERN, text.replace("\n", "!"))


@pytest.mark.parametrize("value", [None, True, 1.5, ["5m"], {}])
def test_not_even_text(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(value)


@pytest.mark.parametrize("value", ["3661d", "999999999d", -1, LONGEST + 1])
def test_out_of_range(value: object) -> None:
    with pytest.raises(ValueError, match="at most ten years"):
        parse_duration(value)


def test_a_long_text_is_not_repeated_whole() -> None:
    with pytest.raises(ValueError, match="not a duration") as refused:
        parse_duration("9" * 100_000 + "s")
    assert len(str(refused.value)) < 200


def test_seconds_are_taken_as_they_are() -> None:
    assert parse_duration(90) == 90


@settings(max_examples=100)
@given(st.integers(0, LONGEST))
def test_what_is_written_is_read(seconds: int) -> None:
    text = duration_text(seconds)
    assert parse_duration(text) == seconds
    assert re.search(DURATION_PATTERN, text)
