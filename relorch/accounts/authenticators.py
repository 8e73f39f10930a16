"""What people confirm themselves with: each one added or taken away is an event, and its secret is kept under the newest key."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from django.db import transaction

from relorch.accounts import passkeys
from relorch.accounts.adapter import KEPT
from relorch.audit.chain import Happening, note
from relorch.lib import secrets


def listen() -> None:
    """allauth says what it has done; it has no other place to be asked."""
    authenticator_added.connect(_added, dispatch_uid="relorch")
    authenticator_removed.connect(_removed, dispatch_uid="relorch")
    authenticator_reset.connect(_reset, dispatch_uid="relorch")


def _added(user: Any, authenticator: Authenticator, **more: Any) -> None:
    _noted("authenticator.added", user, authenticator)


def _removed(user: Any, authenticator: Authenticator, **more: Any) -> None:
    _noted("authenticator.removed", user, authenticator)


def _reset(user: Any, authenticator: Authenticator, **more: Any) -> None:
    _noted("authenticator.reset", user, authenticator)


def _noted(verb: str, user: Any, authenticator: Authenticator) -> None:
    said = {"type": authenticator.type}
    if authenticator.type == Authenticator.Type.WEBAUTHN and (credential := authenticator.wrap().authenticator_data.credential_data):
        # this binds a key to its person: who verifies a signature looks here for whose it is
        said |= {"name": authenticator.wrap().name, "key": passkeys.fingerprint_of(credential)}
    with transaction.atomic():
        note(Happening(f"account:{user.pk}", verb, user.email, user.pk, user.email, "page", data=said))


def renew_secrets() -> int:
    """Secrets of authenticator apps and recovery codes under the newest key; how many that are."""
    changed = 0
    for pk in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if row is None:
                continue
            fresh = {name: _renewed(value) if name in ("secret", "seed") else value for name, value in row.data.items()}
            if fresh != row.data:
                Authenticator.objects.filter(pk=pk).update(data=fresh)
                changed += 1
    return changed


def _renewed(value: str) -> str:
    return secrets.renewed(value, KEPT) if value.count(".") == 2 else secrets.encrypt(value, KEPT)
