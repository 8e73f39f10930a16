"""What changed between two blueprints, by meaning, and which changes weaken a control. Pure.

Phases, activities, tasks and rules are matched by what identifies them, never by their place in a list; defaults count as if they were written.
A change *weakens* when after it less is checked, fewer people must agree, more people may, or something can be left out that could not before.
Where that cannot be told (a condition rewritten), it counts as weakening: a reader who looks in vain loses less than one who does not look.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from processes.blueprint import Activity, ActivityType, Approval, Blueprint, Phase
from processes.problems import pointer
from processes.soundness import World, order
from processes.soundness.checking import Check

Kind = Literal["added", "removed", "changed"]
Weakens = Callable[[Any, Any], bool]
_LONGEST = 80
_COMMENT = {"optional": 0, "required_on_reject": 1, "required": 2}
_CONFIRMING: tuple[bool | str, ...] = (False, True, "signature", "passkey")


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `place` points into the document after it; of what was removed, into the one before."""

    kind: Kind
    place: str
    before: Any
    after: Any
    text: str
    weakens: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The shape of a difference in the API (semantics, section 7)."""
        return asdict(self)


def changes(before: Blueprint, after: Blueprint) -> list[Change]:
    """Every change, in the file's order."""
    comparison = _Comparison(before, after)
    comparison.whole(before, after)
    return comparison.found


def _becomes(*values: Any) -> Weakens:
    return lambda before, after: any(after is value or after == value for value in values)


def _lower(before: Any, after: Any) -> bool:
    return before is not None and (after is None or _less(after, before))


def _higher(before: Any, after: Any) -> bool:
    return before is not None and (after is None or _less(before, after))


def _less(one: Any, other: Any) -> bool:
    # Of what has no order that is known here (dates are text) it cannot be told.
    return one < other if isinstance(one, int | float) and isinstance(other, int | float) else True


def _loses(before: Any, after: Any) -> bool:
    return not set(before or ()) <= set(after or ())


def _gains(before: Any, after: Any) -> bool:
    return not set(map(_key, after or ())) <= set(map(_key, before or ()))


def _is_set(before: Any, after: Any) -> bool:
    return after is not None


def _was_set(before: Any, after: Any) -> bool:
    return before is not None


_ITEM: dict[str, Weakens] = {
    "if": _is_set,
    "optional": _becomes(True),
    "recovers": _becomes(True),
    "respects_freeze": lambda before, after: before is True,
    "on_failure": _becomes("ignore"),
    "lock": _was_set,
    "type": lambda before, after: before == ActivityType.MANUAL,
    "uses": lambda before, after: after is None,  # what the store's activity asked of people is not known here
}
_APPROVAL: dict[str, Weakens] = {
    "order": _becomes("any"),
    "exclude": _loses,
    "reject_when": _becomes("impossible"),
    "on_reject": _becomes("hold"),  # a run on hold can be ignored, one that ended rejected cannot
    "on_expiry": _becomes("hold"),
    "comment": lambda before, after: _COMMENT[after] < _COMMENT[before],
    "reauthenticate": lambda before, after: _CONFIRMING.index(after) < _CONFIRMING.index(before),
    "allow_tokens": _becomes(True),
    "binds": lambda before, after: before is None or (after is not None and _loses(before, after)),
}
_VARIABLE: dict[str, Weakens] = {
    "required": _becomes(False),
    "required_if": _was_set,
    "pattern": _was_set,
    "options": _gains,
    "accept": lambda before, after: bool(before) and (not after or _gains(before, after)),
    "max_size": _was_set,
    "min": _lower,
    "min_length": _lower,
    "max": _higher,
    "max_length": _higher,
}
_TASK: dict[str, Weakens] = {"required": lambda before, after: before is not False}
_BY_KEY = ("variables", "with", "inputs", "outputs")
_ELSEWHERE = ("depends_on", "run_when", "apiVersion", "kind", "id", "phases", "activities", "rules", "approval", "tasks", "fields", *_BY_KEY)


class _Order:
    """What is upstream of each activity of a blueprint; which of them are asked of people."""

    def __init__(self, blueprint: Blueprint) -> None:
        check = Check(blueprint, World())
        self._bits = order.check(check).of_steps
        self._steps = {step.activity.id: step for step in reversed(check.steps)}
        self.ids = frozenset(self._steps)

    def waits(self, activity: str, other: str) -> bool:
        """Whether `other` is upstream of `activity`."""
        return bool(self._bits[self._steps[activity].number] >> self._steps[other].number & 1)

    def before(self, activity: str) -> set[str]:
        """Everything upstream."""
        return {other for other in self._steps if self.waits(activity, other)}

    def behind_people(self, activity: str) -> bool:
        """Whether people decide before it, or in it."""
        return any(_asks_people(self._steps[other].activity) for other in (activity, *self.before(activity)))


class _Comparison:
    def __init__(self, before: Blueprint, after: Blueprint) -> None:
        self.found: list[Change] = []
        self.old, self.new = _Order(before), _Order(after)
        self.kept = self.old.ids & self.new.ids

    def stops_waiting(self, activities: Iterable[str]) -> bool:
        """Whether one of the activities no longer waits for something that it waited for, and that is still there."""
        return any((self.old.before(activity) & self.kept) - self.new.before(activity) for activity in activities)

    def is_no_longer_waited_for(self, activity: str) -> bool:
        """Whether some activity waited for this one and does not any more."""
        return any(self.old.waits(other, activity) and not self.new.waits(other, activity) for other in self.kept)

    def runs_unasked(self, was: str, now: str, activities: Iterable[str]) -> bool:
        """Whether a new `run_when` lets something run although people have declined, or leaves it out when nothing failed."""
        if now == "failed":
            return True
        return was == "satisfied" and any(self.new.behind_people(activity) for activity in activities)

    def when_and_after(self, place: tuple[str | int, ...], was: Mapping[str, Any], now: Mapping[str, Any], of: str, activities: Iterable[str]) -> None:
        """`depends_on` and `run_when`, whose weight lies in what stands around them."""
        inside = tuple(activities)
        self.note((*place, "depends_on"), was["depends_on"], now["depends_on"], f"depends on of {of}", lambda *_: self.stops_waiting(inside))
        self.note((*place, "run_when"), was["run_when"], now["run_when"], f"run when of {of}", lambda old, new: self.runs_unasked(old, new, inside))

    def note(self, place: Iterable[str | int], before: Any, after: Any, what: str, weakens: Weakens | None = None) -> None:
        """One value: the same is no change, None is nothing there."""
        if _key(before) == _key(after):
            return
        kind: Kind = "added" if before is None else "removed" if after is None else "changed"
        said = f"{what} {kind}: {_short(after if before is None else before)}" if kind != "changed" else f"{what}: {_short(before)} -> {_short(after)}"
        self.found.append(Change(kind, pointer(*place), before, after, said, bool(weakens and weakens(before, after))))

    def keys(self, place: tuple[str | int, ...], before: Mapping[str, Any], after: Mapping[str, Any], of: str, table: Mapping[str, Weakens]) -> None:
        for key in after:
            if key not in _ELSEWHERE:
                self.note((*place, key), before.get(key), after[key], f"{key.replace('_', ' ')} of {of}", table.get(key))

    def entries(self, place: tuple[str | int, ...], before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, what: str) -> None:
        """A mapping of free names."""
        old, new = before or {}, after or {}
        for name in [*new, *(name for name in old if name not in new)]:
            self.note((*place, name), old.get(name), new.get(name), f"{what} “{name}”")

    def variables(self, place: tuple[str | int, ...], before: Mapping[str, Any], after: Mapping[str, Any], what: str) -> None:
        """Inputs, or the fields of a form."""
        for name in [*after, *(name for name in before if name not in after)]:
            old, new = before.get(name), after.get(name)
            if old is None or new is None:
                self.note((*place, name), old, new, f"{what} “{name}”", lambda was, _: was is not None and was["required"])
            else:
                self.keys((*place, name), old, new, f"{what} “{name}”", _VARIABLE)

    def whole(self, before: Blueprint, after: Blueprint) -> None:
        old, new = _plain(before), _plain(after)
        self.keys((), old, new, "the process", {})
        self.variables(("inputs",), old["inputs"], new["inputs"], "input")
        self.rules(old["rules"], new["rules"])
        self.entries(("variables",), old["variables"], new["variables"], "variable")
        self.phases(before, after)
        self.activities(before, after)
        self.entries(("outputs",), old["outputs"], new["outputs"], "output")

    def rules(self, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
        old = {rule["check"]: (number, rule) for number, rule in enumerate(before)}
        new = {rule["check"]: (number, rule) for number, rule in enumerate(after)}
        for check, (number, rule) in new.items():
            if check not in old:
                self.note(("rules", number), None, rule, f"rule “{_short(check)}”")
            else:
                self.note(("rules", number, "message"), old[check][1]["message"], rule["message"], f"message of the rule “{_short(check)}”")
        for check, (number, rule) in old.items():
            if check not in new:
                self.note(("rules", number), rule, None, f"rule “{_short(check)}”", _was_set)

    def phases(self, before: Blueprint, after: Blueprint) -> None:
        old, new = {phase.id: (number, phase) for number, phase in enumerate(before.phases)}, {phase.id: (n, phase) for n, phase in enumerate(after.phases)}
        for key, (number, phase) in new.items():
            if key not in old:
                self.found.append(Change("added", pointer("phases", number), None, key, f"phase “{phase.label}” added"))
                continue
            was, now, of = _plain(old[key][1]), _plain(phase), f"phase “{phase.label}”"
            self.keys(("phases", number), was, now, of, _ITEM)
            inside = {activity.id for activity in phase.activities} & {activity.id for activity in old[key][1].activities}
            self.when_and_after(("phases", number), was, now, of, inside)
            for name in ("variables", "outputs"):
                self.entries(("phases", number, name), was[name], now[name], f"{name[:-1]} of {of}")
        for key, (number, phase) in old.items():
            if key not in new:
                guards = any(_asks_people(activity) for activity in phase.activities)
                self.found.append(Change("removed", pointer("phases", number), key, None, f"phase “{phase.label}” removed", guards))
        common = [key for key in new if key in old]
        if common != [key for key in old if key in new]:
            self.found.append(Change("changed", "/phases", list(old), list(new), "the phases stand in another order"))

    def activities(self, before: Blueprint, after: Blueprint) -> None:
        old, new = _located(before), _located(after)
        for key, (place, phase, activity) in new.items():
            if key not in old:
                kind = f"{activity.type} " if activity.type else ""
                self.found.append(Change("added", pointer(*place), None, key, f"{kind}activity “{activity.label}” added to phase “{phase.label}”"))
                continue
            _, former_phase, former = old[key]
            if former_phase.id != phase.id:
                said = f"activity “{activity.label}” moved from phase “{former_phase.label}” to “{phase.label}”"
                weakens = self.stops_waiting((key,)) or self.is_no_longer_waited_for(key)
                self.found.append(Change("changed", pointer(*place), former_phase.id, phase.id, said, weakens))
            self.activity(place, before, former_phase, former, after, phase, activity)
        for key, (place, phase, activity) in old.items():
            if key not in new:
                guards = _asks_people(activity)
                self.found.append(Change("removed", pointer(*place), key, None, f"activity “{activity.label}” removed from phase “{phase.label}”", guards))
        for phase in after.phases:
            ids = [activity.id for activity in phase.activities if activity.id in old and old[activity.id][1].id == phase.id]
            was = [key for key, (_, where, _activity) in old.items() if where.id == phase.id and key in ids]
            if ids != was:
                order = pointer("phases", after.phases.index(phase), "activities")
                self.found.append(Change("changed", order, was, ids, f"the activities of phase “{phase.label}” stand in another order"))

    def activity(self, place: tuple[str | int, ...], old: Blueprint, old_phase: Phase, before: Activity, new: Blueprint, phase: Phase, after: Activity) -> None:
        was, now, of = _plain(before), _plain(after), f"“{after.label}”"
        self.keys(place, was, now, of, _ITEM)
        self.when_and_after(place, was, now, of, (after.id,))
        for name in _BY_KEY:
            what = "argument" if name == "with" else name[:-1]
            self.entries((*place, name), was[name], now[name], f"{what} of {of}")
        self.variables((*place, "fields"), was["fields"], now["fields"], f"field of {of}:")
        self.tasks((*place, "tasks"), was["tasks"], now["tasks"], of)
        if _asks_people(before) or _asks_people(after):
            former, latter = before.approval or Approval(), after.approval or Approval()
            owners = (before.owners or old_phase.owners or old.owners, after.owners or phase.owners or new.owners)
            self.lines((*place, "approval", "requires"), _lines(former, owners[0]), _lines(latter, owners[1]), of)
            skip = {"requires"}
            plain = _plain(former), _plain(latter)
            self.keys((*place, "approval"), plain[0], {key: value for key, value in plain[1].items() if key not in skip}, f"the approval of {of}", _APPROVAL)

    def tasks(self, place: tuple[str | int, ...], before: list[dict[str, Any]], after: list[dict[str, Any]], of: str) -> None:
        old, new = {task["id"]: task for task in before}, {task["id"]: (number, task) for number, task in enumerate(after)}
        for key, (number, task) in new.items():
            if key in old:
                self.keys((*place, number), old[key], task, f"task “{task['name'] or key}” of {of}", _TASK)
            else:
                self.note((*place, number), None, task, f"task “{task['name'] or key}” of {of}")
        for number, task in enumerate(before):
            if task["id"] not in new:
                self.note((*place, number), task, None, f"task “{task['name'] or task['id']}” of {of}", lambda was, _: was["required"] is not False)

    def lines(self, place: tuple[str | int, ...], before: list[dict[str, Any]], after: list[dict[str, Any]], of: str) -> None:
        """Who must agree: lines for the same people are matched, what is left over in its order."""
        left = list(before)
        pairs: list[tuple[dict[str, Any] | None, dict[str, Any]]] = []
        for line in after:
            same = next((other for other in left if set(other["of"]) == set(line["of"])), None)
            pairs.append((same, line))
            if same is not None:
                left.remove(same)
        for number, (was, line) in enumerate(pairs):
            if was is None and left:
                was = left.pop(0)
            if was is None:
                self.note((*place, number), None, line, f"approval of {of}")
                continue
            who = ", ".join(line["of"]) or "nobody"
            self.note((*place, number, "count"), was["count"], line["count"], f"approval of {of} by {who}", _lower)
            if set(was["of"]) != set(line["of"]):
                self.note((*place, number, "of"), was["of"], line["of"], f"who may approve {of}", _gains)
        for line in left:
            self.note((*place, before.index(line)), line, None, f"approval of {of}", _was_set)


def _asks_people(activity: Activity) -> bool:
    """A manual one; one of the store is, as far as its approval tells."""
    return activity.type is ActivityType.MANUAL or activity.approval is not None


def _lines(approval: Approval, owners: Iterable[str]) -> list[dict[str, Any]]:
    """The lines as they count: without any, one of the owners; a line without people means the owners."""
    if not approval.requires:
        return [{"count": 1, "of": list(owners)}]
    return [{"count": line.count, "of": list(line.of or owners)} for line in approval.requires]


def _located(blueprint: Blueprint) -> dict[str, tuple[tuple[str | int, ...], Phase, Activity]]:
    return {
        activity.id: (("phases", number, "activities", place), phase, activity)
        for number, phase in enumerate(blueprint.phases)
        for place, activity in enumerate(phase.activities)
    }


def _plain(part: Blueprint | Phase | Activity | Approval) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude={"phases", "activities"} if not isinstance(part, Approval) else None)


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _short(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = ", ".join(value) or "none"
    elif isinstance(value, dict) and set(value) == {"count", "of"}:
        text = f"{value['count']} of {', '.join(value['of']) or 'nobody'}"
    elif isinstance(value, str):
        text = value or "empty"
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
