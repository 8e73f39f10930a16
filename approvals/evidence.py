"""What a signature by passkey proves, and whether it does (pure: an exported document is enough, neither database nor installation is asked).

The person's authenticator signs a challenge that is the digest of a *statement*: who says what about which packet, and why. The packet's own hash is in
it, so that the signature holds only for exactly what was decided on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fido2 import cbor
from fido2.cose import CoseKey
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AuthenticatorData, CollectedClientData

from relorch.lib.canonical import sha256_of

FORMAT = "relorch signature 1"
PURPOSE = "relorch sign-off"


def challenge_of(statement: Mapping[str, Any]) -> bytes:
    """What the authenticator is given to sign."""
    return sha256_of(dict(statement))


def problems(document: Mapping[str, Any]) -> list[str]:
    """Everything that does not hold in an exported signature by passkey; nothing when it proves what it says."""
    try:
        return [*_of_record(document), *_of_statement(document), *assertion_problems(document)]
    except Exception as error:  # whatever an altered document does to the parsers: it proves nothing
        return [f"The document cannot be read: {type(error).__name__}."]


def _of_record(document: Mapping[str, Any]) -> list[str]:
    statement, record = document["statement"], document["record"]
    found = [] if document["format"] == FORMAT else ["The format is not one that is known."]
    found += [] if statement["purpose"] == PURPOSE else ["The statement is about something else."]
    said = {"person": "email", "name": "name", "for": "for", "meaning": "meaning", "reason": "reason", "packet": "packet"}
    return [*found, *(f"The record's {ours} is not what was signed." for theirs, ours in said.items() if statement[theirs] != record[ours])]


def _of_statement(document: Mapping[str, Any]) -> list[str]:
    statement, packet = document["statement"], document["packet"]
    found = [] if sha256_of(packet).hex() == statement["packet"] else ["The packet is not the one that was signed."]
    same = all(statement[name] == packet[name] for name in ("release", "activity", "attempt"))
    return found if same else [*found, "The statement is about another question than the packet."]


def assertion_problems(document: Mapping[str, Any]) -> list[str]:
    """What does not hold of the assertion itself, over its statement; raises what a malformed one makes of the parsers."""
    passkey, statement = document["passkey"], document["statement"]
    client_data = CollectedClientData(_bytes(passkey["client_data"]))
    about = AuthenticatorData(_bytes(passkey["authenticator_data"]))
    host = passkey["relying_party"]
    found = []
    if client_data.type != "webauthn.get":
        found.append("It is no assertion.")
    if client_data.challenge != challenge_of(statement):
        found.append("What was signed is another statement.")
    if client_data.origin != passkey["origin"] or not is_of(host, client_data.origin):
        found.append("It was signed on another site.")
    if about.rp_id_hash != hashlib.sha256(host.encode()).digest():
        found.append("It was signed for another site.")
    if not (about.is_user_present() and about.is_user_verified()):
        found.append("The authenticator did not verify its user.")
    try:
        CoseKey.parse(_cbor(passkey["public_key"])).verify(bytes(about) + client_data.hash, _bytes(passkey["signature"]))
    except Exception:  # each kind of key has its own
        found.append("The signature is not of this key.")
    if fingerprint(passkey["public_key"]) not in statement["keys"]:
        found.append("The key is not one of those that were asked to sign.")
    return found


def is_of(host: str, origin: str) -> bool:
    """Whether an origin belongs to the site: itself or below it, and over TLS unless it is this machine."""
    parts = urlsplit(origin)
    name = parts.hostname or ""
    below = name == host or name.endswith(f".{host}")
    return below and (parts.scheme == "https" or name in ("localhost", "127.0.0.1", "::1"))


def fingerprint(public_key: str) -> str:
    """A public key in short."""
    return hashlib.sha256(_bytes(public_key)).hexdigest()


def _bytes(text: str) -> bytes:
    decoded = websafe_decode(text)
    # base64 has spare bits: only the one spelling counts
    if websafe_encode(decoded) != text:
        raise ValueError("not canonical base64url")
    return decoded


def _cbor(text: str) -> Mapping[int, Any]:
    value = cbor.decode(_bytes(text))
    if not isinstance(value, Mapping):
        raise TypeError("not a key")
    return value
