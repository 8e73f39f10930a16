"""The inbox of one person: what waits for them, in the order of its consequences, and what they want to see of it. A constant number of queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from approvals.cases import attempts_with_release
from approvals.querysets import Item, items_of, waiting
from approvals.risks import ORDER, WORDS, risks_of
from approvals.together import differs_by, sameness
from releases.models import ActivityRun, Attempt, Release, RunPerson
from releases.states import LIVE, Run
from relorch.lib.look import KINDS

MOST = 200
"""Items that an inbox shows; who has more sees the most urgent ones, and is told so."""
WHOSE = {"groups": "My groups", "asked": "Asked"}
DUE: Mapping[str, tuple[str, Callable[[Item], bool]]] = {
    "overdue": ("Overdue", lambda item: item.is_late),
    "day": ("Within a day", lambda item: item.is_soon and not item.is_late),
    "week": ("Within a week", lambda item: item.due_at is not None and item.due_at <= item.now + timedelta(days=7)),
    "never": ("No deadline", lambda item: item.due_at is None),
}
_MOVING = (Run.QUEUED, Run.RUNNING)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the inbox is shown, as the address says it; what it does not know it leaves out."""

    whose: str = ""
    process: str = ""
    due: str = ""
    kind: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wanted:
        """Read from the address."""
        one = {name: known for name, known in (("whose", WHOSE), ("due", DUE), ("kind", KINDS)) if query.get(name) in known}
        return cls(**{name: query[name] for name in one}, process=query.get("process", "")[:100])

    @property
    def narrows(self) -> bool:
        """Whether a filter is set."""
        return bool(self.process or self.due or self.kind)

    def address(self, **other: str) -> str:
        """The query of this with other choices."""
        said = replace(self, **other)
        return "?" + urlencode({name: value for name in ("whose", "process", "due", "kind") if (value := getattr(said, name))})

    def takes(self, item: Item) -> bool:
        """Whether the filters let it through."""
        return self.process in ("", item.release.process.identifier) and (not self.due or DUE[self.due][1](item)) and self.kind in ("", item.kind)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    item: Item
    blocks: bool
    risk: str
    """A key of `risks.WORDS`."""

    @property
    def stake(self) -> str:
        """The risk in words."""
        return WORDS[self.risk]

    @property
    def same(self) -> str:
        """What it has in common with those that ask the same."""
        return sameness(self.item.attempt)

    @property
    def can_be_picked(self) -> bool:
        """Whether it may be decided together with others that ask the same."""
        return self.item.is_mine and not differs_by(self.item)


@dataclass(frozen=True)
class Inbox:
    """What one person finds, most urgent first, and releases that need somebody."""

    found: list[Item]
    shown: list[Item]
    """`found`; of more than it holds, those that the filters let through."""
    attention: list[Any]
    moving: frozenset[int]
    by_group: frozenset[int]
    wanted: Wanted
    reader: Any
    is_cut: bool

    @property
    def mine(self) -> list[Item]:
        """Everything that waits for the reader, whatever is shown."""
        return [item for item in self.found if item.is_mine]

    @property
    def of_groups(self) -> list[Item]:
        """What waits for the reader as one of a group."""
        return [item for item in self.found if self._is_of_group(item)]

    @property
    def asked(self) -> list[Item]:
        """What releases of the reader's own ask, of whomever."""
        return [item for item in self.found if self._is_asked(item)]

    def blocks(self, item: Item) -> bool:
        """Whether its release stands still until it is decided."""
        return item.is_mine and item.attempt.root_id not in self.moving

    @cached_property
    def groups(self) -> list[tuple[str, list[Row]]]:
        """The items as the list shows them, without empty groups, in the order of their consequences."""
        shown = [item for item in self._chosen() if self.wanted.takes(item)]
        risks = risks_of(item.attempt for item in shown)
        heads = ("Overdue", "Due within a day", "Blocks a release", "Waiting for you", "Opens later", "Others decide")
        found: dict[str, list[Row]] = {head: [] for head in heads}
        for item in shown:
            found[self._head(item)].append(Row(item, self.blocks(item), risks[item.attempt.pk]))
        return [(head, sorted(rows, key=_consequence)) for head, rows in found.items() if rows]

    @property
    def items(self) -> list[Item]:
        """All that is shown, in that order."""
        return [row.item for _, rows in self.groups for row in rows]

    @property
    def processes(self) -> list[tuple[str, str]]:
        """What the filter by process offers."""
        return sorted({(item.release.process.identifier, str(item.release.process)) for item in self.found}, key=lambda pair: pair[1].lower())

    def _chosen(self) -> list[Item]:
        whose = {"groups": self._is_of_group, "asked": self._is_asked}.get(self.wanted.whose)
        return [item for item in self.shown if whose is None or whose(item)]

    def _is_of_group(self, item: Item) -> bool:
        return item.is_mine and item.attempt.run_id in self.by_group

    def _is_asked(self, item: Item) -> bool:
        return bool(item.release.starter_id == self.reader.pk)

    def _head(self, item: Item) -> str:
        if item.answer == "not_yet_asked":
            return "Opens later"
        if not item.is_mine:
            return "Others decide"
        if item.is_late:
            return "Overdue"
        if item.is_soon:
            return "Due within a day"
        return "Blocks a release" if self.blocks(item) else "Waiting for you"


def _consequence(row: Row) -> tuple[bool, float, int, int]:
    """Within a group: what is due first; of what has no deadline, what most waits for, then what is most at stake."""
    due = row.item.due_at
    return due is None, due.timestamp() if due else 0, -row.item.later_phases, ORDER.index(row.risk)


def inbox_of(user: Any, wanted: Wanted | None = None) -> Inbox:
    """Everything that waits for this person or that they asked; `wanted` says what of it is shown."""
    wanted = wanted or Wanted()
    attempts = list(_asked_of(user)[: MOST + 1])
    found, is_cut = items_of(attempts[:MOST], user), len(attempts) > MOST
    shown = found
    if is_cut and wanted != Wanted():
        attempts = list(_narrowed(_asked_of(user), user, wanted)[: MOST + 1])
        shown, is_cut = items_of(attempts[:MOST], user), len(attempts) > MOST
    items = [*found, *(shown if shown is not found else ())]
    roots = {item.attempt.root_id for item in items}
    moving = ActivityRun.objects.filter(root_id__in=roots, state__in=_MOVING).order_by().values_list("root_id", flat=True)
    named = RunPerson.objects.filter(run_id__in={item.attempt.run_id for item in items}, role=RunPerson.DECIDER, group__user=user)
    by_group = named.order_by().values_list("run_id", flat=True)
    return Inbox(found, shown, list(needing_attention(user)), frozenset(moving), frozenset(by_group), wanted, user, is_cut)


def _narrowed(rows: QuerySet[Attempt], user: Any, wanted: Wanted) -> QuerySet[Attempt]:
    """As far as the database can tell what the filters let through, so that none of it is behind the most that is shown; `Inbox` says the rest."""
    if wanted.process:
        rows = rows.filter(run__release__process__identifier=wanted.process)
    if wanted.due:
        now = Now()
        rows = rows.filter(
            {
                "overdue": Q(due_at__lte=now),
                "day": Q(due_at__gt=now, due_at__lte=now + timedelta(days=1)),
                "week": Q(due_at__lte=now + timedelta(days=7)),
                "never": Q(due_at=None),
            }[wanted.due]
        )
    if wanted.whose == "asked":
        rows = rows.filter(run__release__starter=user)
    if wanted.whose == "groups":
        rows = rows.filter(run__in=RunPerson.objects.filter(role=RunPerson.DECIDER, group__user=user).values("run"))
    return rows


def waiting_count(user: Any) -> int:
    """How many questions wait for this person."""
    asked = attempts_with_release(_asked_of(user).values_list("pk", flat=True)[:MOST])  # on every page: without the rows' texts
    return sum(item.is_mine for item in items_of(asked, user))


def _asked_of(user: Any) -> QuerySet[Attempt]:
    decides = ActivityRun.objects.waiting_for(user).order_by().values("pk")
    return waiting().filter(Q(run__in=decides) | Q(run__release__starter=user))


def needing_attention(user: Any) -> QuerySet[Release]:
    """Running releases of this person's that stand until somebody chooses: a failure to decide on, an outcome unknown, on hold."""
    stuck = ActivityRun.objects.filter(state__in=[Run.ON_HOLD, Run.INTERRUPTED]).values("root_id")
    live = Release.objects.visible_to(user).filter(state__in=sorted(LIVE), parent_run=None)
    found: QuerySet[Release] = live.filter(Q(pk__in=stuck) | Q(state="held")).select_related("process", "starter").order_by("-started_at")[:20]
    return found
