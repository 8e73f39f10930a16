"""Versions: numbered, hashed, sound, and never changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from processes import editing, publishing, reading
from processes.blueprint import Blueprint
from processes.drafts import document_of
from processes.models import DraftEdit, Process, ProcessVersion
from processes.surroundings import connectors, group_members, world
from processes.versions import blueprint_of, newest_blueprints
from relorch.accounts.models import User
from relorch.audit.models import Event
from relorch.lib.errors import Conflict, Invalid
from relorch.lib.preconditions import Stale
from tests import factories

pytestmark = pytest.mark.django_db


def test_a_version_is_the_draft_with_its_digest(process: Process, owner: User) -> None:
    version, problems = publishing.publish(process, actor=owner, note="First")
    assert (version.number, version.note, problems) == (1, "First", [])
    assert version.document == document_of(process)
    assert version.hash == reading.digest(reading.parse(version.document).blueprint)
    event = Event.objects.get(verb="process.published")
    assert event.actor == owner
    assert version.hash in event.record


def test_authors_are_the_publisher_and_who_saved_since_the_version_before(process: Process, owner: User, teammate: User, stranger: User) -> None:
    first = factories.version(process, actor=owner)
    assert set(first.authors.all()) == {owner}
    editing.write_draft(process, document_of(process) | {"name": "b"}, actor=teammate)
    editing.write_draft(process, document_of(process) | {"name": "c"}, actor=teammate)
    second = factories.version(process, actor=stranger)
    assert set(second.authors.all()) == {teammate, stranger}
    assert not DraftEdit.objects.exists()


def test_what_is_unsound_is_not_published(process: Process, owner: User) -> None:
    editing.write_draft(process, document_of(process) | {"phases": []}, actor=owner)
    with pytest.raises(Invalid) as caught:
        publishing.publish(process, actor=owner)
    assert (caught.value.code, bool(caught.value.problems)) == ("unsound", True)
    assert not ProcessVersion.objects.exists()
    assert DraftEdit.objects.exists()


def test_nothing_changed_is_no_version(process: Process, owner: User) -> None:
    factories.version(process, actor=owner)
    with pytest.raises(Conflict) as caught:
        publishing.publish(process, actor=owner)
    assert caught.value.code == "nothing_changed"


def test_what_was_before_the_last_version_may_be_published_again(process: Process, owner: User) -> None:
    first = document_of(process)
    for document in (first, first | {"name": "Other"}, first):
        editing.write_draft(process, document, actor=owner)
        factories.version(process, actor=owner)
    assert [version.number for version in process.versions.all()] == [3, 2, 1]
    assert process.versions.get(number=3).hash == process.versions.get(number=1).hash


def test_a_draft_that_changed_meanwhile_is_not_published(process: Process, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stale):
        publishing.publish(process, actor=owner, expected_revision=7)
    check = publishing.problems_in

    def somebody_saves(*args: Any, **more: Any) -> Any:
        editing.write_draft(process, document_of(process) | {"name": "Meanwhile"}, actor=owner)
        return check(*args, **more)

    monkeypatch.setattr(publishing, "problems_in", somebody_saves)
    with pytest.raises(Stale):
        publishing.publish(process, actor=owner)
    assert not ProcessVersion.objects.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE processes_processversion SET note = 'x'",
        "DELETE FROM processes_processversion",
        "UPDATE processes_processversion_authors SET user_id = user_id",
        "DELETE FROM processes_processversion_authors",
        "SET session_replication_role = replica; UPDATE processes_processversion SET note = 'x'",
    ],
)
def test_the_database_refuses_to_change_a_version(process: Process, owner: User, statement: str) -> None:
    factories.version(process, actor=owner)
    with pytest.raises(DatabaseError, match=r"never changes|permission denied to set"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert ProcessVersion.objects.get().note == ""


def test_a_version_is_read_once(process: Process, owner: User, django_assert_num_queries: Any) -> None:
    version = factories.version(process, actor=owner)
    assert blueprint_of(version) is blueprint_of(ProcessVersion.objects.get())
    with django_assert_num_queries(1):
        assert newest_blueprints([process.pk]) == {process.pk: blueprint_of(version)}


def test_the_world_is_what_its_person_may_know(process: Process, owner: User, teammate: User, stranger: User) -> None:
    factories.version(process, actor=owner)
    mine = reading.parse(document_of(process)).blueprint
    other = reading.parse(factories.document("other")).blueprint
    assert isinstance(mine, Blueprint)
    assert isinstance(other, Blueprint)
    assert set(world(other, teammate).processes or ()) == {"standard"}
    assert world(other, teammate).processes["standard"].id == "standard"  # type: ignore[index]
    assert set(world(other, stranger).processes or ()) == set()
    assert set(world(other).processes or ()) == {"standard"}
    assert set(world(mine).processes or ()) == set(), "itself is not around itself"
    editing.archive(process, actor=owner)
    assert set(world(other).processes or ()) == set()


def test_who_may_start_and_who_are_the_authors(process: Process, owner: User, teammate: User, stranger: User) -> None:
    blueprint = reading.parse(document_of(process)).blueprint
    assert isinstance(blueprint, Blueprint)
    assert world(blueprint).starters == {owner.email}
    factories.allow(stranger, "start", process)
    team = factories.group("team", teammate)
    factories.allow(team, "start", process)
    assert world(blueprint).starters == {owner.email, stranger.email, teammate.email}
    assert world(blueprint).authors == {owner.email}
    assert world(blueprint, teammate).authors == {owner.email, teammate.email}
    assert world(blueprint.model_copy(update={"id": "other", "owners": ("group:team",)})).starters == {teammate.email}
    assert world(blueprint.model_copy(update={"id": "other", "owners": ()})).starters is None


def test_connectors_are_known_from_above() -> None:
    found = connectors() or {}
    assert {"noop", "script", "http", "timer"} <= set(found)
    assert (found["noop"].effect, found["script"].effect, found["script"].uses_scripts) == ("keyed", "either", True)


def test_groups_have_their_active_members(owner: User, teammate: User) -> None:
    factories.group("empty")
    factories.group("team", owner, teammate)
    teammate.is_active = False
    teammate.save()
    assert group_members() == {"empty": frozenset(), "team": frozenset({owner.email})}
