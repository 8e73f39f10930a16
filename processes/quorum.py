"""Who must agree, and do they? Pure: people and votes in, a verdict out (S14, S15, S18, S19).

A vote is cast by a human and uses an *entitlement*: the voter's own, or that of the person it is cast for ("B for A"). A human has one vote
and an entitlement counts once, so no human ever fills two places and no place is filled by somebody who is not in the line. Votes are given
to places by maximum bipartite matching in the order in which they were cast: a later vote may move an earlier one to another line, never
push it out. Whoever calls says which people a line has now; a person is its e-mail address, already in one spelling.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["open", "approved", "rejected", "impossible"]
Answer = Literal["yes", "not_yet_asked", "excluded", "not_entitled"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of `requires`: `count` distinct people of `of`."""

    count: int
    of: frozenset[str]

    def __post_init__(self) -> None:
        # A line that needs nobody would be an approval without a person.
        if self.count < 1:
            raise ValueError(f"A line needs at least one person, not {self.count}.")


@dataclass(frozen=True, slots=True)
class Rule:
    """What must be met. `excluded` people neither vote nor are voted for; a rule without lines is met by nobody."""

    lines: tuple[Line, ...]
    order: Literal["any", "sequential"] = "any"
    reject_when: Literal["any", "impossible"] = "any"
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Vote:
    """One vote. `for_` names whom the voter stands in for; a `stale` vote was about another packet (S17) and counts for nothing."""

    person: str
    approve: bool
    for_: str | None = None
    stale: bool = False

    @property
    def entitlement(self) -> str:
        """Through whom the voter may decide."""
        return self.for_ or self.person


@dataclass(frozen=True, slots=True)
class LineState:
    """A line as it stands: who fills it, and who has not voted and would fill one more place of it (others moving between lines where needed)."""

    count: int
    filled_by: tuple[str, ...]
    can_fill: frozenset[str]
    asked: bool

    @property
    def filled(self) -> bool:
        """Has every place of it somebody?"""
        return len(self.filled_by) >= self.count


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of all votes so far. `impossible`: the people who are there cannot meet the rule any more, and no rejection is the reason."""

    state: State
    lines: tuple[LineState, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """What an unfilled line still needs: `places` more votes, each by one of `people`. `line` counts from 0."""

    line: int
    places: int
    people: frozenset[str]


def verdict(rule: Rule, votes: Sequence[Vote]) -> Verdict:
    """What the votes amount to (S14, S15).

    Votes that are stale, of or for somebody excluded, or of people who are in no line do not count. An approval fills only lines that are asked. A
    rejection counts wherever: whoever may not vote yet is refused at the door (`may_decide`), and one that was given when its line was asked must
    not be lost when a line before it is open again.
    """
    live = _live(rule, votes)
    ballots = _ballots(live)
    approvals = [name for name, vote in ballots.items() if vote.approve]
    seats, asked = _seated(rule, approvals)
    full = asked == len(rule.lines) and _full(rule.lines, seats)
    rejections = [vote for vote in live if not vote.approve]
    against = {name for vote in rejections for name in (vote.person, vote.entitlement)} - set(approvals)
    # Whoever has voted, or is voted for, has nothing left to give.
    spent = against | set(approvals) | {vote.person for vote in live}
    lines = _line_states(rule, seats, asked, {name: vote.person for name, vote in ballots.items()}, spent)
    return Verdict(_state(rule, full, bool(rejections), against), lines)


def satisfiable(rule: Rule) -> bool:
    """Can the people who are there meet the rule at all (S18)?"""
    return _satisfiable(rule, rule.excluded)


def weakest_absences(rule: Rule) -> frozenset[str]:
    """Everybody whose absence alone would make the rule unmeetable (S18); empty where it is already."""
    people = _people(rule)
    seats = _match(rule.lines, sorted(people))
    if not _full(rule.lines, seats):
        return frozenset()
    # Who got no seat was not needed.
    return frozenset(person for person in seats if not _satisfiable(rule, rule.excluded | {person}))


def missing(rule: Rule, votes: Sequence[Vote]) -> tuple[Missing, ...]:
    """The lines that are not filled, in their order, each with the people who can still fill it; also those not asked yet."""
    return tuple(Missing(number, line.count - len(line.filled_by), line.can_fill) for number, line in enumerate(verdict(rule, votes).lines) if not line.filled)


def may_decide(rule: Rule, votes: Sequence[Vote], person: str, for_: str | None = None) -> Answer:
    """May this person vote now, as itself or for `for_` (S14, S15, S19)? Says nothing of whether the delegation holds."""
    through = for_ or person
    places = [number for number, line in enumerate(rule.lines) if through in line.of]
    if not places:
        return "not_entitled"
    if not rule.excluded.isdisjoint((person, through)):
        return "excluded"
    approvals = [name for name, vote in _ballots(_live(rule, votes)).items() if vote.approve]
    asked = _seated(rule, approvals)[1]
    return "yes" if places[0] < asked else "not_yet_asked"


def _state(rule: Rule, full: bool, rejected: bool, against: set[str]) -> State:
    if rejected and rule.reject_when == "any":
        return "rejected"
    if full:
        return "approved"
    if not satisfiable(rule):
        return "impossible"
    # Everyone else counts as able to approve: only then are the rejections alone the reason (S15).
    return "open" if _satisfiable(rule, rule.excluded | against) else "rejected"


def _people(rule: Rule) -> frozenset[str]:
    """Everybody who may decide, at some time."""
    return frozenset().union(*(line.of for line in rule.lines)) - rule.excluded


def _live(rule: Rule, votes: Iterable[Vote]) -> list[Vote]:
    """The votes that count for something, one a human: the last, because a vote may be changed, in the place of the first."""
    last = {vote.person: vote for vote in votes if not vote.stale}
    people = _people(rule)
    return [vote for vote in last.values() if vote.entitlement in people and vote.person not in rule.excluded]


def _ballots(live: Iterable[Vote]) -> dict[str, Vote]:
    """The one vote of each entitlement: a person's own before any cast for it; of several cast for it a rejection, else the first."""
    found: dict[str, Vote] = {}
    for vote in live:
        held = found.get(vote.entitlement)
        if held is None or vote.person == vote.entitlement or (held.person != held.entitlement and held.approve and not vote.approve):
            found[vote.entitlement] = vote
    return found


def _satisfiable(rule: Rule, without: frozenset[str] | set[str]) -> bool:
    everybody = frozenset().union(*(line.of for line in rule.lines))
    return bool(rule.lines) and _full(rule.lines, _match(rule.lines, sorted(everybody - without)))


def _full(lines: Sequence[Line], seats: Mapping[str, int]) -> bool:
    return bool(lines) and len(seats) == sum(line.count for line in lines)


def _seated(rule: Rule, people: Sequence[str]) -> tuple[dict[str, int], int]:
    """Who sits in which line, and how many lines are asked: all of them, or one more than are filled (S15)."""
    if rule.order == "any":
        return _match(rule.lines, people), len(rule.lines)
    seats: dict[str, int] = {}
    for asked in range(1, len(rule.lines) + 1):
        # Going on from the seats found keeps every line before filled: matching moves people, it never unseats them.
        seats = _match(rule.lines[:asked], people, seats)
        if not _full(rule.lines[:asked], seats):
            return seats, asked
    return seats, len(rule.lines)


def _match(lines: Sequence[Line], people: Sequence[str], seats: Mapping[str, int] | None = None) -> dict[str, int]:
    """Seats as many of `people` as possible, each in one line that has them, earlier ones first (augmenting paths)."""
    seats = dict(seats or {})
    sitting: list[list[str]] = [[] for _ in lines]
    for name, number in seats.items():
        sitting[number].append(name)
    places = sum(line.count for line in lines)
    for person in people:
        if len(seats) == places:
            break
        if person not in seats:
            for name, number in _path(lines, sitting, person):
                if name in seats:
                    sitting[seats[name]].remove(name)
                sitting[number].append(name)
                seats[name] = number
    return seats


def _path(lines: Sequence[Line], sitting: Sequence[Sequence[str]], person: str) -> list[tuple[str, int]]:
    """The fewest moves (who goes to which line) that seat one more person; empty if there is none. Breadth first: the fewest people move."""
    came: dict[int, tuple[str, int | None]] = {number: (person, None) for number, line in enumerate(lines) if person in line.of}
    queue = deque(came)
    while queue:
        number = queue.popleft()
        if len(sitting[number]) < lines[number].count:
            moves: list[tuple[str, int]] = []
            target: int | None = number
            while target is not None:
                name, origin = came[target]
                moves.append((name, target))
                target = origin
            return moves
        for other, line in enumerate(lines):
            if other not in came:
                mover = next((name for name in sitting[number] if name in line.of), None)
                if mover is not None:
                    came[other] = (mover, number)
                    queue.append(other)
    return []


def _line_states(rule: Rule, seats: Mapping[str, int], asked: int, voters: Mapping[str, str], spent: set[str]) -> tuple[LineState, ...]:
    """Each line with who fills it (in the order of the votes) and who still can."""
    free = _people(rule) - spent
    lines = []
    for number, line in enumerate(rule.lines):
        filled_by = tuple(voters[name] for name in voters if seats.get(name) == number)
        can_fill: frozenset[str] = frozenset()
        if number >= asked:
            can_fill = line.of & free
        elif len(filled_by) < line.count:
            can_fill = free & _within_reach(rule.lines[:asked], seats, number)
        lines.append(LineState(line.count, filled_by, can_fill, number < asked))
    return tuple(lines)


def _within_reach(lines: Sequence[Line], seats: Mapping[str, int], goal: int) -> frozenset[str]:
    """Everybody whose vote would fill one more place of line `goal`, because people sitting elsewhere can move towards it."""
    reached = [goal]
    for target in reached:
        for number in range(len(lines)):
            if number not in reached and any(seat == number and name in lines[target].of for name, seat in seats.items()):
                reached.append(number)
    return frozenset().union(*(lines[number].of for number in reached))


def best_entitlement(rule: Rule, votes: Sequence[Vote], person: str, principals: Iterable[str] = ()) -> tuple[Answer, str | None]:
    """Through whom this person would vote now, and whether it may: itself (None) or one of those it stands in for (S19).

    Its own entitlement, unless that of another fills more places. Whoever has voted itself, or has been voted for by somebody else, is not voted for again.
    """
    others = [vote for vote in votes if vote.person != person]
    used = {vote.entitlement for vote in _live(rule, others)}
    best: tuple[Answer, str | None] = "not_entitled", None
    most = -1
    for through in (None, *sorted(set(principals) - used - {person})):
        answer = may_decide(rule, others, person, through)
        if answer == "yes":
            filled = sum(len(line.filled_by) for line in verdict(rule, (*others, Vote(person, True, through))).lines)
            if filled > most:
                best, most = (answer, through), filled
        elif most < 0 and _ANSWERS.index(answer) > _ANSWERS.index(best[0]):
            best = answer, through
    return best


_ANSWERS: tuple[Answer, ...] = ("not_entitled", "excluded", "not_yet_asked", "yes")
