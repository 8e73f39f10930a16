"""The list of processes in the admin: its columns, filters and actions. Always the same number of queries, however many processes there are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.text import Truncator
from unfold.admin import ModelAdmin
from unfold.decorators import display

from processes import editing
from processes.access import Permission, may
from processes.models import Process
from relorch.lib.errors import DomainError

DOOR = "admin"


class InUse(admin.SimpleListFilter):
    """What is archived is out of the way: it is listed only when it is asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Beside what is in use."""
        return (("draft", "Never published"), ("archived", "Archived"), ("all", "All"))

    def choices(self, changelist: Any) -> Any:
        """The first is what is shown when nothing is chosen."""
        first, *others = super().choices(changelist)
        yield first | {"display": "In use"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Processes in that state; on the page of one, the list's address says nothing."""
        wanted = self.value()
        if wanted == "all":
            return queryset
        if wanted == "archived":
            return queryset.exclude(archived_at=None)
        return queryset.filter(archived_at=None) if wanted != "draft" else queryset.filter(archived_at=None, newest_number=None)


class ProcessList(ModelAdmin):
    """What `ProcessAdmin` shows before one of them is opened."""

    list_display = ("title", "about", "category", "owned_by", "published", "release_count", "updated_at", "updated_by")
    list_filter = ("category", InUse)
    list_select_related = ("updated_by",)
    list_per_page = 50
    search_fields = ("identifier", "name", "description")
    ordering = ("name", "identifier")
    actions = ("archive_processes", "unarchive_processes")

    @display(description="process", ordering="name", header=True)
    def title(self, process: Process) -> list[str]:
        """Name and id."""
        return [str(process), process.identifier]

    @display(description="description")
    def about(self, process: Process) -> str:
        """Its beginning."""
        return Truncator(process.description).chars(80)

    @display(description="owners")
    def owned_by(self, process: Process) -> str:
        """By their names."""
        return ", ".join(owner.partition(":")[2] for owner in process.owners)

    @display(description="version", ordering="newest_number")
    def published(self, process: Any) -> str:
        """The newest."""
        return f"v{process.newest_number}" if process.newest_number else "draft"

    @display(description="releases", ordering="release_count")
    def release_count(self, process: Any) -> int:
        """How many follow it, in any state."""
        return int(process.release_count)

    def get_actions(self, request: HttpRequest) -> Any:
        """Deleting is for one at a time, after a look at it."""
        return {name: found for name, found in super().get_actions(request).items() if name != "delete_selected"}

    @admin.action(description="Archive")
    def archive_processes(self, request: HttpRequest, queryset: Any) -> None:
        """Out of the way."""
        self._each(request, queryset, editing.archive)

    @admin.action(description="Take out of the archive")
    def unarchive_processes(self, request: HttpRequest, queryset: Any) -> None:
        """Back in use."""
        self._each(request, queryset, editing.unarchive)

    def _each(self, request: HttpRequest, queryset: Any, verb: Any) -> None:
        for process in queryset:
            if not may(request.user, Permission.PUBLISH, process):
                messages.error(request, f"“{process}”: you may not do this.")
                continue
            try:
                verb(process, actor=request.user, door=DOOR)
                messages.success(request, f"“{process}”: done.")
            except DomainError as refusal:
                messages.error(request, f"“{process}”: {refusal.message}")
