"""What lies around a document and decides whether it is sound here: other processes, people and groups, connectors, settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import Q

from processes import reading
from processes.access import Permission
from processes.blueprint import Blueprint, StoreActivity
from processes.models import ActivityTemplate, DraftEdit, Process, ProcessGroupPermission, ProcessUserPermission, ProcessVersion, TemplateVersion
from processes.soundness import ConnectorInfo, World
from processes.versions import blueprint_of

Connectors = Callable[[], Mapping[str, ConnectorInfo]]
_connectors: Connectors | None = None


def provide_connectors(source: Connectors) -> None:
    """The slot through which `releases`, which knows them and stands above, says at its start which connectors there are."""
    global _connectors
    _connectors = source


def connectors() -> Mapping[str, ConnectorInfo] | None:
    """By name; None when nobody provides any."""
    return _connectors() if _connectors else None


def world(blueprint: Blueprint, actor: Any = None) -> World:
    """The surroundings of this process, as far as this person may know them (None: all of them)."""
    groups = group_members()
    people = frozenset(get_user_model().objects.filter(is_active=True).values_list("email", flat=True))
    known = Process.objects.filter(identifier=blueprint.id).first()
    return World(
        processes=_Newest(actor, without=blueprint.id),
        store=_Store(actor),
        groups=groups,
        users=people,
        connectors=connectors(),
        connections=frozenset(),
        scripts_allowed=settings.RELORCH_ALLOW_SCRIPTS,
        # Owners as the document names them: they may start once it is saved. With nobody at all, everybody is asked about.
        starters=(starters(known) | _behind(blueprint.owners, groups)) & people or None,
        authors=_authors(known) | ({actor.email} if actor else set()),
    )


def knows(kind: str, name: str) -> bool:
    """Whether there is such a person (`user`, an e-mail) or group (`group`)."""
    if kind == "user":
        return get_user_model().objects.filter(email__iexact=name, is_active=True).exists()
    return Group.objects.filter(name=name).exists()


def starters(process: Process | None) -> frozenset[str]:
    """The addresses of those who may start the process by a permission; whoever owns it may too."""
    named = {"permission__codename": str(Permission.START), "content_object": process}
    everybody = get_user_model().objects.filter(is_active=True)
    by_permission = Q(is_superuser=True)
    if process is not None:
        by_permission |= Q(pk__in=ProcessUserPermission.objects.filter(**named).values("user")) | Q(
            groups__in=ProcessGroupPermission.objects.filter(**named).values("group")
        )
    return frozenset(everybody.filter(by_permission).values_list("email", flat=True))


def group_members() -> dict[str, frozenset[str]]:
    """The name of each group -> the addresses of its active members."""
    found: dict[str, set[str]] = {name: set() for name in Group.objects.values_list("name", flat=True)}
    for name, email in Group.objects.filter(user__is_active=True).values_list("name", "user__email"):
        found.setdefault(name, set()).add(email)
    return {name: frozenset(emails) for name, emails in found.items()}


class _Newest(Mapping[str, Blueprint]):
    """Newest blueprints by process id. Names are one query; a blueprint is loaded when it is asked for, because most are not."""

    def __init__(self, actor: Any, without: str) -> None:
        processes = Process.objects.all() if actor is None else Process.objects.visible_to(actor)
        rows = ProcessVersion.objects.filter(process__in=processes.filter(archived_at=None)).exclude(process__identifier=without)
        self._versions = dict(rows.order_by("process_id", "-number").distinct("process_id").values_list("process__identifier", "pk"))

    def __getitem__(self, identifier: str) -> Blueprint:
        return blueprint_of(ProcessVersion.objects.get(pk=self._versions[identifier]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._versions)

    def __len__(self) -> int:
        return len(self._versions)


class _Store(Mapping[tuple[str, int | None], StoreActivity]):
    """Activities of the store by id and number, None being the newest. Asked for at the first look, because most processes use none."""

    def __init__(self, actor: Any) -> None:
        self._templates = ActivityTemplate.objects.all() if actor is None else ActivityTemplate.objects.visible_to(actor)
        self._read: dict[int, StoreActivity] = {}

    @cached_property
    def _keys(self) -> dict[tuple[str, int | None], int]:
        rows = TemplateVersion.objects.filter(template__in=self._templates.filter(archived_at=None)).order_by("number")
        found: dict[tuple[str, int | None], int] = {}
        for name, number, pk in rows.values_list("template__identifier", "number", "pk"):
            found[name, number] = found[name, None] = pk
        return found

    def __getitem__(self, key: tuple[str, int | None]) -> StoreActivity:
        pk = self._keys[key]
        if pk not in self._read:
            self._read[pk] = cast(StoreActivity, reading.parse(TemplateVersion.objects.get(pk=pk).document).blueprint)
        return self._read[pk]

    def __iter__(self) -> Iterator[tuple[str, int | None]]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _behind(owners: Iterable[str], groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    for owner in owners:
        kind, _, who = owner.partition(":")
        found |= {who.lower()} if kind == "user" else groups.get(who, frozenset())
    return frozenset(found)


def _authors(process: Process | None) -> frozenset[str]:
    return frozenset(DraftEdit.objects.filter(process=process).values_list("person__email", flat=True)) if process else frozenset()
