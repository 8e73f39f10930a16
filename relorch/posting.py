"""Sending the mails that wait: claimed one by one, tried again with longer and longer pauses, given up with the reason. A mail keeps its Message-ID."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parseaddr
from urllib.parse import urlsplit

from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import QuerySet

from relorch.lib import clock
from relorch.models import Mail
from relorch.writing_mail import Letter, absolute, base_url, letter_of

log = logging.getLogger(__name__)

MOST = 50
PAUSES = (60, 300, 900, 3_600, 4 * 3_600, 12 * 3_600)
"""Seconds before each further try; after the last it is given up."""
_LEASE = timedelta(minutes=2)
"""How long a worker that sends may take before another one does it again: twice is better than not at all, and the Message-ID is the same."""


def post() -> int:
    """Send what is due; how many were sent."""
    sent = 0
    for _ in range(MOST):
        claimed = _claim()
        if not claimed:
            return sent
        sent += _send(claimed)
    return sent


def again(mails: QuerySet[Mail]) -> int:
    """Try once more what was given up; how many that are."""
    return mails.filter(state=Mail.State.DEAD).update(state=Mail.State.WAITING, tries=0, next_at=clock.now())


def _claim() -> list[Mail]:
    """The next mail that is due, with the others of its person's digest if it is one; nobody else takes them meanwhile."""
    with transaction.atomic():
        rows = (
            Mail.objects.select_for_update(skip_locked=True, of=("self",)).filter(state=Mail.State.WAITING, next_at__lte=clock.now()).select_related("person")
        )
        first = rows.order_by("-urgent", "next_at", "pk").first()
        if first is None:
            return []
        found = list(rows.filter(person=first.person, digest=True).order_by("pk")[:200]) if first.digest else [first]
        Mail.objects.filter(pk__in=[mail.pk for mail in found]).update(next_at=clock.now() + _LEASE)
    return found


def _send(mails: Sequence[Mail]) -> int:
    at = clock.now()
    letters, needless = [], []
    for mail in mails:
        try:
            letter = letter_of(mail, at) if mail.person.is_active else None
        except Exception as problem:  # of this one: the others go out
            log.exception("mail %s cannot be written", mail.pk)
            _failed([mail], f"{type(problem).__name__}: {problem}", at, final=False)
            continue
        if letter is None:
            needless.append(mail.pk)
        else:
            letters.append((mail, letter))
    if needless:
        Mail.objects.filter(pk__in=needless).update(state=Mail.State.NEEDLESS)
    if not letters:
        return 0
    first = letters[0][0]
    letter = letters[0][1] if len(letters) == 1 else _digest([letter for _, letter in letters])
    try:
        message = _message(first, letter)
        message.send()
    except Exception as problem:
        if not isinstance(problem, OSError):  # whatever the mail server says is one of these
            log.exception("mail %s cannot be sent", first.pk)
        _failed([mail for mail, _ in letters], str(problem) or type(problem).__name__, at, final=_for_good(problem))
        return 0
    for mail, one in letters:
        Mail.objects.filter(pk=mail.pk).update(state=Mail.State.SENT, sent_at=at, subject=_line(one.subject), error="", tries=mail.tries + 1)
    return len(letters)


def _for_good(problem: Exception) -> bool:
    """Whether the mail server refused every recipient for good (RFC 5321, 4.2.1: 5yz): a 4yz such as greylisting asks to try again."""
    refused = getattr(problem, "recipients", None)
    return isinstance(refused, dict) and bool(refused) and all(code >= 500 for code, _ in refused.values())


def _failed(mails: Sequence[Mail], reason: str, at: datetime, *, final: bool) -> None:
    for mail in mails:
        over = final or mail.tries >= len(PAUSES)
        log.warning("mail %s to person %s: %s", mail.pk, mail.person_id, "given up" if over else "tried again later")
        Mail.objects.filter(pk=mail.pk).update(
            state=Mail.State.DEAD if over else Mail.State.WAITING,
            tries=mail.tries + 1,
            error=reason[:2_000],
            next_at=at + timedelta(seconds=PAUSES[min(mail.tries, len(PAUSES) - 1)]),
        )


def _digest(letters: Sequence[Letter]) -> Letter:
    return Letter(
        subject=f"{len(letters)} things on relorch",
        title=f"{len(letters)} things since your last digest",
        lead="Collected as you asked in your mail settings.",
        sections=[(letter.title, [letter.lead, *(["Due " + letter.due] if letter.due else []), letter.url]) for letter in letters],
        button="Open the inbox",
        url=absolute("approvals:inbox"),
        why="You get this once a day, as you chose.",
    )


def _message(mail: Mail, letter: Letter) -> EmailMultiAlternatives:
    domain = urlsplit(base_url()).hostname or "localhost"
    text, html = letter.bodies()
    thread = f"<release-{mail.release_id}-{mail.activity or 'release'}-{mail.attempt_id or 0}@{domain}>"
    headers = {
        "Message-ID": f"<mail-{mail.pk}@{domain}>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "References": thread,
        "In-Reply-To": thread,
    }
    reply = [letter.reply_to] if parseaddr(letter.reply_to)[1] else None
    message = EmailMultiAlternatives(_line(letter.subject), text, to=[mail.person.email], headers=headers, reply_to=reply)
    message.attach_alternative(html, "text/html")
    return message


def _line(text: str) -> str:
    """One line: names of releases are user's text, and a subject with a line break would be a header."""
    return re.sub(r"\s+", " ", "".join(character if character.isprintable() else " " for character in text)).strip()[:250]
