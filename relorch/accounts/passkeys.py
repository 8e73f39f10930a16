"""Passkeys: allauth keeps them and adds them; here they sign what their person decides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest
from fido2 import cbor
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRequestOptions,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    UserVerificationRequirement,
)

TIMEOUT = 5 * 60


def of(person: Any) -> list[AttestedCredentialData]:
    """The person's credentials."""
    rows = Authenticator.objects.filter(user_id=person.pk, type=Authenticator.Type.WEBAUTHN)
    return [found for row in rows if (found := row.wrap().authenticator_data.credential_data)]


def public_key_of(credential: AttestedCredentialData) -> str:
    """The public key (COSE), as text."""
    return websafe_encode(cbor.encode(dict(credential.public_key)))


def fingerprint_of(credential: AttestedCredentialData) -> str:
    """The public key in short."""
    return hashlib.sha256(cbor.encode(dict(credential.public_key))).hexdigest()


def site_of(request: HttpRequest) -> str:
    """The name for which passkeys of this installation are made."""
    return request.get_host().partition(":")[0]


def options_for(request: HttpRequest, person: Any, challenge: bytes) -> dict[str, Any]:
    """What a browser needs in order to have this challenge signed."""
    options = PublicKeyCredentialRequestOptions(
        challenge=challenge,
        timeout=TIMEOUT * 1000,
        rp_id=site_of(request),
        allow_credentials=[PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=one.credential_id) for one in of(person)],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return dict(options)


def checked(request: HttpRequest, person: Any, answer: Mapping[str, Any], challenge: bytes) -> dict[str, Any]:
    """The assertion as it is kept. Raises ValueError, or what a malformed answer makes of its parser."""
    site = site_of(request)
    is_ours = None if settings.PRODUCTION else lambda origin: _is_here(origin, site)
    server = Fido2Server(PublicKeyCredentialRpEntity(name="relorch", id=site), verify_origin=is_ours)
    state = {"challenge": websafe_encode(challenge), "user_verification": UserVerificationRequirement.REQUIRED}
    said = AuthenticationResponse.from_dict(answer)
    used = server.authenticate_complete(state, of(person), said)
    row = next(row for row in Authenticator.objects.filter(user_id=person.pk, type=Authenticator.Type.WEBAUTHN) if _is(row, used))
    row.record_usage()
    return {
        "relying_party": site,
        "origin": said.response.client_data.origin,
        "public_key": public_key_of(used),
        "client_data": websafe_encode(said.response.client_data),
        "authenticator_data": websafe_encode(said.response.authenticator_data),
        "signature": websafe_encode(said.response.signature),
    }


def _is(row: Authenticator, used: AttestedCredentialData) -> bool:
    found = row.wrap().authenticator_data.credential_data
    return found is not None and bytes(found.credential_id) == bytes(used.credential_id)


def _is_here(origin: str, site: str) -> bool:
    """A local installation speaks plain HTTP on this machine."""
    return origin.partition("://")[2].partition(":")[0] == site
