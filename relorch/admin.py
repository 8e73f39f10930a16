"""What administrators see of the mail: what waits, what was sent, what could not be delivered and why; and the way to try it again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from relorch import mail_texts
from relorch.models import Mail, MailText
from relorch.posting import again


@admin.register(Mail)
class MailAdmin(ModelAdmin):
    """To look at; what is said in a mail is made when it is sent, and not kept."""

    list_display = ("person", "kind", "state", "tries", "next_at", "sent_at", "subject", "error")
    list_filter = ("state", "kind", "created_at")
    list_select_related = ("person",)
    search_fields = ("person__email", "subject", "error")
    ordering = ("-pk",)
    list_per_page = 50
    actions = ("send_again",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The relay writes them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are a record."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Administrators: it names people and what they are asked."""
        return bool(request.user.is_active and request.user.is_superuser)

    has_module_permission = has_view_permission

    @admin.action(description="Try again what was given up")
    def send_again(self, request: HttpRequest, queryset: Any) -> None:
        """From the beginning."""
        if self.has_view_permission(request):
            messages.success(request, f"{again(queryset)} will be tried again.")


class MailTextForm(forms.ModelForm):  # type: ignore[type-arg]
    """Says every problem at its field."""

    class Meta:
        model = MailText
        fields = ("kind", *mail_texts.PARTS)
        help_texts = {part: f"A Django template; there are {', '.join(mail_texts.FACTS)}. Empty: our words." for part in mail_texts.PARTS}

    def clean(self) -> dict[str, Any]:
        """As the verb checks it."""
        data = super().clean() or {}
        for problem in mail_texts.problems({part: data.get(part, "") for part in mail_texts.PARTS}):
            self.add_error(problem.place.removeprefix("/"), problem.message)
        return data


@admin.register(MailText)
class MailTextAdmin(ModelAdmin):
    """Words of mails; one that failed when a mail was written says so here, in `doctor` and in the record, until it is saved anew."""

    form = MailTextForm
    list_display = ("kind", "subject", "changed_at", "failed_at", "error")
    readonly_fields = ("failed_at", "error")
    actions = None

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Administrators."""
        return bool(request.user.is_active and request.user.is_superuser)

    has_module_permission = has_view_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Administrators."""
        return self.has_view_permission(request)

    def save_model(self, request: HttpRequest, obj: MailText, form: Any, change: bool) -> None:
        """By the verb."""
        mail_texts.save(actor=request.user, row=obj)

    def delete_model(self, request: HttpRequest, obj: MailText) -> None:
        """By the verb."""
        mail_texts.remove(actor=request.user, row=obj)
