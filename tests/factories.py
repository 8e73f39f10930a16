"""Makes what tests need. Each function makes exactly one kind of thing, through the verbs, and says so in its name."""

from __future__ import annotations

import itertools
from typing import Any

from django.contrib.auth.models import Group, Permission
from guardian.shortcuts import assign_perm

from processes import editing, input_sets, publishing
from processes.models import InputSet, Process, ProcessVersion
from relorch.accounts import tokens
from relorch.accounts.models import User

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)


def person(name: str = "", *, groups: tuple[Group, ...] = (), author: bool = False, **fields: Any) -> User:
    """A person `<name>@example.com`; with `author` they may create processes."""
    name = name or f"person{next(_numbers)}"
    user = User.objects.create_user(f"{name}@example.com", PASSWORD, name=name.capitalize(), **fields)
    user.groups.add(*groups)
    if author:
        user.user_permissions.add(Permission.objects.get(codename="author", content_type__app_label="processes"))
    return user


def group(name: str = "", *people: User) -> Group:
    """A group with these members."""
    made = Group.objects.create(name=name or f"group{next(_numbers)}")
    made.user_set.add(*people)
    return made


def token(owner: User) -> str:
    """The secret of a token that acts for this person."""
    return tokens.issue(actor=owner, person=owner)[1]


def document(identifier: str = "", **keys: Any) -> dict[str, Any]:
    """A sound process file with one phase of one `noop` activity; `keys` replace."""
    identifier = identifier or f"process_{next(_numbers)}"
    activity = {"id": "step", "type": "automated", "connector": "noop"}
    return {
        "apiVersion": "relorch/v1",
        "kind": "Process",
        "id": identifier,
        "name": identifier.replace("_", " ").capitalize(),
        "phases": [{"id": "work", "activities": [activity]}],
    } | keys


def process(identifier: str = "", *, actor: User | None = None, **keys: Any) -> Process:
    """A process with a draft."""
    return editing.create_process(document(identifier, **keys), actor=actor)


def version(of: Process, *, actor: User | None = None) -> ProcessVersion:
    """The draft, published."""
    return publishing.publish(of, actor=actor)[0]


def allow(who: User | Group, permission: str, on: Process) -> None:
    """Give a permission on a process to a person or a group."""
    assign_perm(permission, who, on)


def opened(row: InputSet) -> dict[str, Any]:
    """The values of an input set as a start of now takes them, secrets opened."""
    return input_sets.values_of(row, input_sets.asked_by([row.process])[row.process_id][0])
