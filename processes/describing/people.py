"""Owners as people write them, found among the people and groups there are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from processes.problems import did_you_mean


@dataclass(frozen=True, slots=True)
class Known:
    """What the reader may know of the installation: groups, people (address -> name), processes (id -> name), ids that are taken."""

    groups: Sequence[str] = ()
    users: Mapping[str, str] = field(default_factory=dict)
    processes: Mapping[str, str] = field(default_factory=dict)
    taken: frozenset[str] = frozenset({"validate", "from_text"})


class People:
    """Finds `user:` and `group:` for a name; remembers those that nobody has."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.groups = {_flat(name): name for name in known.groups}
        self.names = {_flat(name): email for email, name in known.users.items() if name}
        self.missing: dict[str, str] = {}

    def owners(self, names: Iterable[str]) -> list[str]:
        """Each name as the process file says it, in order, once. What is not known is a group of that name."""
        return list(dict.fromkeys(self._owner(name) for name in names))

    def _owner(self, name: str) -> str:
        said = name.strip().removeprefix("@")
        if said.startswith(("user:", "group:")):
            said = said.partition(":")[2]
        if re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", said):
            owner = f"user:{said.lower()}"
            if said.lower() not in self.known.users:
                self.missing[owner] = said
            return owner
        flat = _flat(said)
        if flat in self.names and flat not in self.groups:
            return f"user:{self.names[flat]}"
        if found := self.groups.get(flat) or self.groups.get(f"{flat}s") or self.groups.get(flat.removesuffix("s")):
            return f"group:{found}"
        owner = f"group:{re.sub(r'[^a-z0-9]+', '-', said.lower()).strip('-') or 'owners'}"
        self.missing[owner] = said
        return owner

    def unknown(self, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """For each name that nobody has: the first place where it stands, and what to say of it."""
        for owner, said in self.missing.items():
            place = next(_places(document, owner, ""), "/owners")
            kind, _, who = owner.partition(":")
            if kind == "user":
                yield place, f"There is no active user {who}: invite them, or name somebody else.{did_you_mean(who, self.known.users)}"
            else:
                guess = did_you_mean(who, self.known.groups)
                yield place, f"“{said}” is neither a group nor a person here; the draft says group:{who}. Make that group, or name another.{guess}"


def _flat(name: str) -> str:
    words = [word for word in re.findall(r"[^\W_]+", name.casefold()) if word not in ("the", "team", "group")]
    return " ".join(words)


def _places(value: Any, owner: str, place: str) -> Iterator[str]:
    if value == owner:
        yield place
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, owner, f"{place}/{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places(inner, owner, f"{place}/{number}")
