"""Whole random sound processes with every key of the format (tests/slips.py breaks them).

`sound_documents()` and `sound_blueprints()` are hypothesis strategies; what they make is sound in `surroundings()`, starts without
any input given, and reads only what is upstream. A seed and two sizes decide everything, which is fast; hypothesis shrinks the sizes and the keys.
"""

from __future__ import annotations

import os
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import strategies as st

from processes.blueprint import Blueprint, StoreActivity
from processes.reading import parse
from processes.soundness import World

EXAMPLES = int(os.environ.get("RELORCH_PROPERTY_EXAMPLES", "200"))

GROUPS = {
    "release-managers": frozenset({"rita@example.com", "ralf@example.com", "rosa@example.com"}),
    "qa": frozenset({"quin@example.com", "quentin@example.com", "queenie@example.com", "rita@example.com"}),
    "security": frozenset({"sam@example.com", "selma@example.com", "sofia@example.com"}),
}
USERS = frozenset[str]().union(*GROUPS.values())

TEXTS = (
    "Release the shop",
    "yes",
    "No",
    "null",
    "~",
    "1.10",
    "012",
    "0x1F",
    "1e3",
    "12:30:45",
    "2026-03-01",
    "- not a list",
    "key: value",
    "ends with a colon:",
    "a # b",
    "#tag",
    "*star",
    "&and",
    "!bang",
    "%percent",
    "@at",
    "`tick`",
    "{brace}",
    "[bracket",
    "'single'",
    'say "hi"',
    "back\\slash",
    "a 'b' \"c\" \\d",
    " leading",
    "trailing ",
    "tab\there",
    "two\nlines",
    "three\nlines\nhere\n",
    "many at the end\n\n\n",
    "\nstarts empty\n",
    "  indented first\nthen not\n",
    "blank line with spaces\n   \nin the middle",
    "spaces at the end  \nof a line\n",
    "ends with blanks\n  ",
    "\n",
    "carriage\r\nreturn",
    "Grüße, 世界 🚀",
    "line\u2028separator",
    "next\x85line",
    "soft\xadhyphen and\xa0nbsp",
    "bell\x07",
    "---",
    "...",
    "=",
    "<<",
    "?",
    "-",
    ": x",
    "#!/bin/sh\nset -e\necho \"$A\" | sed 's/a/b/'\n",
    "x" * 300,
)
VALUES: tuple[Any, ...] = (*TEXTS, "", 0, 1, -7, 2**40, 1.5, 2.0, 1e-7, -0.25, 123456789.125, True, False, None, [], {})
DURATIONS = ("90s", "30m", "24h", "2d", "1d12h", "PT45M", "P1W", "0s", "90m")

CONNECTION = "build-server"

CHILD: dict[str, Any] = {
    "id": "child_process",
    "owners": ["group:release-managers"],
    "inputs": {"image": {"type": "string", "default": "none"}, "wait": {"type": "duration", "default": "5s"}},
    "phases": [{"id": "only", "activities": [{"id": "step", "type": "automated", "connector": "noop", "outputs": {"url": "http://child"}}]}],
    "outputs": {"url": "${{ activities.step.outputs.url }}"},
}
STEP_OF_STORE: dict[str, Any] = {
    "kind": "Activity",
    "id": "store_step",
    "inputs": {"target": {"type": "string", "default": "none"}},
    "outputs": {"report": {"type": "string"}},
    "activity": {
        "type": "automated",
        "connector": "noop",
        "with": {"outputs": {"report": "${{ inputs.target }}"}},
        "outputs": {"report": "${{ result.outputs.report }}"},
        "on_failure": "ignore",
    },
}


def child_process() -> Blueprint:
    """The process that subprocesses here run."""
    found = parse(CHILD).blueprint
    assert isinstance(found, Blueprint)
    return found


def store_activity() -> StoreActivity:
    """The activity of the store that `uses` names here: `store_step`, with or without `@1`."""
    found = parse(STEP_OF_STORE).blueprint
    assert isinstance(found, StoreActivity)
    return found


def surroundings() -> World:
    """In which all of these processes are sound."""
    return World(
        processes={CHILD["id"]: child_process()},
        store={(STEP_OF_STORE["id"], version): store_activity() for version in (None, 1)},
        groups=GROUPS,
        users=USERS,
        connections=frozenset({CONNECTION}),
        scripts_allowed=True,
    )


@dataclass(frozen=True)
class Mix:
    """What may occur. `awkward`: texts that are hard to write; `keys`: how often an optional key is there, from 0 to 1."""

    phases: int = 4
    activities: int = 4
    kinds: tuple[str, ...] = ("automated", "manual", "subprocess", "uses")
    connectors: tuple[str, ...] = ("noop", "script", "timer", "http")
    awkward: bool = True
    keys: float = 0.35


EVERYTHING = Mix()


def sound_documents(mix: Mix = EVERYTHING) -> st.SearchStrategy[dict[str, Any]]:
    """Documents of sound processes."""
    return st.builds(
        lambda seed, phases, activities, keys: document(Random(seed), mix, phases, activities, keys),
        st.integers(0, 2**48),
        st.integers(1, mix.phases),
        st.integers(1, mix.activities),
        st.sampled_from((0.0, mix.keys / 2, mix.keys, 1.0)),
    )


def sound_blueprints(mix: Mix = EVERYTHING) -> st.SearchStrategy[Blueprint]:
    """Sound processes, typed."""

    def typed(found: dict[str, Any]) -> Blueprint:
        reading = parse(found)
        assert isinstance(reading.blueprint, Blueprint), reading.problems
        assert not reading.problems, reading.problems
        return reading.blueprint

    return sound_documents(mix).map(typed)


def document(random: Random, mix: Mix, phases: int = 3, activities: int = 3, keys: float = 0.35) -> dict[str, Any]:
    """One sound process of that many phases, each with 1 to `activities` activities."""
    return _Writer(random, mix, keys).process(phases, activities)


@dataclass
class _Writer:
    random: Random
    mix: Mix
    keys: float
    upstream: dict[str, set[str]] = field(default_factory=dict)  # of phases and activities: every activity before them
    puts_out: dict[str, list[str]] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    def some(self, **values: Callable[[], Any]) -> dict[str, Any]:
        """Each key with its value, or not."""
        return {key.rstrip("_"): make() for key, make in values.items() if self.random.random() < self.keys}

    def text(self) -> str:
        return self.random.choice(TEXTS) if self.mix.awkward else f"Text {self.random.randrange(100)}"

    def value(self, depth: int = 2) -> Any:
        if depth and self.random.random() < 0.3:
            if self.random.random() < 0.5:
                return [self.value(depth - 1) for _ in range(self.random.randrange(3))]
            return {self.random.choice(("key", "on", "1", "a b", "x-y", "é", "a: b")): self.value(depth - 1) for _ in range(self.random.randrange(3))}
        return self.random.choice(VALUES) if self.mix.awkward else self.random.randrange(100)

    def duration(self) -> str:
        return self.random.choice(DURATIONS)

    def flag(self) -> bool:
        return self.random.random() < 0.5

    def owners(self) -> list[str]:
        return self.random.sample([f"group:{group}" for group in GROUPS] + ["user:rita@example.com"], self.random.randint(1, 2))

    def reading(self, item: str) -> str:
        """An expression that always resolves, about what is upstream of `item`."""
        choices = [f"inputs.{name}" for name in self.inputs] + [f"variables.{name}" for name in self.variables] + ["release.id", "process.id"]
        for before in sorted(self.upstream.get(item, ())):
            choices.append(f"activities.{before}.state")
            choices += [f"(has(activities.{before}.outputs.{name}) ? activities.{before}.outputs.{name} : 'none')" for name in self.puts_out[before]]
        return self.random.choice(choices)

    def template(self, item: str) -> Any:
        if self.flag():
            return "${{ " + self.reading(item) + " }}"
        return f"{self.random.choice(('v', 'a: ', '- ', '# '))}${{{{ {self.reading(item)} }}}} and ${{{{ 1 + 2 }}}}"

    def condition(self, item: str) -> str:
        before = sorted(self.upstream.get(item, ()))
        test = f"activities.{self.random.choice(before)}.state == 'succeeded'" if before and self.flag() else "inputs.flag"
        return self.random.choice((test, f"!({test})", "${{ " + test + " }}", f"{test} || size(process.id) > 3"))

    def process(self, phases: int, activities: int) -> dict[str, Any]:
        head = self.some(apiVersion=lambda: "relorch/v1", kind=lambda: "Process")
        found = head | {"id": f"process_{self.random.randrange(1000)}", "owners": self.owners()}
        found |= self.some(name=self.text, description=self.text, category=lambda: self.random.choice(("standard", "hotfix", "rollback")), fail_fast=self.flag)
        found["inputs"] = {"flag": {"type": "boolean", "default": self.flag()}} | self.some(**{kind: lambda kind=kind: self.variable(kind) for kind in _TYPES})
        found |= self.some(rules=lambda: [{"check": "inputs.flag || !inputs.flag", "message": self.text()}])
        self.inputs = ("flag",)
        found |= self.some(variables=lambda: {"first": self.template(""), "second": "${{ variables.first }}", "third": self.value()})
        self.variables = tuple(found.get("variables", ()))
        found["phases"] = []
        for number in range(phases):
            found["phases"].append(self.phase(number, activities, found["phases"]))
        every = [activity["id"] for phase in found["phases"] for activity in phase["activities"]]
        self.upstream[""] = set(every)
        return found | self.some(outputs=lambda: {"result": self.template(""), "fixed": self.value()})

    def phase(self, number: int, activities: int, before: list[dict[str, Any]]) -> dict[str, Any]:
        name = f"phase_{number}"
        found: dict[str, Any] = {"id": name} | self.some(name=self.text, description=self.text, owners=self.owners)
        waits = self.random.sample(before, min(len(before), self.random.choice((0, 1, 1, 2))))
        if waits:
            found["depends_on"] = [phase["id"] for phase in waits]
        own = {activity["id"] for phase in waits for activity in phase["activities"]}
        self.upstream[name] = own.union(*(self.upstream[activity] for activity in own))
        found |= self.some(if_=lambda: self.condition(name), variables=lambda: {"of_phase": self.template(name)}, lock=lambda: "lock ${{ inputs.flag }}")
        found |= self.some(lock_while_waiting=lambda: self.random.choice(("keep", "release")))
        if waits:
            found |= self.some(run_when=self.run_when)
        found["activities"] = []
        for place in range(self.random.randint(1, activities)):
            found["activities"].append(self.activity(f"step_{number}_{place}", name, found["activities"], before))
        last = found["activities"][-1]["id"]
        self.upstream[name + " closed"] = {activity["id"] for activity in found["activities"]}
        return found | self.some(outputs=lambda: {"of": self.template(name + " closed"), "last": f"${{{{ activities.{last}.state }}}}"})

    def run_when(self) -> str:
        return self.random.choice(("satisfied", "failed", "always"))

    def activity(self, name: str, phase: str, siblings: list[dict[str, Any]], phases: list[dict[str, Any]]) -> dict[str, Any]:
        near = [sibling["id"] for sibling in siblings]
        far = [activity["id"] for other in phases for activity in other["activities"]]
        waits = self.random.sample(near, min(len(near), self.random.choice((0, 1, 2)))) + self.random.sample(far, min(len(far), self.random.choice((0, 0, 1))))
        self.upstream[name] = self.upstream[phase].union(waits, *(self.upstream[before] for before in waits))
        kind = self.random.choice(self.mix.kinds)
        found: dict[str, Any] = {"id": name} | self.some(name=self.text, description=self.text, owners=self.owners, if_=lambda: self.condition(name))
        if waits:
            found["depends_on"] = waits
            found |= self.some(run_when=self.run_when)
            if found.get("run_when") in ("failed", "always"):
                found |= self.some(recovers=self.flag)
        found |= self.some(optional=self.flag, respects_freeze=self.flag, variables=lambda: {"own": self.template(name)}, expected=self.duration)
        found |= self.some(on_failure=lambda: self.random.choice(("hold", "fail", "ignore")))
        found |= self.some(lock=lambda: "one at a time", lock_while_waiting=lambda: self.random.choice(("keep", "release")))
        found |= {"automated": self.automated, "manual": self.manual, "subprocess": self.subprocess, "uses": self.used}[kind](name)
        self.puts_out[name] = sorted(key for key in found.get("outputs", ()) if key in ("image", "url"))
        return found

    def machine(self) -> dict[str, Any]:
        retry = {"attempts": self.random.randint(1, 5), "delay": "10s", "backoff": self.random.choice((1, 2, 1.5)), "max_delay": "5m"}
        return self.some(timeout=lambda: self.random.choice(("30m", "6h")), retry=lambda: retry)

    def automated(self, name: str) -> dict[str, Any]:
        connector = self.random.choice(self.mix.connectors)
        found: dict[str, Any] = {"type": "automated", "connector": connector} | self.machine()
        if connector == "noop":
            found |= self.some(with_=lambda: {"outputs": {"image": self.template(name), "data": self.value()}, "message": self.text()})
        elif connector == "script":
            found["with"] = {"run": "#!/bin/sh\necho image=$IMAGE >> $RELORCH_OUTPUT\n", "env": {"IMAGE": self.template(name)}}
        elif connector == "timer":
            found["with"] = {"for": "5s"}
        else:
            found["with"] = {"url": "https://example.com/hook", "method": "POST", "body": {"image": self.template(name), "more": self.value()}}
        if connector in ("script", "http"):
            found |= self.some(effect=lambda: self.random.choice(("keyed", "once")))
        if connector == "http":
            found |= self.some(connection=lambda: CONNECTION)
        return found | self.some(outputs=lambda: self.random.choice(({"image": "${{ has(result.outputs.image) ? result.outputs.image : '' }}"}, {})))

    def manual(self, name: str) -> dict[str, Any]:
        fields = {"summary": {"type": "text", "min_length": 2}, "report": {"type": "file", "accept": [".pdf", ".png"], "max_size": "10MB"}}
        tasks = [{"id": "smoke", "required": True} | self.some(name=self.text, description=self.text, owners=self.owners, expected=self.duration)]
        tasks.append({"id": "look"} | self.some(required=lambda: "inputs.flag"))
        found = {"type": "manual"} | self.some(instructions=self.text, fields=lambda: fields, tasks=lambda: tasks, approval=lambda: self.approval(name))
        if "fields" in found:
            found |= self.some(outputs=lambda: {"note": "${{ has(result.outputs.summary) ? result.outputs.summary : '' }}"})
        return found

    def approval(self, name: str) -> dict[str, Any]:
        lines = [{"count": 2, "of": ["group:qa"]}, {"count": 1, "of": ["group:security", "user:ralf@example.com"]}, {"of": ["group:release-managers"]}]
        binds = ["inputs", "variables", *(f"activities.{before}.outputs" for before in sorted(self.upstream[name])[:2])]
        found = self.some(
            requires=lambda: self.random.sample(lines, self.random.randint(1, 2)),
            order=lambda: self.random.choice(("any", "sequential")),
            exclude=lambda: ["starter"],
            due=lambda: "24h",
            on_expiry=lambda: self.random.choice(("hold", "reject")),
            on_reject=lambda: self.random.choice(("hold", "fail")),
            reject_when=lambda: self.random.choice(("any", "impossible")),
            comment=lambda: self.random.choice(("optional", "required", "required_on_reject")),
            reauthenticate=self.flag,
            allow_tokens=self.flag,
            binds=lambda: self.random.sample(binds, self.random.randint(1, len(binds))),
        )
        if "due" in found:
            found |= self.some(reminders=lambda: ["12h", "20h"], escalate=lambda: {"after": "20h", "to": ["group:release-managers"]})
        return found

    def subprocess(self, name: str) -> dict[str, Any]:
        found = {"type": "subprocess", "process": CHILD["id"]} | self.machine()
        return found | self.some(inputs=lambda: {"image": f"${{{{ string({self.reading(name)}) }}}}"}, outputs=lambda: {"url": "${{ result.outputs.url }}"})

    def used(self, name: str) -> dict[str, Any]:
        found = {"uses": self.random.choice((STEP_OF_STORE["id"], f"{STEP_OF_STORE['id']}@1"))} | self.machine()
        return found | self.some(with_=lambda: {"target": f"${{{{ string({self.reading(name)}) }}}}"})

    def variable(self, kind: str) -> dict[str, Any]:
        found = {"type": kind} | _TYPES[kind] | self.some(name=self.text, description=self.text, required_if=lambda: "inputs.flag && !inputs.flag")
        return found | self.some(required=lambda: "default" in found)


_TYPES: dict[str, dict[str, Any]] = {
    "string": {"pattern": r"\d+\.\d+(-[a-z]+)?", "default": "1.10", "max_length": 20},
    "text": {"default": "first line\nsecond line\n", "min_length": 2, "max_length": 1000},
    "integer": {"default": 5, "min": 0, "max": 10},
    "number": {"default": 2.5, "min": -1.5, "max": 1e6},
    "boolean": {"default": False},
    "choice": {"options": ["eu", "us", "no"], "default": "no"},
    "multi_choice": {"options": ["on", "off"], "default": ["on"]},
    "date": {"default": "2026-03-01", "min": "2026-01-01"},
    "datetime": {"default": "2026-03-01T10:00:00Z"},
    "duration": {"default": "30m", "max": "2d"},
    "list": {"default": [1, "two"], "max_length": 5},
    "object": {"default": {"a": [1, {"b": None}]}},
    "user": {"default": "rita@example.com"},
    "group": {"default": "qa"},
    "secret": {},
}


NAMES = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=20).map(lambda text: "k" + text)
_STORABLE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e15, 1e15).map(lambda number: number or 0.0) | _STORABLE,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(NAMES, inside, max_size=4),
    max_leaves=12,
)
"""What a template or a default may be."""
