"""guardian's tables with a direct foreign key: joined by number, and gone with their process."""

from __future__ import annotations

from django.db import models
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from processes.models.process import Process


class ProcessUserPermission(UserObjectPermissionBase):
    """A permission on one process for one person."""

    content_object = models.ForeignKey(Process, on_delete=models.CASCADE)


class ProcessGroupPermission(GroupObjectPermissionBase):
    """A permission on one process for one group."""

    content_object = models.ForeignKey(Process, on_delete=models.CASCADE)
