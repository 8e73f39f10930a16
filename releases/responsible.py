"""Who can act on runs and releases, as e-mail addresses of active people, for many at once; the number of queries does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.contrib.auth import get_user_model

from processes.access import Permission
from processes.models import ProcessGroupPermission, ProcessUserPermission
from releases.asking import owners_of
from releases.models import ActivityRun, Release, RunPerson

MOST = 50
"""People named in one place."""


def people_named(names: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """`user:…` or `group:…` -> the addresses of the active people it means. At most two queries."""
    wanted = set(names)
    emails = {name.removeprefix("user:").lower() for name in wanted if name.startswith("user:")}
    groups = {name.removeprefix("group:") for name in wanted if name.startswith("group:")}
    found: dict[str, list[str]] = {}
    users = get_user_model().objects.filter(is_active=True)
    if emails:
        known = {email.lower(): email for email in users.filter(email__in=emails).values_list("email", flat=True)}
        found |= {name: [known[email]] for name in wanted if name.startswith("user:") and (email := name.removeprefix("user:").lower()) in known}
    if groups:
        for group, email in users.filter(groups__name__in=groups).order_by("email").values_list("groups__name", "email"):
            found.setdefault(f"group:{group}", []).append(email)
    return found


def responsible_for(runs: Sequence[ActivityRun], operators: Mapping[int, Sequence[str]]) -> dict[int, list[str]]:
    """Run -> who is responsible for it (also by a reassignment); where nobody is left, whoever operates its release. Wants `release` selected."""
    declared = {run.pk: owners_of(run.release, run.key) for run in runs}
    people = people_named(name for owners in declared.values() for name in owners)
    found = {run.pk: [email for name in declared[run.pk] for email in people.get(name, ())] for run in runs}
    rows = RunPerson.objects.filter(run__in=list(found), role=RunPerson.OWNER)
    for run, email in rows.filter(user__is_active=True).values_list("run_id", "user__email"):
        found[run].append(email)
    for run, email in rows.filter(group__user__is_active=True).values_list("run_id", "group__user__email"):
        found[run].append(email)
    return {run.pk: list(dict.fromkeys(found[run.pk] or operators.get(run.release_id, ())))[:MOST] for run in runs}


def holders_of(permission: Permission, releases: Sequence[Release], *, starter: bool = False) -> dict[int, list[str]]:
    """Release -> who holds the permission on it by its process or its root's; with `starter` the starter first. Wants `process`, `root` and `starter`."""
    roots = Release.objects.filter(pk__in={release.root_id for release in releases}).select_related("process").only("process__owners")
    of_root = {root.pk: root.process for root in roots}
    processes = {release.pk: [release.process, of_root[release.root_id]] for release in releases}
    ids = {process.pk for pair in processes.values() for process in pair}
    granted: dict[int, list[str]] = {}
    for model, email in ((ProcessUserPermission, "user__email"), (ProcessGroupPermission, "group__user__email")):
        rows = model.objects.filter(content_object__in=ids, permission__codename=str(permission)).exclude(**{email: None})
        active = rows.filter(**{email.replace("email", "is_active"): True})
        for process, address in active.order_by(email).values_list("content_object_id", email):
            granted.setdefault(process, []).append(address)
    owners = people_named(name for pair in processes.values() for process in pair for name in process.owners) if permission is not Permission.OVERRIDE else {}
    found = {}
    for release in releases:
        first = [release.starter.email] if starter and release.starter.is_active else []
        own = [email for process in processes[release.pk] for name in process.owners for email in owners.get(name, ())]
        found[release.pk] = list(dict.fromkeys([*first, *own, *(e for process in processes[release.pk] for e in granted.get(process.pk, ()))]))[:MOST]
    return found


def administrators() -> list[str]:
    """Who looks after the installation."""
    return list(get_user_model().objects.filter(is_active=True, is_superuser=True).order_by("email").values_list("email", flat=True)[:MOST])
