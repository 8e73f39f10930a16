"""The verbs of saved filters: keep, change, make one's default, delete. A filter shows nobody more than they may see: it is only words to find by.

No event is written of it: nothing of a release or a process changes, and nobody sees or may anything else because of it. It is a bookmark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.http import QueryDict
from django.urls import reverse

from processes.problems import Problem
from releases import finding
from releases.models import SavedFilter
from relorch.lib.errors import Conflict, Invalid, NotAllowed

LONGEST_NAME, MOST = 60, 50


def address(saved: SavedFilter) -> str:
    """The list as it says."""
    query = QueryDict(mutable=True)
    query.update({name: saved.query[name] for name in ("view", *finding.WORDS) if name in saved.query} | {"saved": str(saved.pk)})
    return f"{reverse('releases:list')}?{query.urlencode()}"


def words_in(asked: Mapping[str, str], views: Sequence[str]) -> dict[str, str]:
    """What of an address is a filter: the view and the words, without what is empty."""
    found = {name: asked[name].strip() for name in finding.WORDS if asked.get(name, "").strip()}
    return ({"view": asked["view"]} if asked.get("view") in views else {}) | found


def save(
    *, user: Any, name: str, query: Mapping[str, str], groups: Sequence[str] = (), is_default: bool = False, saved: SavedFilter | None = None
) -> SavedFilter:
    """Keep a filter, or change one's own. Raises Invalid with every problem, NotAllowed (another's), Conflict (`name_taken`, `too_many`)."""
    if saved is not None and saved.owner_id != user.pk:
        raise NotAllowed("not_yours", "Only who saved a filter may change it; save it under a name of your own.")
    name, wanted = name.strip(), list(dict.fromkeys(groups))
    problems = [Problem("required", "Give it a name.", "/name")] if not name else []
    if len(name) > LONGEST_NAME:
        problems.append(Problem("too_long", f"A name has at most {LONGEST_NAME} characters.", "/name"))
    problems += [Problem(one.code, one.message, f"/query{one.place}") for one in finding.wrong_in(query)]
    if not query:
        problems.append(Problem("required", "Filter the list first: there is nothing to keep.", "/query"))
    ours = {group.name: group for group in user.groups.filter(name__in=wanted)}
    problems += [Problem("unknown_group", f'You are in no group "{one}": share with groups that you are in.', "/groups") for one in wanted if one not in ours]
    if problems:
        raise Invalid("invalid", "The filter cannot be saved so.", problems)
    if saved is None and SavedFilter.objects.filter(owner=user).count() >= MOST:
        raise Conflict("too_many", f"You have {MOST} filters: delete one first.", state="full")
    try:
        with transaction.atomic():
            kept = saved or SavedFilter(owner=user)
            kept.name, kept.query = name, dict(query)
            kept.save()
            kept.groups.set(ours.values())
            make_default(user=user, saved=kept, is_default=is_default)
    except IntegrityError:
        raise Conflict("name_taken", f'You have a filter called "{name}" already: choose another name.', state="taken") from None
    return kept


def make_default(*, user: Any, saved: SavedFilter, is_default: bool) -> None:
    """The list opens with it, for this person; one at most."""
    with transaction.atomic():
        SavedFilter.default_of.through.objects.filter(user=user, **({} if is_default else {"savedfilter": saved})).delete()
        if is_default:
            saved.default_of.add(user)


def delete(*, user: Any, saved: SavedFilter) -> None:
    """Gone for everybody who used it. Raises NotAllowed (another's)."""
    if saved.owner_id != user.pk:
        raise NotAllowed("not_yours", "Only who saved a filter may delete it.")
    saved.delete()
