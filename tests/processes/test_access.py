"""Who may what: by guardian, by group, by owning; nobody by default (semantics, section 4)."""

from __future__ import annotations

import itertools

import pytest

from processes.access import OWNING, Permission, may, may_create
from processes.models import Process
from relorch.accounts.models import User
from tests import factories

pytestmark = pytest.mark.django_db


def test_a_stranger_may_nothing(process: Process, stranger: User) -> None:
    assert not any(may(stranger, permission, process) for permission in Permission)
    assert not Process.objects.visible_to(stranger).exists()


@pytest.mark.parametrize("permission", list(Permission))
def test_a_permission_gives_itself_and_sight(process: Process, stranger: User, permission: Permission) -> None:
    factories.allow(stranger, permission, process)
    assert [item for item in Permission if may(stranger, item, process)] == [permission]
    assert Process.objects.visible_to(stranger).get() == process


@pytest.mark.parametrize("permission", list(Permission))
def test_a_group_gives_its_members_what_it_has(process: Process, stranger: User, permission: Permission) -> None:
    team = factories.group("team", stranger)
    factories.allow(team, permission, process)
    assert [item for item in Permission if may(stranger, item, process)] == [permission]
    assert Process.objects.visible_to(stranger).get() == process


def test_owning_gives_all_but_breaking_the_glass(stranger: User) -> None:
    factories.group("release-managers", stranger)
    for owners in (["group:release-managers"], ["user:sam@example.com"]):
        process = factories.process(owners=owners)
        assert {item for item in Permission if may(stranger, item, process)} == OWNING
    assert Process.objects.visible_to(stranger).count() == 2


def test_a_superuser_may_everything_and_nobody_who_has_left_may_anything(process: Process, stranger: User, owner: User) -> None:
    stranger.is_superuser = True
    assert all(may(stranger, permission, process) for permission in Permission)
    for person in (stranger, owner):
        person.is_active = False
        assert not any(may(person, permission, process) for permission in Permission)
        assert not may_create(person)
        assert not Process.objects.visible_to(person).exists()


def test_creating_needs_the_installation_wide_permission(owner: User, stranger: User, process: Process) -> None:
    factories.allow(stranger, "author", process)
    assert may_create(owner)
    assert not may_create(stranger)


def test_startable_are_published_and_open(process: Process, owner: User, teammate: User) -> None:
    assert not Process.objects.startable_by(owner).exists()
    factories.version(process, actor=owner)
    assert Process.objects.startable_by(owner).get() == process
    assert not Process.objects.startable_by(teammate).exists()
    from processes import editing

    editing.archive(process, actor=owner)
    assert not Process.objects.startable_by(owner).exists()


def test_many_permissions_show_a_process_once(process: Process, stranger: User) -> None:
    groups = [factories.group(f"g{n}", stranger) for n in range(3)]
    for who, permission in itertools.product([stranger, *groups], Permission):
        factories.allow(who, permission, process)
    assert Process.objects.visible_to(stranger).count() == 1
