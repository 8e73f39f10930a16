"""Signals in (S26): from outside to an activity that waits for one, or will.

The address of an activity holds a token, sealed with our key: nobody can guess another one, and nothing is stored that could be stolen. Where the
activity names secrets, the request must be signed as well (Standard Webhooks): the raw bytes, within five minutes, by one of at most two secrets.
Whatever is wrong with token or signature is answered alike.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from processes.expressions import ExpressionError, render
from processes.problems import Problem
from releases import sweep
from releases.connectors.checking import plain
from releases.engine import Actor, locked
from releases.flows import compiled
from releases.models import ActivityRun, Attempt, Release, Signal
from releases.names import names_of_step
from releases.states import CLOSED, LIVE, Run
from relorch.lib import sealing
from relorch.lib.errors import Conflict, Invalid

CONNECTOR = "signal"
LARGEST = 256 * 1024
LONGEST_ID = 200
_DIGITS = 48
SENDER = Actor(None, "signal", "signal")


class Unknown(Exception):
    """Token or signature are not right; which of them is not said."""


def token_of(release: int, key: str) -> str:
    """The token of an activity that waits for a signal."""
    return f"{release}.{key}.{sealing.seal('signal', {'release': release, 'activity': key})[:_DIGITS]}"


def address_of(release: int, key: str) -> str:
    """Where a signal for this activity is posted; for those who operate the release."""
    path = reverse("api:signal", args=[token_of(release, key)])
    return f"{settings.RELORCH_BASE_URL.rstrip('/')}{path}" if settings.RELORCH_BASE_URL else path


def receive(token: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Accept a signal: kept for its activity, and taken at once if that waits.

    Raises Unknown; Conflict when the activity is over or one is kept already; Invalid for a payload that is no JSON.
    """
    release, key = _place(token)
    webhook_id = _verified(release, key, body, headers)
    payload = _payload(body)
    if webhook_id and Signal.objects.filter(release=release, key=key, webhook_id=webhook_id).exists():
        return
    with locked(release.pk, actor=SENDER) as work:
        # again under the lock: it may have been sent twice at the same instant
        if webhook_id and Signal.objects.filter(release=release, key=key, webhook_id=webhook_id).exists():
            return
        run = ActivityRun.objects.filter(release=release, key=key).first()
        state = work.release(release.pk).state
        if run is None or run.state in CLOSED or state not in LIVE:
            raise Conflict("not_waiting", "Nothing waits for this signal any more.", state=run.state if run else state)
        if Signal.objects.filter(release=release, key=key, taken_by=None).exists():
            raise Conflict("signal_kept", "A signal is there already and has not been taken yet.", state=run.state)
        Signal.objects.create(release=release, key=key, webhook_id=webhook_id, payload=payload, received_at=work.at)
        work.say("signal.received", release.pk, key, id=webhook_id)
    attempt = Attempt.objects.filter(run=run, state=Run.WAITING, poll_at__isnull=False, release__state="running").values_list("pk", flat=True).first()
    if attempt is not None:
        sweep.come_due(attempt)


def kept(release: int, key: str, attempt: int) -> dict[str, Any] | None:
    """The payload that this attempt takes; asked again it gets the same one, so that a worker that dies in between loses nothing."""
    row = Signal.objects.filter(Q(taken_by=None) | Q(taken_by=attempt), release=release, key=key).order_by("id").first()
    if row is None:
        return None
    Signal.objects.filter(pk=row.pk, taken_by=None).update(taken_by=attempt)
    payload: dict[str, Any] = row.payload
    return payload


def _place(token: str) -> tuple[Release, str]:
    number, _, rest = token.partition(".")
    key, _, seal = rest.partition(".")
    wanted = token_of(int(number), key) if number.isascii() and number.isdecimal() and len(number) < 18 else ""
    if not wanted or not hmac.compare_digest(token.encode(), wanted.encode()) or not seal:
        raise Unknown
    release = Release.objects.select_related("version", "process", "starter").filter(pk=int(number)).first()
    step = compiled(release.version_id).steps.get(key) if release else None
    if release is None or step is None or step.activity.connector != CONNECTOR:
        raise Unknown
    return release, key


def _verified(release: Release, key: str, body: bytes, headers: Mapping[str, str]) -> str:
    """The identity of the signal; "" where the activity asks for no signature."""
    arguments = compiled(release.version_id).steps[key].activity.arguments
    if not arguments.get("secrets"):
        return headers.get("webhook-id", "")[:LONGEST_ID]
    try:
        secrets = render(arguments["secrets"], names_of_step(release, key, arguments["secrets"], reveal=True))
    except ExpressionError:
        raise Unknown from None
    for secret in secrets if isinstance(secrets, list) else []:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)  # what is in it is looked at once it is theirs
        except (EmptyWebhookSecretError, WebhookVerificationError, ValueError, RuntimeError):
            continue
        return headers["webhook-id"][:LONGEST_ID]
    raise Unknown


def _payload(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        value = plain(json.loads(body))
    except (ValueError, RecursionError):
        raise Invalid("invalid", "The signal cannot be read.", [Problem("unreadable", "The body is JSON.", "")]) from None
    return value if isinstance(value, dict) else {"body": value}
