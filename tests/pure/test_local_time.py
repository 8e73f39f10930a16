"""Local times of scheduled starts over changes of daylight saving: each becomes the instant that is meant, or is refused or asked about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relorch.lib.local_time import NoSuchTime, TwoTimes, instant_of

PLAIN = [
    ("Europe/Berlin", "2026-03-29T01:59", "2026-03-29T00:59"),
    ("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-07-01T12:00", "2026-07-01T10:00"),
    ("Europe/Berlin", "2026-10-25T01:59", "2026-10-24T23:59"),
    ("Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00"),
    ("Europe/London", "2026-03-29T02:00", "2026-03-29T01:00"),
    ("America/New_York", "2026-03-08T03:00", "2026-03-08T07:00"),
    ("America/New_York", "2026-11-01T02:00", "2026-11-01T07:00"),
    ("Australia/Sydney", "2026-10-04T03:00", "2026-10-03T16:00"),
    ("Australia/Lord_Howe", "2026-10-04T02:30", "2026-10-03T15:30"),
    ("Asia/Kathmandu", "2026-03-29T02:30", "2026-03-28T20:45"),
    ("Pacific/Apia", "2011-12-31T00:30", "2011-12-30T10:30"),
    ("America/Sao_Paulo", "2018-11-04T01:00", "2018-11-04T03:00"),
    ("UTC", "2026-03-29T02:30", "2026-03-29T02:30"),
]
NEVER = [
    ("Europe/Berlin", "2026-03-29T02:00", "from 02:00 to 03:00"),
    ("Europe/Berlin", "2026-03-29T02:30", "from 02:00 to 03:00"),
    ("Europe/Berlin", "2026-03-29T02:59", "from 02:00 to 03:00"),
    ("Europe/London", "2026-03-29T01:30", "from 01:00 to 02:00"),
    ("America/New_York", "2026-03-08T02:30", "from 02:00 to 03:00"),
    ("Australia/Sydney", "2026-10-04T02:30", "from 02:00 to 03:00"),
    ("Australia/Lord_Howe", "2026-10-04T02:15", "from 02:00 to 02:30"),
    ("Africa/Cairo", "2026-04-24T00:30", "from 00:00 to 01:00"),
    ("America/Sao_Paulo", "2018-11-04T00:30", "from 00:00 to 01:00"),
    ("Pacific/Apia", "2011-12-30T12:00", "from 00:00 to 31 December 2011 00:00"),
]
TWICE = [
    ("Europe/Berlin", "2026-10-25T02:00", "2026-10-25T00:00", "2026-10-25T01:00", "02:00 CEST (UTC+2)"),
    ("Europe/Berlin", "2026-10-25T02:59", "2026-10-25T00:59", "2026-10-25T01:59", "02:59 CEST (UTC+2)"),
    ("Europe/London", "2026-10-25T01:30", "2026-10-25T00:30", "2026-10-25T01:30", "01:30 BST (UTC+1)"),
    ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30", "2026-11-01T06:30", "01:30 EDT (UTC-4)"),
    ("Australia/Sydney", "2026-04-05T02:30", "2026-04-04T15:30", "2026-04-04T16:30", "02:30 AEDT (UTC+11)"),
    ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45", "2026-04-04T15:15", "01:45 (UTC+11)"),
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(("zone", "local", "utc"), PLAIN)
def test_a_plain_time_is_one_instant(zone: str, local: str, utc: str) -> None:
    assert instant_of(at(local), ZoneInfo(zone)) == at(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(("zone", "local", "said"), NEVER)
def test_a_time_that_the_clocks_jump_over_is_refused_saying_so(zone: str, local: str, said: str) -> None:
    for second in (None, False, True):
        with pytest.raises(NoSuchTime, match=said) as refusal:
            instant_of(at(local), ZoneInfo(zone), second=second)
        assert refusal.value.before <= at(local) < refusal.value.after
        assert zone in str(refusal.value)


@pytest.mark.parametrize(("zone", "local", "first", "second", "label"), TWICE)
def test_a_time_that_comes_twice_is_asked_about(zone: str, local: str, first: str, second: str, label: str) -> None:
    with pytest.raises(TwoTimes) as question:
        instant_of(at(local), ZoneInfo(zone))
    assert [choice.at for choice in question.value.choices] == [at(first).replace(tzinfo=UTC), at(second).replace(tzinfo=UTC)]
    assert question.value.choices[0].label == label
    assert instant_of(at(local), ZoneInfo(zone), second=False) == at(first).replace(tzinfo=UTC)
    assert instant_of(at(local), ZoneInfo(zone), second=True) == at(second).replace(tzinfo=UTC)


@settings(max_examples=150, deadline=None)
@given(st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)), st.sampled_from([zone for zone, *_ in PLAIN]), st.booleans())
def test_whatever_comes_out_is_that_local_time(local: datetime, name: str, second: bool) -> None:
    local, zone = local.replace(minute=local.minute // 15 * 15, second=0, microsecond=0), ZoneInfo(name)
    around = {(local.replace(tzinfo=UTC) + timedelta(minutes=15 * n)).astimezone(zone).replace(tzinfo=None) for n in range(-120, 120)}
    if local not in around:
        with pytest.raises(NoSuchTime):
            instant_of(local, zone, second=second)
    else:
        assert instant_of(local, zone, second=second).astimezone(zone).replace(tzinfo=None) == local
