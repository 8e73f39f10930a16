"""What a mail says: subject, plain text and the same as HTML, from one list of facts. Rendered when it is sent, so that it is true then."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.template.loader import render_to_string
from django.urls import reverse

from approvals import codes, links
from approvals.comparing import since_last
from approvals.querysets import cases_of
from approvals.risks import WORDS
from releases.flows import compiled
from releases.models import ActivityRun, Attempt, Comment, Release
from releases.states import BAD, LIVE, Run
from relorch import mail_texts
from relorch.lib.words import question
from relorch.models import Mail, MailKind

MOST_LINES = 12


@dataclass(slots=True)
class Letter:
    """The facts of a mail, in the order in which they are said (design, section 13)."""

    subject: str
    title: str
    lead: str
    button: str = ""
    url: str = ""
    note: str = ""
    due: str = ""
    sections: list[tuple[str, list[str]]] = field(default_factory=list)
    why: str = ""
    reply_to: str = ""

    def bodies(self) -> tuple[str, str]:
        """Plain text and HTML."""
        context = {"letter": self, "host": urlsplit(base_url()).netloc, "settings_url": absolute("accounts:profile")}
        return render_to_string("mail/letter.txt", context), render_to_string("mail/letter.html", context)


def base_url() -> str:
    """Where people reach this installation: as configured, never as a request says."""
    return settings.RELORCH_BASE_URL or settings.RELORCH_LOCAL_URL


def absolute(name: str, *args: Any) -> str:
    """The whole address of a page."""
    return base_url() + reverse(name, args=args)


def letter_of(mail: Mail, at: datetime) -> Letter | None:
    """The letter of a mail, in an administrator's words where there are some; None when there is nothing to say any more."""
    letter = _letter(mail, at)
    if letter is not None and (row := mail_texts.of_kind(mail.kind)) is not None:
        for part, text in mail_texts.worded(row, _facts(mail, letter)).items():
            setattr(letter, part, text)
    return letter


def _facts(mail: Mail, letter: Letter) -> dict[str, str]:
    release = Release.objects.select_related("process").filter(pk=mail.release_id).first() if mail.release_id else None
    attempt = _attempt(mail)
    return {
        "subject": letter.subject,
        "title": letter.title,
        "lead": letter.lead,
        "due": letter.due,
        "person": mail.person.display_name,
        "release": release.name if release else "",
        "process": release.process.name if release else "",
        "activity": attempt.title if attempt else mail.activity,
        "reason": str(mail.data.get("reason", "")),
    }


def _letter(mail: Mail, at: datetime) -> Letter | None:
    release = Release.objects.select_related("process", "starter", "version").filter(pk=mail.release_id).first() if mail.release_id else None
    attempt = _attempt(mail)
    kind = MailKind(mail.kind)
    if kind is MailKind.DELEGATION:
        return _delegation(mail)
    if kind is MailKind.CODE:
        return _code(mail)
    if release is None:
        return None
    if kind in (MailKind.REQUEST, MailKind.REMINDER, MailKind.ESCALATION):
        return _question(mail, release, attempt, at) if attempt is not None and _still_asked(mail, attempt) else None
    if kind is MailKind.SETTLED:
        return _settled(mail, release, attempt)
    if kind is MailKind.MENTION:
        return _mention(mail, release)
    if kind is MailKind.STOOD_IN:
        return _stood_in(mail, release, attempt)
    return _news(mail, release, attempt)


def _still_asked(mail: Mail, attempt: Attempt) -> bool:
    """Whether it waits and, of those who are asked, whether this person may still decide and has not."""
    if attempt.state != Run.WAITING or attempt.run.release.state not in LIVE:
        return False
    if mail.kind == MailKind.ESCALATION:
        return True
    case = cases_of([attempt])[attempt.pk]
    return case.entitlement(mail.person.email)[0] == "yes" and not any(vote.person == mail.person.email and not vote.stale for vote in case.votes)


def _attempt(mail: Mail) -> Attempt | None:
    rows = Attempt.objects.select_related("run__release__process", "run__release__starter", "run__release__version__published_by")
    return rows.filter(pk=mail.attempt_id).first() if mail.attempt_id else None


def _question(mail: Mail, release: Release, attempt: Attempt, at: datetime) -> Letter:
    title = attempt.title
    by = _when(attempt.due_at, mail.person) if attempt.due_at else ""
    since = since_last(attempt)
    url = base_url() + reverse("approvals:link_arrive", args=[links.issue(attempt, mail.person, at=at)])
    lead = (
        f"{_name(release.starter.email)} asks you about {release.name}."
        if mail.kind != MailKind.ESCALATION
        else f"Nobody has decided this for {release.name} yet."
    )
    if mail.data.get("verb") == "sign_off.stale":
        lead = f"What you decided on for {release.name} has changed, so that you are asked again."
    elif mail.data.get("verb") == "activity.reassigned":
        lead = f"{_name(mail.data['actor'])} hands this question to you, for {release.name}."
    elif mail.data.get("verb") == "sign_off.nudged":
        lead = f"{_name(mail.data['actor'])} would be glad of an answer, for {release.name}."
    words = {MailKind.REMINDER: "Reminder: ", MailKind.ESCALATION: "Not decided: "}.get(MailKind(mail.kind), "")
    return Letter(
        # the same words each time, so that a reader's program keeps them together; only what comes before them differs
        subject=f"{words}{'Decide by ' + by + ': ' if by else 'Decide: '}{title}, {release.name}",
        title=question(title),
        lead=lead,
        button="Review and decide" if mail.kind != MailKind.ESCALATION else "Look at it",
        url=url,
        note=f"You decide on that page after signing in{', or with a code that is sent to you' if settings.RELORCH_MAIL_CODES else ''}, never from this mail.",
        due=by,
        sections=[
            (f"What changed: {WORDS[since.changes[0].risk].lower()}" if since.changes else "What changed", [since.sentence, *since.lines(MOST_LINES)]),
            *([("Checks", checks)] if (checks := _checks(attempt)) else []),
        ],
        why=f"You get this because you are asked to decide “{title}”. The link is yours alone and works for 72 hours, or until it is decided.",
        reply_to=release.starter.email,
    )


def _checks(attempt: Attempt) -> list[str]:
    """What ran before: each bad end, and how many others."""
    flow = compiled(attempt.run.release.version_id).flow
    upstream = flow.upstream_of_step(attempt.run.key)
    ran = list(ActivityRun.objects.filter(release=attempt.release_id, key__in=upstream).order_by("position").values_list("key", "state"))
    bad = [f"{flow.steps[key].label}: {state}" for key, state in ran if state in BAD]
    good = sum(state == Run.SUCCEEDED for _, state in ran)
    return [*bad[:MOST_LINES], *([f"{good} {'check has' if good == 1 else 'checks have'} succeeded"] if good else [])]


def _settled(mail: Mail, release: Release, attempt: Attempt | None) -> Letter:
    title = attempt.title if attempt else mail.activity
    outcome = {
        "activity.succeeded": "approved",
        "activity.overridden": "decided by breaking the glass",
        "activity.skipped": "skipped",
        "activity.aborted": "ended with its release",
        "activity.rejected": "rejected",
        "activity.expired": "not answered in time",
        "sign_off.not_needed": "asked of other people now",
    }[mail.data["verb"]]
    by = _name(mail.data["actor"]) if mail.data.get("actor") not in ("", "relorch") else ""
    return Letter(
        subject=f"No longer needed: {title}, {release.name}",
        title=f"{title}: no longer needed",
        lead=f"It is {outcome}{f' by {by}' if by else ''}. You need not do anything.",
        button="See what was decided",
        url=absolute("releases:activity", release.pk, mail.activity),
        why="You get this because you were asked to decide it.",
    )


def _stood_in(mail: Mail, release: Release, attempt: Attempt | None) -> Letter:
    title = attempt.title if attempt else mail.activity
    by, word = _name(mail.data["actor"]), "rejected" if mail.data["said"].get("decision") == "reject" else "approved"
    reason = str(mail.data.get("reason", ""))
    return Letter(
        subject=f"{by} {word} for you: {title}, {release.name}",
        title=f"{by} {word} {title} for you",
        lead=f"In {release.name}. You let {by} decide in your place; the record names you both.",
        sections=[
            *([("What they said", reason.split("\n"))] if reason else []),
            (
                "If it should not have been so",
                ["Where the question is still open, what was said for you counts no more once you end it:", absolute("approvals:delegations")],
            ),
        ],
        button="See what was decided",
        url=absolute("approvals:show", release.pk, mail.activity),
        why="You get this because somebody whom you let decide for you has done so.",
        reply_to=mail.data["actor"],
    )


def _mention(mail: Mail, release: Release) -> Letter | None:
    comment = Comment.objects.select_related("by").filter(pk=mail.data["said"].get("comment"), deleted_at=None).first()
    if comment is None:
        return None
    url = absolute("releases:activity", release.pk, mail.activity) if mail.activity else absolute("releases:show", release.pk)
    return Letter(
        subject=f"{comment.by.display_name} mentions you: {release.name}",
        title=f"{comment.by.display_name} mentions you",
        lead=f"In {release.name}{f', {mail.activity}' if mail.activity else ''}:",
        sections=[("", comment.text[:2_000].split("\n"))],
        button="Answer",
        url=url,
        why="You get this because you are mentioned.",
        reply_to=comment.by.email,
    )


def _code(mail: Mail) -> Letter | None:
    code = codes.still_good(mail.data["said"].get("code"))
    if code is None or code.person_id != mail.person_id:
        return None
    digits = codes.digits_of(code)
    return Letter(
        subject="Your code",
        title="Your code",
        lead=f"{digits[:4]} {digits[4:]}",
        sections=[("What it is for", ["Type it on the page that you have open. It works for ten minutes, for one decision. Nobody will ask you for it."])],
        why="You get this because somebody who has the link in your mail, and knows your address, asked for it. If it was not you, do nothing.",
    )


def _delegation(mail: Mail) -> Letter:
    by = _name(mail.data.get("actor", ""))
    if mail.data.get("verb") == "delegation.ended":
        return Letter(
            subject=f"{by} has ended a delegation",
            title=f"{by} has ended a delegation",
            lead="It was between you two. Nobody decides through it any more; what was decided stays.",
            button="See who stands in for whom",
            url=absolute("approvals:delegations"),
            why="You get this because the delegation was yours, or you were named in it.",
        )
    return Letter(
        subject=f"{by} lets you decide for them",
        title=f"{by} lets you decide for them",
        lead="What they are asked waits in your inbox too, while it lasts. What you decide then says that it was for them.",
        button="Open the inbox",
        url=absolute("approvals:inbox"),
        why="You get this because you are named as a deputy.",
    )


def _news(mail: Mail, release: Release, attempt: Attempt | None) -> Letter:
    title = attempt.title if attempt else mail.activity
    said: dict[str, Any] = mail.data.get("said", {})
    what = {
        "activity.on_hold": (f"{title} needs a decision", "It ended badly, and a person must choose how to go on: retry, ignore or fail it."),
        "activity.failed": (f"{title} has failed", "Nothing is rolled back by this alone."),
        "activity.interrupted": (f"{title}: outcome unknown", "Its worker was lost. Look whether it happened, then retry, ignore or fail it."),
        "approval.broken": (f"{title}: the approval was not given by the people it needs", "What follows it is on hold. Look who changed the record."),
        "release.due": ("Its time has come", "It waits for somebody to start it."),
        "release.missed": ("It was missed", "Its expected end has passed and nobody started it."),
        "release.start_failed": ("It could not start by itself", str(said.get("message", ""))),
    }[mail.data["verb"]]
    facts = [f"{name}: {said[name]}" for name in ("code", "message") if said.get(name) and mail.data["verb"] != "release.start_failed"]
    return Letter(
        subject=f"{what[0]}: {release.name}",
        title=what[0],
        lead=f"In {release.name}. {what[1]}",
        sections=[("What it says", facts)] if facts else [],
        button="Open the release",
        url=absolute("releases:activity", release.pk, mail.activity) if attempt else absolute("releases:show", release.pk),
        why="You get this because it is yours to look after.",
    )


def _name(email: str) -> str:
    person = get_user_model().objects.filter(email=email).first()
    return str(person.display_name) if person else email


def _when(at: datetime, person: Any) -> str:
    local = at.astimezone(person.zone)
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M %Z}"
