"""The page of a process with its graph, and its releases: here, because `processes` lies below `releases` and knows neither."""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, F, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import re_path
from django.views.decorators.http import require_safe

from processes.blueprint import Activity, Approval, Blueprint, Phase, RunWhen
from processes.models import Process
from processes.paging import page_of
from processes.showing import input_row
from processes.urls import ID
from processes.urls import urlpatterns as of_processes
from processes.used_by import uses_of
from processes.versions import blueprint_of
from processes.views import around, draft_of, has_changes, visible
from releases.graph import GraphActivity, GraphPhase, layout, opened_from
from releases.models import Release
from releases.states import FINISHED
from relorch.lib.look import KINDS, kind_of

USUAL = 12
"""How many of the last successful releases the usual duration is the median of."""


@login_required
@require_safe
def show(request: HttpRequest, id: str) -> HttpResponse:
    """The blueprint: its graph, what is asked at the start, who is responsible. Of the newest version, of `?version=`, or of a draft never published."""
    process = visible(request, id)
    wanted = request.GET.get("version", "")
    rows = process.versions.select_related("published_by")
    last = rows.first()
    version = get_object_or_404(rows, number=int(wanted)) if wanted.isdecimal() and len(wanted) < 10 else last
    draft = draft_of(process)
    blueprint = blueprint_of(version) if version else draft.blueprint
    context = around(request, process, "show") | {
        "version": version,
        "last": last,
        "draft_differs": has_changes(draft, last),
        "blueprint": blueprint,
        "graph": layout(*picture_of(blueprint), opened=opened_from(request.GET.get("open", ""))) if isinstance(blueprint, Blueprint) else None,
        "inputs": [input_row(name, spec) for name, spec in blueprint.inputs.items()] if isinstance(blueprint, Blueprint) else [],
        "table": table_of(blueprint) if isinstance(blueprint, Blueprint) else [],
        "owners": [(phase.label, phase.owners or blueprint.owners) for phase in blueprint.phases] if isinstance(blueprint, Blueprint) else [],
        "kinds": list(KINDS),
        "usual": _usual(process),
        "uses": uses_of(process, request.user),
    }
    return render(request, "processes/show.html", context)


@login_required
@require_safe
def releases(request: HttpRequest, id: str) -> HttpResponse:
    """The releases of a process that this person may see, the last created first."""
    process = visible(request, id)
    rows = Release.objects.visible_to(request.user).filter(process=process).select_related("starter", "version").defer("version__document")
    context = around(request, process, "releases") | {"page": page_of(request, rows, at="created_at")}
    return render(request, "processes/releases.html", context)


def picture_of(blueprint: Blueprint) -> tuple[list[GraphPhase], list[GraphActivity]]:
    """A blueprint as the graph draws it: kinds instead of states."""
    phases = [GraphPhase(phase.id, phase.label, "", phase.depends_on, (phase.owners or blueprint.owners or ("",))[0]) for phase in blueprint.phases]
    return phases, [_drawn(phase, activity) for phase in blueprint.phases for activity in phase.activities]


def table_of(blueprint: Blueprint) -> list[dict[str, Any]]:
    """The same as rows of a table: each phase, then its activities; names and not ids."""
    labels = {phase.id: phase.label for phase in blueprint.phases} | {step.id: step.label for phase in blueprint.phases for step in phase.activities}
    rows = []
    for phase in blueprint.phases:
        rows.append({"label": phase.label, "people": phase.owners or blueprint.owners, **_when(phase, labels)})
        for step in phase.activities:
            asked = [(line.count, line.of or step.owners or phase.owners or blueprint.owners) for line in (step.approval or Approval()).requires]
            does = step.uses or step.process or step.connector or ""
            rows.append({"label": step.label, "kind": _drawn(phase, step).kind, "does": does, "asked": asked, "people": step.owners, **_when(step, labels)})
    return rows


_RUN_WHEN = {RunWhen.SATISFIED: "", RunWhen.FAILED: "only after a failure", RunWhen.ALWAYS: "also after a failure"}


def _when(part: Phase | Activity, labels: dict[str, str]) -> dict[str, Any]:
    return {"after": [labels.get(name, name) for name in part.depends_on], "if": part.condition or "", "run_when": _RUN_WHEN[part.run_when]}


def _drawn(phase: Phase, activity: Activity) -> GraphActivity:
    approval = activity.approval or Approval()
    people = sum(line.count for line in approval.requires) or 1
    kind = kind_of(str(activity.type or "automated"), tasks=bool(activity.tasks), people=people)
    return GraphActivity(activity.id, phase.id, activity.label, "", activity.depends_on, kind, f"{people} people" if people > 1 else "")


def _usual(process: Process) -> dict[str, Any]:
    """How long a release takes and how many of those that ended succeeded."""
    ended = Release.objects.filter(process=process, state__in=sorted(FINISHED))
    took: list[timedelta] = list(
        ended.filter(state="succeeded").order_by("-finished_at").annotate(took=F("finished_at") - F("started_at")).values_list("took", flat=True)[:USUAL]
    )
    counted = ended.aggregate(all=Count("pk"), good=Count("pk", filter=Q(state__in=["succeeded", "partially_succeeded"])))
    seconds = median(gap.total_seconds() for gap in took) if took else None
    return {"duration": seconds, "of": len(took), "good": counted["good"], "ended": counted["all"]}


urlpatterns = [*of_processes, re_path(rf"{ID}$", show, name="show"), re_path(rf"{ID}releases/$", releases, name="releases")]
