"""A passkey in software: makes a credential and signs challenges, as the authenticator of a browser does."""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from typing import Any

from allauth.mfa.webauthn.internal.auth import WebAuthn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

PRESENT_AND_VERIFIED = 0x05
WITH_CREDENTIAL = 0x40


class Passkey:
    """One credential of one site."""

    def __init__(self, site: str = "testserver", origin: str = "") -> None:
        self.site, self.origin = site, origin or f"https://{site}"
        self.id = secrets.token_bytes(16)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.uses = 0

    @property
    def public_key(self) -> Any:
        return ES256.from_cryptography_key(self.key.public_key())

    def _about(self, flags: int, credential: bytes = b"") -> bytes:
        self.uses += 1
        return hashlib.sha256(self.site.encode()).digest() + struct.pack(">BL", flags, self.uses) + credential

    def enrolled(self, user: Any, name: str = "Key") -> Passkey:
        """Kept by allauth for this person, as its own page does."""
        credential = AttestedCredentialData.create(b"\0" * 16, self.id, self.public_key)
        about = AuthenticatorData(self._about(PRESENT_AND_VERIFIED | WITH_CREDENTIAL, bytes(credential)))
        made = AttestationObject.create("none", about, {})
        client_data = CollectedClientData.create("webauthn.create", b"x", self.origin)
        response = {"clientDataJSON": websafe_encode(client_data), "attestationObject": websafe_encode(made)}
        WebAuthn.add(user, name, {"id": websafe_encode(self.id), "rawId": websafe_encode(self.id), "type": "public-key", "response": response})
        return self

    def signs(self, challenge: str | bytes, *, flags: int = PRESENT_AND_VERIFIED, origin: str = "") -> str:
        """The answer of `navigator.credentials.get`, as the page sends it."""
        raw = websafe_decode(challenge) if isinstance(challenge, str) else challenge
        client_data = CollectedClientData.create("webauthn.get", raw, origin or self.origin)
        about = self._about(flags)
        signature = self.key.sign(about + client_data.hash, ec.ECDSA(SHA256()))
        response = {"clientDataJSON": websafe_encode(client_data), "authenticatorData": websafe_encode(about), "signature": websafe_encode(signature)}
        return json.dumps({"id": websafe_encode(self.id), "rawId": websafe_encode(self.id), "type": "public-key", "response": response})
