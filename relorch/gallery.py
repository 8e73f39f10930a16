"""All components on one page, for whoever builds pages. Served by local installations only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from releases.graph import GraphActivity, GraphPhase, layout, opened_from
from relorch.lib.look import KINDS, STATES

STATE_COLOURS = ("success", "running", "waiting", "failed", "hold", "neutral")
COLOURS = (
    *("canvas", "surface", "subtle", "sunk", "hover", "selected", "line", "line-strong", "line-control", "text", "text-2", "text-3", "ink", "focus"),
    *(f"{name}-{part}" for name in STATE_COLOURS for part in ("solid", "bg")),
)


class Fields(forms.Form):
    """One field of each shape."""

    version = forms.CharField()
    ticket = forms.CharField(label="Change ticket")
    region = forms.ChoiceField(choices=[("eu", "eu-north-1"), ("us", "us-east-1")], help_text="Where it goes first")
    share = forms.IntegerField(label="Canary share")
    tell = forms.BooleanField(label="Tell the channel when it starts", required=False, help_text="in the release channel")
    start = forms.ChoiceField(choices=[("now", "Now"), ("later", "At a time")], widget=forms.RadioSelect)
    note = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """The page."""
    form = Fields({"version": "2026.48.0", "ticket": "CHG41", "region": "eu", "share": "10", "start": "now", "tell": "on"})
    form.add_error("ticket", "CHG and 7 digits, as in CHG0041873")
    now = timezone.now()
    gaps = (timedelta(seconds=-20), timedelta(minutes=-24), timedelta(hours=-2, minutes=-25), timedelta(minutes=36), timedelta(days=-3), timedelta(days=-40))
    context: dict[str, Any] = {
        "states": list(STATES),
        "kinds": list(KINDS),
        "colours": COLOURS,
        "form": form,
        "counts": {"succeeded": 22, "skipped": 1, "running": 2, "waiting": 2, "interrupted": 1, "failed": 1, "pending": 14},
        "people": ["user:mara.lindqvist@example.com", "user:lena.okafor@example.com", "user:tomas@example.com", "user:aiko@example.com"],
        "times": [now + gap for gap in gaps],
        "segments": [{"label": "Graph", "icon": "columns-3", "url": "#", "current": True}, {"label": "List", "icon": "list", "url": "#"}],
        "tabs": [{"label": "Overview", "url": "#", "current": True}, {"label": "Active", "url": "#", "count": 7}],
        "graph": layout(*_release(), opened=opened_from(request.GET.get("open", ""))),
    }
    return render(request, "gallery.html", context)


def _release() -> tuple[list[GraphPhase], list[GraphActivity]]:
    phases = [
        GraphPhase("build", "Build", "satisfied", (), "group:developers", "21 min"),
        GraphPhase("verify", "Verify on staging", "waiting", ("build",), "group:qa"),
        GraphPhase("scan", "Security", "on_hold", ("build",), "group:security"),
        GraphPhase("deploy", "Production rollout", "pending", ("verify", "scan"), "user:aiko@example.com"),
    ]
    rows = [
        ("compile", "build", "Compile", "succeeded", (), "automated", "1 m 50 s"),
        ("stage", "verify", "Deploy to staging", "succeeded", (), "automated", "4 m 12 s"),
        ("contract", "verify", "API contract tests", "succeeded", ("stage",), "automated", "6 m 02 s"),
        ("regression", "verify", "Regression suite", "retrying", ("stage",), "automated", "31 m"),
        ("smoke", "verify", "Accessibility smoke", "skipped", ("stage",), "automated", "skipped"),
        ("qa", "verify", "QA sign-off", "waiting_you", ("contract", "regression"), "sign_off", "You"),
        ("publish", "verify", "Publish report", "pending", ("qa", "smoke"), "automated", ""),
        ("code", "scan", "Static analysis", "on_hold", (), "automated", "2 tries"),
        ("image", "scan", "Container scan", "interrupted", (), "automated", ""),
        ("canary", "deploy", "Deploy canary", "pending", (), "subprocess", ""),
        ("approve", "deploy", "Approve rollout", "pending", ("canary",), "approval", "2 of 3"),
    ]
    return phases, [
        GraphActivity(key, phase, label, state, after, kind, end, url="#", you=state == "waiting_you") for key, phase, label, state, after, kind, end in rows
    ]
