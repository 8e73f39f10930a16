"""Is it really you, now? Asked at the moment of a decision that wants it: password, code of an authenticator app or passkey, with that very request.

Wrong tries are counted with those of the log-in, by person and by address, so that neither door is the weaker one.

As an electronic signature (`signature`) the first one of a session takes two components: the password, and a code of the authenticator app or, for whoever has
none, the own address typed in. After that the password, each time; both again once a quarter of an hour has gone by without a signature. A passkey that
verifies its user is two components by itself.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from relorch.accounts import passkeys
from relorch.lib.errors import NotAllowed

IDLE = 15 * 60
"""Seconds after which a series of signatures is over."""
SIGNING = "signing"
"""In the session: when its person last signed with all components, or went on to."""

Wants = bool | str
"""What an approval asks for: `reauthenticate` of its blueprint."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That a person was who they said, for one request, and by what. `about` is what they signed with a passkey, `evidence` the assertion."""

    person: int
    method: str
    as_signature: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)


def asked_of(request: HttpRequest, wants: Wants) -> tuple[str, ...]:
    """The fields to ask for: `password`, `code`, `identity`, `passkey`."""
    if not wants:
        return ()
    has = set(Authenticator.objects.filter(user=request.user.pk).values_list("type", flat=True))
    passkey = ("passkey",) if Authenticator.Type.WEBAUTHN in has or wants == "passkey" else ()
    if wants == "passkey":
        return passkey
    has_code = Authenticator.Type.TOTP in has
    if wants == "signature" and not _goes_on(request):
        return ("code" if has_code else "identity", "password", *passkey)
    return ("password", *(("code",) if has_code and wants is True else ()), *passkey)


def confirm(request: HttpRequest, *, wants: Wants = True, password: str = "", code: str = "", identity: str = "") -> Proof | None:
    """The proof; None when nothing was given. Raises NotAllowed: `not_confirmed` for a wrong one, `both_components`, `too_many_tries`."""
    person: Any = request.user
    if not (password or code):
        return None
    begins = wants == "signature" and not _goes_on(request)
    if begins:
        _both_are_there(person, password, code, identity)
    try:
        shown = [
            *(["identity"] if begins and not code and _is_named(person, identity) else []),
            *(["code"] if code and (begins or not password) and _has_code(person, code) else []),
            *(["password"] if password and _has_password(request, person, password) else []),
        ]
    except ValidationError as refused:
        raise NotAllowed("too_many_tries", "Too many wrong tries: wait a while, then try again.") from refused
    if len(shown) < (2 if begins else 1) or (password and "password" not in shown):
        raise NotAllowed("not_confirmed", "That is not right. Nothing was decided.")
    as_signature = wants == "signature" and "password" in shown
    if as_signature:
        request.session[SIGNING] = int(time.time())
    return Proof(person.pk, {"code": "totp"}.get(shown[0], shown[0]) if len(shown) == 1 else "+".join(shown), as_signature)


def confirm_by_passkey(request: HttpRequest, answer: str, *, challenge: bytes, about: Mapping[str, Any]) -> Proof:
    """The proof that the person's authenticator has signed this challenge and verified its user. Raises NotAllowed `not_confirmed`."""
    person: Any = request.user
    try:
        evidence = passkeys.checked(request, person, json.loads(answer), challenge)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, StopIteration, struct.error) as refused:
        raise NotAllowed("not_confirmed", "The passkey did not sign what you are asked. Nothing was decided.") from refused
    request.session[SIGNING] = int(time.time())
    return Proof(person.pk, "passkey", True, about, evidence)


def _goes_on(request: HttpRequest) -> bool:
    last: int = request.session.get(SIGNING, 0)
    return 0 <= time.time() - last < IDLE


def _both_are_there(person: Any, password: str, code: str, identity: str) -> None:
    has_app = Authenticator.objects.filter(user=person.pk, type=Authenticator.Type.TOTP).exists()
    second = code if has_app else identity
    if not (password and second):
        what = "a code of your authenticator app" if has_app else "your e-mail address"
        raise NotAllowed("both_components", f"The first signature of a session, or after 15 minutes without one, takes {what} and your password.")


def _is_named(person: Any, identity: str) -> bool:
    return bool(identity.strip().lower() == person.email)


def _has_password(request: HttpRequest, person: Any, password: str) -> bool:
    found = get_adapter(request).authenticate(request, email=person.email, password=password)
    return bool(found is not None and found.pk == person.pk and person.is_active)


def _has_code(person: Any, code: str) -> bool:
    forgive = check_rate_limit(person)
    authenticator = Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).first()
    if authenticator is None or not authenticator.wrap().validate_code(code.strip()):
        return False
    forgive()
    return True
