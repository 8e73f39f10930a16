"""Published versions in the admin, to look at: they never change."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display

from processes.authoring.rights import may_use_admin
from processes.models import Process, ProcessVersion
from processes.writing import yaml_text


@admin.register(ProcessVersion)
class ProcessVersionAdmin(ModelAdmin):
    """Who published what, when; comparing is on the page of the process."""

    list_display = ("process", "number", "published_at", "published_by", "note")
    list_select_related = ("process", "published_by")
    list_filter = ("published_at",)
    search_fields = ("process__identifier", "process__name", "note")
    ordering = ("-published_at",)
    fields = ("process", "number", "hash", "note", "published_at", "published_by", "written_by", "compared", "as_file")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> Any:
        """Those of processes this person may see."""
        rows = ProcessVersion.objects.filter(process__in=Process.objects.visible_to(request.user)).defer("document")
        return rows.select_related("process", "published_by")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may use the admin."""
        return may_use_admin(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What `get_queryset` shows may be seen."""
        return may_use_admin(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Versions come from publishing."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    @display(description="Authors")
    def written_by(self, version: ProcessVersion) -> str:
        """Who saved the draft since the version before, or published."""
        return ", ".join(person.email for person in version.authors.all())

    @display(description="Compare")
    def compared(self, version: ProcessVersion) -> str:
        """The way to its differences."""
        return format_html(
            '<a class="st-link" href="{}">All versions and their differences</a>', reverse("processes:versions", args=[version.process.identifier])
        )

    @display(description="YAML")
    def as_file(self, version: ProcessVersion) -> str:
        """As it would be exported."""
        return format_html("<pre>{}</pre>", yaml_text(version.document))
