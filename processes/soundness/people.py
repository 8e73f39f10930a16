"""Owners and approvals: are the people there, and can they meet the rule (S14, S15, S18)? Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from processes.blueprint import ActivityType, Approval, Requirement
from processes.problems import did_you_mean
from processes.quorum import Line, Rule, satisfiable, weakest_absences
from processes.soundness.checking import Check, Place, Step, kind_of
from processes.soundness.order import Upstream

_OWNER = re.compile(r"user:[^\s@:]+@[^\s@:]+|group:\S(?:.*\S)?")
MOST_NAMES = 20


def check(c: Check, upstream: Upstream) -> None:
    """Everybody who is named, and every approval."""
    people = _People(c)
    people.named(c.blueprint.owners, ("owners",))
    for index, phase in enumerate(c.blueprint.phases):
        people.named(phase.owners, ("phases", index, "owners"))
    for step in c.steps:
        activity = step.activity
        people.named(activity.owners, (*step.place, "owners"))
        for index, task in enumerate(activity.tasks):
            people.named(task.owners, (*step.place, "tasks", index, "owners"))
        if approval := activity.approval:
            for index, line in enumerate(approval.requires):
                people.named(line.of, (*step.place, "approval", "requires", index, "of"))
            if approval.escalate:
                people.named(approval.escalate.to, (*step.place, "approval", "escalate", "to"))
    approvals = [(step, lines) for step in c.steps if (lines := people.lines(step)) is not None]
    for step, lines in approvals:
        people.rule(step, lines)
    people.earlier(approvals, upstream)


class _People:
    def __init__(self, c: Check) -> None:
        self.c = c
        self.users = None if c.world.users is None else frozenset(email.lower() for email in c.world.users)
        self.groups = None if c.world.groups is None else {name: frozenset(email.lower() for email in members) for name, members in c.world.groups.items()}
        starters = c.world.starters if c.world.starters is not None else c.world.users
        self.starters = None if starters is None else frozenset(email.lower() for email in starters)
        self.known: dict[Rule, tuple[bool, list[str]]] = {}
        self.authors = frozenset(email.lower() for email in c.world.authors or ())

    def named(self, names: Iterable[str], place: Place) -> None:
        """Each of `names` by itself."""
        seen: set[str] = set()
        for index, name in enumerate(names):
            here = (*place, index)
            kind, _, who = name.partition(":")
            if name in seen:
                self.c.say("duplicate_owner", f"{name} is named twice.", here, warning=True)
            elif not _OWNER.fullmatch(name):
                self.c.say("invalid_owner", f'"{name}" is neither user:<e-mail> nor group:<name>.', here)
            elif kind == "user" and self.users is not None and who.lower() not in self.users:
                self.c.say("unknown_user", f"There is no active user {who}.{did_you_mean(who.lower(), self.users)}", here)
            elif kind == "group" and self.groups is not None and who not in self.groups:
                self.c.say("unknown_group", f'There is no group "{who}".{did_you_mean(who, self.groups)}', here)
            elif kind == "group" and self.groups is not None and not self.groups[who]:
                self.c.say("group_without_members", f'The group "{who}" has no active members.', here)
            seen.add(name)

    def lines(self, step: Step) -> tuple[Line, ...] | None:
        """The lines of a manual activity with their people; None when it is not manual or they are not known."""
        if kind_of(step) is not ActivityType.MANUAL:
            return None
        approval = (step.whole or step.activity).approval or Approval()
        owners = self.c.owners_of(step)
        place = (*step.place, "approval", "requires")
        lines = []
        for index, line in enumerate(approval.requires or (Requirement(),)):
            of = line.of or owners
            if not of:
                message = f'Nobody is named who decides "{step.activity.id}": it, its phase and the process have no owners.'
                self.c.say("no_owner", message, (*place, index) if approval.requires else step.place)
                return None
            people = [self.members(name) for name in of]
            if approval.order == "any" and approval.requires and any(set(line.of) == set(other.of) for other in approval.requires[:index]):
                self.c.say("duplicate_line", "The same people are asked in a line above; say its count instead.", (*place, index), warning=True)
            lines.append(None if None in people else Line(line.count, frozenset().union(*(found for found in people if found is not None))))
        return tuple(line for line in lines if line is not None) if None not in lines else None

    def members(self, name: str) -> frozenset[str] | None:
        """The people behind a name; None when they are not known or there is no such name (that is said already)."""
        kind, _, who = name.partition(":")
        if kind == "user":
            return frozenset({who.lower()}) if self.users is None or who.lower() in self.users else None
        return self.groups.get(who) if self.groups is not None else None

    def rule(self, step: Step, lines: tuple[Line, ...]) -> None:
        """Can it be met, and by whom must nobody be missing (S18)?"""
        approval = (step.whole or step.activity).approval or Approval()
        place = (*step.place, "approval") if step.activity.approval else step.place
        excluded = self.authors if "author" in approval.exclude else frozenset()
        rule = Rule(lines, order=approval.order, excluded=excluded)
        met, needed = self.strength(rule)
        if not met:
            without = " without its author" if excluded and satisfiable(Rule(lines, order=approval.order)) else ""
            self.c.say("approval_unmeetable", f'Nobody can meet the approval of "{step.activity.id}"{without}: {self.why(step, lines, excluded)}.', place)
            return
        if "starter" in approval.exclude:
            starters = [person for person in needed if self.starters is None or person in self.starters]
            if self.starters and len(starters) == len(self.starters):
                first = min(starters)
                why = self.why(step, lines, excluded | {first})
                message = f'Whoever starts the release may not decide "{step.activity.id}", and without the starter it cannot be met: if {first} does, {why}.'
                self.c.say("approval_unmeetable", message, place)
                return
            if starters:
                message = f'A release that {_names(starters)} starts cannot get past "{step.activity.id}", because its starter may not decide.'
                self.c.say("approval_blocks_starters", message, place, warning=True)
        if needed:
            self.c.say("approval_needs_everybody", f'"{step.activity.id}" stands still as soon as {_names(needed)} is away.', place, warning=True)

    def why(self, step: Step, lines: tuple[Line, ...], excluded: frozenset[str]) -> str:
        """The fewest lines that cannot be met together, in words: `2 of group:qa need 2 people, and there is 1`."""
        said = shortest(lines, excluded)
        approval, owners = (step.whole or step.activity).approval or Approval(), self.c.owners_of(step)
        asked = approval.requires or (Requirement(),)
        names = [f"{asked[index].count} of {', '.join(asked[index].of or owners)}" for index in said]
        places, people = sum(lines[index].count for index in said), frozenset[str]().union(*(lines[index].of for index in said)) - excluded
        need = "together need" if len(said) > 1 else "needs" if places == 1 else "need"
        there = "there is 1" if len(people) == 1 else f"there are {len(people)}" if people else "there is nobody"
        return f"{' and '.join(names)} {need} {places} {'person' if places == 1 else 'different people'}, and {there}"

    def strength(self, rule: Rule) -> tuple[bool, list[str]]:
        """Can it be met, and who must not be missing, excluded or away? Worked out once for equal rules: they are many."""
        if rule not in self.known:
            places = sum(line.count for line in rule.lines)
            if all(len(line.of - rule.excluded) > places for line in rule.lines):
                self.known[rule] = (True, [])  # whoever is missing, every line has enough left
            elif not satisfiable(rule):
                self.known[rule] = (False, [])
            else:
                self.known[rule] = (True, sorted(weakest_absences(rule)))
        return self.known[rule]

    def earlier(self, approvals: list[tuple[Step, tuple[Line, ...]]], upstream: Upstream) -> None:
        """`earlier_approvers`: are there enough different people for it and for each approval before it?"""
        enough: dict[tuple[tuple[Line, ...], tuple[Line, ...]], bool] = {}
        for step, lines in approvals:
            approval = (step.whole or step.activity).approval
            if approval is None or "earlier_approvers" not in approval.exclude or not satisfiable(Rule(lines)):
                continue
            for other, before in approvals:
                if not upstream.of_steps[step.number] >> other.number & 1:
                    continue
                if (before, lines) not in enough:
                    enough[before, lines] = not satisfiable(Rule(before)) or satisfiable(Rule((*before, *lines)))
                if not enough[before, lines]:
                    message = f'Whoever approves "{other.activity.id}" may not decide "{step.activity.id}", and nobody else is left.'
                    self.c.say("approval_unmeetable", message, (*step.place, "approval", "exclude"))
                    break


def shortest(lines: tuple[Line, ...], excluded: frozenset[str]) -> list[int]:
    """The indexes of the fewest lines, none of which can be spared, that these people cannot fill: they need more people than all of them have."""
    left = list(range(len(lines)))
    for index in sorted(left, key=lambda index: -len(lines[index].of - excluded)):
        fewer = [other for other in left if other != index]
        if fewer and not satisfiable(Rule(tuple(lines[other] for other in fewer), excluded=excluded)):
            left = fewer
    return left


def _names(people: list[str]) -> str:
    shown = people[:MOST_NAMES]
    more = [f"{len(people) - MOST_NAMES} others"] if len(people) > MOST_NAMES else []
    every = [*shown, *more]
    return every[0] if len(every) == 1 else f"{', '.join(every[:-1])} or {every[-1]}"
