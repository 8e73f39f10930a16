"""Who may do what on the authors' pages of the admin."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from processes.access import Permission, may, may_create
from processes.models import Process


def may_use_admin(request: HttpRequest) -> bool:
    """Whoever may use the admin at all; what they find there, the queryset decides."""
    user: Any = request.user
    return bool(user.is_active and user.is_staff)


def may_edit(request: HttpRequest, process: Process | None) -> bool:
    """Whether this person may change the draft, or make one."""
    if process is None or not process.pk:
        return may_create(request.user)
    return process.archived_at is None and may(request.user, Permission.AUTHOR, process)
