"""Who may what in a process: the verbs by which an owner gives and takes, and the answer to “who, and why?”.

Permissions are guardian's rows; owners stand in the file. Both are given here, one person or group at a time, with an event each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from guardian.shortcuts import assign_perm, remove_perm

from processes import owning
from processes.access import OWNING, Permission
from processes.drafts import document_of
from processes.editing import draft_locked, record, replace
from processes.models import Process, ProcessGroupPermission, ProcessUserPermission
from processes.problems import Problem, did_you_mean
from relorch.lib.errors import Conflict, Invalid

WORDS = {Permission.VIEW: "view"} | {item: str(item) for item in Permission if item is not Permission.VIEW}
"""How pages and the API call a permission."""
SAID = {word: permission for permission, word in WORDS.items()}
OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Given:
    """One person or group that somebody named, and what they were given."""

    who: str
    name: str
    owner: bool
    permissions: tuple[str, ...]
    active: bool
    members: int | None = None
    """Active ones; None: it is a person."""

    @property
    def all(self) -> frozenset[str]:
        """With what owning implies."""
        return frozenset(self.permissions) | ({WORDS[item] for item in OWNING} if self.owner else set())


@dataclass(slots=True)
class Standing:
    """One person: each permission with the ways by which they hold it (`direct`, `owner`, `group:<name>`, `owner group:<name>`)."""

    email: str
    name: str
    permissions: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class People:
    """The whole answer."""

    given: tuple[Given, ...]
    people: tuple[Standing, ...]
    administrators: tuple[tuple[str, str], ...]
    """Address and name; they hold every permission everywhere."""


def give(
    process: Process,
    who: str,
    *,
    actor: Any,
    permissions: Iterable[str] | None = None,
    more: bool = False,
    shown: Iterable[str] | None = None,
    owner: bool | None = None,
    reason: str = "",
    door: str = "page",
) -> Process:
    """From now on this person or group (`user:<e-mail>`, `group:<name>`) has just these permissions, and is an owner or not; None leaves either as it is.
    With `more` the permissions are added to what they have; `shown` are those that the actor saw.

    Raises Invalid with every problem (places `/who`, `/permissions/…`, `/owners`), Conflict (an archived process keeps its owners; it is
    not what was shown any more). That the actor owns the process is the caller's to ask.
    """
    holder, wanted, problems = _read(who, permissions)
    with transaction.atomic():
        locked: Process = Process.objects.select_for_update(of=("self",)).get(pk=process.pk)
        if holder is None and owner is False and not permissions and who in locked.owners:
            return _own(locked, who, False, actor=actor, reason=reason, door=door)  # named in the file, and not here any more
        before = _held(locked, holder) if holder else frozenset()
        if shown is not None and {*shown} != {*_words(before)}:
            raise Conflict("changed", f"Somebody has changed what {who.partition(':')[2]} may do since you looked. This is how it is now.", state="changed")
        wanted = wanted | before if more and wanted is not None else wanted
        if wanted is not None and Permission.OVERRIDE in wanted ^ before and actor is not None and not actor.is_superuser:
            problems.append(Problem("only_administrators", "Only an administrator gives or takes override: owning does not imply it.", "/permissions"))
        if holder is not None and not getattr(holder, "is_active", True) and (owner or (wanted or frozenset()) - before):
            problems.append(Problem("not_active", f"{who} can no longer log in: nothing is given any more, only taken.", "/who"))
        if problems:
            raise Invalid("invalid", "This cannot be given.", problems)
        owned = owning.has_owner(locked)
        if wanted is not None and wanted != before:
            _move(locked, holder, before, wanted)
            data = {"who": who, "before": _words(before), "after": _words(wanted)}
            record(locked, "process.permissions_changed", actor=actor, door=door, reason=reason, data=data)
        name = _name_of(holder)
        if owner is not None and owner != (name in locked.owners):
            locked = _own(locked, name, owner, actor=actor, reason=reason, door=door)
        if owned and not owning.has_owner(locked):
            said = owning.LAST.format(locked)
            raise Invalid("last_owner", said, [Problem("last_owner", said, "/permissions")])
    return locked


def people_of(process: Process) -> People:
    """Who may what here and why, in six queries however many there are."""
    by_user: dict[Any, set[Permission]] = {}
    for person, codename in ProcessUserPermission.objects.filter(content_object=process).values_list("user_id", "permission__codename"):
        by_user.setdefault(person, set()).add(Permission(codename))
    by_group: dict[Any, set[Permission]] = {}
    for group, codename in ProcessGroupPermission.objects.filter(content_object=process).values_list("group_id", "permission__codename"):
        by_group.setdefault(group, set()).add(Permission(codename))
    emails = [owner.removeprefix("user:") for owner in process.owners if owner.startswith("user:")]
    names = [owner.removeprefix("group:") for owner in process.owners if owner.startswith("group:")]
    groups = {group.pk: group.name for group in Group.objects.filter(pk__in=by_group) | Group.objects.filter(name__in=names)}
    members: dict[Any, list[Any]] = {pk: [] for pk in groups}
    everybody = get_user_model().objects
    for row in Group.user_set.through.objects.filter(group__in=groups, user__is_active=True).select_related("user"):
        members[row.group_id].append(row.user)
    people = {person.pk: person for person in everybody.filter(pk__in=by_user) | everybody.filter(email__in=emails)}

    given = [
        Given(f"group:{name}", name, f"group:{name}" in process.owners, _words(by_group.get(pk, ())), bool(members[pk]), len(members[pk]))
        for pk, name in groups.items()
    ]
    given += [
        Given(f"user:{one.email}", one.display_name, f"user:{one.email}" in process.owners, _words(by_user.get(pk, ())), one.is_active)
        for pk, one in people.items()
    ]
    # whoever is named in the file and is not here (any more) stands there too: only so can they be taken out
    unknown = [owner for owner in process.owners if owner not in {one.who for one in given}]
    given += [Given(owner, owner.partition(":")[2], True, (), False, 0 if owner.startswith("group:") else None) for owner in unknown]
    given.sort(key=lambda one: (not one.owner, one.members is None, one.name.lower(), one.who))

    found: dict[Any, Standing] = {}
    for pk, one in people.items():
        if one.is_active:
            _add(found, one, OWNING if f"user:{one.email}" in process.owners else (), OWNER)
            _add(found, one, by_user.get(pk, ()), "direct")
    for pk, name in groups.items():
        for one in members[pk]:
            _add(found, one, OWNING if name in names else (), f"{OWNER} group:{name}")
            _add(found, one, by_group.get(pk, ()), f"group:{name}")
    administrators = everybody.filter(is_superuser=True, is_active=True).order_by("email")
    return People(
        tuple(given),
        tuple(sorted(found.values(), key=lambda one: (one.name.lower(), one.email))),
        tuple((one.email, one.display_name) for one in administrators),
    )


def _read(who: str, permissions: Iterable[str] | None) -> tuple[Any, frozenset[Permission] | None, list[Problem]]:
    kind, _, name = who.partition(":")
    problems: list[Problem] = []
    holder: Any = None
    if kind not in ("user", "group") or not name or "\x00" in name:
        problems.append(Problem("invalid_owner", f'"{who}" is neither user:<e-mail> nor group:<name>.', "/who"))
    elif kind == "user":
        holder = get_user_model().objects.filter(email=name.strip().lower()).first()
        if holder is None:
            problems.append(Problem("unknown_user", f'There is nobody with the address "{name}".', "/who"))
    else:
        holder = Group.objects.filter(name=name).first()
        if holder is None:
            guess = did_you_mean(name, Group.objects.order_by("name").values_list("name", flat=True)[:1000])
            problems.append(Problem("unknown_group", f'There is no group "{name}".{guess}', "/who"))
    wanted: set[Permission] = set()
    for place, word in enumerate(permissions or ()):
        if word in SAID:
            wanted.add(SAID[word])
        else:
            problems.append(Problem("unknown_permission", f'There is no permission "{word}".{did_you_mean(word, SAID)}', f"/permissions/{place}"))
    return holder, None if permissions is None else frozenset(wanted), problems


def _held(process: Process, holder: Any) -> frozenset[Permission]:
    table, key = (ProcessGroupPermission, "group") if isinstance(holder, Group) else (ProcessUserPermission, "user")
    rows: Any = table.objects.filter(**{key: holder}, content_object=process)
    return frozenset(Permission(name) for name in rows.values_list("permission__codename", flat=True))


def _move(process: Process, holder: Any, before: frozenset[Permission], wanted: frozenset[Permission]) -> None:
    for permission in sorted(wanted - before):
        assign_perm(str(permission), holder, process)
    for permission in sorted(before - wanted):
        remove_perm(str(permission), holder, process)


def _own(process: Process, name: str, owner: bool, *, actor: Any, reason: str, door: str) -> Process:
    with draft_locked(process) as locked:
        document = document_of(locked)
        owners = [*locked.owners, name] if owner else [one for one in locked.owners if one != name]
        replace(locked, _with_owners(document, owners), actor=actor, door=door, reason=reason)
    return locked


def _with_owners(document: Mapping[str, Any], owners: list[str]) -> dict[str, Any]:
    """The document with these owners, in the place where the file has them."""
    rest = {key: value for key, value in document.items() if key != "owners"}
    return rest | {"owners": owners} if owners else rest


def _name_of(holder: Any) -> str:
    return f"group:{holder.name}" if isinstance(holder, Group) else f"user:{holder.email}"


def _words(permissions: Iterable[Permission]) -> tuple[str, ...]:
    return tuple(WORDS[item] for item in Permission if item in set(permissions))


def _add(found: dict[Any, Standing], person: Any, permissions: Iterable[Permission], way: str) -> None:
    if permissions:
        standing = found.setdefault(person.pk, Standing(person.email, person.display_name))
        for permission in Permission:
            if permission in permissions:
                standing.permissions.setdefault(WORDS[permission], []).append(way)
