"""The list of activities in parts: which rows, which words, which addresses."""

from __future__ import annotations

import pytest

from releases.activity_list import MOST, ActivityList, Asked


def listed(number: int, **said: str) -> ActivityList:
    groups = {"active": [], "next": [], "done": [], "all": list(range(number))}
    return ActivityList(groups, "all", Asked.of({"show": "all", **said}), {"p": "P"}, {"open": "x"})


@pytest.mark.parametrize(
    ("number", "part", "rows", "text"),
    [
        (0, "1", range(0), ""),
        (MOST, "1", range(MOST), ""),
        (MOST, "7", range(MOST), ""),
        (MOST + 1, "2", range(MOST, MOST + 1), "51 to 51 of 51"),
        (5_000, "", range(50), "1 to 50 of 5,000"),
        (5_000, "100", range(4_950, 5_000), "4,951 to 5,000 of 5,000"),
        (5_000, "999999", range(4_950, 5_000), "4,951 to 5,000 of 5,000"),
        (5_000, "0", range(50), "1 to 50 of 5,000"),
        (5_000, "-1", range(50), "1 to 50 of 5,000"),
        (5_000, "9" * 5_000, range(50), "1 to 50 of 5,000"),
        (5_000, "²", range(50), "1 to 50 of 5,000"),
    ],
)
def test_parts(number: int, part: str, rows: range, text: str) -> None:
    found = listed(number, part=part)
    assert list(found.rows) == list(rows)
    assert found.text == text


def test_addresses_keep_what_is_asked() -> None:
    found = listed(5_000, part="2", find="a&b", phase="p")
    assert found.previous_url == "?open=x&show=all&phase=p&find=a%26b#activities"
    assert found.next_url == "?open=x&show=all&phase=p&find=a%26b&part=3#activities"
    assert found.clear_url == "?open=x&show=all#activities"
    assert (listed(75, part="2").next_url, listed(75).previous_url) == ("", "")


def test_an_unknown_tab_is_none() -> None:
    assert Asked.of({"show": "<script>"}) == Asked()
