"""When a timer is due, also where clocks change (S22)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from releases.connectors.base import Call, Done, Later
from releases.connectors.timer import Timer, due_at

BERLIN = "Europe/Berlin"  # +01:00; summer time 2025-03-30 02:00 -> 03:00, back 2025-10-26 03:00 -> 02:00
NEW_YORK = "America/New_York"  # -05:00; 2025-03-09 02:00 -> 03:00, back 2025-11-02 02:00 -> 01:00
LORD_HOWE = "Australia/Lord_Howe"  # half an hour: 2025-10-05 02:00 -> 02:30, back 2025-04-06 02:00 -> 01:30
SANTIAGO = "America/Santiago"  # at midnight: 2025-09-07 00:00 -> 01:00, back 2025-04-06 00:00 -> 23:00
APIA = "Pacific/Apia"  # 2011-12-30 did not take place


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


DAILY = [
    # zone, window, now (UTC), due (UTC)
    ("UTC", "22:00-04:00", "2025-06-01T12:00", "2025-06-01T22:00"),
    ("UTC", "22:00-04:00", "2025-06-01T22:00", "2025-06-01T22:00"),
    ("UTC", "22:00-04:00", "2025-06-01T23:59:59", "2025-06-01T23:59:59"),
    ("UTC", "22:00-04:00", "2025-06-02T03:59:59", "2025-06-02T03:59:59"),
    ("UTC", "22:00-04:00", "2025-06-02T04:00", "2025-06-02T22:00"),
    ("UTC", "09:00-17:00", "2025-06-01T08:59", "2025-06-01T09:00"),
    ("UTC", "09:00-17:00", "2025-06-01T17:00", "2025-06-02T09:00"),
    ("UTC", "00:00-24:00", "2025-06-01T17:00", "2025-06-01T17:00"),
    ("UTC", " 09:00 - 17:00 ", "2025-12-31T18:00", "2026-01-01T09:00"),
    (BERLIN, "22:00-04:00", "2025-01-15T12:00", "2025-01-15T21:00"),
    (BERLIN, "22:00-04:00", "2025-07-15T12:00", "2025-07-15T20:00"),
    # the night in which an hour is missing
    (BERLIN, "22:00-04:00", "2025-03-29T12:00", "2025-03-29T21:00"),
    (BERLIN, "22:00-04:00", "2025-03-30T01:59", "2025-03-30T01:59"),
    (BERLIN, "22:00-04:00", "2025-03-30T02:00", "2025-03-30T20:00"),
    (BERLIN, "02:30-05:00", "2025-03-30T00:59", "2025-03-30T01:00"),  # 02:30 does not come: opens with the change
    (BERLIN, "02:30-05:00", "2025-03-30T01:00", "2025-03-30T01:00"),
    (BERLIN, "02:30-05:00", "2025-03-30T03:00", "2025-03-31T00:30"),
    (BERLIN, "01:00-02:30", "2025-03-30T00:59", "2025-03-30T00:59"),
    (BERLIN, "01:00-02:30", "2025-03-30T01:00", "2025-03-30T23:00"),  # 02:30 does not come: closes with the change
    (BERLIN, "02:10-02:50", "2025-03-29T12:00", "2025-03-31T00:10"),  # swallowed whole
    (BERLIN, "02:00-03:00", "2025-03-29T12:00", "2025-03-31T00:00"),
    (BERLIN, "03:00-04:00", "2025-03-29T12:00", "2025-03-30T01:00"),
    # the night in which an hour comes twice
    (BERLIN, "22:00-04:00", "2025-10-26T02:59", "2025-10-26T02:59"),
    (BERLIN, "22:00-04:00", "2025-10-26T03:00", "2025-10-26T21:00"),
    (BERLIN, "02:30-05:00", "2025-10-25T12:00", "2025-10-26T00:30"),  # the first 02:30
    (BERLIN, "02:30-05:00", "2025-10-26T01:15", "2025-10-26T01:15"),  # 02:15 again, inside
    (BERLIN, "02:30-05:00", "2025-10-26T03:59", "2025-10-26T03:59"),
    (BERLIN, "02:30-05:00", "2025-10-26T04:00", "2025-10-27T01:30"),
    (BERLIN, "01:00-02:30", "2025-10-26T01:29", "2025-10-26T01:29"),  # closes at the second 02:30
    (BERLIN, "01:00-02:30", "2025-10-26T01:30", "2025-10-27T00:00"),
    (BERLIN, "02:10-02:50", "2025-10-26T00:51", "2025-10-26T00:51"),
    (NEW_YORK, "02:30-03:30", "2025-03-09T00:00", "2025-03-09T07:00"),
    (NEW_YORK, "01:30-03:00", "2025-11-02T00:00", "2025-11-02T05:30"),
    (NEW_YORK, "01:30-03:00", "2025-11-02T07:59", "2025-11-02T07:59"),
    (NEW_YORK, "01:30-03:00", "2025-11-02T08:00", "2025-11-03T06:30"),
    (LORD_HOWE, "02:15-04:00", "2025-10-04T12:00", "2025-10-04T15:30"),
    (LORD_HOWE, "01:45-01:50", "2025-04-05T14:55", "2025-04-05T14:55"),
    (LORD_HOWE, "01:45-01:50", "2025-04-05T15:20", "2025-04-06T15:15"),
    (SANTIAGO, "00:30-02:00", "2025-09-06T12:00", "2025-09-07T04:00"),
    (SANTIAGO, "23:30-23:45", "2025-04-05T12:00", "2025-04-06T02:30"),
    (APIA, "10:00-11:00", "2011-12-29T22:00", "2011-12-30T20:00"),
    ("Asia/Kolkata", "09:00-10:00", "2025-01-01T00:00", "2025-01-01T03:30"),
    ("Pacific/Kiritimati", "01:00-02:00", "2025-01-01T11:30", "2025-01-01T11:30"),
    ("Etc/GMT+12", "01:00-02:00", "2025-01-01T13:30", "2025-01-01T13:30"),
]


@pytest.mark.parametrize(("zone", "window", "now", "due"), DAILY)
def test_daily_windows(zone: str, window: str, now: str, due: str) -> None:
    assert due_at({"daily": window, "zone": zone}, utc(now)) == utc(due)


WEEKLY = [
    # 2025-06-06 is a Friday
    ({"days": ["sat", "sun"]}, "2025-06-06T12:00", "2025-06-07T00:00"),
    ({"days": ["sat", "sun"]}, "2025-06-08T23:59", "2025-06-08T23:59"),
    ({"days": ["sat", "sun"]}, "2025-06-09T00:00", "2025-06-14T00:00"),
    ({"days": ["fri"], "from": "22:00", "to": "06:00"}, "2025-06-06T12:00", "2025-06-06T22:00"),
    ({"days": ["fri"], "from": "22:00", "to": "06:00"}, "2025-06-07T05:59", "2025-06-07T05:59"),  # belongs to Friday
    ({"days": ["fri"], "from": "22:00", "to": "06:00"}, "2025-06-07T06:00", "2025-06-13T22:00"),
    ({"days": ["sat"], "from": "22:00", "to": "06:00"}, "2025-06-07T05:59", "2025-06-07T22:00"),
    ({"days": ["mon", "wed"], "from": "09:00", "to": "10:00"}, "2025-06-09T10:00", "2025-06-11T09:00"),
    ({"days": ["wed", "mon"], "from": "09:00"}, "2025-06-09T23:59", "2025-06-09T23:59"),
    ({"days": ["sun"], "to": "12:00"}, "2025-06-07T23:00", "2025-06-08T00:00"),
]


@pytest.mark.parametrize(("weekly", "now", "due"), WEEKLY)
def test_weekly_windows(weekly: dict[str, Any], now: str, due: str) -> None:
    assert due_at({"weekly": weekly, "zone": "UTC"}, utc(now)) == utc(due)


def test_a_weekly_window_in_the_night_of_the_change() -> None:
    window = {"weekly": {"days": ["sun"], "from": "02:30", "to": "05:00"}, "zone": BERLIN}
    assert due_at(window, utc("2025-03-24T00:00")) == utc("2025-03-30T01:00")
    only_gap = {"weekly": {"days": ["sun"], "from": "02:10", "to": "02:50"}, "zone": BERLIN}
    assert due_at(only_gap, utc("2025-03-24T00:00")) == utc("2025-04-06T00:10")


@pytest.mark.parametrize(
    ("until", "due"),
    [
        ("2026-03-01T22:00:00Z", "2026-03-01T22:00:00"),
        ("2026-03-01t22:00:00z", "2026-03-01T22:00:00"),
        ("2026-03-01 22:00:00+01:00", "2026-03-01T21:00:00"),
        ("2026-03-01T22:00:00.5-05:30", "2026-03-02T03:30:00.500000"),
        ("2026-03-01T22:00:00.123456789Z", "2026-03-01T22:00:00.123456"),
    ],
)
def test_until_a_moment(until: str, due: str) -> None:
    assert due_at({"until": until}, utc("2026-01-01T00:00")) == utc(due)


def test_for_a_duration() -> None:
    now = utc("2025-03-29T12:00")
    assert due_at({"for": "1d12h"}, now) == now + timedelta(hours=36)
    assert due_at({"for": 90}, now) == now + timedelta(seconds=90)
    assert due_at({"for": "0s"}, now) == now


BAD = [
    {},
    {"for": "1h", "until": "2026-03-01T22:00:00Z"},
    {"for": "soon"},
    {"for": True},
    {"for": "20000d"},
    {"until": "tomorrow"},
    {"until": "2026-03-01"},
    {"until": "2026-03-01T22:00:00"},
    {"until": "2026-13-01T22:00:00Z"},
    {"until": "2026-02-30T22:00:00Z"},
    {"until": "0001-01-01T00:00:00+23:00"},
    {"until": 5},
    {"daily": "22-04"},
    {"daily": "22:00"},
    {"daily": "25:00-26:00"},
    {"daily": "09:00-24:01"},
    {"daily": "24:00-09:00"},
    {"daily": "09:00-09:00"},
    {"daily": 3},
    {"daily": "09:00-10:00", "zone": "Mars/Olympus"},
    {"daily": "09:00-10:00", "zone": "../../etc/passwd"},
    {"daily": "09:00-10:00", "zone": 3},
    {"daily": "09:00-10:00", "zone": ""},
    {"weekly": {}},
    {"weekly": {"days": []}},
    {"weekly": {"days": "sat"}},
    {"weekly": {"days": ["Saturday"]}},
    {"weekly": {"days": ["sat"], "from": "9"}},
    {"weekly": {"days": ["sat"], "until": "09:00"}},
    {"weekly": ["sat"]},
]


@pytest.mark.parametrize("arguments", BAD)
def test_nonsense_is_a_problem_and_never_an_exception(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        due_at(arguments, utc("2026-01-01T00:00"))
    assert Timer().problems(arguments)
    ended = Timer().start(arguments, call(utc("2026-01-01T00:00")))
    assert isinstance(ended, Done)
    assert (ended.succeeded, ended.code) == (False, "bad_arguments")


def test_problems_have_their_place_and_leave_expressions_alone() -> None:
    timer = Timer()
    assert [problem.place for problem in timer.problems({"daily": "9-10", "zone": "Mars", "dayly": 1})] == ["/dayly", "/daily", "/zone"]
    assert "daily" in timer.problems({"dayly": "x"})[0].message
    assert timer.problems({"until": "${{ inputs.at }}"}) == []
    assert timer.problems({"daily": "${{ inputs.window }}", "zone": "Europe/Berlin"}) == []
    assert [problem.place for problem in timer.problems({"for": "1h", "zone": "UTC"})] == ["/zone"]


def call(at: datetime) -> Call:
    return Call(key="k", attempt=1, release=1, activity="wait", workspace=Path("/nonexistent"), at=at)


def test_it_waits_as_a_row_and_ends_when_due() -> None:
    timer, now = Timer(), utc("2025-03-29T12:00")
    outputs = {"waited_from": "2025-03-29T12:00:00.000000Z", "until": "2025-03-29T21:00:00.000000Z"}
    later = timer.start({"daily": "22:00-04:00", "zone": BERLIN}, call(now))
    assert isinstance(later, Later)
    assert later.due_at == utc("2025-03-29T21:00")
    assert later.outputs == outputs
    early = timer.poll(later.reference, call(utc("2025-03-29T20:59:59")))
    assert isinstance(early, Later)
    assert early.due_at == later.due_at
    assert timer.poll(later.reference, call(utc("2025-03-29T21:00"))) == Done(succeeded=True, outputs=outputs)
    inside = timer.start({"daily": "22:00-04:00", "zone": BERLIN}, call(utc("2025-03-29T22:00")))
    assert isinstance(inside, Done)
    assert inside.succeeded
    past = timer.start({"until": "2020-01-01T00:00:00Z"}, call(now))
    assert isinstance(past, Done)
    assert past.succeeded


@settings(max_examples=300, deadline=None)
@given(
    zone=st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, SANTIAGO, "UTC", "Africa/Casablanca", "Asia/Tehran"]),
    start=st.integers(0, 1439),
    length=st.integers(1, 1439),
    now=st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),
)
def test_a_window_is_open_when_it_says_so(zone: str, start: int, length: int, now: datetime) -> None:
    end = (start + length) % 1440
    arguments = {"daily": f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}", "zone": zone}
    due = due_at(arguments, now)
    assert now <= due <= now + timedelta(days=3)
    assert due_at(arguments, due) == due, "once it is due it stays due"
    wall = due.astimezone(ZoneInfo(zone))
    minutes = wall.hour * 60 + wall.minute
    inside = (minutes - start) % 1440 < length
    near_change = (wall - timedelta(hours=25)).utcoffset() != (wall + timedelta(hours=25)).utcoffset()
    assert inside or near_change
