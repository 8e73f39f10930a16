"""May this person see, edit, publish, start or operate? Asked of the process (semantics, section 4)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.db.models import Q

if TYPE_CHECKING:
    from processes.models import Process


class Permission(StrEnum):
    """The permissions on a process; the value is the codename in the database."""

    VIEW = "view_process"
    AUTHOR = "author"
    PUBLISH = "publish"
    START = "start"
    OPERATE = "operate"
    OVERRIDE = "override"


OWNING = frozenset(Permission) - {Permission.OVERRIDE}
"""What owning a process implies."""


def owner_names(user: Any) -> list[str]:
    """How `owners` name this person: `user:<e-mail>` and one `group:<name>` for each group."""
    known: list[str] | None = getattr(user, "_owner_names", None)
    if known is None:
        known = [f"user:{user.email}", *(f"group:{name}" for name in user.groups.values_list("name", flat=True))]
        user._owner_names = known
    return known


def processes_with(user: Any, *permissions: Permission) -> Q:
    """The condition on processes for which this person holds any of the permissions, by guardian or by owning."""
    from processes.models import ProcessGroupPermission, ProcessUserPermission

    # Subqueries and no joins: a join with both tables would meet every person's row with every group's.
    names = {"permission__codename__in": [str(item) for item in permissions]}
    granted = Q(pk__in=ProcessUserPermission.objects.filter(user=user, **names).values("content_object")) | Q(
        pk__in=ProcessGroupPermission.objects.filter(group__user=user, **names).values("content_object")
    )
    if any(item in OWNING for item in permissions):
        granted |= Q(owners__overlap=owner_names(user))
    return granted


def may(user: Any, permission: Permission, process: Process) -> bool:
    """Whether this person holds the permission on the process. A superuser holds all."""
    if not user.is_active:
        return False
    if user.is_superuser:
        return True
    return type(process).objects.filter(processes_with(user, permission), pk=process.pk).exists()


def held_by(user: Any, process: Process) -> frozenset[Permission]:
    """What this person may here, by whatever way."""
    if not user.is_active:
        return frozenset()
    if user.is_superuser:
        return frozenset(Permission)
    from processes.models import ProcessGroupPermission, ProcessUserPermission

    mine = ProcessUserPermission.objects.filter(user=user, content_object=process).values_list("permission__codename")
    ours = ProcessGroupPermission.objects.filter(group__user=user, content_object=process).values_list("permission__codename")
    granted = {Permission(name) for (name,) in mine.union(ours)}
    return frozenset(granted | (OWNING if set(process.owners).intersection(owner_names(user)) else set()))


def owns(user: Any, process: Process) -> bool:
    """Whether this person decides who may what here: an owner by name, and who was given all that owning implies. A superuser does everywhere."""
    return held_by(user, process) >= OWNING


def may_create(user: Any) -> bool:
    """Creating a process needs the installation-wide `author`."""
    return bool(user.has_perm("processes.author"))


def may_change_template(user: Any, template: Any) -> bool:
    """Whether this person may edit an activity of the store: whoever made it, and of shared ones everybody who may author here."""
    if not user.is_active:
        return False
    return bool(user.is_superuser or template.created_by_id == user.pk or (template.shared and may_create(user)))


def may_unshare_template(user: Any, template: Any) -> bool:
    """Whether this person may take a shared activity of the store from everybody else: whoever made it, or an administrator; None is a command."""
    return bool(user is None or user.is_superuser or template.created_by_id == user.pk)
