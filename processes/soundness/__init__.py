"""Does a readable document make sense here? Every problem at once, each with its place (S27). Pure.

`order` looks at who waits for whom, `names` at what expressions read, `keys` at each activity by itself, `calls` at subprocesses and the store,
`people` at owners and approvals.
"""

from __future__ import annotations

from dataclasses import replace

from processes.blueprint import Blueprint, Phase, StoreActivity
from processes.problems import Problem
from processes.soundness import calls, keys, names, order, people
from processes.soundness.checking import Check, in_document_order, merged
from processes.soundness.codes import CODES
from processes.soundness.world import ConnectorInfo, World

__all__ = ["CODES", "ConnectorInfo", "World", "merged", "problems", "problems_of_store_activity"]

_NOWHERE = World()


def problems(blueprint: Blueprint, world: World = _NOWHERE) -> list[Problem]:
    """Everything that is wrong with a process in these surroundings, in the document's order."""
    check = Check(blueprint, world)
    upstream = order.check(check)
    names.check(check, upstream)
    keys.check(check)
    calls.check(check)
    people.check(check, upstream)
    return in_document_order(blueprint, check.found)


def problems_of_store_activity(stored: StoreActivity, world: World = _NOWHERE) -> list[Problem]:
    """The same for an activity of the store: alone, reading nothing but its own inputs (S2a). Who owns it is said where it is used."""
    activity, inputs = names.scope_of_store(stored)
    alone = Blueprint(id=stored.id, inputs=dict(inputs), phases=(Phase(id=stored.id, owners=("group:store",), activities=(activity,)),))
    found = problems(alone, World(connectors=world.connectors, processes=world.processes, scripts_allowed=world.scripts_allowed, connections=world.connections))
    inside = "/phases/0/activities/0"
    return [replace(problem, place=problem.place.replace(inside, "/activity", 1)) if problem.place.startswith(inside) else problem for problem in found]
