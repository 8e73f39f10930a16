"""The verbs of API tokens."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from relorch.accounts.models import LONGEST_TOKEN, USUAL_TOKEN, ApiToken, User
from relorch.lib.errors import Invalid, NotAllowed
from relorch.lib.prepared import Prepared

PREFIX_LENGTH = 14
NOTE_USE_EVERY = timedelta(minutes=1)


def issue(*, actor: User, person: User, name: str = "", lifetime: timedelta = USUAL_TOKEN) -> tuple[ApiToken, str]:
    """A new token and its secret, which is shown this once and stored nowhere. A person makes tokens for themselves, a superuser for anybody."""
    if actor.pk != person.pk and not actor.is_superuser:
        raise NotAllowed("token_of_another", "A token is made by its own person.")
    if not timedelta(0) < lifetime <= LONGEST_TOKEN:
        raise Invalid("token_lifetime", f"A token lives at least a moment and at most {LONGEST_TOKEN.days} days.")
    secret = ApiToken.new_secret()
    token = ApiToken.objects.create(
        person=person, name=name, prefix=secret[:PREFIX_LENGTH], digest=ApiToken.digest_of(secret), created_at=Now(), expires_at=Now() + lifetime
    )
    token.refresh_from_db()
    return token, secret


def revoke(*, actor: User, token: ApiToken) -> None:
    """Dead at the next request; twice is the same as once."""
    if actor.pk != token.person_id and not actor.is_superuser:
        raise NotAllowed("token_of_another", "A token is revoked by its own person.")
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=Now())
    token.refresh_from_db()


def authenticate(secret: str) -> ApiToken | None:
    """The usable token with that secret, with its person. Its use is noted at most once a minute, so that reading does not write each time."""
    found = next(iter(_USABLE(digest=ApiToken.digest_of(secret))), None)
    if found is not None and found.unnoted:  # type: ignore[attr-defined]
        ApiToken.objects.filter(_UNNOTED, pk=found.pk).update(last_used_at=Now())
    return found


_UNNOTED = Q(last_used_at=None) | Q(last_used_at__lt=Now() - NOTE_USE_EVERY)
_USABLE = Prepared(
    lambda digest: ApiToken.objects.filter(digest=digest).usable().select_related("person").annotate(unnoted=ExpressionWrapper(_UNNOTED, BooleanField())),
    digest="0" * 64,
)
