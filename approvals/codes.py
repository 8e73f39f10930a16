"""One-time codes (S20): where the administrator allows it, a person decides from a mail's link without signing in, with a code that comes in another mail.

A code belongs to one person, one attempt and one packet; it works for ten minutes, five tries and one decision. It is derived from a random number by the
installation's key, so that the database alone does not hold it. Whether the person may decide is asked again at every step.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import ExpressionWrapper, F, Q
from django.db.models.fields import DateTimeField
from django.db.models.functions import Now

from approvals import packets
from approvals.models import LinkToken, MailCode
from approvals.querysets import Item, items_of
from approvals.together import differs_by
from releases.models import Attempt
from releases.states import LIVE, Run
from relorch.audit.chain import Happening, note
from relorch.lib import sealing

LASTS = timedelta(minutes=10)
MOST_TRIES = 5
MOST_AN_HOUR = 3
DIGITS = 8
_OF_A_LIVE_LINK = Q(link__used_at=None, link__expires_at__gt=Now())


def item_for(attempt: Attempt, person: Any) -> Item | None:
    """The question, if this person may decide it by a code now: active, entitled, and nothing there to confirm, fill in or check."""
    is_open = settings.RELORCH_MAIL_CODES and person.is_active and attempt.state == Run.WAITING and attempt.run.release.state in LIVE
    item = items_of([attempt], person)[0]  # asked in any case: how long it takes says nothing
    return item if is_open and item.answer == "yes" and not differs_by(item) else None


def ask(link: LinkToken, address: str) -> None:
    """Have a code sent to the person of this link, if they type their own address and may decide.

    Whoever asks learns nothing of it, not even by the time it takes: the work is always the same, and undone where there is to be no code.
    """
    person, attempt = link.person, link.attempt
    is_theirs = hmac.compare_digest(address.strip().lower().encode(), person.email.encode())
    with transaction.atomic():
        # one at a time for each person, so that the count holds
        type(person).objects.select_for_update().get(pk=person.pk)
        lately = MailCode.objects.filter(person=person, created_at__gt=Now() - timedelta(hours=1)).count()
        may = item_for(attempt, person) is not None
        is_live = _is_live(link)
        until = ExpressionWrapper(Now() + LASTS, DateTimeField())
        packet = packets.current_hash(attempt)
        code = MailCode.objects.create(link=link, person=person, attempt=attempt, packet=packet, nonce=secrets.token_hex(32), expires_at=until)
        _note("code.asked", code, {"code": code.pk, "to": [person.email]})
        if not (is_theirs and may and is_live and lately < MOST_AN_HOUR):
            transaction.set_rollback(True)


def digits_of(code: MailCode) -> str:
    """What is sent and typed."""
    sealed = sealing.seal("mail code", [code.nonce, code.person_id, code.attempt_id, code.packet])
    return str(int(sealed, 16) % 10**DIGITS).zfill(DIGITS)


def opened(link: LinkToken, typed: str, *, address: str = "") -> MailCode | None:
    """The code of this link that was typed, if it is right; each wrong try counts against every code that is still good, and is on the record."""
    said = "".join(typed.split()).encode()  # as text, compare_digest takes ASCII only
    live = MailCode.objects.filter(_OF_A_LIVE_LINK, link=link, expires_at__gt=Now(), used_at=None, tries__lt=MOST_TRIES)
    found, tried = None, None
    with transaction.atomic():
        for code in live.select_related("person", "attempt__run"):
            # the count is in the UPDATE: tries at the same instant are counted one by one
            if MailCode.objects.filter(pk=code.pk, tries__lt=MOST_TRIES).update(tries=F("tries") + 1):
                tried = code
                if hmac.compare_digest(digits_of(code).encode(), said):
                    found = code
        if found is None and tried is not None:
            _note("code.refused", tried, {"code": tried.pk, "try": tried.tries + 1, "address": address})
    return found


def _note(verb: str, code: MailCode, said: dict[str, Any]) -> None:
    """On the record of the account. Who it was is not known: nobody is signed in."""
    note(Happening(f"account:{code.person_id}", verb, code.attempt.run.key, None, "", "mail", release_id=code.attempt.release_id, data=said))


def still_good(pk: int | None) -> MailCode | None:
    """A code that was typed before, if its person may still decide with it."""
    rows = MailCode.objects.select_related(
        "person", "attempt__run__release__process", "attempt__run__release__starter", "attempt__run__release__version__published_by"
    )
    code = rows.filter(_OF_A_LIVE_LINK, pk=pk or 0, expires_at__gt=Now(), used_at=None).first()
    return code if code is not None and item_for(code.attempt, code.person) is not None else None


def take(code: MailCode) -> bool:
    """Use it up, and its link with it: once, whoever tries at the same time, also with another code of that link (S20)."""
    with transaction.atomic():
        if LinkToken.objects.filter(pk=code.link_id, expires_at__gt=Now(), used_at=None).update(used_at=Now()) != 1:
            return False
        return MailCode.objects.filter(pk=code.pk, used_at=None).update(used_at=Now()) == 1


def give_back(code: MailCode) -> None:
    """The decision was not taken: it may be sent again, corrected."""
    with transaction.atomic():
        LinkToken.objects.filter(pk=code.link_id).update(used_at=None)
        MailCode.objects.filter(pk=code.pk).update(used_at=None)


def _is_live(link: LinkToken) -> bool:
    return LinkToken.objects.filter(pk=link.pk, expires_at__gt=Now(), used_at=None).exists()
