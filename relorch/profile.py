"""The person's own page: name, time zone, and how they want to be written to."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from allauth.mfa.models import Authenticator
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods

from relorch.accounts.models import User
from relorch.audit.chain import Happening, note
from relorch.models import ALWAYS, MailKind

MODES = (("at_once", "At once"), ("digest", "In the daily digest"), ("off", "Not at all"))


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a person says of themselves."""

    class Meta:
        model = User
        fields = ("name", "time_zone", "quiet_from", "quiet_until", "digest_at")
        widgets = {name: forms.TimeInput({"type": "time", "class": "input"}, format="%H:%M") for name in ("quiet_from", "quiet_until", "digest_at")}  # noqa: RUF012
        help_texts = {  # noqa: RUF012
            "time_zone": "Times are shown, and quiet hours kept, on this clock.",
            "quiet_from": "Nothing is mailed between these times, but for what is due before they end and for alarms.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = [("", f"The installation's ({settings.TIME_ZONE})"), *((zone, zone) for zone in sorted(available_timezones()) if "/" in zone or zone == "UTC")]
        self.fields["time_zone"] = forms.ChoiceField(label="Time zone", choices=zones, required=False)
        for kind in MailKind:
            choices = MODES[:1] if kind in ALWAYS else MODES
            self.fields[f"mail_{kind}"] = forms.ChoiceField(
                label=kind.label, choices=choices, initial=self.instance.mail_modes.get(str(kind), "at_once"), required=False
            )

    def clean(self) -> dict[str, Any]:
        """Quiet hours are two times or none."""
        data = super().clean() or {}
        if (data.get("quiet_from") is None) != (data.get("quiet_until") is None):
            self.add_error("quiet_until", "Say both when it becomes quiet and when that ends, or neither.")
        return data

    def modes(self) -> dict[str, str]:
        """What differs from being told at once."""
        said = {str(kind): self.cleaned_data.get(f"mail_{kind}") or "at_once" for kind in MailKind}
        return {kind: mode for kind, mode in said.items() if mode != "at_once"}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Look, change, save."""
    user: Any = request.user
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=user.pk))
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            person = form.save(commit=False)
            person.mail_modes = form.modes()
            person.save(update_fields=[*ProfileForm.Meta.fields, "mail_modes"])
            changed = sorted({*form.changed_data} & {*form.fields})
            note(Happening(f"account:{user.pk}", "account.changed", user.email, user.pk, user.email, "page", data={"changed": changed}))
        messages.success(request, "Saved.")
        return HttpResponseRedirect(reverse("accounts:profile"))
    mail = [form[f"mail_{kind}"] for kind in MailKind]
    own = [form[name] for name in ProfileForm.Meta.fields]
    context = {"form": form, "own": own, "mail": mail, "keys": _keys(user), "sends_mail": settings.RELORCH_MAIL}
    return render(request, "account/profile.html", context, status=422 if request.method == "POST" else 200)


def _keys(user: Any) -> dict[str, Any]:
    """What the person confirms themselves with, for the page."""
    rows = list(Authenticator.objects.filter(user=user.pk).order_by("pk"))
    kinds = {row.type for row in rows}
    return {
        "app": Authenticator.Type.TOTP in kinds,
        "codes": Authenticator.Type.RECOVERY_CODES in kinds,
        "passkeys": [row for row in rows if row.type == Authenticator.Type.WEBAUTHN],
    }


urlpatterns = [path("", profile, name="profile")]
