"""Releases in the admin: to be read. A release's state changes only by its verbs, which are on its page and in the API."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin
from unfold.decorators import display

from releases.models import Release
from relorch.lib import secrets


@admin.register(Release)
class ReleaseAdmin(ModelAdmin):
    """Nothing is added, changed or deleted here; what a person may not see is not there."""

    list_display = ("name", "identifier", "state", "process", "starter", "release_version", "said_tags", "scheduled_for", "started_at", "finished_at")
    list_filter = ("state", "colour", "auto_start")
    list_select_related = ("process", "starter")
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("name", "identifier", "release_version")
    ordering = ("-id",)
    fields = (
        ("name", "identifier"),
        ("state", "reason"),
        ("process", "number", "version_pinned"),
        ("starter", "said_owners"),
        ("release_version", "colour", "said_tags"),
        "description",
        "said_links",
        ("scheduled_for", "expected_end", "auto_start", "due_since"),
        ("created_at", "started_at", "finished_at"),
        "said_inputs",
        "page",
    )
    readonly_fields = tuple(name for row in fields for name in ((row,) if isinstance(row, str) else row))

    def get_queryset(self, request: HttpRequest) -> Any:
        """Only through permission, like everywhere."""
        return Release.objects.visible_to(request.user).select_related("process", "version", "starter").defer("version__document")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may use the admin finds the releases they may see."""
        return bool(request.user.is_active and request.user.is_staff)

    def has_view_permission(self, request: HttpRequest, obj: Release | None = None) -> bool:
        """What `get_queryset` shows may be seen."""
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: a release is started, not written."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Release | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Release | None = None) -> bool:
        """Never."""
        return False

    @display(description="version")
    def number(self, release: Release) -> str:
        """Of the process."""
        return f"v{release.version.number}"

    @display(description="tags")
    def said_tags(self, release: Release) -> str:
        """With commas."""
        return ", ".join(release.tags)

    @display(description="owners")
    def said_owners(self, release: Release) -> str:
        """With commas."""
        return ", ".join(release.owners)

    @display(description="links")
    def said_links(self, release: Release) -> str:
        """Each with its name."""
        rows = ((link["url"], link.get("title") or link["url"]) for link in release.links)
        return format_html_join(" ", '<a href="{}" rel="noopener noreferrer nofollow">{}</a>', rows)

    @display(description="inputs")
    def said_inputs(self, release: Release) -> str:
        """Without secrets."""
        shown = secrets.hide(release.inputs).items()
        return format_html_join("", "{}: {}<br>", ((name, "•••" if secrets.is_hidden(value) else value) for name, value in shown))

    @display(description="page")
    def page(self, release: Release) -> str:
        """Where its verbs are."""
        return format_html('<a href="{}">{}</a>', reverse("releases:detail", args=[release.pk]), f"R-{release.pk}")
