"""What allauth asks of us."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest

from relorch.lib import secrets

KEPT = "authenticator"
"""The context of the secrets of authenticators."""


class Adapter(DefaultAccountAdapter):
    """People are made by an administrator, not by themselves."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False


class MfaAdapter(DefaultMFAAdapter):
    """Secrets of authenticator apps and recovery codes are kept encrypted (S25)."""

    def encrypt(self, text: str) -> str:
        """Before it is stored."""
        return secrets.encrypt(text, KEPT)

    def decrypt(self, encrypted_text: str) -> str:
        """What was stored before it was encrypted has no dots and is itself."""
        return secrets.decrypt(encrypted_text, KEPT) if encrypted_text.count(".") == 2 else encrypted_text
