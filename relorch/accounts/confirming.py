"""Is it really you, now? Asked at the moment of a decision that wants it: the password, or a code of one's authenticator app, with that very request.

Wrong tries are counted with those of the log-in, by person and by address, so that neither door is the weaker one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from relorch.lib.errors import NotAllowed


@dataclass(frozen=True, slots=True)
class Proof:
    """That a person was who they said, for one request: by `password` or `totp`."""

    person: int
    method: str


def confirm(request: HttpRequest, *, password: str = "", code: str = "") -> Proof | None:
    """The proof; None when nothing was given. Raises NotAllowed: `not_confirmed` for a wrong one, `too_many_tries`."""
    person: Any = request.user
    if not (password or code):
        return None
    try:
        if password:
            found = get_adapter(request).authenticate(request, email=person.email, password=password)
            if found is not None and found.pk == person.pk and person.is_active:
                return Proof(person.pk, "password")
        elif _has_code(person, code):
            return Proof(person.pk, "totp")
    except ValidationError as refused:
        raise NotAllowed("too_many_tries", "Too many wrong tries: wait a while, then try again.") from refused
    raise NotAllowed("not_confirmed", "That is not right. Nothing was decided.")


def _has_code(person: Any, code: str) -> bool:
    forgive = check_rate_limit(person)
    authenticator = Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).first()
    if authenticator is None or not authenticator.wrap().validate_code(code.strip()):
        return False
    forgive()
    return True
