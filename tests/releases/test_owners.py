"""Owners that a phase or an activity names see its release from the start, and no other (section 4)."""

from __future__ import annotations

import pytest

from processes.blueprint import Blueprint
from releases.models import Release
from tests import factories
from tests.releases.driving import published, started


@pytest.mark.django_db(transaction=True)
def test_owners_of_phases_and_activities_see_their_release() -> None:
    dora, erik, stranger = factories.person(), factories.person(), factories.person()
    group = factories.group("", erik)
    noop = {"type": "automated", "connector": "noop"}
    phases = [{"id": "a", "owners": [f"user:{dora.email}"], "activities": [{"id": "one", **noop}, {"id": "two", "owners": [f"group:{group.name}"], **noop}]}]
    release = started(published(Blueprint.model_validate({"id": "owned", "phases": phases})), factories.person())
    seen = {person: Release.objects.visible_to(person).filter(pk=release.pk).exists() for person in (dora, erik, stranger)}
    assert seen == {dora: True, erik: True, stranger: False}
