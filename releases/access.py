"""May this person see, start, operate or override this release, and do this verb to that run? (semantics, section 4)

Rights come from the release's process or, in a tree, from the process of its root; from having started it; and, for single runs, from owning them.
Whether the state fits is another question, asked by the verbs under the lock. Who may decide is a third one (`approvals/deciding.py`).
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from processes.access import Permission, may, owner_names, processes_with
from processes.models import Process
from releases.asking import owners_of
from releases.models import Release, RunPerson

OWNERS_VERBS = frozenset({"retry", "ignore", "fail", "skip", "stop", "reassign"})
"""What the owners of a phase or an activity may do to their runs."""
OVERRIDE_VERBS = frozenset({"succeed"})
"""What breaks the glass: it needs its own permission."""


def may_start(user: Any, process: Process) -> bool:
    """Whether this person may start releases of the process; a draft is started with the same right."""
    return bool(may(user, Permission.START, process))


def may_operate(user: Any, release: Release) -> bool:
    """Hold, resume, abort, and every verb on runs but override: the starter, operators and owners of the process."""
    return user.is_active and (user.is_superuser or release.starter_id == user.pk or _holds(user, Permission.OPERATE, release))


def may_override(user: Any, release: Release) -> bool:
    """Break glass: nobody by owning or starting, only by the permission itself."""
    return user.is_active and (user.is_superuser or _holds(user, Permission.OVERRIDE, release))


def may_edit_draft(user: Any, release: Release) -> bool:
    """Change or delete a release that is not started: its starter, and who may start the process."""
    return user.is_active and (user.is_superuser or release.starter_id == user.pk or _holds(user, Permission.START, release))


def may_delete(user: Any, release: Release) -> bool:
    """A draft: who may change it. Else the history goes: nobody by owning or starting, only by the installation-wide permission itself."""
    return may_edit_draft(user, release) if release.state == "draft" else bool(user.is_active and user.has_perm("releases.delete_release"))


def may_reschedule(user: Any, release: Release) -> bool:
    """Schedule, reschedule or cancel a release that has not started: who may change its draft, and who operates it."""
    return may_edit_draft(user, release) or may_operate(user, release)


def starters_of(release: Release) -> set[str]:
    """The e-mail addresses of whoever made, changed, scheduled or started it: `starter` for exclusions (S14). No query when it is one person."""
    others = set(release.prepared_by) - {release.starter_id}
    found = {release.starter.email}
    return found | set(get_user_model().objects.filter(pk__in=others).values_list("email", flat=True)) if others else found


def may_do(user: Any, verb: str, release: Release, activity: str) -> bool:
    """Whether this person may do the verb (retry, ignore, fail, skip, stop, succeed) to that run."""
    if verb in OVERRIDE_VERBS:
        return may_override(user, release)
    return may_operate(user, release) or (verb in OWNERS_VERBS and owns_run(user, release, activity))


def owns_run(user: Any, release: Release, activity: str) -> bool:
    """Whether this person is responsible for the run: by the activity's or its phase's `owners`, or by what a reassignment wrote.

    A process's owners need no mention here: they may operate the whole release. False for an activity that is not there.
    """
    if not user.is_active:
        return False
    names = set(owner_names(user))
    try:
        declared = owners_of(release, activity)
    except KeyError:
        return False
    if names.intersection(declared):
        return True
    rows = RunPerson.objects.filter(run__release=release, run__key=activity, role=RunPerson.OWNER)
    return rows.filter(user=user).exists() or rows.filter(group__user=user).exists()


def _holds(user: Any, permission: Permission, release: Release) -> bool:
    ours = Release.objects.filter(pk__in={release.pk, release.root_id}).values("process_id")
    return Process.objects.filter(processes_with(user, permission), pk__in=ours).exists()
