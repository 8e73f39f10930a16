"""The activities of a release as a list: by tab, phase and name, in parts of fifty. Pure: which rows, and the addresses of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.http import urlencode

MOST = 50
"""Rows at once: a release with thousands of activities has a page, too."""
WORTH_SEARCHING = 25
MOST_IN_MENU = 200
TABS = ("active", "next", "done", "all")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the reader wants to see, as the address says it; what makes no sense there is as if it were not."""

    show: str = ""
    phase: str = ""
    find: str = ""
    part: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        """Read from the address."""
        part = query.get("part", "")
        return cls(
            show=query.get("show", "") if query.get("show", "") in TABS else "",
            phase=query.get("phase", "")[:100],
            find=query.get("find", "").strip()[:100],
            part=int(part) if part.isascii() and part.isdecimal() and len(part) < 7 else 1,
        )

    @property
    def said(self) -> dict[str, Any]:
        """For an address."""
        found = {"show": self.show, "phase": self.phase, "find": self.find, "part": self.part if self.part > 1 else ""}
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class ActivityList:
    """What is listed. `groups` are the lines of each tab, `kept` what else the address says, `phases` the labels of the phases there are."""

    groups: Mapping[str, Sequence[Any]]
    tab: str
    asked: Asked
    phases: Mapping[str, str]
    kept: Mapping[str, str]

    @property
    def total(self) -> int:
        """Lines of this tab."""
        return len(self.groups[self.tab])

    @property
    def _parts(self) -> int:
        return max(1, -(-self.total // MOST))

    @property
    def _part(self) -> int:
        return min(max(self.asked.part, 1), self._parts)

    @property
    def rows(self) -> Sequence[Any]:
        """Those shown."""
        return self.groups[self.tab][(self._part - 1) * MOST : self._part * MOST]

    @property
    def text(self) -> str:
        """Which of how many; "" when it is all of them."""
        if self._parts == 1:
            return ""
        first = (self._part - 1) * MOST + 1
        return f"{first:,} to {first + len(self.rows) - 1:,} of {self.total:,}"

    @property
    def can_search(self) -> bool:
        """Whether there is so much that one looks for something."""
        return bool(self.asked.phase or self.asked.find) or len(self.groups["all"]) > WORTH_SEARCHING

    @property
    def can_pick_a_phase(self) -> bool:
        """Whether they are few enough for a menu."""
        return 1 < len(self.phases) <= MOST_IN_MENU

    @property
    def segments(self) -> list[dict[str, Any]]:
        """The switch between the tabs."""
        return [
            {"label": name.capitalize(), "url": self._address(show=name, part=1), "current": name == self.tab, "count": f"{len(self.groups[name]):,}"}
            for name in TABS
        ]

    @property
    def clear_url(self) -> str:
        """The same tab with everything in it."""
        return self._address(phase="", find="", part=1)

    @property
    def previous_url(self) -> str:
        """The part before."""
        return self._address(part=self._part - 1) if self._part > 1 else ""

    @property
    def next_url(self) -> str:
        """The part after."""
        return self._address(part=self._part + 1) if self._part < self._parts else ""

    def _address(self, **other: Any) -> str:
        return f"?{urlencode({**self.kept, **replace(self.asked, **other).said})}#activities"


def fits(line: Any, asked: Asked, phase: str) -> bool:
    """Whether this line, of that phase, is one that is looked for: by its name or id, in any case."""
    text = asked.find.lower()
    return (not asked.phase or phase == asked.phase) and (not text or text in line.label.lower() or text in line.run.key)
