"""The list of releases: which, and what each row says. The number of queries does not grow with the rows."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from processes.access import owner_names, processes_with
from processes.blueprint import Category
from processes.models import Process, ProcessVersion
from processes.versions import blueprint_of
from releases import finding, saving, states, wording
from releases.models import ActivityRun, Release, RunPerson, SavedFilter
from releases.querysets import SHOWING
from releases.standins import stood_in_for
from releases.waiting import decided_by

PAGE = 25
MOST_COUNTED = 99
VIEWS = {"active": "Active", "attention": "Needs attention", "finished": "Finished", "all": "All", "archived": "Archived"}
_STUCK = (states.Run.ON_HOLD, states.Run.INTERRUPTED)
_BEGUN = (states.Run.QUEUED, states.Run.RUNNING, states.Run.WAITING, *_STUCK)
_SETTLED = (states.Run.SUCCEEDED, states.Run.SKIPPED, states.Run.IGNORED)
_CONNECTORS: tuple[OrderedDict[int, Mapping[str, tuple[str, str]]], Lock] = (OrderedDict(), Lock())


@dataclass(frozen=True, slots=True)
class Row:
    """One release."""

    release: Release
    look: str
    reason: str
    counts: dict[str, int]
    took: timedelta | None
    done: int
    """Activities that are done."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


def top(user: Any) -> QuerySet[Release]:
    """Those that this person may see, without the children of a release that they see too."""
    return Release.objects.on_top_for(user)


def in_view(releases: QuerySet[Release], view: str, user: Any) -> QuerySet[Release]:
    """Those of one of the tabs."""
    if view in ("finished", "archived"):
        return finding.kept(releases.filter(state__in=sorted(states.ENDED)), str(view == "archived").lower())
    if view == "all":
        return finding.kept(releases, "false")
    if view == "active":
        return releases.filter(state__in=["running", "held", "scheduled", "draft"])
    live = releases.filter(Q(state__in=["running", "held"]) | Q(state="scheduled", due_since__isnull=False))
    tree = ActivityRun.objects.filter(root_id=OuterRef("root_id"))
    late = tree.filter(state=states.Run.WAITING, attempts__state="waiting", attempts__due_at__lt=timezone.now())
    asked = Q(root__in=ActivityRun.objects.waiting_for(user).values("root_id"))
    return live.filter(Q(Exists(tree.filter(state__in=_STUCK))) | Q(Exists(late)) | asked | Q(state__in=["held", "scheduled"]))


def counted(releases: QuerySet[Release]) -> tuple[int, str]:
    """How many, as far as a tab says it, and how it says it: counting stops at 99."""
    number = len(releases.order_by().values_list("pk", flat=True)[: MOST_COUNTED + 1])
    return number, str(number) if number <= MOST_COUNTED else f"{MOST_COUNTED}+"


def filtered(releases: QuerySet[Release], asked: QueryDict, user: Any) -> QuerySet[Release]:
    """What search and filters leave."""
    return finding.matching(releases, {name: asked.get(name, "") for name in finding.WORDS}, user)


def more_asked(asked: QueryDict) -> int:
    """How many of the less common filters are in use."""
    return sum(1 for name in ("person", "version", "kind", "source", "tag", "release_version", "value", "from", "until") if asked.get(name))


def one_page(releases: QuerySet[Release], asked: QueryDict) -> tuple[list[Release], str, str]:
    """A page of rows by id, and the query strings of the newer and the older page ("" where there is none)."""
    rows = releases.select_related("process", "version", "starter").defer("version__document").order_by("-pk")
    before, after = (asked.get(name, "") for name in ("before", "after"))
    backward = after.isdecimal() and len(after) < 18
    if backward:
        found = list(rows.filter(pk__gt=int(after)).order_by("pk")[: PAGE + 1])
        more, found = len(found) > PAGE, found[:PAGE][::-1]
    else:
        if before.isdecimal() and len(before) < 18:
            rows = rows.filter(pk__lt=int(before))
        found = list(rows[: PAGE + 1])
        more, found = len(found) > PAGE, found[:PAGE]
    newer = bool(found) and (more if backward else before.isdecimal())
    older = bool(found) and (more if not backward else True)
    return found, _with(asked, after=found[0].pk) if newer else "", _with(asked, before=found[-1].pk) if older else ""


def _with(asked: QueryDict, **keys: Any) -> str:
    query = asked.copy()
    for name in ("before", "after"):
        query.pop(name, None)
    query.update({name: str(value) for name, value in keys.items()})
    return f"?{query.urlencode()}"


def rows_of(releases: list[Release], user: Any) -> list[Row]:
    """What is said of each; five queries, however many they are."""
    ids, roots = [r.pk for r in releases], {r.root_id for r in releases}
    counts: dict[int, Counter[str]] = {}
    done: Counter[int] = Counter()
    grouped = ActivityRun.objects.filter(release__in=ids).values_list("release_id", "state", "skipped_because").order_by().annotate(n=Count("pk"))
    for release, state, because, number in grouped:
        counts.setdefault(release, Counter())[state] += number
        done[release] += number if state in _SETTLED and because != states.Skipped.BAD_END else 0
    bad = Q(state__in=sorted(states.BAD - {states.Run.ABORTED}), release__in=[r.pk for r in releases if r.state == states.Release.FAILED])
    runs = list(
        ActivityRun.objects.filter(Q(state__in=_BEGUN, root__in=roots) | bad)
        .order_by("position")
        .values("pk", "release_id", "root_id", "release__version_id", "key", "state", "type", "code", "attempt_count", "started_at")
    )
    yours = decided_by(user, ActivityRun.objects.filter(root__in=roots)) if runs else set()
    known = _steps(run["release__version_id"] for run in runs)
    active: dict[int, list[wording.Active]] = {}
    for run in runs:
        label, connector = known[run["release__version_id"]].get(run["key"], (run["key"], ""))
        look = wording.run_look(run["state"], run["type"], connector=connector, attempts=run["attempt_count"], yours=run["pk"] in yours, code=run["code"])
        item = wording.Active(label, look, run["attempt_count"], run["started_at"])
        for place in {run["release_id"], run["root_id"]}:
            active.setdefault(place, []).append(item)
    now = timezone.now()
    return [_row(release, active.get(release.pk, []), dict(counts.get(release.pk, {})), done[release.pk], now) for release in releases]


def _row(release: Release, active: list[wording.Active], counts: dict[str, int], done: int, now: Any) -> Row:
    took = release.finished_at - release.started_at if release.finished_at and release.started_at else None
    reason = wording.short_reason(release.state, release.reason, active, now, took.total_seconds() if took is not None else None)
    return Row(release, wording.release_look(release.state, active), reason, counts, took, done)


def _steps(versions: Iterable[int]) -> dict[int, Mapping[str, tuple[str, str]]]:
    """Of each version its activities' names and connectors; what is not remembered is read in one query."""
    kept, lock = _CONNECTORS
    wanted = set(versions)
    with lock:
        found = {version: kept[version] for version in wanted if version in kept}
    if missing := wanted - found.keys():
        for row in ProcessVersion.objects.filter(pk__in=missing):
            phases = blueprint_of(row).phases
            found[row.pk] = {step.id: (step.label, step.connector or "") for phase in phases for step in phase.activities}
        with lock:
            kept.update({version: found[version] for version in missing})
            while len(kept) > 256:
                kept.popitem(last=False)
    return found


def choices(user: Any) -> dict[str, Any]:
    """What the filters offer: processes and people that occur. Each is looked for by an index; never all releases that somebody may see.

    Asked when a page shows them: the rows that keep themselves up to date do without.
    """
    offered = SimpleLazyObject(lambda: _choices(user))
    states_there = [(state.value, state.value.replace("_", " ").capitalize()) for state in states.Release]
    kinds = [(str(kind), str(kind).capitalize()) for kind in Category]
    return {"kinds": kinds, "processes": lambda: offered["processes"], "starters": lambda: offered["starters"], "states": states_there}


def _choices(user: Any) -> dict[str, Any]:
    has, started = Release.objects.filter(process=OuterRef("pk")), Release.objects.filter(starter=OuterRef("pk"))
    people = get_user_model().objects.order_by("name", "email")
    if user.is_superuser:
        with_releases, who_started = Q(Exists(has)), Q(Exists(started))
    else:
        shown = Process.objects.filter(processes_with(user, *SHOWING)).order_by().values("pk")
        own, starters = _where_named(user)
        with_releases = (Q(pk__in=shown) & Q(Exists(has))) | Q(pk__in=Release.objects.filter(starter=user).order_by().values("process")) | Q(pk__in=own)
        who_started = Q(Exists(started.filter(process__in=shown))) | (Q(pk=user.pk) & Q(Exists(started))) | Q(pk__in=starters)
    return {
        "processes": Process.objects.filter(with_releases).order_by("name", "identifier").only("identifier", "name")[:200],
        "starters": people.filter(who_started)[:200],
    }


def _where_named(user: Any) -> tuple[list[int], list[int]]:
    """The processes and the starters of the releases in which this person owns or decides something, in one walk over them."""
    named, where = RunPerson.objects.order_by(), Q()
    for way in (Q(user=user), Q(group__in=user.groups.order_by().values("pk")), stood_in_for(user)):
        where |= Q(pk__in=named.filter(way).values("release_id"))
    each = {"process": ArrayAgg("process_id", distinct=True), "starters": ArrayAgg("starter_id", distinct=True)}
    found = Release.objects.order_by().filter(where).aggregate(**each)
    return found["process"] or [], found["starters"] or []


def page_of_list(request: Any, typed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The context of the list for the address of this request; `typed` is a form for saving its filters that was refused."""
    user, asked = request.user, request.GET
    view = asked.get("view", "active")
    view = view if view in VIEWS else "active"
    mine = top(user)
    releases, newer, older = one_page(filtered(in_view(mine, view, user), asked, user), asked)
    counts = {name: counted(in_view(mine, name, user)) for name in ("active", "attention")}
    kept = list(SavedFilter.objects.visible_to(user).select_related("owner"))
    current = next((one for one in kept if str(one.pk) == asked.get("saved")), None)
    tabs = [
        {"label": label, "url": f"?view={name}", "current": name == view and current is None, "count": counts.get(name, (0, ""))[1]}
        | {"hot": name == "attention" and counts[name][0]}
        for name, label in VIEWS.items()
    ]
    tabs += [{"label": one.name, "url": saving.address(one), "current": one is current, "icon": "bookmark"} for one in kept]
    filters = any(asked.get(name) for name in finding.WORDS)
    context = {"rows": rows_of(releases, user), "newer_url": newer, "older_url": older, "view": view, "filters": filters, "now": timezone.now(), "tabs": tabs}
    return context | {"more": more_asked(asked), "saved": current, "saving": _form(user, current, typed), **choices(user)}


def _form(user: Any, current: SavedFilter | None, typed: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the form for saving shows: as it was typed, else as it is kept."""
    yours = current is not None and current.owner_id == user.pk
    chosen = list(current.groups.values_list("name", flat=True)) if yours and current else []
    default = current is not None and current.default_of.filter(pk=user.pk).exists()
    shown = {"name": current.name if yours and current else "", "groups": chosen, "is_default": default, "problems": []} | dict(typed or {})
    return shown | {"yours": yours, "ours": [name.removeprefix("group:") for name in sorted(owner_names(user)[1:])]}
