"""The verbs of people who talk: comment, change or delete what one said, attach a file, remove it. Whoever sees a release may, in whatever state it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Q
from django.urls import reverse

from processes.blueprint import Variable
from processes.problems import Problem
from processes.values import size_of
from releases.engine import Actor, Work, locked
from releases.models import ActivityRun, Attachment, Attempt, Comment, Release, Task
from releases.states import Run
from relorch.lib import files
from relorch.lib.errors import Conflict, Invalid, NotAllowed, Unavailable
from relorch.lib.files import Kept

LONGEST = 10_000
LONGEST_ON_TASK = 1_024
MOST_MENTIONS = 20
_LOCK_CONTENT = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))"
_MENTION = re.compile(r"(?<![\w.@])@([A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")


def mentions_in(text: str) -> list[str]:
    """The e-mail addresses that a text mentions as `@ann@example.com`, in lower case, each once."""
    return list(dict.fromkeys(found.lower() for found in _MENTION.findall(text)))


def comment(
    *, release: int, actor: Actor, text: str, activity: str = "", task: str = "", proposes: str = "", mention: Iterable[str] = ()
) -> tuple[Comment, list[str]]:
    """Say something; who is mentioned and sees the release is told. The comment, and who was mentioned and cannot be told.

    Raises LookupError (no such activity or task), Conflict (`proposes` where nobody is asked), Invalid.
    """
    longest, whole = LONGEST_ON_TASK if task else LONGEST, _with_mentions(text, mention)
    problems = [*(_problems_of(text, longest) or _problems_of(whole, longest)), *_problems_of_proposal(proposes, activity)]
    text = whole
    with locked(release, actor=actor) as work:
        run, attempt = _place(release, activity, task)
        if proposes and not problems and (attempt is None or attempt.state != Run.WAITING):
            raise Conflict("not_waiting", "Nobody is asked here now: there is nothing to propose.", state=run.state if run else "")
        _must(problems)
        told, missed = _told(work, release, mentions_in(text))
        said = Comment.objects.create(
            release_id=release, run=run, attempt=attempt, task=task, by=_person(actor), door=actor.door, text=text, proposes=proposes, at=work.at
        )
        more = {name: value for name, value in (("task", task), ("proposes", proposes)) if value}
        work.say("comment.added", release, activity, comment=said.pk, to=told, **more)
    return said, missed


def change(*, comment: Comment, actor: Actor, text: str) -> Comment:
    """Say it differently; it bears a mark, and what it said is kept. Raises NotAllowed (another's), Conflict (deleted), Invalid."""
    with locked(comment.release_id, actor=actor) as work:
        now = _own(comment, actor, "change")
        _must(_problems_of(text, LONGEST_ON_TASK if now.task else LONGEST))
        if text != now.text:
            before = set(mentions_in(now.text))
            told, _ = _told(work, comment.release_id, [email for email in mentions_in(text) if email not in before])
            now.earlier = [*now.earlier, {"text": now.text, "until": work.at.isoformat()}]
            now.text, now.edited_at = text, work.at
            now.save(update_fields=["earlier", "text", "edited_at"])
            work.say("comment.changed", comment.release_id, now.run.key if now.run else "", comment=now.pk, to=told)
    return now


def delete(*, comment: Comment, actor: Actor, by_superuser: bool = False) -> Comment:
    """Take it back: the text goes, with what it said before; that there was one stays. Raises NotAllowed, Conflict."""
    with locked(comment.release_id, actor=actor) as work:
        now = _own(comment, actor, "delete", whoever=by_superuser)
        now.text, now.earlier, now.deleted_at = "", [], work.at
        now.save(update_fields=["text", "earlier", "deleted_at"])
        work.say("comment.deleted", comment.release_id, now.run.key if now.run else "", comment=now.pk)
    return now


def attach(*, release: int, actor: Actor, kept: Kept, activity: str = "", field: str = "") -> Attachment:
    """Bring a file that `files.keep` has stored; when it is refused, it does not stay. Raises LookupError for an activity that is not there."""
    try:
        with locked(release, actor=actor) as work:
            run, _ = _place(release, activity, "")
            return attach_in(work, release, run, kept, field=field)
    except Exception:
        forget_unnamed([kept.hash])
        raise


def attach_in(work: Work, release: int, run: ActivityRun | None, kept: Kept, *, field: str = "") -> Attachment:
    """The same inside a transaction that holds the tree."""
    _lock_content(work, kept.hash)
    if not files.path_of(kept.hash).exists():
        raise Unavailable("file_missing", "The file was removed while you sent it: send it again.")
    made = Attachment.objects.create(
        release_id=release,
        run=run,
        field=field,
        name=kept.name,
        size=kept.size,
        hash=kept.hash,
        media=kept.media,
        by=_person(work.actor),
        door=work.actor.door,
        at=work.at,
    )
    work.say("attachment.added", release, run.key if run else "", attachment=made.pk, name=kept.name, size=kept.size, hash=kept.hash)
    return made


def remove(*, attachment: Attachment, actor: Actor, by_superuser: bool = False) -> Attachment:
    """Take a file back; the content goes when nothing else names it. Raises NotAllowed, Conflict (removed, or evidence of a decision)."""
    with locked(attachment.release_id, actor=actor) as work:
        now = Attachment.objects.select_for_update(of=("self",)).select_related("run").get(pk=attachment.pk)
        if now.removed_at is not None:
            raise Conflict("removed", "This file was removed already.", state="removed")
        if now.by_id != actor.id and not by_superuser:
            raise NotAllowed("not_yours", "Only who brought a file may remove it.")
        if now.run and _is_evidence(now):
            raise Conflict("evidence", "This file is evidence of a decision: it stays.", state=now.run.state)
        now.removed_at = work.at
        now.save(update_fields=["removed_at"])
        work.say("attachment.removed", now.release_id, now.run.key if now.run else "", attachment=now.pk, name=now.name, hash=now.hash)
        _lock_content(work, now.hash)
        if not Attachment.objects.filter(hash=now.hash, removed_at=None).exists():
            files.forget(now.hash)
    return now


def forget_unnamed(hashes: Iterable[str]) -> None:
    """Remove those contents that no attachment names: whoever brought them was refused afterwards."""
    for digest in set(hashes):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_LOCK_CONTENT, [digest])
            if not Attachment.objects.filter(hash=digest, removed_at=None).exists():
                files.forget(digest)


def link_of(attachment: Attachment) -> str:
    """Where the file is given out, for people who are signed in and see the release."""
    return reverse("releases:attachment", args=[attachment.release_id, attachment.pk])


def evidence_of(attachment: Attachment) -> dict[str, Any]:
    """A file as the value of a form field, and later as an output: `{name, size, hash, link, attachment}`."""
    return {"name": attachment.name, "size": attachment.size, "hash": attachment.hash, "link": link_of(attachment), "attachment": attachment.pk}


def limits_of(spec: Variable) -> tuple[tuple[str, ...], int]:
    """Which endings a form field of type `file` takes, and how many bytes."""
    try:
        return spec.accept, min(size_of(spec.max_size), files.LARGEST) if spec.max_size else files.LARGEST
    except ValueError:
        return spec.accept, files.LARGEST


def _is_evidence(attachment: Attachment) -> bool:
    for filled in Attempt.objects.filter(run=attachment.run, filled__isnull=False).values_list("filled", flat=True):
        if any(isinstance(value, dict) and value.get("attachment") == attachment.pk for value in (filled or {}).values()):
            return True
    return False


def _lock_content(work: Work, digest: str) -> None:
    """Whoever adds a row for a content and whoever removes the last one wait for each other; always after the tree's lock."""
    work.cursor.execute(_LOCK_CONTENT, (digest,))


def _place(release: int, activity: str, task: str) -> tuple[ActivityRun | None, Attempt | None]:
    if not activity:
        return None, None
    run = ActivityRun.objects.filter(release_id=release, key=activity).first()
    if run is None:
        raise LookupError(activity)
    attempt = Attempt.objects.filter(run=run).order_by("-number").first()
    if task and not Task.objects.filter(attempt=attempt, key=task).exists():
        raise LookupError(task)
    return run, attempt


def _person(actor: Actor) -> Any:
    """Who says or brings it. Raises NotAllowed for the engine: only people talk."""
    if actor.id is None:
        raise NotAllowed("nobody", "Only a person comments or attaches.")
    return get_user_model().objects.get(pk=actor.id)


def _own(comment: Comment, actor: Actor, what: str, *, whoever: bool = False) -> Comment:
    now = Comment.objects.select_for_update(of=("self",)).select_related("run").get(pk=comment.pk)
    if now.by_id != actor.id and not whoever:
        raise NotAllowed("not_yours", f"Only who wrote a comment may {what} it.")
    if now.deleted_at is not None:
        raise Conflict("deleted", "This comment was deleted.", state="deleted")
    return now


def _with_mentions(text: str, mention: Iterable[str]) -> str:
    """People picked beside the text are mentioned in it, so that everybody sees who was asked."""
    there = set(mentions_in(text))
    more = [f"@{email}" for email in dict.fromkeys(email.strip().lower() for email in mention) if email and email not in there]
    return f"{' '.join(more)} {text}".strip() if more else text


def _told(work: Work, release: int, emails: list[str]) -> tuple[list[str], list[str]]:
    """Of those mentioned: who is told, and who cannot be (nobody of that address, or they do not see the release)."""
    if not emails:
        return [], []
    told = []
    known = get_user_model().objects.filter(Q(email__in=emails[:MOST_MENTIONS]), is_active=True).exclude(email=work.actor.name)
    for person in known.order_by("email"):
        if Release.objects.visible_to(person).filter(pk=release).exists():
            told.append(person.email)
    return told, [email for email in emails if email not in told and email != work.actor.name]


def _problems_of(text: str, longest: int) -> list[Problem]:
    if not text.strip():
        return [Problem("required", "Say something.", "/text")]
    if "\0" in text:
        return [Problem("invalid_character", "A comment cannot hold the character NUL.", "/text")]
    if len(text) > longest:
        return [Problem("too_long", f"A comment here has at most {longest:,} characters, and this one has {len(text):,}.", "/text")]
    return []


def _problems_of_proposal(proposes: str, activity: str) -> list[Problem]:
    if proposes not in Comment.Proposal.values:
        return [Problem("not_an_option", f'"{proposes}" is no proposal: approve or reject.', "/proposes")]
    if proposes and not activity:
        return [Problem("not_here", "Only a decision of an activity can be proposed.", "/proposes")]
    return []


def _must(problems: list[Problem]) -> None:
    if problems:
        raise Invalid("invalid_comment", "The comment cannot be taken as it is.", problems)
