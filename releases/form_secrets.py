"""Secrets that people enter in the form of a manual activity (S25): encrypted for the release tree from the moment they are given, in the form and as outputs.

Only fields of type `secret` are looked at: what else looks like a stored secret is a value that somebody typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from processes.blueprint import Activity, ValueType
from releases.flows import compiled
from releases.models import ActivityRun, Attempt, Release
from relorch.lib import secrets


def context_of(root: int) -> str:
    """What the secrets of a release tree are bound to."""
    return f"release:{root}"


def names_in(activity: Activity) -> tuple[str, ...]:
    """The fields of its form that are secrets."""
    return tuple(name for name, field in activity.fields.items() if field.type is ValueType.SECRET)


def stored(activity: Activity, values: Mapping[str, Any], root: int, *, seen: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values with each secret encrypted; one that is what `seen` holds stays as it is kept there, so that nothing changes that is the same."""
    found = dict(values)
    for name in names_in(activity):
        if found.get(name) is not None and not secrets.is_secret(found[name]):
            before = opened(activity, {name: (seen or {}).get(name)}, root).get(name)
            said = found[name] if isinstance(found[name], str) else str(found[name])
            found[name] = (seen or {})[name] if before == said else secrets.stored(said, context_of(root))
    return found


def opened(activity: Activity, values: Mapping[str, Any], root: int) -> dict[str, Any]:
    """The values with the text of each secret; without those that cannot be read any more, which must be entered again."""
    found = dict(values)
    for name in names_in(activity):
        if secrets.is_secret(found.get(name)):
            try:
                found[name] = secrets.opened(found[name], context_of(root))
            except secrets.SecretUnreadable:
                del found[name]
    return found


def shown(activity: Activity, outputs: Mapping[str, Any], root: int, *, reveal: bool) -> Mapping[str, Any]:
    """Outputs as expressions see them: secrets hidden, or, with `reveal`, as texts. Raises SecretUnreadable."""
    own = {name: outputs[name] for name in names_in(activity) if name in outputs}
    if not own:
        return outputs
    return {**outputs, **(secrets.opened(own, context_of(root)) if reveal else secrets.hide(own))}


def texts_of(release: Release) -> list[str]:
    """Every secret that the forms of this release have put out, to be masked wherever text leaves."""
    steps = {key: step for key, step in compiled(release.version_id).flow.steps.items() if names_in(step)}
    if not steps:
        return []
    rows = ActivityRun.objects.filter(release=release, key__in=steps).values_list("key", "outputs")
    given = [(steps[key], opened(steps[key], outputs or {}, release.root_id)) for key, outputs in rows]
    return [str(values[name]) for activity, values in given for name in names_in(activity) if name in values]


def renew() -> int:
    """Every such secret under the newest key; how many forms and results that are."""
    return sum(_renew(kind, field) for kind, field in ((Attempt, "filled"), (Attempt, "outputs"), (ActivityRun, "outputs")))


def _renew(kind: Any, field: str) -> int:
    run = "run__" if kind is Attempt else ""
    rows = kind.objects.filter(**{f"{run}type": "manual", f"{field}__isnull": False}).order_by("pk")
    changed = 0
    for pk, root in _with_secrets(rows, field):
        with transaction.atomic():
            value = kind.objects.select_for_update(of=("self",)).values_list(field, flat=True).get(pk=pk)
            fresh = secrets.renewed_in(value, context_of(root))
            if fresh != value:
                kind.objects.filter(pk=pk).update(**{field: fresh})
                changed += 1
    return changed


def _with_secrets(rows: Any, field: str) -> Iterable[tuple[int, int]]:
    for pk, root, value in rows.values_list("pk", "root_id", field).iterator():
        if any(secrets.is_secret(inner) for inner in value.values()):
            yield pk, root
