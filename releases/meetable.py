"""May this release be started by who prepares it? Not where a decision that its starter may not take could then never be taken (S18)."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_user_model

from processes.blueprint import Activity, ActivityType
from processes.models import ProcessVersion
from processes.problems import Problem, pointer
from processes.quorum import Line, Rule, satisfiable
from processes.standing_in import stand_ins_of
from processes.surroundings import group_members
from releases import standins
from releases.access import starters_of
from releases.flows import compiled
from releases.models import Release
from releases.scheduler import Flow


def problems_of_starter(release: Release, pins: Iterable[int]) -> list[Problem]:
    """Every decision in these versions, the release's and its subprocesses', that cannot be met when these people start it.

    No query where no approval leaves the starter out.
    """
    asked = [(pk, flow, step) for pk in dict.fromkeys(pins) for flow in (compiled(pk).flow,) for step in flow.steps.values() if _excludes(step)]
    if not asked:
        return []
    versions = ProcessVersion.objects.select_related("published_by").prefetch_related("authors").in_bulk({pk for pk, _, _ in asked})
    pairs = {process: standins.pairs_in(process) for process in {version.process_id for version in versions.values()}}
    groups = group_members()
    people = frozenset(get_user_model().objects.filter(is_active=True).values_list("email", flat=True))
    starters = starters_of(release)
    problems = []
    for pk, flow, step in asked:
        out = starters | (_authors(versions[pk]) if step.approval and "author" in step.approval.exclude else set())
        out |= stand_ins_of(pairs[versions[pk].process_id], out)
        if not satisfiable(_rule(flow, step, groups, people, frozenset(out))):
            problems.append(_problem(flow, step, sorted(starters), below=pk != release.version_id))
    return problems


def _excludes(step: Activity) -> bool:
    return step.type is ActivityType.MANUAL and step.approval is not None and "starter" in step.approval.exclude


def _rule(flow: Flow, step: Activity, groups: dict[str, frozenset[str]], people: frozenset[str], excluded: frozenset[str]) -> Rule:
    approval = step.approval
    owners = step.owners or flow.phases[flow.phase_of[step.id]].owners or flow.blueprint.owners
    wanted = [(line.count, line.of or owners) for line in approval.requires] if approval and approval.requires else [(1, owners)]
    lines = tuple(Line(count, frozenset().union(*(_members(name, groups, people) for name in of))) for count, of in wanted)
    return Rule(lines, order=approval.order if approval else "any", excluded=excluded)


def _members(name: str, groups: dict[str, frozenset[str]], people: frozenset[str]) -> frozenset[str]:
    kind, _, who = name.partition(":")
    return groups.get(who, frozenset()) if kind == "group" else frozenset({who.lower()}) & people


def _authors(version: ProcessVersion) -> set[str]:
    found = {author.email for author in version.authors.all()}
    return found | ({version.published_by.email} if version.published_by else set())


def _problem(flow: Flow, step: Activity, starters: list[str], *, below: bool) -> Problem:
    phase = list(flow.phases).index(flow.phase_of[step.id])
    number = [activity.id for activity in flow.blueprint.phases[phase].activities].index(step.id)
    where = f' of "{flow.blueprint.id}"' if below else ""
    said = f'"{step.id}"{where} could never be decided: whoever starts or prepares the release ({", ".join(starters)}) may not, and the others are not enough.'
    return Problem("approval_blocks_starters", said, "" if below else pointer("phases", phase, "activities", number, "approval"))
