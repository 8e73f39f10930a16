"""Pages of the people who decide: their inbox, one question at a time, and the panel of a release."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Case, Q, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from approvals import checklists, evidence, filling, links, signatures, signing, uploads
from approvals.forms import DecisionForm
from approvals.inbox import DUE, MOST, WHOSE, Inbox, Wanted, inbox_of
from approvals.link_views import ARRIVED
from approvals.models import SignOff
from approvals.pages import Question
from approvals.querysets import given_by, items_of, waiting
from approvals.questions import seen_attempt
from releases.engine import Actor
from releases.models import ActivityRun, Attempt, Release
from relorch.accounts import passkeys
from relorch.accounts.confirming import Proof, asked_of, confirm, confirm_by_passkey
from relorch.lib.errors import Conflict, Invalid, NotAllowed
from relorch.lib.htmx import page_or_fragment
from relorch.lib.look import KINDS

MOST_IN_PANEL = 10
"""Questions that the page of a release shows above its phases; the list of activities has the others."""
CONFIRMING = frozenset({"reauthenticate", "not_confirmed", "both_components", "too_many_tries"})
"""Refusals that are said at the field of the password."""


@login_required
@require_safe
def count(request: HttpRequest) -> HttpResponse:
    """How many questions wait for me: what an open page asks for once it is told that something changed."""
    return render(request, "approvals/_count.html")


@login_required
@require_safe
def inbox(request: HttpRequest) -> HttpResponse:
    """The home page: what waits for me, most urgent first, and one question beside it."""
    wanted_items = Wanted.of(request.GET)
    found = inbox_of(request.user, wanted_items)
    items = found.items
    wanted = request.GET.get("item", "")
    item = next((item for item in items if f"{item.release.pk}/{item.key}" == wanted), items[0] if items else None)
    context = {
        "inbox": found,
        "groups": found.groups,
        "most": MOST if found.is_cut else 0,
        "kinds": [(key, KINDS[key][1]) for key in ("approval", "sign_off", "checklist")],
        "dues": [(key, label) for key, (label, _) in DUE.items()],
        "inbox_count": len(found.mine),
        "question": Question(item, request.user) if item else None,
        "tabs": _tabs(found, wanted_items.whose),
    }
    return page_or_fragment(request, "approvals/inbox.html", "approvals/_pane.html", context)


@login_required
@require_safe
def done(request: HttpRequest) -> HttpResponse:
    """What I have decided lately."""
    found = inbox_of(request.user)
    return render(request, "approvals/done.html", {"votes": given_by(request.user), "inbox_count": len(found.mine), "tabs": _tabs(found, "done")})


def _tabs(found: Inbox, current: str) -> list[dict[str, Any]]:
    home = reverse("approvals:inbox")
    counts = {"groups": len(found.of_groups), "asked": len(found.asked)}
    narrowed = [
        {"label": label, "url": home + found.wanted.address(whose=whose), "count": counts[whose] or "", "current": current == whose}
        for whose, label in WHOSE.items()
    ]
    return [
        {"label": "For me", "url": home + found.wanted.address(whose="").rstrip("?"), "count": len(found.mine) or "", "hot": True, "current": current == ""},
        *narrowed,
        {"label": "Decided", "url": reverse("approvals:done"), "current": current == "done"},
        {"label": "Stand-ins", "url": reverse("approvals:delegations"), "mark": "users-round"},
    ]


@login_required
@require_safe
def panel(request: HttpRequest, release: int) -> HttpResponse:
    """What a release (and its children) waits for: the reader's own questions first, and of very many the most urgent."""
    seen = get_object_or_404(Release.objects.visible_to(request.user), pk=release)
    asked = waiting().filter(Q(release=seen) | Q(root=seen))
    number = asked.count()
    if number > MOST_IN_PANEL:
        yours = ActivityRun.objects.waiting_for(request.user).order_by().values("pk")
        asked = asked.alias(is_others=Case(When(run__in=yours, then=0), default=1)).order_by("is_others", *asked.query.order_by)[:MOST_IN_PANEL]
    items = items_of(asked, request.user)
    items.sort(key=lambda item: not item.is_mine)
    shown = [
        {
            "title": item.title,
            "place": item.phase if item.release.pk == seen.pk else f"{item.release}, {item.phase}",
            "asked_at": item.attempt.asked_at,
            "blocks": f"{item.done} of {item.needed} agreed" if item.needed > 1 else "",
            "due_at": item.due_at,
            "is_late": item.is_late,
            "url": reverse("approvals:show", args=[item.release.pk, item.key]),
            "action": "Review and sign" if item.is_mine else "Read evidence",
            "open": item.answer != "not_yet_asked",
            "others": not item.is_mine,
        }
        for item in items
    ]
    title = "Waiting for you" if any(item.is_mine for item in items) else "Waiting for people"
    return page_or_fragment(
        request, "approvals/panel.html", "approvals/_panel.html", {"release": seen, "items": shown, "more": number - len(shown), "title": title}
    )


@login_required
@require_safe
def show(request: HttpRequest, release: str, activity: str) -> HttpResponse:
    """One question on one page. Looking changes nothing (S20)."""
    return _page(request, seen_attempt(request, release, activity))


@login_required
@require_POST
def sign_off(request: HttpRequest, release: str, activity: str) -> HttpResponse:
    """The decision. What cannot be taken comes back with every problem at its field; what has changed meanwhile comes back as it is now."""
    attempt = seen_attempt(request, release, activity)
    question = Question.of(attempt, request.user)
    approval = question.item.case.approval
    form = DecisionForm(question.specs, approval, request.POST, files=request.FILES, asked=asked_of(request, approval.reauthenticate))
    user: Any = request.user
    try:
        proof = _proof(request, approval.reauthenticate)
        with uploads.stored(form) as given:
            signed = signing.sign_off(
                release=attempt.release_id,
                activity=activity,
                person=user,
                actor=Actor(user.pk, user.email, _door(request, attempt)),
                decision=request.POST.get("decision", ""),
                comment=request.POST.get("comment", "").strip(),
                fields=given if question.specs else None,
                packet=request.POST.get("packet", ""),
                address=request.META.get("REMOTE_ADDR") or None,
                form=True,
                proof=proof,
            )
    except NotAllowed as refused:
        if refused.code not in CONFIRMING:
            raise
        form.refuse_confirmation(refused.message)
        return _page(request, attempt, form=form, status=403)
    except Invalid as refused:
        form.refuse(refused.problems)
        return _page(request, attempt, form=form, status=422)
    except Conflict as late:
        return _page(request, seen_attempt(request, release, activity), form=form, conflict=late, status=409)
    links.used(attempt, user)
    messages.success(request, _thanks(signed, question))
    return HttpResponseRedirect(reverse("approvals:show", args=[attempt.release_id, activity]))


def _proof(request: HttpRequest, wants: bool | str) -> Proof | None:
    said = {name: request.POST.get(name, "") for name in ("password", "code", "identity", "passkey")}
    if not wants:
        return None
    if said["passkey"]:
        about = signatures.taken_statement(request)
        return confirm_by_passkey(request, said["passkey"], challenge=evidence.challenge_of(about), about=about)
    return confirm(request, wants=wants, password=said["password"], code=said["code"], identity=said["identity"])


@login_required
@require_POST
def challenge(request: HttpRequest, release: str, activity: str) -> HttpResponse:
    """What this person's passkey is to sign for a decision: bound to the packet that is shown, the decision and its reason. Decides nothing."""
    attempt = seen_attempt(request, release, activity)
    question = Question.of(attempt, request.user)
    decision, packet = request.POST.get("decision", ""), request.POST.get("packet", "")
    if not question.may_decide:
        return JsonResponse({"message": question.refusal or "It is not open any more."}, status=409)
    if decision not in SignOff.Decision.values:
        return JsonResponse({"message": "Choose approve or reject first."}, status=422)
    if packet != question.packet:
        return JsonResponse({"message": "This has changed since you opened it: load the page again."}, status=409)
    statement = signatures.statement_for(request, attempt, decision=decision, reason=request.POST.get("comment", "").strip(), through=question.item.behalf)
    return JsonResponse(passkeys.options_for(request, request.user, evidence.challenge_of(statement)))


@login_required
@require_POST
def fill(request: HttpRequest, release: str, activity: str) -> HttpResponse:
    """The form alone, without a decision."""
    attempt = seen_attempt(request, release, activity)
    question = Question.of(attempt, request.user)
    form = DecisionForm(question.specs, question.item.case.approval, request.POST, files=request.FILES)
    user: Any = request.user
    try:
        with uploads.stored(form) as given:
            filling.fill(
                release=attempt.release_id,
                activity=activity,
                person=user,
                actor=Actor(user.pk, user.email, SignOff.Door.PAGE),
                fields=given,
                packet=request.POST.get("packet", ""),
                form=True,
            )
    except Invalid as refused:
        form.refuse(refused.problems)
        return _page(request, attempt, form=form, status=422)
    except Conflict as late:
        return _page(request, seen_attempt(request, release, activity), form=form, conflict=late, status=409)
    messages.success(request, f"Saved. {question.item.title} is not decided by this.")
    return HttpResponseRedirect(reverse("approvals:show", args=[attempt.release_id, activity]))


@login_required
@require_POST
def task(request: HttpRequest, release: str, activity: str, task: str) -> HttpResponse:
    """Move one task of the checklist on."""
    attempt = seen_attempt(request, release, activity)
    user: Any = request.user
    try:
        changed = checklists.change_task(
            release=attempt.release_id,
            activity=activity,
            task=task,
            person=user,
            actor=Actor(user.pk, user.email, SignOff.Door.PAGE),
            status=request.POST.get("status", ""),
            note=request.POST.get("note", "").strip(),
        )
    except LookupError:
        raise Http404 from None
    except Conflict as late:
        return _page(request, seen_attempt(request, release, activity), conflict=late, status=409)
    messages.success(request, f"{changed.name}: {changed.get_status_display().lower()}.")
    return HttpResponseRedirect(f"{reverse('approvals:show', args=[attempt.release_id, activity])}#tasks")


def _door(request: HttpRequest, attempt: Attempt) -> str:
    """By mail, where this person's own link has brought them to this very question."""
    return str(SignOff.Door.MAIL if request.session.get(ARRIVED) == attempt.pk else SignOff.Door.PAGE)


def _thanks(signed: signing.Signed, question: Question) -> str:
    word = "approved" if signed.sign_off.decision == SignOff.Decision.APPROVE else "rejected"
    if signed.verdict == "open":
        return f"You {word} {question.item.title}. Others are still asked."
    return f"You {word} {question.item.title}."


def _chosen(request: HttpRequest, form: DecisionForm | None, conflict: Conflict | None) -> str:
    """What is chosen when the page comes: nothing, but what the reader has sent before or has just pressed in their inbox; it is not decided by that."""
    if conflict is not None:
        return ""
    return form.chosen if form is not None else request.GET.get("choose", "")


def _page(request: HttpRequest, attempt: Attempt, *, form: DecisionForm | None = None, conflict: Conflict | None = None, status: int = 200) -> HttpResponse:
    question = Question.of(attempt, request.user)
    approval = question.item.case.approval
    found = inbox_of(request.user)
    wants_form = question.may_decide and (question.item.vote is None or "change" in request.GET or form is not None)
    only_fills = question.may_fill and not question.may_decide and bool(question.specs)
    context = {
        "question": question,
        "fill_form": (form or DecisionForm(question.specs, approval, filled=attempt.filled)) if only_fills else None,
        "form": (form or DecisionForm(question.specs, approval, filled=attempt.filled, asked=asked_of(request, approval.reauthenticate)))
        if wants_form
        else None,
        "needs_passkey": approval.reauthenticate == "passkey",
        "has_passkey": approval.reauthenticate == "passkey" and bool(passkeys.of(request.user)),
        "conflict": conflict,
        "chosen": _chosen(request, form, conflict),
        "sends_mail": settings.RELORCH_MAIL,
        "inbox_count": len(found.mine),
        "next_item": next((item for item in found.mine if item.attempt.pk != attempt.pk), None),
    }
    return render(request, "approvals/show.html", context, status=status)
