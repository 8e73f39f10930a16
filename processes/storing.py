"""The verbs of the activity store. A sound activity that is saved is its next version at once; one that is not stays a draft with its problems (S27)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now

from processes import reading
from processes.access import may_unshare_template
from processes.blueprint import Blueprint, StoreActivity
from processes.models import ActivityTemplate, DraftActivity, Process, ProcessVersion, TemplateUse, TemplateVersion
from processes.problems import Problem, did_you_mean, errors
from processes.soundness import problems_of_store_activity
from processes.soundness.checking import store_key
from processes.store_scope import uses_of
from processes.surroundings import world
from relorch.audit.chain import Happening, note
from relorch.lib.errors import Conflict, Invalid, NotAllowed
from relorch.lib.preconditions import Stale, etag

SHIPPED = Path(__file__).parent / "store"
LONGEST = {"name": 200, "category": 100}


def revision_tag(template: ActivityTemplate) -> str:
    """The draft's ETag."""
    return etag(template.pk, template.revision)


def readable(found: reading.Reading) -> dict[str, Any]:
    """The canonical document of an activity of the store. Raises Invalid with every problem that keeps it from being read."""
    problems = list(found.problems)
    if isinstance(found.blueprint, Blueprint):
        problems += found.located([Problem("bad_kind", "This is a process; an activity of the store says kind: Activity.", "/kind")])
    elif found.blueprint is not None:
        long = [key for key, most in LONGEST.items() if len(getattr(found.blueprint, key)) > most]
        problems += found.located(Problem("too_long", f"A {key} has at most {LONGEST[key]} characters.", f"/{key}") for key in long)
    if errors(problems) or not isinstance(found.blueprint, StoreActivity):
        raise Invalid("unreadable", "The document cannot be read.", problems)
    return reading.document(found.blueprint)


def problems_in(found: reading.Reading, *, actor: Any) -> list[Problem]:
    """What is wrong with an activity of the store by itself."""
    if not isinstance(found.blueprint, StoreActivity):
        return list(found.problems)
    around = world(Blueprint(id=found.blueprint.id), actor)
    return [*found.problems, *found.located(problems_of_store_activity(found.blueprint, around))]


def create(found: reading.Reading, *, actor: Any, shared: bool = True, note_text: str = "", door: str = "page") -> ActivityTemplate:
    """A new activity of the store. Raises Invalid (unreadable) and Conflict (the id is taken, perhaps by one that the actor cannot see)."""
    document = readable(found)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"template-id:{document['id']}",))
        if ActivityTemplate.objects.filter(identifier=document["id"]).exists():
            raise Conflict("template_exists", f'The store has an activity with the id "{document["id"]}".', state="exists")
        template = ActivityTemplate.objects.create(
            identifier=document["id"], shared=shared, created_by=actor, updated_by=actor, document=document, **_columns(document)
        )
        _record(template, "template.created", actor=actor, door=door)
        _publish_if_sound(template, found, actor=actor, note_text=note_text, door=door)
    template.refresh_from_db()
    return template


def write(
    template: ActivityTemplate,
    found: reading.Reading,
    *,
    actor: Any,
    expected_revision: int | None = None,
    shared: bool | None = None,
    note_text: str = "",
    door: str = "page",
) -> ActivityTemplate:
    """Replace it, and share it or not where `shared` says so; what is sound is its next version. What changes nothing is no edit.

    Raises Invalid (unreadable, another id), Stale (not the revision any more), Conflict (archived), NotAllowed (as `share`).
    """
    document = readable(found)
    if document["id"] != template.identifier:
        message = f'This is "{template.identifier}"; the id of an activity never changes.{did_you_mean(document["id"], [template.identifier])}'
        raise Invalid("unreadable", "The document cannot be read.", [Problem("other_id", message, "/id")])
    with transaction.atomic():
        locked = _locked(template, expected_revision)
        if locked.archived_at:
            raise Conflict("archived", "An archived activity is not edited; take it out of the archive first.", state="archived")
        if shared is not None and shared != locked.shared:
            _share(locked, shared, actor=actor, door=door)
        if locked.document != document:
            locked.document, locked.revision, locked.updated_by, locked.updated_at = document, locked.revision + 1, actor, Now()
            for key, value in _columns(document).items():
                setattr(locked, key, value)
            locked.save()
            _record(locked, "template.saved", actor=actor, door=door, revision=locked.revision)
        _publish_if_sound(locked, found, actor=actor, note_text=note_text, door=door)
    locked.refresh_from_db()
    return locked


def share(template: ActivityTemplate, shared: bool, *, actor: Any, door: str = "page") -> ActivityTemplate:
    """Show it to everybody, or only to who made it. Processes that use it go on. Raises NotAllowed where somebody else would take it from everybody."""
    with transaction.atomic():
        locked = _locked(template, None)
        _share(locked, shared, actor=actor, door=door)
    return locked


def _share(locked: ActivityTemplate, shared: bool, *, actor: Any, door: str) -> None:
    if not shared and not may_unshare_template(actor, locked):
        raise NotAllowed("not_allowed", "Only who made this activity, or an administrator, may take it from everybody else.")
    locked.shared = shared
    locked.save(update_fields=["shared"])
    _record(locked, "template.shared" if shared else "template.unshared", actor=actor, door=door)


def put_away(template: ActivityTemplate, away: bool, *, actor: Any, reason: str = "", door: str = "page") -> ActivityTemplate:
    """Out of the way (not listed, not newly used; what uses it goes on), or back. Raises Conflict when it is so already."""
    with transaction.atomic():
        moved = ActivityTemplate.objects.filter(pk=template.pk, archived_at__isnull=away).update(archived_at=Now() if away else None)
        if not moved:
            raise Conflict(
                "archived" if away else "not_archived", f"It is {'archived already' if away else 'not archived'}.", state="archived" if away else "open"
            )
        template.refresh_from_db()
        _record(template, "template.archived" if away else "template.unarchived", actor=actor, door=door, reason=reason)
    return template


def delete(template: ActivityTemplate, *, actor: Any, door: str = "page") -> None:
    """Gone for good, which only an activity without versions can be. Raises Conflict saying by what it is used."""
    with transaction.atomic():
        locked = _locked(template, None)
        if used := used_by(locked, actor):
            raise Conflict("referenced", f"“{locked}” cannot be deleted: {'; '.join(used)}. It can be archived.", state="referenced", by=used)
        _record(locked, "template.deleted", actor=actor, door=door)
        locked.delete()


def used_by(template: ActivityTemplate, actor: Any) -> list[str]:
    """What keeps it from being deleted, in words that name nothing the asker may not see (None: all of it)."""
    visible = Process.objects.all() if actor is None else Process.objects.visible_to(actor)
    found = []
    uses, drafts = template.uses.all(), drafts_using(template)
    versions = uses.filter(version__process__in=visible).select_related("version__process").order_by("version__process__identifier", "version__number")
    if names := list(dict.fromkeys(str(use.version) for use in versions)):
        found.append(f"{', '.join(names[:20])} {'use it' if len(names) > 1 else 'uses it'}")
    if names := sorted(set(drafts.filter(process__in=visible).values_list("process__identifier", flat=True))):
        found.append(f"the draft{'s' if len(names) > 1 else ''} of {', '.join(names[:20])} {'use it' if len(names) > 1 else 'uses it'}")
    if uses.exclude(version__process__in=visible).exists() or drafts.exclude(process__in=visible).exists():
        found.append("a process that you may not see uses it")
    if not found and (count := template.versions.count()):
        found.append(f"it has {count} published version{'s' if count > 1 else ''}")
    return found


def drafts_using(template: ActivityTemplate) -> Any:
    """The activities of drafts that use it, pinned or not."""
    rows = DraftActivity.objects.annotate(uses=KeyTextTransform("uses", "more"))
    return rows.filter(uses__regex=rf"^{template.identifier}(@[0-9]+)?$")


def note_uses(version: ProcessVersion, blueprint: Blueprint) -> None:
    """Keep what a version that was just published takes from the store, in the caller's transaction."""
    keys = [key for name in uses_of(blueprint) if (key := store_key(name))]
    templates = dict(ActivityTemplate.objects.filter(identifier__in=[name for name, _ in keys]).values_list("identifier", "pk"))
    TemplateUse.objects.bulk_create(TemplateUse(version=version, template_id=templates[name], number=number) for name, number in keys if name in templates)


def install_shipped() -> int:
    """Put the activities that come with relorch into the store, and their newer versions; the number of versions made. What somebody changed is left alone."""
    made = 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('template-shipped', 0))")  # two hosts that start at once do not both
        for path in sorted(SHIPPED.glob("*.yaml")):
            made += _install(reading.read(path.read_text(encoding="utf-8")))
    return made


def _install(found: reading.Reading) -> int:
    document = readable(found)
    template = ActivityTemplate.objects.filter(identifier=document["id"]).first()
    if template is None:
        template = create(found, actor=None, door="command")
        ActivityTemplate.objects.filter(pk=template.pk).update(shipped=True)
        return 1
    if template.shipped and template.updated_by_id is None and not template.archived_at and template.document != document:
        write(template, found, actor=None, door="command")
        return 1
    return 0


def _locked(template: ActivityTemplate, expected_revision: int | None) -> ActivityTemplate:
    locked: ActivityTemplate = ActivityTemplate.objects.select_for_update(of=("self",)).get(pk=template.pk)
    if expected_revision is not None and locked.revision != expected_revision:
        by = locked.updated_by.display_name if locked.updated_by else "somebody"
        raise Stale(f"{by} has saved this activity since you read it; read it again and repeat your change.", etag=revision_tag(locked))
    return locked


def _columns(document: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(document.get(key, "")) for key in ("name", "category", "description")}


def _publish_if_sound(template: ActivityTemplate, found: reading.Reading, *, actor: Any, note_text: str, door: str) -> None:
    if errors(problems_in(found, actor=actor)) or not isinstance(found.blueprint, StoreActivity):
        return
    digest = reading.digest(found.blueprint)
    if template.versions.order_by("-number").values_list("hash", flat=True).first() == digest:
        return
    number = (template.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    TemplateVersion.objects.create(
        template=template, number=number, document=reading.document(found.blueprint), hash=digest, note=note_text, published_by=actor
    )
    _record(template, "template.published", actor=actor, door=door, number=number, hash=digest, note=note_text)


def _record(template: ActivityTemplate, verb: str, *, actor: Any, door: str, reason: str = "", **data: Any) -> None:
    note(
        Happening(
            stream=f"template:{template.pk}",
            verb=verb,
            subject=template.identifier,
            actor_id=actor.pk if actor else None,
            actor=actor.email if actor else "relorch",
            door=door,
            reason=reason,
            data=data,
        )
    )
